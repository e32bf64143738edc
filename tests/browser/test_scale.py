"""Ten thousand jobs are as light as a hundred."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.browser.reader import Reader
from tests.browser.store import Store

pytestmark = pytest.mark.slow

COUNT = 10_000
# A card has some 45 elements; what is near the window are a few blocks of 24.
MOST_JOBS = 24 * 8
MOST_ELEMENTS = 60 * MOST_JOBS

WATCH = """
globalThis.most = { jobs: 0, elements: 0 };
const look = () => {
  most.jobs = Math.max(most.jobs, document.querySelectorAll('.job').length);
  most.elements = Math.max(most.elements, document.querySelectorAll('*').length);
  requestAnimationFrame(look);
};
look();
"""

SCROLL = """
globalThis.scrolling = setInterval(() => scrollTo(0, document.documentElement.scrollHeight), 20);
"""


class ManyJobs:
    """The API's list, as long as wanted: jobs like one that it really answered.

    The emulator would take minutes for what DynamoDB answers in seconds.
    """

    def __init__(self, prototype: dict[str, Any], count: int) -> None:
        self._jobs = [
            prototype | {"id": f"01a20000-0000-7000-8000-{number:012d}", "name": f"Task {number}"}
            for number in reversed(range(count))
        ]

    def answer(self, route: Route) -> None:
        """Answer `GET /api/jobs` with a page, or with the jobs that are named."""
        query = {k: v[0] for k, v in parse_qs(urlsplit(route.request.url).query).items()}
        if "ids" in query:
            ids = query["ids"].split(",")
            page, more = [job for job in self._jobs if job["id"] in ids], None
        else:
            start, limit = int(query.get("cursor", "0")), int(query["limit"])
            page = self._jobs[start : start + limit]
            more = str(start + limit) if start + limit < len(self._jobs) else None
        total = len(self._jobs) if "cursor" not in query else None
        body = {"success": True, "jobs": page, "nextCursor": more, "total": total}
        route.fulfill(json=body | {"runningCount": None})


@pytest.mark.parametrize("layout", ["Cards", "Table"])
def test_ten_thousand_jobs_are_scrolled_through_with_a_bounded_page(
    reader: Reader, store: Store, layout: str
) -> None:
    job = store.create_work("Prototype")
    store.report(job["id"], status="completed")
    page = reader.page
    page.route("**/api/jobs?**", ManyJobs(store.job(job["id"]), COUNT).answer)
    reader.sign_in(store)
    page.get_by_role("button", name=layout).click()
    pager = page.locator("#pager")
    expect(pager).to_contain_text("1–24 of 10,000")
    page.evaluate(WATCH)

    # By itself: who sleeps between two looks does not answer what the page reads meanwhile.
    page.evaluate(SCROLL)
    expect(pager).to_contain_text("10,000 of 10,000", timeout=120_000)
    page.evaluate("clearInterval(scrolling)")
    expect(page.locator(".job").last).to_contain_text("Task 0")
    height = page.evaluate("document.documentElement.scrollHeight")
    # Up again by the wheel: what comes into sight is there.
    in_sight = (
        "[...document.querySelectorAll('.job')].some((each) => {"
        " const { top, bottom } = each.getBoundingClientRect();"
        " return top < innerHeight && bottom > 0; })"
    )
    for _ in range(12):
        page.mouse.wheel(0, -6_000)
        reader.until(in_sight)
    # The room that was left for what is out of sight was right.
    assert abs(page.evaluate("document.documentElement.scrollHeight") - height) < height * 0.01
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator(".job").first).to_contain_text("Task 9999")
    most = page.evaluate("most")
    assert 0 < most["jobs"] <= MOST_JOBS
    assert most["elements"] <= MOST_ELEMENTS


def test_more_than_a_bulk_job_takes_are_not_cut_off_in_silence(
    reader: Reader, store: Store
) -> None:
    job = store.create_work("Prototype")
    store.report(job["id"], status="completed")
    page = reader.page
    page.route("**/api/jobs?**", ManyJobs(store.job(job["id"]), 1_100).answer)
    reader.sign_in(store)
    expect(page.locator("#pager")).to_contain_text("of 1,100")
    read_on = "(async () => { for (let n = 0; n < 12; n += 1) await list.more(); })()"
    page.evaluate(read_on)
    page.keyboard.press("j")
    page.keyboard.press("x")
    selection = page.get_by_role("region", name="Selected jobs")
    selection.get_by_role("button", name="Select all loaded").click()
    expect(selection).to_contain_text("1,100 selected")
    selection.get_by_role("button", name="Delete").click()
    expect(page.locator("#toasts")).to_contain_text("Select at most 1,000 jobs at once")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_drawing_a_block_never_makes_the_browser_lay_out_twice(
    reader: Reader, store: Store
) -> None:
    """Count forced layouts while scrolling: reads of sizes between writes are what janks."""
    store.fill(480)
    reader.sign_in(store)
    page = reader.page
    expect(page.locator("#pager")).to_contain_text("of 480")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def metric(name: str) -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        found: float = next(each["value"] for each in metrics if each["name"] == name)
        return found

    page.evaluate("globalThis.frames_ = 0")
    page.evaluate("const f = () => { frames_ += 1; requestAnimationFrame(f); }; f()")
    before = metric("LayoutCount")
    page.mouse.move(640, 500)
    for _ in range(60):
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(16)
    layouts, frames = metric("LayoutCount") - before, page.evaluate("frames_")
    assert frames > 0
    # One layout a frame is the browser's own; one more where a block comes or goes.
    assert layouts <= 2 * frames + 20, (layouts, frames)
