"""A real Chromium before a real stack: the page as its readers have it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from local.stack import Stack, running_stack
from tests.browser.chromium import PATIENCE_MS, ChromiumMissingError, launch
from tests.browser.reader import Reader
from tests.browser.store import Store


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with running_stack(auth=True, settings={"SHOPIFY_ACCESS_TOKEN": ""}) as running:
        # The sweep runs one at a time; here it runs when a test says so.
        running.set_schedule(enabled=False)
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            chromium = launch(playwright)
        except ChromiumMissingError as error:
            pytest.fail(str(error), pytrace=False)
        yield chromium
        chromium.close()


_numbers = count(1)


@pytest.fixture
def new_store(stack: Stack) -> Iterator[Callable[[], Store]]:
    """Return a maker of stores that nobody else has."""
    with httpx.Client(timeout=40, trust_env=False) as client:
        yield lambda: Store(stack, client, f"store-{os.getpid()}-{next(_numbers)}.myshopify.com")


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()


@pytest.fixture
def pikcel(stack: Stack) -> Iterator[Callable[..., None]]:
    """Return what changes the provider's behaviour, until the test is over."""
    url = f"{stack.info.pikcel_url}/_simulator/config"

    def configure(**changes: Any) -> None:
        httpx.put(url, json=changes, trust_env=False).raise_for_status()

    yield configure
    configure(rules=[])


@pytest.fixture
def new_reader(browser: Browser, stack: Stack) -> Iterator[Callable[..., Reader]]:
    """Return a maker of readers: people who look at the page, each in a window of their own.

    Whatever their browser complains of fails the test, unless the test expects it: a script
    that raised, a file that was missing, something that the page's own policy forbade.
    """
    complaints: list[str] = []
    contexts = []

    def listen(page: Page, expected: tuple[str, ...]) -> None:
        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not any(
                each in message.text for each in expected
            ):
                complaints.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))

    def make(*, expects: tuple[str, ...] = (), **options: Any) -> Reader:
        wanted = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "Europe/Berlin"}
        context = browser.new_context(**wanted | options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        listen(page, expects)
        return Reader(page, stack.info.page_url)

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def reader(new_reader: Callable[..., Reader]) -> Reader:
    return new_reader()
