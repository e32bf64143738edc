"""The first view: signing in, and the list of jobs, filtered, paged and always up to date."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request, expect

from local.stack import wait_until
from tests.browser.reader import Reader
from tests.browser.store import Store

pytestmark = pytest.mark.slow

# ---- signing in ---------------------------------------------------------------------------------


def test_a_key_is_pasted_and_kept_in_this_tab_only(reader: Reader, store: Store) -> None:
    store.create_work("Nightly pull")
    reader.sign_in(store)
    expect(reader.job("Nightly pull")).to_be_visible()
    key = reader.page.evaluate("sessionStorage.getItem('jobs.key')")
    assert len(key) > 20
    assert key not in reader.page.url
    assert key not in reader.page.evaluate("JSON.stringify(localStorage) + document.cookie")
    reader.page.reload()
    expect(reader.job("Nightly pull")).to_be_visible()
    reader.page.get_by_role("button", name="Sign out").click()
    expect(reader.page.get_by_label("Access key")).to_be_visible()
    assert reader.page.evaluate("sessionStorage.getItem('jobs.key')") is None


def test_a_wrong_key_opens_nothing_and_says_so(new_reader: Callable[..., Reader]) -> None:
    reader = new_reader(expects=("401",))
    reader.page.goto(reader.url)
    reader.page.get_by_label("Access key").fill("not-a-key")
    reader.page.get_by_role("button", name="Sign in").click()
    expect(reader.page.get_by_role("alert")).to_contain_text("Nobody has this key")
    assert reader.page.evaluate("sessionStorage.getItem('jobs.key')") is None
    # An agent's key opens no page: what would be refused is not even asked.
    asked: list[Request] = reader.heard("request")
    reader.page.get_by_label("Access key").fill(f"jta_{'0a' * 12}_{'x' * 43}")
    reader.page.get_by_role("button", name="Sign in").click()
    expect(reader.page.get_by_role("alert")).to_contain_text("belongs to an agent")
    assert asked == []


def test_the_first_view_takes_three_requests_and_60_kilobytes(reader: Reader) -> None:
    asked: list[Request] = reader.heard("requestfinished")
    reader.page.goto(reader.url, wait_until="networkidle")
    expect(reader.page.get_by_label("Access key")).to_be_visible()
    files = [request for request in asked if not request.url.startswith("data:")]
    assert len(files) == 3
    sizes = [request.sizes()["responseBodySize"] for request in files]
    assert 0 < sum(sizes) <= 60_000
    assert {urlsplit(request.url).netloc for request in files} == {urlsplit(reader.url).netloc}


def test_no_file_is_asked_for_twice(reader: Reader, store: Store) -> None:
    store.create_work("Nightly pull")
    reader.sign_in(store)
    expect(reader.job("Nightly pull")).to_be_visible()
    loaded = reader.page.evaluate("performance.getEntriesByType('resource').map((e) => e.name)")
    files = [url for url in loaded if "/page/" in url]
    assert len(files) == len(set(files)) == 2
    reader.page.reload()
    expect(reader.job("Nightly pull")).to_be_visible()
    fetched = reader.page.evaluate(
        "performance.getEntriesByType('resource')"
        ".filter((e) => e.name.includes('/page/')).map((e) => e.transferSize)"
    )
    assert fetched == [0, 0]  # out of the browser's own store


# ---- what is shown ------------------------------------------------------------------------------


def test_a_store_without_jobs_is_told_how_to_begin(reader: Reader, store: Store) -> None:
    reader.sign_in(store)
    expect(reader.page.get_by_role("heading", name="Your images start here")).to_be_visible()
    button = reader.page.get_by_role("main").get_by_role("button", name="New job")
    expect(button.last).to_be_visible()


def test_the_figures_are_those_of_the_store(reader: Reader, store: Store) -> None:
    done = store.create_work("Done")
    store.report(done["id"], status="completed")
    failed = store.create_work("Failed", costMicros=0)
    store.report(failed["id"], status="failed", error="no column sku")
    store.create_work("Waiting")
    reader.sign_in(store)
    for name, value in {
        "All jobs": "3",
        "Waiting": "1",
        "Done": "1",
        "Success rate": "50%",
    }.items():
        figure = reader.page.locator("#figures > div").filter(has_text=name)
        expect(figure.locator("dd")).to_have_text(value)


def test_both_statuses_are_said_in_a_merchants_words(reader: Reader, store: Store) -> None:
    product = store.product()
    job = store.create_image(productId=product["id"])
    store.done(job["id"])
    reader.sign_in(store)
    card = reader.job(product["title"])
    expect(card.get_by_text("Image ready")).to_be_visible()
    expect(card.get_by_text("Not in your store yet")).to_be_visible()


def test_a_failure_says_what_happened_and_what_to_do(reader: Reader, store: Store) -> None:
    job = store.create_work("Match suppliers")
    store.report(job["id"], status="failed", error="The list has no column sku")
    reader.sign_in(store)
    card = reader.job("Match suppliers")
    expect(card).to_contain_text("The list has no column sku. Look at the program")
    expect(card.get_by_role("button", name="Retry")).to_be_visible()


def test_before_and_after_are_compared_with_the_keyboard_too(reader: Reader, store: Store) -> None:
    job = store.create_image("cactus-terracotta-pot")
    store.done(job["id"])
    reader.sign_in(store)
    slider = reader.job("Cactus in a Terracotta Pot").get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", "50 percent after")
    before = reader.page.evaluate("document.querySelector('before-after').style.cssText")
    slider.focus()
    for _ in range(10):
        reader.page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "60 percent after")
    assert reader.page.evaluate("document.querySelector('before-after').style.cssText") != before
    pictures = reader.page.locator("before-after img")
    for image in pictures.all():
        assert image.evaluate("(img) => img.decode().then(() => img.naturalWidth)") > 0


# ---- which jobs are shown -----------------------------------------------------------------------


@pytest.mark.feature("the jobs page")
def test_filters_are_in_the_address_and_back_undoes_them(reader: Reader, store: Store) -> None:
    store.report(store.create_work("Pull one")["id"], status="completed")
    store.report(store.create_work("Pull two")["id"], status="failed", error="x")
    store.create_work("Match", type="AUTO_MATCH")
    reader.sign_in(store)
    expect(reader.page.locator(".job")).to_have_count(3)
    states = reader.page.get_by_role("group", name="Status")
    states.get_by_role("button", name="Failed").click()
    expect(reader.page.locator(".job")).to_have_count(1)
    assert reader.query["status"] == "failed"
    reader.page.get_by_role("button", name="Filters").click()
    reader.page.get_by_label("Type").select_option("AUTO_MATCH")
    expect(reader.page.get_by_role("heading", name="No job fits these filters")).to_be_visible()
    assert reader.query == {"status": "failed", "type": "AUTO_MATCH"}
    reader.page.go_back()
    expect(reader.page.locator(".job")).to_have_count(1)
    reader.page.reload()
    expect(reader.page.locator(".job")).to_have_count(1)
    expect(states.get_by_role("button", name="Failed")).to_have_attribute("aria-pressed", "true")
    states.get_by_role("button", name="All").click()
    expect(reader.page.locator(".job")).to_have_count(3)
    assert reader.query == {}


def test_a_link_with_filters_shows_what_was_sent(reader: Reader, store: Store) -> None:
    store.create_work("Kept", projectId="spring")
    store.create_work("Other")
    reader.sign_in(store)
    expect(reader.page.locator(".job")).to_have_count(2)
    reader.page.goto(reader.url + "?projectId=spring&from=2020-01-01&to=2099-12-31")
    expect(reader.page.locator(".job")).to_have_count(1)
    chips = reader.page.locator("#chips")
    for text in ("Project: spring", "From: Jan 1, 2020", "To: Dec 31, 2099"):
        expect(chips.get_by_text(text)).to_be_visible()
    chips.get_by_role("button", name="Project").click()
    expect(reader.page.locator(".job")).to_have_count(2)
    chips.get_by_role("button", name="Clear all").click()
    expect(chips).to_be_hidden()
    assert reader.query == {}


def test_days_are_the_readers_own_and_the_last_one_is_included(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    reader = new_reader(timezone_id="Pacific/Auckland")
    reader.sign_in(store)
    asked: list[Request] = reader.heard("request")
    reader.page.goto(reader.url + "?from=2026-11-26&to=2026-11-26")
    expect(reader.page.get_by_role("heading", name="No job fits these filters")).to_be_visible()
    (wanted, *_) = [each.url for each in asked if "/api/jobs?" in each.url]
    # UTC+13 in November.
    assert "from=2026-11-25T11%3A00%3A00.000Z" in wanted
    assert "to=2026-11-26T11%3A00%3A00.000Z" in wanted


def test_searching_finds_parts_of_titles_while_typing(reader: Reader, store: Store) -> None:
    for name in ("Red mug", "Blue mug", "Lamp"):
        store.create_work(name)
    reader.sign_in(store)
    expect(reader.page.locator(".job")).to_have_count(3)
    reader.page.keyboard.press("/")
    reader.page.keyboard.type("MUG")
    expect(reader.page.locator(".job")).to_have_count(2)
    assert reader.query == {"q": "MUG"}


def test_the_order_can_be_turned_round(reader: Reader, store: Store) -> None:
    for number in range(3):
        store.create_work(f"Task {number}")
    reader.sign_in(store)
    expect(reader.page.locator(".job")).to_have_count(3)
    assert reader.titles == ["Task 2", "Task 1", "Task 0"]
    reader.page.get_by_role("button", name="Newest first").click()
    expect(reader.page.locator(".job").first).to_contain_text("Task 0")
    assert reader.titles == ["Task 0", "Task 1", "Task 2"]


def test_the_table_is_a_table_and_the_choice_is_remembered(reader: Reader, store: Store) -> None:
    store.create_work("Nightly pull")
    reader.sign_in(store)
    reader.page.get_by_role("button", name="Table").click()
    row = reader.page.get_by_role("row").filter(has_text="Nightly pull")
    expect(row.get_by_role("rowheader")).to_contain_text("Nightly pull")
    expect(row.get_by_role("cell").filter(has_text="Waiting")).to_be_visible()
    reader.page.reload()
    expect(reader.page.get_by_role("table", name="Jobs")).to_be_visible()


@pytest.mark.feature("the jobs page")
def test_paging_goes_both_ways_and_knows_the_total(reader: Reader, store: Store) -> None:
    store.fill(130)
    reader.sign_in(store)
    pager = reader.page.locator("#pager")
    expect(pager).to_contain_text("1–24 of 130")
    first = reader.titles[0]
    expect(pager.get_by_role("button", name="Previous page")).to_be_disabled()
    for shown in (
        "25–48 of 130",
        "49–72 of 130",
        "73–96 of 130",
        "97–120 of 130",
        "121–130 of 130",
    ):
        pager.get_by_role("button", name="Next page").click()
        expect(pager).to_contain_text(shown)
    expect(pager.get_by_role("button", name="Next page")).to_be_disabled()
    for shown in ("97–120 of 130", "73–96 of 130", "49–72 of 130", "25–48 of 130", "1–24 of 130"):
        pager.get_by_role("button", name="Previous page").click()
        expect(pager).to_contain_text(shown)
    expect(reader.page.locator(".job").first).to_contain_text(first)


def test_a_link_with_nonsense_in_it_shows_what_can_be_shown(reader: Reader, store: Store) -> None:
    store.create_work("Nightly pull")
    reader.sign_in(store)
    nonsense = "?status=bogus&pushStatus=<b>&from=yesterday&to=2026-13-45&sort=up&view=none"
    reader.page.goto(reader.url + nonsense)
    expect(reader.job("Nightly pull")).to_be_visible()
    expect(reader.page.locator(".live")).to_have_text("Live")


def test_filters_that_the_api_refuses_are_named_and_can_be_cleared(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.create_work("Nightly pull")
    reader = new_reader(expects=("400",)).sign_in(store)
    reader.page.goto(f"{reader.url}?batchId={'x' * 200}")
    expect(reader.page.get_by_role("heading", name="These filters cannot be used")).to_be_visible()
    expect(reader.page.locator(".live")).to_have_text("Live")
    reader.page.locator("#list").get_by_role("button", name="Clear all").click()
    expect(reader.job("Nightly pull")).to_be_visible()


def test_what_was_found_is_said_to_who_does_not_see_it(reader: Reader, store: Store) -> None:
    for name in ("Red mug", "Blue mug", "Lamp"):
        store.create_work(name)
    reader.sign_in(store)
    said = reader.page.locator("#found")
    expect(said).to_have_text("3 jobs")
    assert said.get_attribute("role") == "status"
    reader.page.keyboard.press("/")
    reader.page.keyboard.type("mug")
    expect(said).to_have_text("2 jobs")
    # Escape empties the search, and then leaves it: the keys are for the list again.
    reader.page.keyboard.press("Escape")
    expect(said).to_have_text("3 jobs")
    reader.page.keyboard.press("Escape")
    reader.page.keyboard.press("j")
    assert reader.page.evaluate("document.activeElement.matches('.job')")


def test_a_key_right_after_a_dialog_is_the_pages_again(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    reader = new_reader(expects=("409",)).sign_in(store)  # no shop of Shopify
    reader.page.keyboard.press("?")
    expect(reader.page.get_by_role("dialog")).to_be_visible()
    # Until the next frame the closed dialog still holds the focus.
    reader.page.evaluate(
        """() => {
          document.querySelector("dialog").close();
          const key = new KeyboardEvent("keydown", { key: "n", bubbles: true });
          document.activeElement.dispatchEvent(key);
        }"""
    )
    expect(reader.page.get_by_role("dialog", name="New job")).to_be_visible()


def test_back_from_a_job_leads_to_where_the_reader_was(reader: Reader, store: Store) -> None:
    store.fill(130)
    reader.sign_in(store)
    page = reader.page
    expect(page.locator("#pager")).to_contain_text("of 130")
    for shown in ("25–48", "49–72", "73–96"):
        page.get_by_role("button", name="Next page").click()
        expect(page.locator("#pager")).to_contain_text(shown)
    page.locator(".job:focus h2 a").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("list", name="Timeline")).to_be_attached()
    at = page.evaluate("scrollY")
    asked: list[Request] = reader.heard("request")
    page.go_back()
    expect(dialog).to_have_count(0)
    page.wait_for_timeout(500)
    assert page.evaluate("scrollY") == at
    expect(page.locator("#pager")).to_contain_text("73–96 of 130")
    assert [each.url for each in asked if "limit=48" in each.url] == []
    # Closing it is going back too: no step is left over in the history.
    page.locator(".job:focus h2 a, .job h2 a:focus").first.click()
    expect(dialog).to_be_visible()
    before = page.evaluate("history.length")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    reader.until("!location.search.includes('job')")
    assert page.evaluate("history.length") == before
    page.go_forward()
    expect(dialog).to_be_visible()


# ---- up to date ---------------------------------------------------------------------------------


@pytest.mark.feature("the jobs page")
def test_progress_arrives_by_itself_and_nothing_is_drawn_anew(reader: Reader, store: Store) -> None:
    job = store.create_work("Nightly pull", total=100)
    store.create_work("Another")
    reader.sign_in(store)
    card = reader.job("Nightly pull")
    expect(card.get_by_text("Waiting")).to_be_visible()
    mark = "document.querySelectorAll('.job').forEach((each, at) => each.mark = at)"
    reader.page.evaluate(mark)
    store.report(job["id"], status="running", processed=40, message="Page 5")
    expect(card.get_by_role("progressbar")).to_have_attribute("value", "40")
    expect(card).to_contain_text("40% · 40 of 100")
    expect(card).to_contain_text("Page 5")
    store.report(job["id"], processed=100, status="completed")
    expect(card.get_by_text("Done")).to_be_visible()
    kept = reader.page.evaluate("[...document.querySelectorAll('.job')].map((each) => each.mark)")
    assert kept == [0, 1]
    figure = reader.page.locator("#figures > div").filter(has_text="Done")
    expect(figure.locator("dd")).to_have_text("1")


def test_new_jobs_come_on_top_by_themselves(reader: Reader, store: Store) -> None:
    store.create_work("First")
    reader.sign_in(store)
    expect(reader.page.locator(".job")).to_have_count(1)
    store.create_work("Second")
    expect(reader.page.locator(".job")).to_have_count(2)
    assert reader.titles == ["Second", "First"]


def test_new_jobs_wait_while_somebody_reads_further_down(reader: Reader, store: Store) -> None:
    store.fill(60)
    reader.sign_in(store)
    expect(reader.page.locator(".job").first).to_be_visible()
    reader.page.mouse.move(640, 500)
    reader.page.mouse.wheel(0, 1500)
    reader.until("scrollY > 1000")
    at = reader.page.evaluate("scrollY")
    store.create_work("Fresh")
    pill = reader.page.get_by_role("button", name="1 new job")
    expect(pill).to_be_visible()
    assert reader.page.evaluate("scrollY") == at
    expect(reader.job("Fresh")).to_have_count(0)
    pill.click()
    expect(reader.job("Fresh")).to_be_visible()
    assert reader.page.evaluate("scrollY") == 0


def test_an_older_job_that_begins_to_fit_the_filter_appears(reader: Reader, store: Store) -> None:
    older, newer = store.create_work("Older"), store.create_work("Newer")
    store.report(newer["id"], status="failed", error="x")
    reader.sign_in(store)
    reader.page.get_by_role("group", name="Status").get_by_role("button", name="Failed").click()
    expect(reader.page.locator(".job")).to_have_count(1)
    reader.look_away()
    reader.page.evaluate("document.activeElement.blur()")
    store.report(older["id"], status="failed", error="y")
    expect(reader.page.locator(".job")).to_have_count(2)
    assert reader.titles == ["Newer", "Older"]


def test_what_moves_in_sight_is_asked_about_however_much_moves_above(
    reader: Reader, store: Store
) -> None:
    first = store.create_work("The oldest", total=10)
    for number in range(110):
        store.create_work(f"Waiting {number}")
    reader.sign_in(store)
    page = reader.page
    page.get_by_role("button", name="Table").click()
    reader.until(
        "(scrollTo(0, document.documentElement.scrollHeight),"
        " [...document.querySelectorAll('.job')].at(-1)?.textContent.includes('The oldest'))"
    )
    store.report(first["id"], status="running", processed=4)
    bar = reader.job("The oldest").get_by_role("progressbar")
    expect(bar).to_have_attribute("value", "40")


def test_one_answer_that_is_refused_does_not_end_the_page(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    job = store.create_work("Nightly pull", total=10)
    reader = new_reader(expects=("403",)).sign_in(store)
    expect(reader.page.locator(".live")).to_have_text("Live")
    refused = {"success": False, "error": "Not now.", "code": "forbidden"}
    reader.page.route(
        "**/api/jobs?**", lambda route: route.fulfill(status=403, json=refused), times=1
    )
    expect(reader.page.locator("#banner")).to_contain_text("Not now.")
    expect(reader.page.locator(".live")).not_to_have_text("Live")
    store.report(job["id"], status="running", processed=5)
    bar = reader.job("Nightly pull").get_by_role("progressbar")
    expect(bar).to_have_attribute("value", "50")
    expect(reader.page.locator(".live")).to_have_text("Live")


def test_what_is_shown_is_as_of_its_oldest_part(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.create_work("Nightly pull")
    reader = new_reader(timezone_id="UTC").sign_in(store)
    expect(reader.page.locator(".live")).to_have_text("Live")
    # The list is asked for at each beat, the figures every 15 seconds: until they come, it counts.
    asked: dict[str, float] = {}

    def note(request: Request) -> None:
        asked["figures" if "/stats" in request.url else "list"] = time.time()

    reader.page.on("request", note)

    def is_the_list_newer() -> bool:
        reader.page.wait_for_timeout(500)
        return "figures" in asked and asked["list"] - asked["figures"] > 6

    wait_until(is_the_list_newer, timeout_s=90, what="looks at the list alone")
    title = reader.page.locator(".live").get_attribute("title") or ""
    (claimed,) = re.findall(r"as of (\d+:\d\d:\d\d [AP]M)", title)
    since = datetime.fromtimestamp(asked["figures"], UTC)
    at = datetime.strptime(claimed, "%I:%M:%S %p").replace(
        year=since.year, month=since.month, day=since.day, tzinfo=UTC
    )
    assert abs((at - since).total_seconds()) < 2.5


def test_an_answer_that_does_not_come_is_not_called_live(reader: Reader, store: Store) -> None:
    store.create_work("Nightly pull")
    reader.sign_in(store)
    live = reader.page.locator(".live")
    expect(live).to_have_text("Live")
    reader.page.route("**/api/jobs?**", lambda route: None)
    expect(live).to_have_text("No answer yet")
    reader.page.unroute("**/api/jobs?**")


def test_a_wrong_clock_of_the_readers_does_not_make_jobs_older(
    reader: Reader, store: Store
) -> None:
    reader.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=3))
    store.create_work("Nightly pull")
    reader.sign_in(store)
    expect(reader.job("Nightly pull").locator("time")).to_have_text("just now")


def test_pictures_are_not_loaded_again_at_each_look(reader: Reader, store: Store) -> None:
    job = store.create_image("painted-stool")
    store.done(job["id"])
    other = store.create_work("Moving", total=10)
    reader.sign_in(store)
    expect(reader.page.locator("before-after img.after")).to_be_visible()
    reader.until("document.querySelector('img.after').complete")
    asked: list[Request] = reader.heard("request")
    for done in (3, 6, 9):
        store.report(other["id"], status="running", processed=done)
        expect(reader.job("Moving").get_by_role("progressbar")).to_have_attribute(
            "value", str(done * 10)
        )
    assert [each.url for each in asked if each.resource_type == "image"] == []


def test_a_job_that_was_deleted_elsewhere_goes_away(reader: Reader, store: Store) -> None:
    job = store.create_work("Short-lived")
    store.report(job["id"], status="completed")
    store.create_work("Stays")
    reader.sign_in(store)
    expect(reader.page.locator(".job")).to_have_count(2)
    store.call("DELETE", f"/api/jobs/{job['id']}")
    expect(reader.page.locator(".job")).to_have_count(1)
    assert reader.titles == ["Stays"]


# ---- keyboard -----------------------------------------------------------------------------------


def test_the_keyboard_walks_through_the_list_and_opens_selects_and_retries(
    reader: Reader, store: Store
) -> None:
    failed = store.create_work("Broken")
    store.report(failed["id"], status="failed", error="x")
    store.create_work("Newer")
    reader.sign_in(store)
    expect(reader.page.locator(".job")).to_have_count(2)
    focused = "document.activeElement.dataset.id"
    reader.page.keyboard.press("j")
    first = reader.page.evaluate(focused)
    reader.page.keyboard.press("j")
    assert reader.page.evaluate(focused) == failed["id"]
    reader.page.keyboard.press("k")
    assert reader.page.evaluate(focused) == first
    reader.page.keyboard.press("j")
    reader.page.keyboard.press("x")
    expect(reader.page.get_by_role("region", name="Selected jobs")).to_contain_text("1 selected")
    reader.page.keyboard.press("Escape")
    expect(reader.page.get_by_role("region", name="Selected jobs")).to_be_hidden()
    reader.page.keyboard.press("x")
    reader.page.get_by_role("button", name="Clear the selection").press("Enter")
    expect(reader.page.get_by_role("region", name="Selected jobs")).to_be_hidden()
    assert reader.page.evaluate(focused) == failed["id"]
    reader.page.keyboard.press("r")
    expect(reader.job("Broken").get_by_text("Waiting")).to_be_visible()
    assert store.job(failed["id"])["attempt"] == 2
    reader.page.keyboard.press("o")
    expect(reader.page.get_by_role("dialog", name="Broken")).to_be_visible()
    assert reader.query["job"] == failed["id"]
    reader.page.keyboard.press("Escape")
    expect(reader.page.get_by_role("dialog")).to_have_count(0)
    reader.until("!location.search.includes('job')")
    reader.page.keyboard.press("?")
    expect(reader.page.get_by_role("dialog", name="Keyboard")).to_contain_text("Retry the job")
