"""The simulator tells the app of its shops as Shopify does."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from local.shopify_simulator import Simulator
from local.shopify_simulator.simulator_state import DEFAULT_CLIENT_SECRET
from local.shopify_simulator.webhooks import TOPICS, Answer, sign
from shared.providers.base import Check, ShopTopic
from shared.providers.shopify import ShopifyWebhooks
from tests.builders import later
from tests.local.shopify_world import SHOP

NOW = later(0)
SENDER = ShopifyWebhooks()


class App:
    """The app's door, and a merchant's hand at the simulator."""

    def __init__(self) -> None:
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        self.simulator = Simulator(
            clock=NOW.timestamp, webhook_url="http://app.test/hook", deliver=self.take
        )
        self.http = httpx.Client(transport=self.simulator.transport(), base_url="http://shopify")

    def take(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.came.append((url, {n.lower(): v for n, v in headers.items()}, body))
        return Answer(200, "taken")

    def send(self, topic: object, **more: Any) -> httpx.Response:
        told = {"shop": SHOP, "topic": topic} | more
        return self.http.post("/_simulator/webhooks", json=told)


@pytest.fixture
def app() -> App:
    return App()


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_signed_and_says_what_the_app_expects(app: App, topic: str) -> None:
    shown = app.send(topic).json()
    ((url, headers, body),) = app.came
    assert (url, shown["status"], shown["answer"]) == ("http://app.test/hook", 200, "taken")
    assert SENDER.verify(body, headers, (DEFAULT_CLIENT_SECRET,)).check is Check.ACCEPTED
    notice = SENDER.read(ShopTopic(topic), body, headers, NOW)
    assert (notice.shop, notice.triggered_at) == (SHOP, NOW)


def test_it_knows_every_topic_that_the_app_acts_on() -> None:
    assert set(TOPICS) == {each.value for each in ShopTopic}


def test_it_can_be_sent_again_as_the_same_delivery(app: App) -> None:
    first = app.send("shop/redact").json()
    app.send("shop/redact", headers=first["headers"], body=first["body"])
    assert app.came[0] == app.came[1]
    app.send("shop/redact")
    assert app.came[2][1]["x-shopify-webhook-id"] != app.came[0][1]["x-shopify-webhook-id"]


def test_fields_and_headers_can_be_another_or_missing(app: App) -> None:
    app.send(
        "shop/redact",
        at=NOW.timestamp() - 60,
        body={"shop_domain": "other.myshopify.com", "shop_id": None},
        headers={"X-Shopify-Shop-Domain": None},
    )
    (_, headers, body) = app.came[0]
    assert json.loads(body) == {"shop_domain": "other.myshopify.com"}
    assert "x-shopify-shop-domain" not in headers
    assert headers["x-shopify-triggered-at"] == "2026-11-22T11:59:00.000000000Z"
    assert headers["x-shopify-hmac-sha256"] == sign(DEFAULT_CLIENT_SECRET, body)


def test_somebody_else_can_sign(app: App) -> None:
    app.send("shop/redact", secret="a-forger", url="http://elsewhere.test/")
    (url, headers, body) = app.came[0]
    assert url == "http://elsewhere.test/"
    assert SENDER.verify(body, headers, (DEFAULT_CLIENT_SECRET,)).check is Check.WRONG


def test_uninstalling_ends_every_token_of_the_shop(app: App) -> None:
    office = app.simulator.tokens
    assert office.find(SHOP, "shpat_simulator") is not None
    app.send("customers/redact")
    assert office.find(SHOP, "shpat_simulator") is not None
    app.send("app/uninstalled")
    assert office.find(SHOP, "shpat_simulator") is None
    assert office.find("other.myshopify.com", "shpat_simulator") is not None


def test_a_topic_of_others_has_an_empty_body(app: App) -> None:
    assert app.send("orders/create").json()["body"] == {}


@pytest.mark.parametrize("told", [{}, {"shop": "nonsense"}, {"url": 1}])
def test_what_cannot_be_sent_is_refused(app: App, told: dict[str, Any]) -> None:
    topic = "shop/redact" if told else 1
    assert app.send(topic, **told).status_code == 400
    assert app.came == []


def test_without_an_address_there_is_nobody_to_tell() -> None:
    simulator = Simulator(clock=NOW.timestamp)
    with httpx.Client(transport=simulator.transport(), base_url="http://shopify") as http:
        told = {"shop": SHOP, "topic": "shop/redact"}
        assert http.post("/_simulator/webhooks", json=told).status_code == 400


def test_an_app_that_does_not_answer_is_no_error_of_the_simulators() -> None:
    simulator = Simulator(clock=NOW.timestamp, webhook_url="http://127.0.0.1:9/nobody")
    with httpx.Client(transport=simulator.transport(), base_url="http://shopify") as http:
        told = {"shop": SHOP, "topic": "shop/redact"}
        shown = http.post("/_simulator/webhooks", json=told).json()
    assert (shown["status"], shown["answer"]) == (None, "ConnectError")
