"""Somebody who looks at the page."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, expect

from local.stack import wait_until
from tests.browser.store import Store

PATIENCE_S = 45.0


class Reader:
    """A window with the page in it, and what a person does there."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def sign_in(self, store: Store, address: str = "") -> Reader:
        """Open the page and paste a key of the store by hand."""
        self.page.goto(self.url + address)
        self.page.get_by_label("Access key").fill(store.key())
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
        self.look_away()
        return self

    def look_away(self) -> None:
        """Point at nothing: what somebody points at does not move under the pointer."""
        self.page.mouse.move(2, 2)

    def until(self, condition: str) -> None:
        """Wait until JavaScript says so (the page's policy forbids Playwright's own way)."""
        wait_until(
            lambda: self.page.evaluate(condition), timeout_s=PATIENCE_S, what=f"`{condition}`"
        )

    def job(self, title: str) -> Locator:
        """Return a job of the list, as a card or a row."""
        return self.page.locator(".job").filter(has=self.page.get_by_role("link", name=title))

    def heard(self, event: Any) -> list[Any]:
        """Return a list that fills with what the window tells: its requests, dialogs …"""
        found: list[Any] = []

        def note(each: Any) -> None:
            found.append(each)

        self.page.on(event, note)
        return found

    @property
    def titles(self) -> list[str]:
        """The titles of the jobs in the document, from the top."""
        return self.page.locator(".job :is(h2, th) a").all_inner_texts()

    @property
    def query(self) -> dict[str, str]:
        """What the address says."""
        return {name: value for name, (value,) in parse_qs(urlsplit(self.page.url).query).items()}
