"""Shopify's token endpoint, and tokens at rest."""

from collections.abc import Callable
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.shopify_simulator import Simulator
from local.shopify_simulator.tokens import mint_id_token
from shared.domain.errors import (
    InvariantError,
    SecretUnavailableError,
    ShopBusyError,
    ShopRefusedError,
)
from shared.domain.job import TOKEN_DEAD
from shared.gateways.shop_tokens import ShopifyTokens
from shared.gateways.token_box import SecretTokenBox
from tests.builders import SHOP
from tests.fakes.clock import FakeClock

CLIENT_SECRET = "a-client-secret-of-thirty-two-bytes"
BASE = "http://127.0.0.1:8790/{shop}"


def tokens(transport: httpx.BaseTransport, clock: FakeClock | None = None) -> ShopifyTokens:
    return ShopifyTokens(
        httpx.Client(transport=transport),
        BASE,
        lambda: ("client-id", CLIENT_SECRET),
        clock or FakeClock(),
    )


def a_simulator(clock: FakeClock) -> Simulator:
    return Simulator(
        clock=lambda: clock.now().timestamp(), client_id="client-id", client_secret=CLIENT_SECRET
    )


def test_an_id_token_becomes_an_expiring_offline_token() -> None:
    clock = FakeClock()
    simulator = a_simulator(clock)
    id_token = mint_id_token(SHOP, "client-id", CLIENT_SECRET, clock.now().timestamp())

    grant = tokens(simulator.transport(), clock).exchange(SHOP, id_token)

    assert simulator.tokens.find(SHOP, grant.access_token) is not None
    assert grant.expires_in_s == 3600
    assert grant.refresh_token
    assert grant.refresh_expires_in_s == 90 * 86_400
    assert "write_files" in grant.scopes


def test_a_refresh_token_becomes_the_next_pair() -> None:
    clock = FakeClock()
    simulator = a_simulator(clock)
    service = tokens(simulator.transport(), clock)
    id_token = mint_id_token(SHOP, "client-id", CLIENT_SECRET, clock.now().timestamp())
    first = service.exchange(SHOP, id_token)

    second = service.refresh(SHOP, first.refresh_token or "")

    assert simulator.tokens.find(SHOP, second.access_token) is not None
    assert second.refresh_token != first.refresh_token


def test_shopifys_word_is_the_code_of_a_refusal() -> None:
    service = tokens(a_simulator(FakeClock()).transport())
    with pytest.raises(ShopRefusedError) as caught:
        service.exchange(SHOP, "not.a.token")
    assert caught.value.code == "invalid_subject_token"
    with pytest.raises(ShopRefusedError) as caught:
        service.refresh(SHOP, "unknown")
    assert caught.value.code == "invalid_grant"


@pytest.mark.parametrize("body", ["", "[]", '{"error": 7}', '{"error": "<script>"}', "{"])
def test_a_refusal_that_says_nothing_readable_has_a_code_too(body: str) -> None:
    service = tokens(httpx.MockTransport(lambda _: httpx.Response(400, text=body)))
    with pytest.raises(ShopRefusedError) as caught:
        service.refresh(SHOP, "r")
    assert caught.value.code == "token_refused"


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no")


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: httpx.Response(503),
        lambda _: httpx.Response(429, headers={"retry-after": "3"}),
        lambda _: httpx.Response(200, json={"scope": "x"}),
        lambda _: httpx.Response(200, text="<html>"),
        lost,
    ],
)
def test_trouble_of_the_endpoint_means_later(
    answer: Callable[[httpx.Request], httpx.Response],
) -> None:
    with pytest.raises(ShopBusyError):
        tokens(httpx.MockTransport(answer)).refresh(SHOP, "r")


def test_the_request_has_the_form_that_shopify_wants() -> None:
    forms: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        forms.append(dict(parse_qsl(request.content.decode())))
        return httpx.Response(200, json={"access_token": "t", "scope": "s"})

    grant = tokens(httpx.MockTransport(answer)).exchange(SHOP, "id.token")

    assert forms[0]["requested_token_type"].endswith("offline-access-token")
    assert forms[0]["expiring"] == "1"
    assert (grant.expires_in_s, grant.refresh_token) == (None, None)


def test_no_address_is_built_from_a_text_that_is_no_shop() -> None:
    with pytest.raises(InvariantError):
        tokens(httpx.MockTransport(lost)).refresh("evil.example", "r")


def test_without_the_apps_secret_nothing_is_sent() -> None:
    service = ShopifyTokens(
        httpx.Client(transport=httpx.MockTransport(lost)), BASE, lambda: ("id", ""), FakeClock()
    )
    with pytest.raises(SecretUnavailableError):
        service.refresh(SHOP, "r")


def test_a_grant_shows_no_token_when_it_is_printed() -> None:
    answer = httpx.Response(200, json={"access_token": "shpat_x", "refresh_token": "shprt_x"})
    grant = tokens(httpx.MockTransport(lambda _: answer)).refresh(SHOP, "r")

    assert "_x" not in repr(grant)


# --- at rest -----------------------------------------------------------------------------


@given(st.text())
def test_what_was_sealed_can_be_opened(text: str) -> None:
    box = SecretTokenBox(lambda: ["one"])
    assert box.open(box.seal(text)) == text


def test_a_sealed_token_shows_nothing_and_never_looks_the_same() -> None:
    box = SecretTokenBox(lambda: ["one"])
    assert "shpat" not in box.seal("shpat_1")
    assert box.seal("shpat_1") != box.seal("shpat_1")


def test_after_a_rotation_both_secrets_open_and_the_new_one_seals() -> None:
    old = SecretTokenBox(lambda: ["old"]).seal("t")
    both = SecretTokenBox(lambda: ["new", "old"])
    assert both.open(old) == "t"
    assert SecretTokenBox(lambda: ["new"]).open(both.seal("t")) == "t"


def test_a_token_of_a_secret_that_is_gone_is_dead() -> None:
    sealed = SecretTokenBox(lambda: ["old"]).seal("t")
    with pytest.raises(ShopRefusedError) as caught:
        SecretTokenBox(lambda: ["new"]).open(sealed)
    assert caught.value.code == TOKEN_DEAD


@given(st.text())
def test_junk_is_never_opened_and_never_crashes(text: str) -> None:
    with pytest.raises(ShopRefusedError):
        SecretTokenBox(lambda: ["one"]).open(text)


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    sealed = SecretTokenBox(lambda: ["one"]).seal("shpat_1")
    position = data.draw(st.integers(0, len(sealed) - 3))
    changed = "A" if sealed[position] != "A" else "B"
    with pytest.raises(ShopRefusedError):
        SecretTokenBox(lambda: ["one"]).open(sealed[:position] + changed + sealed[position + 1 :])


def test_without_a_secret_nothing_is_sealed() -> None:
    with pytest.raises(SecretUnavailableError):
        SecretTokenBox(list).seal("t")
