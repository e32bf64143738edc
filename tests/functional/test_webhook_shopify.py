"""functions/webhook, with Shopify's own webhooks: from API Gateway's event to its answer."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.webhook import shopify
from functions.webhook.app import handler
from shared import wiring
from shared.domain.errors import (
    InvalidRequestError,
    JobTrackerError,
    SecretUnavailableError,
    StoreUnavailableError,
)
from shared.domain.status import JobStatus
from shared.providers.base import Check
from shared.providers.shopify import ShopifyWebhooks
from shared.usecases.hold_delivery import Ward
from shared.usecases.receive_webhook import SignatureError
from tests.api_world import logged
from tests.builders import OTHER_SHOP, SHOP, a_job, later
from tests.fakes.memory_quarantine import InMemoryQuarantine
from tests.functional.test_dispatch import metrics_of
from tests.unit.usecases.shop_life_world import ShopWorld

ROOT = Path(__file__).parents[2]
TOPICS = ("uninstalled", "scopes_update", "data_request", "customer_redact", "shop_redact")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> ShopWorld:
    world = ShopWorld()
    world.clock.set(later(-60))
    world.login()
    world.clock.set(later(1))
    monkeypatch.setattr(wiring, "shop_desk", lambda: world.desk)
    ward = Ward(quarantine=InMemoryQuarantine(), receivers=wiring.RECEIVERS)
    monkeypatch.setattr(wiring, "ward", lambda: ward)
    return world


def sample(name: str) -> dict[str, Any]:
    text = (ROOT / "events" / f"webhook_shopify_{name}.json").read_text()
    event: dict[str, Any] = json.loads(text)
    return event


def signed(event: dict[str, Any], body: bytes, secret: str = "test-secret") -> dict[str, Any]:
    """Put another body into a sample, rightly signed."""
    digest = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    return event | {
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
        "headers": event["headers"] | {"x-shopify-hmac-sha256": digest},
    }


def send(event: dict[str, Any]) -> tuple[int, Any]:
    answer = handler(event, None)
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize(
    ("name", "outcome", "metric"),
    [
        ("uninstalled", "uninstalled", "ShopUninstalled"),
        ("scopes_update", "scopes_stored", "ShopScopesStored"),
        ("data_request", "acknowledged", "CustomerRequestAcknowledged"),
        ("customer_redact", "acknowledged", "CustomerRequestAcknowledged"),
        ("shop_redact", "outdated", "ShopWebhookWithoutEffect"),
    ],
)
def test_each_sample_is_taken_logged_and_counted(
    world: ShopWorld,
    name: str,
    outcome: str,
    metric: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert send(sample(name)) == (200, {"success": True, "outcome": outcome})
    assert metrics_of(capsys) == {metric: 1}
    (line,) = [vars(record) for record in caplog.records]
    topic = sample(name)["headers"]["x-shopify-topic"]
    assert (line["topic"], line["shop"], line["outcome"]) == (topic, SHOP, outcome)


def test_a_request_about_a_customer_leaves_nothing_of_the_customer_anywhere(
    world: ShopWorld, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("data_request", "customer_redact"):
        send(sample(name))
        written = capsys.readouterr().out + logged(caplog)
        assert SHOP in written
        for personal in ("john@example.com", "555-625-1199", "191167", "299938"):
            assert personal in sample(name)["body"]
            assert personal not in written
            assert not any(personal in line for line in world.names())


def test_an_uninstallation_and_two_days_later_an_erasure_go_all_the_way(world: ShopWorld) -> None:
    ref = world.has(a_job(created_at=later(-30)))
    assert send(sample("uninstalled"))[0] == 200
    world.go_on(minutes=2)
    assert world.job(ref).status is JobStatus.CANCELLED
    world.go_on(hours=48)
    event = sample("shop_redact")
    event["headers"]["x-shopify-triggered-at"] = world.clock.now().isoformat()
    assert send(event) == (200, {"success": True, "outcome": "erasure_owed"})
    assert send(event) == (200, {"success": True, "outcome": "duplicate"})
    world.go_on(minutes=10)
    assert world.names() == []
    assert send(event) == (200, {"success": True, "outcome": "duplicate"})


FORGERIES: list[Callable[[dict[str, Any]], object]] = [
    lambda event: event["headers"].pop("x-shopify-hmac-sha256"),
    lambda event: event["headers"].update({"x-shopify-hmac-sha256": "A" * 43 + "="}),
    lambda event: event["headers"].update({"x-shopify-hmac-sha256": "é"}),
    lambda event: event.update(body=event["body"] + " "),
    lambda event: event.update(body="[" * 100_000),
    lambda event: event.update(body=""),
    lambda event: event["headers"].clear(),
]


@pytest.mark.parametrize("name", TOPICS)
@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_delivery_gets_the_same_401_and_touches_nothing(
    world: ShopWorld,
    name: str,
    forge: Callable[[dict[str, Any]], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touched: list[str] = []
    monkeypatch.setattr(world.shops, "get_shop", lambda _: touched.append("get"))
    monkeypatch.setattr(ShopifyWebhooks, "read", lambda *_: touched.append("read"))
    event = sample(name)
    forge(event)
    status, said = send(event)
    assert status == 401
    assert said == {
        "success": False,
        "error": "The signature is missing or wrong.",
        "code": "unauthorized",
        "requestId": "JKJaXmPLvHcESHA=",
    }
    assert touched == []


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_the_forged_sample_is_refused_and_counted_where_the_alarm_looks(
    world: ShopWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert send(sample("forged"))[0] == 401
    assert metrics_of(capsys) == {"WebhookRejected": 1, "DeliveryQuarantined": 1}


def test_an_unknown_topic_is_acknowledged_and_counted(
    world: ShopWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    event = sample("uninstalled")
    event["headers"]["x-shopify-topic"] = "shop/update"
    assert send(event) == (200, {"success": True, "outcome": "unknown_topic"})
    assert metrics_of(capsys) == {"ShopWebhookUnknownTopic": 1}
    assert world.shop().token is not None


@pytest.mark.parametrize("secret", ["", " , "])
def test_without_our_own_secret_shopify_is_asked_to_try_again(
    world: ShopWorld, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.secrets.values["signing", "SHOPIFY_API_SECRET"] = secret
    status, said = send(sample("shop_redact"))
    assert (status, said["code"]) == (503, "unavailable")
    assert metrics_of(capsys) == {"SecretUnavailable": 1, "DeliveryQuarantined": 1}


def test_the_secret_of_shopifys_webhooks_is_none_of_a_providers(world: ShopWorld) -> None:
    world.secrets.values["signing", "SHOPIFY_API_SECRET"] = "another"
    assert send(sample("uninstalled"))[0] == 401
    world.secrets.values["signing", "PIKCEL_WEBHOOK_SECRET"] = ""
    world.secrets.values["signing", "SHOPIFY_API_SECRET"] = "another,test-secret"
    assert send(sample("uninstalled"))[0] == 200


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
@pytest.mark.parametrize(
    ("trouble", "metrics", "status"),
    [
        (StoreUnavailableError("The table does not answer."), {"WebhookUnavailable"}, 503),
        (SecretUnavailableError("Unreadable."), {"SecretUnavailable"}, 503),
        (SignatureError(Check.WRONG), {"WebhookRejected", "DeliveryQuarantined"}, 401),
        (InvalidRequestError("Not JSON."), {"WebhookUnreadable"}, 400),
    ],
)
def test_each_refusal_is_counted_as_what_it_is(
    world: ShopWorld,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trouble: JobTrackerError,
    metrics: set[str],
    status: int,
) -> None:
    def broken(*_: object) -> None:
        raise trouble

    monkeypatch.setattr(shopify, "receive_shop_webhook", broken)
    assert send(sample("uninstalled"))[0] == status
    assert metrics_of(capsys) == dict.fromkeys(metrics, 1)


def test_what_its_headers_contradict_is_refused(world: ShopWorld) -> None:
    event = sample("uninstalled")
    event["headers"]["x-shopify-shop-domain"] = OTHER_SHOP
    status, said = send(event)
    assert (status, said["code"]) == (400, "invalid_request")
    assert world.shop().token is not None


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[]", b"[" * 100_000])
def test_a_signed_body_that_cannot_be_read_is_400(world: ShopWorld, body: bytes) -> None:
    status, said = send(signed(sample("shop_redact"), body))
    assert (status, said["code"]) == (400, "invalid_request")


def test_over_one_mib_is_413(world: ShopWorld) -> None:
    body = sample("uninstalled")["body"].encode() + b" " * 1024 * 1024
    assert send(signed(sample("uninstalled"), body))[0] == 413
    assert send(signed(sample("uninstalled"), body, "wrong"))[0] == 401


def test_a_body_that_is_not_the_base64_it_claims_to_be_is_400(world: ShopWorld) -> None:
    assert send(sample("uninstalled") | {"isBase64Encoded": True, "body": "%%%"})[0] == 400


def test_the_route_with_a_parameter_leads_to_the_same_place(world: ShopWorld) -> None:
    """Should the more particular route ever be missing."""
    event = sample("customer_redact") | {"pathParameters": {"provider": "shopify"}}
    assert send(event)[0] == 200


def test_when_the_queue_is_down_nothing_acknowledged_is_lost(world: ShopWorld) -> None:
    ref = world.has(a_job(created_at=later(-30)))
    world.outbox.broken = True
    assert send(sample("uninstalled"))[0] == 200
    world.outbox.broken = False
    world.go_on(minutes=5)
    assert world.job(ref).status is JobStatus.CANCELLED


def test_a_delivery_costs_a_few_calls_and_waits_for_nothing_long(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shopify gives us five seconds."""
    for _ in range(300):
        world.has(a_job(created_at=later(-30)))
    calls: list[str] = []

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **more: Any) -> Any:
            calls.append(name)
            return call(*args, **more)

        return note

    for port, names in (
        (world.store, ("create", "save", "get", "list_jobs", "refs")),
        (world.shops, ("get_shop", "save_shop", "bind_delivery")),
        (world.outbox, ("send_bulk", "send_dispatch")),
    ):
        for name in names:
            monkeypatch.setattr(port, name, counted(name, getattr(port, name)))
    send(sample("uninstalled"))
    assert calls == ["get_shop", "create", "send_bulk", "save_shop"]


def test_providers_webhooks_import_nothing_of_shopifys() -> None:
    """Their cold start has no room for it. A fresh interpreter tells the truth."""
    program = (
        "import sys, functions.webhook.app;"
        "print([m for m in sys.modules if 'shop' in m.rpartition('.')[2]"
        " or m.rpartition('.')[2] in ('duties', 'erasure', 'dynamo_erasures')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    known = {"shared.domain.shop", "shared.gateways.dynamo_shops"}
    assert set(json.loads(done.stdout.replace("'", '"'))) - known == {"shared.domain.erasure"}


@pytest.mark.promise("hostile", "no secret and no body in any log")
def test_a_signature_or_a_body_is_never_logged(
    world: ShopWorld, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in (*TOPICS, "forged"):
        event = sample(name)
        send(event)
        written = capsys.readouterr().out + logged(caplog)
        assert "shopify webhook" in written
        assert event["headers"]["x-shopify-hmac-sha256"] not in written
        assert event["body"] not in written


def test_the_wired_desk_shares_its_secrets_with_the_providers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TABLE_NAME", "OUTPUT_BUCKET", "SIGNING_SECRET_ID", "APP_SECRET_ID"):
        monkeypatch.setenv(name, name.lower())
    for name in ("DISPATCH_QUEUE_URL", "BULK_QUEUE_URL"):
        monkeypatch.setenv(name, f"https://sqs.us-east-1.amazonaws.com/1/{name}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    wiring.reset()
    desk = wiring.shop_desk()
    app = wiring.webhook_app()
    assert desk.secrets is app.secrets
    assert replace(desk).tracker is app.tracker
    wiring.reset()
