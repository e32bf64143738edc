"""The shop's own affairs on the page: settings, budget, keys, letters and webhooks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.reader import Reader
from tests.browser.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(reader: Reader, store: Store) -> Reader:
    reader.sign_in(store)
    reader.page.get_by_role("link", name="Settings").click()
    expect(panel(reader, "Access keys")).to_be_visible()
    return reader


def panel(reader: Reader, title: str) -> Locator:
    heading = reader.page.get_by_role("heading", name=title, exact=True)
    return reader.page.locator("section.panel").filter(has=heading)


@pytest.mark.feature("settings on the page")
def test_settings_and_budget_are_saved(settings: Reader, store: Store) -> None:
    general = panel(settings, "Store")
    expect(general).to_contain_text("not connected to Shopify yet")
    general.get_by_label("Put new images").check()
    general.get_by_label("Keep ended jobs").fill("90")
    general.get_by_role("button", name="Save").click()
    expect(settings.page.locator("#toasts")).to_contain_text("Saved")
    budget = panel(settings, "Monthly budget")
    budget.get_by_label("Credits a month").fill("500")
    budget.get_by_label("Money a month").fill("12.50")
    budget.get_by_role("button", name="Save").click()
    expect(budget).to_contain_text("0 of 500")
    expect(budget).to_contain_text("$0.00 of $12.50")
    shop = store.call("GET", "/api/shop")["shop"]
    assert (shop["autoPush"], shop["retentionDays"]) == (True, 90)
    assert shop["monthlyBudget"] == {"credits": 500, "costMicros": 12_500_000}
    for name in ("Credits a month", "Money a month"):
        budget.get_by_label(name).fill("")
    budget.get_by_role("button", name="Save").click()
    expect(budget).not_to_contain_text("of 500")
    assert store.call("GET", "/api/shop")["shop"]["monthlyBudget"]["credits"] is None


@pytest.mark.feature("settings on the page")
def test_a_key_is_shown_once_and_revoked(settings: Reader, store: Store) -> None:
    keys = panel(settings, "Access keys")
    keys.get_by_label("Name of the key").fill("Nightly program")
    keys.get_by_role("button", name="New key").dblclick()
    dialog = settings.page.get_by_role("dialog", name="Your new key")
    secret = dialog.get_by_label("Your new key").input_value()
    assert len(secret) > 20
    settings.page.mouse.click(5, 5)  # beside it: what is shown once does not go by accident
    names = [key["name"] for key in store.call("GET", "/api/shop/keys")["keys"]]
    assert names.count("Nightly program") == 1
    dialog.get_by_role("button", name="Close").click()
    assert secret not in settings.page.content()
    row = keys.get_by_role("listitem").filter(has_text="Nightly program")
    row.get_by_role("button", name="Revoke").click()
    question = settings.page.get_by_role("dialog", name="Revoke Nightly program?")
    question.get_by_role("button", name="Revoke").press("Enter")
    expect(row).to_have_count(0)
    expect(keys.get_by_label("Name of the key")).to_be_focused()  # what had it has gone
    names = [key["name"] for key in store.call("GET", "/api/shop/keys")["keys"]]
    assert "Nightly program" not in names


def test_people_to_write_to_are_named_and_removed(settings: Reader, store: Store) -> None:
    letters = panel(settings, "Tell by e-mail or SMS")
    letters.get_by_label("E-mail address").fill("ada@example.com")
    letters.get_by_role("button", name="Add").click()
    row = letters.get_by_role("listitem").filter(has_text="ada@example.com")
    expect(row).to_be_visible()
    told = store.call("GET", "/api/shop")["shop"]["notifications"]
    assert [each["address"] for each in told["emails"]] == ["ada@example.com"]
    row.get_by_role("button", name="Remove").click()
    expect(letters).to_contain_text("Nobody is written to.")


def test_webhooks_are_made_turned_off_and_removed(settings: Reader, store: Store) -> None:
    hooks = panel(settings, "Webhooks to you")
    hooks.get_by_label("Address of the endpoint").fill("https://hooks.example/jobs")
    hooks.get_by_role("button", name="Add").click()
    dialog = settings.page.get_by_role("dialog", name="The secret")
    assert dialog.get_by_role("textbox").input_value().startswith("whsec_")
    dialog.get_by_role("button", name="Close").click()
    row = hooks.get_by_role("listitem").filter(has_text="hooks.example")
    row.get_by_role("button", name="Turn off").click()
    expect(row.get_by_role("button", name="Turn on")).to_be_visible()
    (endpoint,) = store.call("GET", "/api/shop/webhooks")["endpoints"]
    assert endpoint["isEnabled"] is False
    row.get_by_role("button", name="Deliveries").click()
    shown = settings.page.get_by_role("dialog", name="Deliveries")
    expect(shown).to_contain_text("Nothing was delivered")
    shown.get_by_role("button", name="Close").click()
    row.get_by_role("button", name="Remove").click()
    settings.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(hooks).to_contain_text("No endpoints yet.")


@pytest.mark.feature("settings on the page")
def test_settings_follow_what_others_change_and_what_is_being_written_stays(
    settings: Reader, store: Store
) -> None:
    page = settings.page
    general, budget = panel(settings, "Store"), panel(settings, "Monthly budget")
    keys = panel(settings, "Access keys")
    expect(page.locator(".as-of")).to_contain_text("As of ")
    general.get_by_label("Keep ended jobs").fill("45")
    general.get_by_label("Put new images").check()
    name = keys.get_by_label("Name of the key")
    name.fill("Half a na")
    store.call("PUT", "/api/shop", {"monthlyBudget": {"credits": 77}, "retentionDays": 9})
    store.key()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # back at the tab
    expect(budget).to_contain_text("0 of 77")
    expect(budget.get_by_label("Credits a month")).to_have_value("77")
    expect(keys.get_by_role("listitem")).to_have_count(2)
    expect(name).to_have_value("Half a na")
    expect(name).to_be_focused()
    budget.get_by_label("Credits a month").fill("78")
    save = budget.get_by_role("button", name="Save")
    save.press("Enter")
    expect(budget).to_contain_text("0 of 78")
    expect(save).to_be_focused()
    expect(general.get_by_label("Keep ended jobs")).to_have_value("45")
    expect(general.get_by_label("Put new images")).to_be_checked()
    store.call("PUT", "/api/shop", {"monthlyBudget": {"credits": 79}})
    later(settings, 30_000)  # nobody does anything: it is read every half a minute
    expect(budget).to_contain_text("0 of 79")
    expect(budget.get_by_label("Credits a month")).to_have_value("79")


def later(reader: Reader, ms: int) -> None:
    """Let the page take it for later than it is."""
    script = "(ms) => { const now = Date.now; Date.now = () => now.call(Date) + ms; }"
    reader.page.evaluate(script, ms)


def test_what_is_old_is_not_called_live(settings: Reader) -> None:
    page = settings.page
    live = page.locator(".live")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    # Figures that come when their view has been left make nothing older.
    page.route("**/api/jobs/stats**", hold)
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", name="Your images start here")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    expect(panel(settings, "Access keys")).to_be_visible()
    with page.expect_response("**/api/jobs/stats**"):
        held.pop().continue_()
    expect(live).to_have_text("Live")
    page.route("**/api/shop**", hold)
    later(settings, 90_000)  # as after a sleep
    expect(live).to_contain_text("As of")
    expect(live).to_have_text("No answer yet")
    for route in held:
        route.continue_()
    page.unroute_all()
    expect(live).to_have_text("Live")
