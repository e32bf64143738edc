"""A job in full: its facts, its timeline with all that came, and what developers copy."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Request, expect

from local.stack import Stack
from tests.browser.reader import Reader
from tests.browser.store import Store

pytestmark = pytest.mark.slow

ADMIN_WORDS = "For administrators"


def opened(reader: Reader, title: str) -> Locator:
    reader.page.get_by_role("main").get_by_role("link", name=title).first.click()
    return reader.page.get_by_role("dialog", name=title)


@pytest.mark.feature("a job in full on the page")
def test_the_timeline_shows_every_event_duplicates_and_ignored_ones_too(
    reader: Reader, store: Store, pikcel: Callable[..., None]
) -> None:
    pikcel(rules=[{"match": {"url_contains": "/pendant-lamp"}, "faults": {"webhook_copies": 3}}])
    job = store.create_image("pendant-lamp")
    store.done(job["id"])
    reader.sign_in(store)
    dialog = opened(reader, "Pendant Lamp, White")
    entries = dialog.get_by_role("list", name="Timeline").locator(".entry")
    duplicates = entries.filter(has_text="duplicate")
    expect(duplicates).to_have_count(4)
    ended = entries.filter(has_text="Working → Done")
    expect(ended).to_contain_text("Webhook")
    expect(ended).to_contain_text("signed")
    expect(ended.locator("small").first).to_contain_text("+")
    dialog.get_by_label("Only what had an effect").check()
    expect(duplicates).to_have_count(0)
    expect(ended).to_have_count(1)


@pytest.mark.feature("a job in full on the page")
def test_a_delivery_that_came_before_its_job_says_when_it_came(
    reader: Reader, store: Store
) -> None:
    store.deliver_unknown("pk_page_early", creditsUsed=3)
    store.create(toolId="background-removal", productTitle="Early", pikcelJobId="pk_page_early")
    reader.sign_in(store)
    entries = opened(reader, "Early").get_by_role("list", name="Timeline").locator(".entry")
    early = entries.filter(has_text="It came in on")
    expect(early).to_have_count(1)
    expect(early).to_contain_text("Webhook")


@pytest.mark.feature("a job in full on the page")
def test_what_was_really_sent_is_fetched_when_somebody_wants_to_see_it(
    reader: Reader, store: Store
) -> None:
    # A seed that JavaScript would round, and markup that must stay text.
    sent = {"seed": 2**53 + 1, "note": "<b>bold</b>"}
    store.deliver_unknown("pk_page_raw", **sent)
    wish = {"provider": "pikcel", "providerJobId": "pk_page_raw", "shop": store.name, "name": "Raw"}
    store.call("POST", "/api/admin/parked/adopt", wish)
    reader.sign_in(store)
    asked: list[Request] = reader.heard("request")
    dialog = opened(reader, "Raw")
    entry = dialog.locator(".entry").filter(has_text="Webhook")
    expect(entry.get_by_text("What was really sent")).to_be_visible()
    assert not [each for each in asked if "/logs/" in each.url]
    entry.get_by_text("What was really sent").click()
    shown = entry.locator("pre")
    expect(shown).to_contain_text('"seed": 9007199254740993')
    expect(shown).to_contain_text('"note": "<b>bold</b>"')
    reader.page.wait_for_timeout(4_000)  # it stays open over a beat
    expect(shown).to_be_visible()
    assert len([each for each in asked if "/logs/" in each.url]) == 1


@pytest.mark.feature("a job in full on the page")
def test_attempts_stand_side_by_side(
    reader: Reader, store: Store, pikcel: Callable[..., None]
) -> None:
    fault = {"match": {"url_contains": "/orchid-pot"}, "times": 1, "faults": {"fail": {}}}
    pikcel(rules=[fault])
    job = store.create_image("orchid-pot")
    store.wait_for(job["id"], lambda job: job["status"] == "failed", "the failure")
    store.call("POST", "/api/jobs/retry", {"jobId": job["id"]})
    store.done(job["id"])
    reader.sign_in(store)
    dialog = opened(reader, "Potted Orchid, Two Stems")
    table = dialog.get_by_role("region", name="Tries side by side")
    expect(table.get_by_role("columnheader")).to_have_text(["Try 1", "Try 2"])
    expect(table.get_by_role("row").filter(has_text="Ended as")).to_contain_text("Failed")
    expect(table.get_by_role("row").filter(has_text="Ended as")).to_contain_text("Done")


def test_details_stay_up_to_date_while_they_are_open(reader: Reader, store: Store) -> None:
    job = store.create_work("Nightly pull", total=10)
    reader.sign_in(store)
    dialog = opened(reader, "Nightly pull")
    store.report(job["id"], status="running", processed=5, message="half")
    expect(dialog.get_by_role("progressbar")).to_have_attribute("value", "50")
    dialog.locator("details").first.evaluate_all("(all) => all.forEach((each) => each.open = true)")
    store.report(job["id"], status="completed", result={"pages": 3})
    expect(dialog.get_by_text("Done").first).to_be_visible()
    expect(dialog.get_by_role("list", name="Timeline")).to_contain_text("Working → Done")


def test_what_was_unfolded_stays_so_while_news_arrive(
    reader: Reader, store: Store, pikcel: Callable[..., None]
) -> None:
    fault = {"match": {"url_contains": "/road-bicycle"}, "times": 1, "faults": {"fail": {}}}
    pikcel(rules=[fault])
    job = store.create_image("road-bicycle", metadata={"colour": "blue"})
    store.wait_for(job["id"], lambda job: job["status"] == "failed", "the failure")
    reader.sign_in(store)
    dialog = opened(reader, "Road Bicycle, Matt Black")
    dialog.get_by_text("Metadata", exact=True).click()
    document = dialog.locator("pre").filter(has_text="blue")
    expect(document).to_be_visible()
    raw = dialog.locator(".entry").filter(has_text="→ Failed")
    raw.get_by_text("What was really sent").click()
    expect(raw.locator("pre")).to_contain_text("failed")
    raw.locator("summary").focus()
    store.call("POST", "/api/jobs/retry", {"jobId": job["id"]})
    expect(dialog.get_by_role("list", name="Timeline")).to_contain_text("→ Waiting")
    expect(document).to_be_visible()
    expect(raw.locator("pre")).to_contain_text("failed")
    expect(raw.locator("summary")).to_be_focused()


def test_a_job_that_is_deleted_while_it_is_open_says_so_and_the_page_goes_on(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    job, other = store.create_work("Short-lived"), store.create_work("Other", total=10)
    reader = new_reader(expects=("404",)).sign_in(store)
    dialog = opened(reader, "Short-lived")
    expect(dialog.get_by_role("list", name="Timeline")).to_be_attached()
    store.call("POST", "/api/jobs/cancel", {"jobId": job["id"]})
    store.call("DELETE", f"/api/jobs/{job['id']}")
    expect(dialog).to_contain_text("There is no such job")
    reader.page.keyboard.press("Escape")
    store.report(other["id"], status="running", processed=5)
    expect(reader.job("Other").get_by_role("progressbar")).to_have_attribute("value", "50")
    expect(reader.job("Short-lived")).to_have_count(0)


def test_what_is_told_is_seen_over_an_open_job(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.create_work("Task")
    reader = new_reader(expects=("ERR_",), permissions=["clipboard-read", "clipboard-write"])
    reader.sign_in(store)
    page = reader.page
    dialog = opened(reader, "Task")
    dialog.get_by_role("button", name="Copy as curl: read").click()
    expect(page.locator("#toasts .toast")).to_contain_text("Copied")
    on_top = (
        "(() => { const { left, top, width, height } = document.querySelector('{}')"
        ".getBoundingClientRect(); return document.elementFromPoint(left + width / 2,"
        " top + height / 2)?.closest('{}') !== null; })()"
    )
    assert page.evaluate(on_top.replace("{}", ".toast"))
    page.route("**/api/**", lambda route: route.abort())
    expect(page.locator("#banner")).to_contain_text("does not answer")
    assert page.evaluate(on_top.replace("{}", ".banner"))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("#banner")).to_contain_text("does not answer")
    assert page.evaluate(on_top.replace("{}", ".banner"))


def test_a_filter_that_is_chosen_in_a_job_shows_the_list(reader: Reader, store: Store) -> None:
    store.create_work("Task", projectId="spring")
    store.create_work("Other")
    reader.sign_in(store)
    opened(reader, "Task").get_by_role("link", name="spring").click()
    expect(reader.page.get_by_role("dialog")).to_have_count(0)
    expect(reader.page.locator(".job")).to_have_count(1)
    assert reader.query == {"projectId": "spring"}


def test_a_link_to_a_job_opens_it_and_an_unknown_one_says_so(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    job = store.create_work("Shared task")
    reader = new_reader(expects=("404",)).sign_in(store)
    reader.page.goto(f"{reader.url}?job={job['id']}")
    expect(reader.page.get_by_role("dialog", name="Shared task")).to_be_visible()
    reader.page.goto(f"{reader.url}?job={job['id'][:-4]}0000")
    expect(reader.page.get_by_text("There is no such job").first).to_be_visible()


def test_curl_is_copied_with_what_it_needs_and_without_what_is_secret(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    signed = "https://photos.example/a.jpg?X-Amz-Signature=deadbeef&X-Amz-Expires=60"
    parameters = {
        "colour": "it's white",
        "author": "Ada",
        "apiToken": "t0p",
        "deep": [{"password": "hush"}],
        "credentials": {"user": "u5er", "pass": "w0rd"},
        "accessKey": "k3y",
    }
    store.create(name="Task", inputImageUrl=signed, parameters=parameters)
    reader = new_reader(permissions=["clipboard-read", "clipboard-write"])
    key_of = "sessionStorage.getItem('jobs.key')"
    # The picture cannot be had here; that is not what this test is about.
    reader.page.route("https://photos.example/**", lambda route: route.fulfill(body=b""))
    reader.sign_in(store)
    dialog = opened(reader, "Task")
    dialog.get_by_role("button", name="Copy as curl: create again").click()
    expect(reader.page.locator("#toasts")).to_contain_text("Copied")
    line = reader.page.evaluate("navigator.clipboard.readText()")
    assert re.match(r"curl -X POST \\\n  'http://127\.0\.0\.1:\d+/api/jobs'", line)
    assert '-H "Authorization: Bearer $KEY"' in line
    for secret in ("deadbeef", "t0p", "hush", "u5er", "w0rd", "k3y", reader.page.evaluate(key_of)):
        assert secret not in line
    body = line.partition("-d '")[2].removesuffix("'").replace("'\\''", "'")
    wanted = json.loads(body)
    assert wanted["inputImageUrl"] == "https://photos.example/a.jpg"
    assert wanted["parameters"]["colour"] == "it's white"
    assert wanted["parameters"]["author"] == "Ada"


def test_integers_beyond_javascripts_stay_exact(reader: Reader, store: Store) -> None:
    big = 2**53 + 1
    job = store.create_work("Big numbers", metadata={"seed": big * 1000})
    store.report(job["id"], status="completed", result={"id": big})
    reader.sign_in(store)
    dialog = opened(reader, "Big numbers")
    for name, value in {"Metadata": big * 1000, "Result": big}.items():
        dialog.get_by_text(name, exact=True).click()
        expect(dialog.locator("pre").filter(has_text=f'"{value}"')).to_be_visible()


# ---- administrators -----------------------------------------------------------------------------


@pytest.fixture
def administrator(new_reader: Callable[..., Reader], store: Store) -> Reader:
    """Somebody who signed in with an administrator's key, and is refused nothing meanwhile."""
    reader = new_reader()
    reader.page.goto(reader.url)
    reader.page.get_by_label("Access key").fill(store.stack.info.admin_key)
    reader.page.get_by_role("button", name="Sign in").click()
    expect(reader.page.get_by_role("heading", name="Jobs of all stores")).to_be_visible()
    return reader


@pytest.mark.feature("administration on the page")
def test_an_administrator_chooses_a_store_and_completes_its_job(
    store: Store, administrator: Reader
) -> None:
    job = store.create_work("Stuck task")
    store.report(job["id"], status="failed", error="x")
    reader, page = administrator, administrator.page
    # Until a store is chosen there is nothing of one to see, however it is asked for.
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(["Admin"])
    page.goto(f"{reader.url}?view=insights&job={job['id']}")
    expect(page.get_by_role("heading", name="Jobs of all stores")).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_role("row").filter(has_text=store.name)).to_contain_text("Stuck task")
    page.get_by_label("Store", exact=True).fill(store.name.removesuffix(".myshopify.com"))
    page.get_by_role("button", name="Show", exact=True).click()
    assert reader.query["store"] == store.name
    expect(reader.job("Stuck task")).to_be_visible()
    dialog = opened(reader, "Stuck task")
    dialog.get_by_role("button", name="Complete").click()
    form = page.get_by_role("dialog", name="Complete")
    form.get_by_label("Result (JSON)").fill('{"by": ')
    form.get_by_role("button", name="Complete").click()
    expect(page.locator("#toasts")).to_contain_text("not valid JSON")
    form.get_by_label("Result (JSON)").fill('{"by": "hand", "seed": 9007199254740993}')
    form.get_by_role("button", name="Complete").click()
    expect(dialog.get_by_role("list", name="Timeline")).to_contain_text("Administrator")
    expect(dialog.get_by_text("Done").first).to_be_visible()
    assert store.job(job["id"])["result"] == {"by": "hand", "seed": "9007199254740993"}


@pytest.mark.feature("administration on the page")
def test_a_delivery_without_a_job_is_adopted(store: Store, administrator: Reader) -> None:
    page = administrator.page
    field = page.get_by_label("Store", exact=True)
    field.fill("half-a-na")
    store.deliver_unknown("pk_page_lost", creditsUsed=3)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # back at the tab
    expect(page.locator(".as-of")).to_contain_text("As of ")
    row = page.get_by_role("listitem").filter(has_text="pk_page_lost")
    expect(row).to_be_visible()
    expect(field).to_have_value("half-a-na")
    expect(field).to_be_focused()
    row.get_by_role("button", name="Adopt").click()
    dialog = page.get_by_role("dialog", name="Adopt")
    dialog.get_by_label("Store").fill(store.name)
    dialog.get_by_label("Tool (optional)").fill("background-removal")
    dialog.get_by_role("button", name="Adopt").click()
    expect(row).to_have_count(0)
    (job,) = store.call("GET", "/api/jobs")["jobs"]
    assert (job["providerJobId"], job["creditsUsed"]) == ("pk_page_lost", 3)


@pytest.fixture
def changed_secret(stack: Stack) -> Iterator[str]:
    """A secret that PikcelAI signs with from now on, and that nobody told us."""
    name = "PIKCEL_WEBHOOK_SECRET"
    yield f"whsec_{secrets.token_hex(16)}"
    stack.put_secret(name, stack.info.secrets[name])


@pytest.mark.feature("administration on the page")
def test_what_failed_its_check_is_applied_once_the_secret_is_right(
    stack: Stack, store: Store, administrator: Reader, changed_secret: str
) -> None:
    assert store.deliver_signed(changed_secret, "pk_page_held", creditsUsed=3) == 401
    page = administrator.page
    page.reload()
    held = page.locator("section").filter(
        has=page.get_by_role("heading", name="Deliveries that failed their check")
    )
    row = held.get_by_role("listitem").first
    expect(row).to_contain_text("pikcel")
    expect(row).to_contain_text("signed with another secret")
    expect(row).to_contain_text("Kept until")
    held.get_by_role("button", name="Check again").click()
    expect(page.locator("#toasts")).to_contain_text("Nothing is genuine yet.")
    ours = stack.info.secrets["PIKCEL_WEBHOOK_SECRET"]
    stack.put_secret("PIKCEL_WEBHOOK_SECRET", f"{changed_secret},{ours}")
    held.get_by_role("button", name="Check again").click()
    expect(page.locator("#toasts")).to_contain_text("One delivery is genuine and was applied.")
    # Its job is unknown: it waits where such deliveries do.
    expect(page.get_by_role("listitem").filter(has_text="pk_page_held")).to_be_visible()
    key = page.get_by_role("listitem").filter(has_text="PIKCEL_WEBHOOK_SECRET")
    expect(key).to_contain_text("fitted 1 delivery")
    expect(key).to_contain_text("The new one is used")
    expect(key).to_contain_text("May be removed from")
    assert changed_secret not in page.content()


def test_agents_are_made_and_given_jobs(store: Store, administrator: Reader) -> None:
    job = store.create_work("Write a text")
    reader, page = administrator, administrator.page
    page.goto(f"{reader.url}?view=admin&store={store.name}")
    page.get_by_label("Name of the agent").fill("Ada")
    page.get_by_role("button", name="Add").click()
    dialog = page.get_by_role("dialog", name="The agent’s key")
    expect(dialog).to_contain_text("shown once")
    dialog.get_by_role("button", name="Close").click()
    page.goto(f"{reader.url}?store={store.name}&job={job['id']}")
    details = page.get_by_role("dialog", name="Write a text")
    details.get_by_role("button", name="Reassign").click()
    form = page.get_by_role("dialog", name="Reassign")
    form.get_by_role("button", name="Reassign").click()
    expect(form).to_have_count(0)
    (agent,) = store.call("GET", "/api/admin/agents")["agents"]
    assert store.job(job["id"])["agentId"] == agent["id"]


def test_who_is_no_administrator_sees_nothing_of_it(reader: Reader, store: Store) -> None:
    store.create_work("Task")
    reader.sign_in(store)
    expect(reader.page.get_by_role("link", name="Admin")).to_be_hidden()
    dialog = opened(reader, "Task")
    expect(dialog.get_by_role("heading", name="Timeline")).to_be_visible()
    expect(dialog.get_by_text(ADMIN_WORDS)).to_have_count(0)
