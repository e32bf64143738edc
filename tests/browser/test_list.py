"""The first view: signing in, and the list of jobs."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import Request, expect

from tests.browser.reader import Reader
from tests.browser.store import Store


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


def test_the_first_view_takes_three_requests_and_60_kilobytes(reader: Reader) -> None:
    asked: list[Request] = []
    reader.page.on("requestfinished", asked.append)
    reader.page.goto(reader.url, wait_until="networkidle")
    expect(reader.page.get_by_label("Access key")).to_be_visible()
    files = [request for request in asked if not request.url.startswith("data:")]
    assert len(files) == 3
    sizes = [request.sizes()["responseBodySize"] for request in files]
    assert 0 < sum(sizes) <= 60_000
    assert {urlsplit(request.url).netloc for request in files} == {urlsplit(reader.url).netloc}
