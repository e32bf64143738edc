"""Shopify's own webhooks, held against what is known of them."""

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import Proof
from shared.providers.base import Check, MalformedDeliveryError, ShopNotice, ShopTopic
from shared.providers.shopify import ShopifyWebhooks
from tests.builders import OTHER_SHOP, SHOP, later

SENDER = ShopifyWebhooks()
NOW = later(0)
# A known answer: exact bytes, secret `test-secret`.
BODY = b'{"event":"job.completed","job_id":"123"}'
SIGNATURE = "5sy7v6AveH6ZEX48+OLJBw/IRvVjrtq+H9vNfqI/wPs="
SECRETS = ("test-secret",)
BODIES: dict[ShopTopic, dict[str, Any]] = {
    ShopTopic.UNINSTALLED: {"id": 1, "domain": "a.example", "myshopify_domain": SHOP},
    ShopTopic.SCOPES_UPDATE: {
        "id": 1,
        "previous": [],
        "current": ["write_files"],
        "updated_at": "2026-11-22T11:59:00.000Z",
        "shop_id": 1,
    },
    ShopTopic.DATA_REQUEST: {
        "shop_id": 1,
        "shop_domain": SHOP,
        "orders_requested": [1],
        "customer": {"id": 1},
        "data_request": {"id": 1},
    },
    ShopTopic.CUSTOMER_REDACT: {
        "shop_id": 1,
        "shop_domain": SHOP,
        "customer": {"id": 1},
        "orders_to_redact": [1],
    },
    ShopTopic.SHOP_REDACT: {"shop_id": 1, "shop_domain": SHOP},
}


def check(signature: str | None, secrets: tuple[str, ...] = SECRETS, body: bytes = BODY) -> Check:
    headers = {} if signature is None else {"x-shopify-hmac-sha256": signature}
    return SENDER.verify(body, headers, secrets).check


def read(topic: ShopTopic, body: Any, **headers: str) -> ShopNotice:
    named = {"x-shopify-shop-domain": SHOP} | {
        f"x-shopify-{name.replace('_', '-')}": value for name, value in headers.items()
    }
    told = {name: value for name, value in named.items() if value != "(none)"}
    return SENDER.read(topic, json.dumps(body).encode(), told, NOW)


def test_a_genuine_delivery_is_accepted_and_its_body_is_proven() -> None:
    verdict = SENDER.verify(BODY, {"x-shopify-hmac-sha256": SIGNATURE}, SECRETS)
    assert (verdict.check, verdict.proof) == (Check.ACCEPTED, Proof.BODY)


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        (None, Check.MISSING),
        ("", Check.MISSING),
        ("  ", Check.MISSING),
        (f" {SIGNATURE} ", Check.ACCEPTED),
        (SIGNATURE.replace("5", "6", 1), Check.WRONG),
        (SIGNATURE.rstrip("="), Check.MALFORMED),
        (SIGNATURE + "=", Check.MALFORMED),
        # API Gateway joins duplicate headers with a comma.
        (f"{SIGNATURE},{SIGNATURE}", Check.MALFORMED),
        (base64.b64decode(SIGNATURE).hex(), Check.MALFORMED),
        (SIGNATURE.replace("+", "-").replace("/", "_"), Check.MALFORMED),
        ("é" * 43 + "=", Check.MALFORMED),
        ("\ud800" * 43 + "=", Check.MALFORMED),
        ("A" * 10_000, Check.MALFORMED),
    ],
)
def test_every_other_signature_is_told_apart(signature: str | None, expected: Check) -> None:
    assert check(signature) is expected


def test_while_a_secret_is_replaced_both_are_good() -> None:
    assert check(SIGNATURE, ("new", "test-secret")) is Check.ACCEPTED
    assert check(SIGNATURE, ("test-secret", "old")) is Check.ACCEPTED
    assert check(SIGNATURE, ("new",)) is Check.WRONG
    assert check(SIGNATURE, ()) is Check.WRONG


@given(st.text(), st.binary(), st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_any_signature_over_any_body_is_accepted_or_refused(
    signature: str, body: bytes, secrets: list[str]
) -> None:
    assert check(signature, tuple(secrets), body) in list(Check)


@given(st.binary(), st.text(st.characters(codec="utf-8"), min_size=1))
def test_what_shopify_signs_is_accepted(body: bytes, secret: str) -> None:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    assert check(base64.b64encode(digest).decode(), (secret,), body) is Check.ACCEPTED


@pytest.mark.parametrize("topic", list(ShopTopic))
def test_each_topic_is_read_from_its_own_body(topic: ShopTopic) -> None:
    notice = read(topic, BODIES[topic], webhook_id="w-1")
    assert (notice.topic, notice.shop, notice.webhook_id) == (topic, SHOP, "w-1")
    assert SENDER.topic({"x-shopify-topic": topic.value.upper()}) is topic


@pytest.mark.parametrize("topic", ["", "orders/create", "app", "shop/redact,app/uninstalled"])
def test_other_topics_mean_nothing(topic: str) -> None:
    assert SENDER.topic({"x-shopify-topic": topic}) is None
    assert SENDER.topic({}) is None


# Both are about a customer, and nothing follows from either.
ALIKE = {ShopTopic.DATA_REQUEST, ShopTopic.CUSTOMER_REDACT}


@pytest.mark.parametrize("told_as", list(ShopTopic))
@pytest.mark.parametrize("topic", list(ShopTopic))
def test_a_signed_body_of_one_topic_cannot_be_told_as_another(
    topic: ShopTopic, told_as: ShopTopic
) -> None:
    if topic is told_as or {topic, told_as} == ALIKE:
        return
    with pytest.raises(MalformedDeliveryError):
        read(told_as, BODIES[topic])


@pytest.mark.parametrize("topic", [each for each in ShopTopic if each != "app/scopes_update"])
def test_what_is_signed_for_one_shop_is_never_about_another(topic: ShopTopic) -> None:
    for named in (OTHER_SHOP, "a.example", "nonsense", "é"):
        with pytest.raises(MalformedDeliveryError):
            read(topic, BODIES[topic], shop_domain=named)
    # Compliance topics have come without this header; its case means nothing.
    assert read(topic, BODIES[topic], shop_domain="(none)").shop == SHOP
    assert read(topic, BODIES[topic], shop_domain=SHOP.upper()).shop == SHOP


def test_scopes_need_the_shop_that_only_the_header_names() -> None:
    for named in ("(none)", "a.example", "x" * 500):
        with pytest.raises(MalformedDeliveryError):
            read(ShopTopic.SCOPES_UPDATE, BODIES[ShopTopic.SCOPES_UPDATE], shop_domain=named)


@pytest.mark.parametrize(
    "change",
    [
        {"current": None},
        {"current": "write_files"},
        {"current": [1]},
        {"current": ["write files"]},
        {"current": ["x" * 101]},
        {"current": ["a"] * 201},
        {"updated_at": None},
        {"updated_at": "soon"},
    ],
)
def test_scopes_that_are_none_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedDeliveryError):
        read(ShopTopic.SCOPES_UPDATE, BODIES[ShopTopic.SCOPES_UPDATE] | change)


def test_scopes_come_once_each_with_the_signed_instant() -> None:
    body = BODIES[ShopTopic.SCOPES_UPDATE] | {"current": ["write_files", "read_x", "write_files"]}
    notice = read(ShopTopic.SCOPES_UPDATE, body)
    assert (notice.scopes, notice.updated_at) == (("write_files", "read_x"), later(-60))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("2026-11-22T11:59:00.395212977Z", later(-60) + timedelta(microseconds=395212)),
        ("2026-11-22T13:00:00+01:00", NOW),
        ("2027-01-01T00:00:00Z", NOW),  # nothing is triggered after it came
        ("0001-01-01T00:00:00Z", NOW - timedelta(days=30)),
        ("soon", NOW),
        ("\ud800", NOW),
    ],
)
def test_the_instant_of_the_trigger_is_believed_within_reason(
    told: str, expected: datetime
) -> None:
    topic = ShopTopic.SHOP_REDACT
    assert read(topic, BODIES[topic], triggered_at=told).triggered_at == expected


def test_a_delivery_without_an_id_is_known_by_its_body() -> None:
    topic = ShopTopic.SHOP_REDACT
    body = json.dumps(BODIES[topic]).encode()
    assert read(topic, BODIES[topic]).webhook_id == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{", b"[" * 100_000, b'{"a":1e999}'])
@pytest.mark.parametrize("topic", list(ShopTopic))
def test_what_cannot_be_read_is_refused(topic: ShopTopic, body: bytes) -> None:
    with pytest.raises(MalformedDeliveryError):
        SENDER.read(topic, body, {"x-shopify-shop-domain": SHOP}, NOW)


NAMES = st.text(max_size=5) | st.sampled_from(
    ["shop_domain", "myshopify_domain", "customer", "current", "updated_at"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(SHOP),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(list(ShopTopic)), st.dictionaries(NAMES, JSON), st.text(), st.text())
def test_any_signed_body_and_headers_are_read_or_refused(
    topic: ShopTopic, body: dict[str, Any], shop: str, at: str
) -> None:
    try:
        notice = read(topic, body, shop_domain=shop, triggered_at=at, webhook_id=at)
    except MalformedDeliveryError:
        return
    assert notice.shop == SHOP or topic is ShopTopic.SCOPES_UPDATE
    assert NOW - timedelta(days=30) <= notice.triggered_at <= NOW
