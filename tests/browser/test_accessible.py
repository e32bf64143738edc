"""For everybody: axe finds nothing in any view and theme, and every window is wide enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from local.stack import Stack
from tests.browser.reader import Reader
from tests.browser.store import Store

pytestmark = pytest.mark.slow

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (320, 390, 768, 1280, 2560, 3840)
AXE = Axe()

DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# A word of a badge that stands letter by letter makes it as tall as several lines.
BROKEN_WORDS = (
    "[...document.querySelectorAll('td .badge')].filter(it => it.offsetHeight > 60).length"
)
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
# Buttons and links that lie outside of the window, but for those in rows that scroll sideways.
OUT_OF_SIGHT = """
[...document.querySelectorAll(
  'dialog[open] button, .bar a, .bar button, #selection button, .toolbar button')]
  .filter((each) => each.checkVisibility() && !each.closest('.tabs, .states'))
  .map((each) => [each.textContent, each.getBoundingClientRect()])
  .filter(([, box]) => box.right > innerWidth + 1 || box.left < -1)
  .map(([text]) => text)
"""


@pytest.fixture(scope="module")
def furnished(stack: Stack) -> Iterator[Store]:
    """A store with everything that a view can show."""
    with httpx.Client(timeout=40, trust_env=False) as client:
        store = Store(stack, client, "furnished.myshopify.com")
        store.install()
        product = store.product("blue-armchair")
        ready = store.create_image("blue-armchair", productId=product["id"], priority="urgent")
        store.done(ready["id"])
        failed = store.create_work("Match products to suppliers", total=80)
        store.report(failed["id"], status="failed", processed=12, error="No column sku")
        working = store.create_work("Nightly catalogue pull", total=100)
        store.report(working["id"], status="running", processed=62, message="Page 7 of 12")
        store.create_work("Waiting task", scheduledAt="2030-01-01T00:00:00Z")
        images = [{"inputImageUrl": store.photo_url("cafe-chairs")}] * 2
        tool = {"name": "Chairs", "toolId": "image-enhancement", "images": images}
        store.call("POST", "/api/batches", tool)
        store.call("POST", "/api/shop/keys", {"name": "program"})
        store.call("PUT", "/api/shop", {"monthlyBudget": {"credits": 500, "costMicros": None}})
        yield store


def check(page: Page) -> None:
    """Let axe look at the page as it is, in both themes."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        # Looked at once it is drawn in this theme, not in between.
        page.evaluate(DRAWN)
        found = AXE.run(page)
        assert len(found.response["passes"]) > 8, "axe did not look"
        said = [
            f"{theme}: {each['id']}: {[node['html'][:160] for node in each['nodes']]}"
            for each in found.response["violations"]
        ]
        assert said == []


def resize(page: Page, width: int) -> None:
    """Make the window so wide, and wait until all is drawn for it: rules for widths come later."""
    page.set_viewport_size({"width": width, "height": 2160 if width > 2000 else 800})
    page.evaluate(DRAWN)


Visit = Callable[[Reader], None]


def _list(reader: Reader) -> None:
    expect(reader.page.locator(".job").first).to_be_visible()
    # While other jobs are on their way, those of before are shown dimmed.
    expect(reader.page.locator("job-list[aria-busy]")).to_have_count(0)


def _table(reader: Reader) -> None:
    _list(reader)
    reader.page.get_by_role("button", name="Table").click()
    reader.page.get_by_role("button", name="Filters").click()
    expect(reader.page.get_by_role("textbox", name="Batch")).to_be_visible()


def _selection(reader: Reader) -> None:
    _list(reader)
    reader.page.keyboard.press("j")
    reader.page.keyboard.press("x")
    expect(reader.page.get_by_role("region", name="Selected jobs")).to_be_visible()


def _menu(reader: Reader) -> None:
    _list(reader)
    reader.page.get_by_role("button", name="More for").first.click()
    expect(reader.page.get_by_role("menu")).to_be_visible()


def _rehearsal(reader: Reader) -> None:
    _selection(reader)
    region = reader.page.get_by_role("region", name="Selected jobs")
    region.get_by_role("button", name="Retry").click()
    expect(reader.page.get_by_role("dialog").locator(".foot")).to_be_visible()


def _details(reader: Reader) -> None:
    _list(reader)
    reader.page.get_by_role("main").get_by_role("link", name="Match products").first.click()
    expect(reader.page.get_by_role("list", name="Timeline")).to_be_visible()


def _details_with_pictures(reader: Reader) -> None:
    _list(reader)
    reader.page.get_by_role("main").get_by_role("link", name="Upholstered").first.click()
    expect(reader.page.get_by_role("list", name="Timeline")).to_be_visible()


def _help(reader: Reader) -> None:
    _list(reader)
    reader.page.keyboard.press("?")
    expect(reader.page.get_by_role("dialog", name="Keyboard")).to_be_visible()


def _order(reader: Reader) -> None:
    _list(reader)
    reader.page.keyboard.press("n")
    dialog = reader.page.get_by_role("dialog", name="New job")
    expect(dialog.get_by_role("button", name="Next")).to_be_visible()


def _order_tool(reader: Reader) -> None:
    _order(reader)
    dialog = reader.page.get_by_role("dialog", name="New job")
    dialog.get_by_role("checkbox").first.check()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_label("Priority")).to_be_visible()


def _order_price(reader: Reader) -> None:
    _order_tool(reader)
    dialog = reader.page.get_by_role("dialog", name="New job")
    dialog.get_by_role("radio").first.check()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_role("button", name="Order 1 image")).to_be_visible()


def _nothing(reader: Reader) -> None:
    _list(reader)
    reader.page.get_by_role("button", name="Cancelled").click()
    expect(reader.page.get_by_role("heading", name="No job fits")).to_be_visible()


def _view(name: str, heading: str) -> Visit:
    def visit(reader: Reader) -> None:
        reader.page.get_by_role("link", name=name).click()
        expect(reader.page.get_by_role("heading", name=heading).first).to_be_visible()

    return visit


VISITS: dict[str, Visit] = {
    "cards": _list,
    "table and filters": _table,
    "selection": _selection,
    "menu": _menu,
    "dry run": _rehearsal,
    "details": _details,
    "details with pictures": _details_with_pictures,
    "help": _help,
    "order, images": _order,
    "order, tool": _order_tool,
    "order, price": _order_price,
    "nothing found": _nothing,
    "batches": _view("Batches", "Chairs"),
    "insights": _view("Insights", "Day by day"),
    "settings": _view("Settings", "Access keys"),
}


@pytest.mark.parametrize("name", VISITS)
def test_axe_finds_nothing_and_every_window_is_wide_enough(
    new_reader: Callable[..., Reader], furnished: Store, name: str
) -> None:
    reader = new_reader(reduced_motion="reduce").sign_in(furnished)
    VISITS[name](reader)
    check(reader.page)
    for width in WIDTHS:
        resize(reader.page, width)
        assert reader.page.evaluate(TOO_WIDE) <= 0, f"wider than {width} pixels"
        assert reader.page.evaluate(OUT_OF_SIGHT) == [], f"at {width} pixels"
        assert reader.page.evaluate(BROKEN_WORDS) == 0, f"words are broken at {width} pixels"


def test_axe_finds_nothing_where_one_signs_in(new_reader: Callable[..., Reader]) -> None:
    reader = new_reader()
    reader.page.goto(reader.url)
    expect(reader.page.get_by_label("Access key")).to_be_visible()
    check(reader.page)


def test_axe_finds_nothing_for_administrators(
    new_reader: Callable[..., Reader], furnished: Store, stack: Stack
) -> None:
    furnished.deliver_signed("not-the-secret", "pk_accessible")
    reader = new_reader(reduced_motion="reduce")
    page = reader.page
    page.goto(reader.url)
    page.get_by_label("Access key").fill(stack.info.admin_key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Jobs of all stores")).to_be_visible()
    page.goto(f"{reader.url}?view=admin&store={furnished.name}")
    expect(page.get_by_role("heading", name="Agents of this store")).to_be_visible()
    expect(page.get_by_role("heading", name="Secrets of webhooks")).to_be_visible()
    expect(page.get_by_role("button", name="Check again")).to_be_visible()
    expect(page.get_by_text("Queue: push")).to_be_visible()
    check(page)
    for width in WIDTHS:
        resize(page, width)
        assert page.evaluate(TOO_WIDE) <= 0, f"wider than {width} pixels"
        assert page.evaluate(BROKEN_WORDS) == 0, f"words are broken at {width} pixels"


def test_axe_finds_nothing_in_trouble(new_reader: Callable[..., Reader], furnished: Store) -> None:
    reader = new_reader(expects=("401", "ERR_"), reduced_motion="reduce").sign_in(furnished)
    page = reader.page
    _list(reader)
    page.route("**/api/**", lambda route: route.abort())
    expect(page.locator("#banner")).to_contain_text("does not answer")
    check(page)
    page.unroute("**/api/**")
    page.evaluate("sessionStorage.setItem('jobs.key', 'old')")
    expect(page.get_by_role("dialog", name="Your session has ended")).to_be_visible()
    check(page)


def test_what_is_small_can_be_touched(new_reader: Callable[..., Reader], furnished: Store) -> None:
    # Source: WCAG 2.2, success criterion 2.5.8, target size (minimum): 24 by 24 pixels.
    reader = new_reader(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    reader.sign_in(furnished)
    expect(reader.page.locator(".job").first).to_be_visible()
    small = reader.page.evaluate(
        "[...document.querySelectorAll('button, label.pick, .tabs a')]"
        ".filter((each) => each.checkVisibility())"
        ".map((each) => [each.textContent || each.ariaLabel, each.getBoundingClientRect()])"
        ".filter(([, box]) => box.width < 24 || box.height < 24).map(([name]) => name)"
    )
    assert small == []
