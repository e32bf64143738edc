"""When something is not as it should be: the API away, the session over, the page out of date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Request, Route, expect

from local.stack import Stack
from tests.browser.reader import Reader
from tests.browser.store import Store

pytestmark = pytest.mark.slow

BRIDGE = "https://cdn.shopify.com/shopifycloud/app-bridge.js"


@pytest.fixture
def api_can_end(stack: Stack) -> Iterator[Callable[[bool], None]]:
    """Return what takes the API away (True) and brings it back: for real, by its concurrency."""

    def change(is_away: bool) -> None:
        stack.set_function_concurrency("api", 0 if is_away else None)

    yield change
    change(False)


# ---- the API ------------------------------------------------------------------------------------


def test_an_api_that_is_away_is_said_and_what_is_shown_stays_until_it_is_back(
    new_reader: Callable[..., Reader], store: Store, api_can_end: Callable[[bool], None]
) -> None:
    job = store.create_work("Nightly pull", total=10)
    reader = new_reader(expects=("503",)).sign_in(store)
    expect(reader.job("Nightly pull")).to_be_visible()
    api_can_end(True)
    banner = reader.page.locator("#banner")
    expect(banner).to_contain_text("The service does not answer.")
    expect(banner).to_contain_text("What you see is as of")
    expect(reader.page.locator(".live")).to_have_text("Not connected")
    expect(reader.job("Nightly pull")).to_be_visible()
    first = banner.inner_text().partition("as of ")[2].partition(".")[0]
    reader.page.wait_for_timeout(6_000)
    assert first in banner.inner_text()  # it does not claim to be younger than it is
    api_can_end(False)
    store.report(job["id"], status="running", processed=5)
    # It may have been back already: then there is nothing to press.
    reader.page.evaluate("document.querySelector('#banner button')?.click()")
    expect(banner).to_be_empty()
    expect(reader.page.locator("#toasts")).to_contain_text("Connected again")
    expect(reader.job("Nightly pull").get_by_role("progressbar")).to_have_attribute("value", "50")


def test_tries_come_later_each_time(new_reader: Callable[..., Reader], store: Store) -> None:
    reader = new_reader(expects=("503",)).sign_in(store)
    expect(reader.page.get_by_role("heading", name="Your images start here")).to_be_visible()
    at: list[str] = []

    def refuse(route: Route) -> None:
        if "limit=24" in route.request.url:
            at.append(route.request.url)
        route.fulfill(status=503, json={"success": False, "error": "Out.", "code": "unavailable"})

    reader.page.clock.install()
    reader.page.route("**/api/**", refuse)
    reader.page.clock.run_for(3_000)
    expect(reader.page.locator("#banner")).to_contain_text("Out.")
    waits = []
    for _ in range(4):
        text = reader.page.locator("#banner").inner_text()
        waits.append(int(text.partition("Next try in ")[2].partition(" s")[0]))
        seen = len(at)
        while len(at) == seen:
            reader.page.clock.run_for(1_000)
            reader.page.wait_for_timeout(50)
    # 2, 4, 8, 16 seconds, each up to a quarter more or less.
    assert all(after > before for before, after in pairwise(waits)), waits


def test_the_first_look_may_fail_and_is_repeated(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.create_work("Nightly pull")
    reader = new_reader(expects=("ERR_", "503")).sign_in(store)
    expect(reader.job("Nightly pull")).to_be_visible()
    reader.page.route("**/api/**", lambda route: route.abort())
    reader.page.reload()
    expect(reader.page.locator("#banner")).to_contain_text("The service does not answer.")
    reader.page.unroute("**/api/**")
    expect(reader.job("Nightly pull")).to_be_visible()
    expect(reader.page.locator("#banner")).to_be_empty()
    # A filter that was chosen meanwhile is asked again too, and not just what is new in it.
    reader.page.route("**/api/**", lambda route: route.abort())
    reader.page.get_by_role("button", name="Cancelled").click()
    expect(reader.page.locator("#banner")).to_contain_text("The service does not answer.")
    reader.page.unroute("**/api/**")
    expect(reader.page.get_by_role("heading", name="No job fits these filters")).to_be_visible()


def test_offline_is_called_offline(new_reader: Callable[..., Reader], store: Store) -> None:
    store.create_work("Nightly pull")
    reader = new_reader(expects=("ERR_",)).sign_in(store)
    expect(reader.job("Nightly pull")).to_be_visible()
    reader.page.context.set_offline(True)
    expect(reader.page.locator("#banner")).to_contain_text("You are offline.")
    reader.page.context.set_offline(False)
    expect(reader.page.locator("#banner")).to_be_empty()


def test_an_action_that_fails_says_so_and_nothing_is_done_twice(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    job = store.create_work("Broken")
    store.report(job["id"], status="failed", error="x")
    reader = new_reader(expects=("409",)).sign_in(store)
    expect(reader.job("Broken")).to_be_visible()
    reader.page.route("**/api/jobs?**", lambda route: route.abort("aborted"))
    store.call("POST", "/api/jobs/retry", {"jobId": job["id"]})
    reader.page.unroute("**/api/jobs?**")
    button = reader.job("Broken").get_by_role("button", name="Retry")
    if button.count():
        button.click()
        expect(reader.page.locator("#toasts .problem").first).to_be_visible()
    assert store.job(job["id"])["attempt"] == 2


def test_nothing_is_asked_while_nobody_looks(reader: Reader, store: Store) -> None:
    store.create_work("Nightly pull")
    reader.page.add_init_script(
        "globalThis.away = false;"
        "Object.defineProperty(document, 'hidden', { get: () => globalThis.away });"
    )
    reader.sign_in(store)
    expect(reader.page.locator(".live")).to_have_text("Live")
    hide = "away = true; document.dispatchEvent(new Event('visibilitychange'))"
    reader.page.evaluate(hide)
    expect(reader.page.locator(".live")).to_have_text("Paused")
    reader.page.wait_for_timeout(1_000)  # what was under way comes back
    asked: list[Request] = reader.heard("request")
    reader.page.wait_for_timeout(8_000)
    assert [each.url for each in asked] == []
    reader.page.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(reader.page.locator(".live")).to_have_text("Live")
    assert asked != []


# ---- the session --------------------------------------------------------------------------------


def test_a_session_that_ends_asks_for_the_key_again_over_what_is_shown(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.fill(60)
    store.create_work("Nightly pull")
    reader = new_reader(expects=("401",)).sign_in(store)
    expect(reader.job("Nightly pull")).to_be_visible()
    reader.page.mouse.move(640, 500)
    reader.page.mouse.wheel(0, 1_500)
    reader.until("scrollY > 1000")
    at = reader.page.evaluate("scrollY")
    (key,) = store.call("GET", "/api/shop/keys")["keys"]
    store.call("DELETE", f"/api/shop/keys/{key['id']}")
    dialog = reader.page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()  # within half a minute the key is refused everywhere
    expect(reader.job("Nightly pull")).to_be_attached()
    assert reader.page.evaluate("sessionStorage.getItem('jobs.key')") is None
    dialog.get_by_label("Access key").fill("nonsense")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Nobody has this key")
    dialog.get_by_label("Access key").fill(store.key())
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog).to_have_count(0)
    expect(reader.page.locator(".live")).to_have_text("Live")
    assert reader.page.evaluate("scrollY") == at
    store.report(store.create_work("Later")["id"], status="completed")
    expect(reader.page.get_by_role("button", name="1 new job")).to_be_visible()


def test_another_stores_key_shows_another_store_and_nothing_of_the_first(
    new_reader: Callable[..., Reader], new_store: Callable[[], Store]
) -> None:
    first, second = new_store(), new_store()
    first.create_work("Secret of the first")
    second.create_work("Of the second")
    reader = new_reader(expects=("401",)).sign_in(first)
    expect(reader.job("Secret of the first")).to_be_visible()
    (key,) = first.call("GET", "/api/shop/keys")["keys"]
    first.call("DELETE", f"/api/shop/keys/{key['id']}")
    dialog = reader.page.get_by_role("dialog", name="Your session has ended")
    dialog.get_by_label("Access key").fill(second.key())
    dialog.get_by_role("button", name="Go on").click()
    expect(reader.job("Of the second")).to_be_visible()
    assert "Secret of the first" not in reader.page.content()


# ---- in Shopify's admin -------------------------------------------------------------------------


def embedded(reader: Reader, store: Store, tokens: list[str]) -> None:
    """Open the page as Shopify's admin does, with a bridge that gives these tokens in turn."""
    # Shopify's script is not ours to have here; this does what the page asks of it.
    bridge = "globalThis.shopify = { idToken: () => globalThis.nextToken() };"
    headers = {"content-type": "text/javascript"}
    reader.page.route(BRIDGE, lambda route: route.fulfill(body=bridge, headers=headers))

    def next_token() -> str:
        return tokens.pop(0) if len(tokens) > 1 else tokens[0]

    reader.page.expose_function("nextToken", next_token)
    query = f"?embedded=1&shop={store.name}&host=YWRtaW4&id_token=a.b.c&hmac=0&timestamp=1"
    reader.page.goto(reader.url + query)


@pytest.mark.feature("the page in Shopify's admin")
def test_in_the_admin_the_reader_is_known_by_shopifys_token(reader: Reader, store: Store) -> None:
    store.create_work("Nightly pull")
    embedded(reader, store, [store.id_token()])
    expect(reader.job("Nightly pull")).to_be_visible()
    expect(reader.page.locator(".shop")).to_have_text(store.name.removesuffix(".myshopify.com"))
    assert reader.query == {"embedded": "1", "shop": store.name, "host": "YWRtaW4"}
    expect(reader.page.get_by_role("button", name="Sign out")).to_be_hidden()
    assert reader.page.evaluate("JSON.stringify([sessionStorage, localStorage])") == "[{},{}]"


@pytest.mark.feature("the page in Shopify's admin")
def test_an_old_token_is_replaced_once_without_a_word(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.create_work("Nightly pull")
    reader = new_reader(expects=("401",))
    old = store.id_token(exp=1_600_000_000, iat=1_599_999_940, nbf=1_599_999_940)
    embedded(reader, store, [old, old, old, store.id_token()])
    expect(reader.job("Nightly pull")).to_be_visible()
    expect(reader.page.get_by_role("dialog")).to_have_count(0)


def test_a_reader_whom_shopify_no_longer_confirms_is_told(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    reader = new_reader(expects=("401",))
    old = store.id_token(exp=1_600_000_000, iat=1_599_999_940, nbf=1_599_999_940)
    embedded(reader, store, [old])
    dialog = reader.page.get_by_role("dialog", name="Your session has ended")
    expect(dialog.get_by_role("button", name="Load again")).to_be_visible()


@pytest.mark.parametrize("is_own", [True, False], ids=["its own admin", "anybody else"])
def test_only_its_own_admin_may_frame_the_page(
    new_reader: Callable[..., Reader], store: Store, is_own: bool
) -> None:
    reader = new_reader(expects=("frame-ancestors", "ERR_BLOCKED", "cdn.shopify", "ERR_"))
    origin = f"https://{store.name if is_own else 'evil.example'}"
    inside = f"{reader.url}?embedded=1&shop={store.name}&host=YWRtaW4"
    reader.page.route(
        f"{origin}/**",
        lambda route: route.fulfill(
            body=f"<iframe src='{inside}'></iframe>", headers={"content-type": "text/html"}
        ),
    )
    reader.page.route(BRIDGE, lambda route: route.fulfill(body=""))
    reader.page.goto(f"{origin}/admin")
    frame = reader.page.frame_locator("iframe")
    if is_own:
        expect(frame.get_by_role("heading", name="Your session has ended")).to_be_visible()
    else:
        reader.page.wait_for_timeout(3_000)
        expect(frame.get_by_text("Image jobs")).to_have_count(0)


# ---- the page itself ----------------------------------------------------------------------------


def test_a_page_that_was_updated_meanwhile_says_so(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.create_work("Nightly pull")
    reader = new_reader(expects=("404", "Failed to fetch dynamically", "module")).sign_in(store)
    expect(reader.job("Nightly pull")).to_be_visible()
    # After a deployment the files of the version before are gone.
    reader.page.route("**/page/*/insights.js", lambda route: route.fulfill(status=404))
    reader.page.get_by_role("link", name="Insights").click()
    toast = reader.page.locator("#toasts")
    expect(toast).to_contain_text("This page has been updated meanwhile.")
    expect(toast.get_by_role("button", name="Load again")).to_be_visible()
