"""Two shops never see each other's jobs, and nothing that anybody sent becomes more than text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.reader import Reader
from tests.browser.store import Store

pytestmark = pytest.mark.slow

MARKUP = (
    "<img src=x onerror=\"globalThis.broken='img'\">"
    "<script>globalThis.broken='script'</script>\"'`>{{title}}</textarea></style>"
)


def test_two_shops_never_see_each_others_jobs(
    new_reader: Callable[..., Reader], new_store: Callable[[], Store]
) -> None:
    stores = new_store(), new_store()
    titles = "Only the first's", "Only the second's"
    jobs = [store.create_work(title) for store, title in zip(stores, titles, strict=True)]
    for own, other in ((0, 1), (1, 0)):
        reader = new_reader(expects=("403", "404")).sign_in(stores[own])
        expect(reader.job(titles[own]).first).to_be_visible()
        # Not by a link to the other's job, not by naming the other's shop, not by searching.
        reader.page.goto(f"{reader.url}?job={jobs[other]['id']}")
        expect(reader.page.get_by_text("There is no such job").first).to_be_visible()
        reader.page.goto(f"{reader.url}?store={stores[other].name}&shop={stores[other].name}")
        expect(reader.job(titles[own]).first).to_be_visible()
        own_name = stores[own].name.removesuffix(".myshopify.com")
        expect(reader.page.locator(".shop")).to_have_text(own_name)
        reader.page.goto(f"{reader.url}?q=Only")
        expect(reader.page.locator(".job").first).to_be_visible()
        stores[other].create_work(f"Later: {titles[other]}")
        reader.page.wait_for_timeout(4_000)  # a beat, and half of another
        assert titles[other] not in reader.page.content()


def test_what_one_shop_has_begun_is_not_told_to_the_next(
    new_reader: Callable[..., Reader], new_store: Callable[[], Store]
) -> None:
    first, second = new_store(), new_store()
    job = first.create_work("Broken")
    first.report(job["id"], status="failed", error="x")
    second.create_work("Of the second")
    reader = new_reader(expects=("404",)).sign_in(first)
    page = reader.page
    expect(reader.job("Broken")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("x")
    selection = page.get_by_role("region", name="Selected jobs")
    selection.get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry 1 job").click()
    expect(page.get_by_role("region", name="Retrying")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access key")).to_be_visible()
    kept = page.evaluate("Object.values(sessionStorage).join()")
    assert "Retrying" not in kept
    page.get_by_label("Access key").fill(second.key())
    page.get_by_role("button", name="Sign in").click()
    expect(reader.job("Of the second")).to_be_visible()
    expect(page.get_by_role("region", name="Retrying")).to_have_count(0)
    # Out of the browser's memory nothing comes back either.
    with page.expect_navigation():
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(reader.job("Of the second")).to_be_visible()


def test_a_payload_full_of_markup_stays_text(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    job = store.create_work(
        MARKUP,
        productTitle=MARKUP,
        projectId=MARKUP[:120],
        description=MARKUP,
        metadata={MARKUP: [MARKUP]},
    )
    store.report(job["id"], status="running", processed=1, message=MARKUP)
    store.report(job["id"], status="failed", error=MARKUP, result={"html": MARKUP})
    store.call("PUT", "/api/shop", {"autoPush": False})
    # The browser would say so if the page tried to make markup of it: that fails the test.
    reader = new_reader().sign_in(store)
    page = reader.page
    card = page.locator(".job")
    expect(card).to_contain_text(MARKUP)
    page.get_by_role("button", name="Table").click()
    expect(page.get_by_role("row").filter(has_text="globalThis")).to_contain_text(MARKUP)
    page.goto(reader.url + "?" + "&".join([f"job={job['id']}", "q=globalThis"]))
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".trouble")).to_contain_text(MARKUP)
    for name in ("Metadata", "Result"):
        dialog.get_by_text(name, exact=True).click()
        expect(dialog.locator("pre").filter(has_text="onerror").first).to_be_visible()
    page.keyboard.press("Escape")
    page.locator(".job label.pick").click()
    page.get_by_role("region", name="Selected jobs").get_by_role("button", name="Retry").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 job will be retried.")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Insights").click()
    page.get_by_role("button", name="Project").click()
    expect(page.get_by_role("row").filter(has_text="globalThis")).to_be_visible()
    assert page.evaluate("globalThis.broken ?? null") is None
    assert page.locator("main img[src=x], dialog img[src=x], main script").count() == 0
