"""Take the README's pictures of the page: `.venv/bin/python -m tests.browser.take_pictures`.

A stack of its own, a store with real photos in every state, and the page in both themes and on a
phone. What they show is what the tests drive.
"""

from __future__ import annotations

import io
import time
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.photos import PHOTOS
from local.stack import running_stack
from tests.browser.chromium import launch
from tests.browser.reader import Reader
from tests.browser.store import Store

PICTURES = Path(__file__).parent / "pictures"
SHOP = "nordic-home.myshopify.com"
DESKTOP = {"width": 1280, "height": 820}
PHONE = {"width": 390, "height": 844}


def furnish(store: Store) -> None:
    """Order the photos of the demo, with some trouble among them."""
    store.install()
    rules = [
        {"match": {"url_contains": "/orchid-pot"}, "times": 1, "faults": {"fail": {}}},
        {"match": {"url_contains": "/leather-sofa"}, "faults": {"stuck": True}},
        {"match": {"url_contains": "/cruiser-skateboard"}, "faults": {"webhook_copies": 2}},
    ]
    url = f"{store.stack.info.pikcel_url}/_simulator/config"
    httpx.put(url, json={"rules": rules}, trust_env=False).raise_for_status()
    kept = []
    for number, photo in enumerate(PHOTOS):
        product = store.product(photo.name)
        is_pushed = number % 3 != 1
        job = store.create_image(photo.name, productId=product["id"], autoPush=is_pushed)
        if photo.name not in ("orchid-pot", "leather-sofa"):
            kept.append((job["id"], is_pushed))
    store.done(*(job_id for job_id, _ in kept))
    for job_id, is_pushed in kept:
        if is_pushed:
            store.wait_for(job_id, lambda job: job["pushStatus"] == "pushed", "the push")
    pull = store.create_work("Nightly catalogue pull", total=1_200)
    store.report(pull["id"], status="running", processed=420)
    time.sleep(8)  # a speed that a program of this world could have
    store.report(pull["id"], processed=744, message="Page 8 of 13")


def take(browser: Browser, store: Store, url: str) -> None:
    """Take every picture."""
    for theme in ("light", "dark"):
        page = window(browser, store, url, DESKTOP, theme)
        picture(page, f"list-{theme}")
        page.get_by_role("main").get_by_role("link", name="Cruiser Skateboard").first.click()
        timeline = page.get_by_role("list", name="Timeline")
        expect(timeline).to_be_visible()
        timeline.scroll_into_view_if_needed()
        page.wait_for_timeout(400)
        picture(page, f"job-{theme}")
    picture(window(browser, store, url, PHONE, "light"), "phone-light")
    page = window(browser, store, url, PHONE, "dark")
    page.get_by_role("button", name="New job").first.click()
    dialog = page.get_by_role("dialog", name="New job")
    dialog.get_by_role("checkbox").nth(2).check()
    dialog.get_by_role("checkbox").nth(4).check()
    page.wait_for_timeout(800)
    picture(page, "phone-dark")


def window(browser: Browser, store: Store, url: str, viewport: dict[str, int], theme: str) -> Page:
    """Open a window of a size, in a theme, and wait until all is drawn."""
    options = {"viewport": viewport, "color_scheme": theme, "reduced_motion": "reduce"}
    page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
    Reader(page, url).sign_in(store)
    expect(page.locator(".job").first).to_be_visible()
    expect(page.locator("#figures dd").first).not_to_have_text("–")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1_500)
    return page


def picture(page: Page, name: str) -> None:
    """Save what the window shows, small."""
    shown = Image.open(io.BytesIO(page.screenshot()))
    shown.save(PICTURES / f"{name}.webp", quality=82, method=6)


def main() -> None:
    """Start a stack, furnish a store, take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with (
        running_stack() as stack,
        sync_playwright() as playwright,
        httpx.Client(timeout=60, trust_env=False) as client,
    ):
        store = Store(stack, client, SHOP)
        furnish(store)
        browser = launch(playwright)
        take(browser, store, stack.info.page_url)
        browser.close()


if __name__ == "__main__":
    main()
