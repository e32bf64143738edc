"""functions/deliver, from the queue's event to the partial answer, log and metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.deliver.app import handler
from shared import wiring
from shared.domain.endpoints import DeliveryStatus
from shared.domain.errors import SecretUnavailableError, StoreUnavailableError
from shared.gateways.queues import read_deliver, write_deliver
from tests.api_world import logged
from tests.builders import a_completed_job
from tests.fakes.notices import answered
from tests.functional.test_dispatch import metrics_of
from tests.unit.usecases.notice_world import KEY_1, NoticeWorld

EVENTS = Path(__file__).parents[2] / "events"


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> NoticeWorld:
    world = NoticeWorld()
    app = wiring.DeliverApp(lane=world.deliver_lane, read=read_deliver)
    monkeypatch.setattr(wiring, "deliver_app", lambda: app)
    return world


def event_of(world: NoticeWorld) -> dict[str, Any]:
    """Have one delivery under way, and return its message."""
    world.endpoint()
    world.has(a_completed_job())
    world.announce()
    ((request, _),) = world.outbox.delivers
    event = sample("deliver_notice")
    event["Records"][0]["body"] = write_deliver(request)
    return event


DONE: dict[str, Any] = {"batchItemFailures": []}


@pytest.mark.parametrize(
    ("status", "metric"),
    [(200, "WebhookDelivered"), (500, "WebhookRetried"), (410, "EndpointDisabled")],
)
def test_a_message_is_done_whatever_the_endpoint_answers(
    world: NoticeWorld, capsys: pytest.CaptureFixture[str], status: int, metric: str
) -> None:
    event = event_of(world)
    world.posts.answer(status)
    assert handler(event, None) == DONE
    assert metrics_of(capsys)[metric] == 1
    assert handler(event, None) == DONE
    assert metrics_of(capsys)["DeliverNothing"] == 1
    assert len(world.posts.calls) == 1


def test_the_sample_of_a_forgotten_delivery_is_no_failure(
    world: NoticeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handler(sample("deliver_notice"), None) == DONE
    assert metrics_of(capsys)["DeliverNothing"] == 1


def test_what_none_of_our_functions_sends_goes_to_the_dead_letters(
    world: NoticeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    event = sample("deliver_malformed")
    failed = [{"itemIdentifier": event["Records"][0]["messageId"]}]
    assert handler(event, None) == {"batchItemFailures": failed}
    assert metrics_of(capsys)["DeliverMalformed"] == 1


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
@pytest.mark.parametrize(
    ("error", "metric"),
    [
        (StoreUnavailableError("out"), "DeliverUnavailable"),
        (SecretUnavailableError("out"), "SecretUnavailable"),
    ],
)
def test_while_table_or_secret_is_out_the_message_comes_again(
    world: NoticeWorld, capsys: pytest.CaptureFixture[str], error: Exception, metric: str
) -> None:
    event = event_of(world)

    def out(text: str) -> str:
        raise error

    world.deliver_lane.box.open = out  # type: ignore[method-assign]
    failed = [{"itemIdentifier": event["Records"][0]["messageId"]}]
    assert handler(event, None) == {"batchItemFailures": failed}
    assert metrics_of(capsys)[metric] == 1


@pytest.mark.promise("hostile", "no secret and no body in any log")
def test_the_log_tells_the_outcome_and_neither_secret_nor_body_nor_answer(
    world: NoticeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    event = event_of(world)
    world.posts.answers = [answered(200, excerpt="their-private-words")]
    handler(event, None)
    text = logged(caplog)
    assert "'outcome': <Outcome.DELIVERED: 'delivered'>" in text
    for secret in (KEY_1, "their-private-words", "Blue mug", "whsec"):
        assert secret not in text
    assert world.deliveries(world.endpoints.endpoints("a-shop.myshopify.com")[0])[0].status is (
        DeliveryStatus.DELIVERED
    )
