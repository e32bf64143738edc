"""functions/push, from the queue's event to its partial batch response."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from functions.push.app import handler
from shared import wiring
from shared.domain.errors import QueueUnavailableError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import PushStatus
from shared.gateways.queues import read_push
from tests.builders import OTHER_SHOP, SHOP
from tests.fakes.push_world import PushWorld

EVENTS = Path(__file__).parents[2] / "events"
JOB_IDS = [f"019aab7c-5e00-7000-8000-00000000000{number}" for number in (1, 2, 3)]


class FakeReceivedMessages:
    """Implements ReceivedMessages."""

    def __init__(self) -> None:
        self.hidden: dict[str, int] = {}
        self.broken = False

    def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """Remember for how long."""
        if self.broken:
            raise QueueUnavailableError("The queue is out.")
        self.hidden |= dict.fromkeys(receipts, seconds)


class World(PushWorld):
    """The function with everything around it in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.received = FakeReceivedMessages()

    def sample(self, name: str) -> dict[str, Any]:
        """Read a sample event."""
        event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
        return event

    def send(self, event: dict[str, Any]) -> list[str]:
        """Invoke the function; returns which messages must come again."""
        answer = handler(event, None)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def jobs_of_two_shops(self) -> list[Job]:
        """Store the jobs that push_two_shops.json is about."""
        shops = (SHOP, OTHER_SHOP, SHOP)
        return [
            self.job(self.product("Mug", shop), shop=shop, job_id=job_id)
            for shop, job_id in zip(shops, JOB_IDS, strict=True)
        ]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    app = wiring.PushApp(lane=made.lane, read=read_push, received=made.received)
    monkeypatch.setattr(wiring, "push_app", lambda: app)
    return made


def status(world: World, shop: str, job_id: str) -> PushStatus:
    return world.store.get(JobRef(shop, job_id)).push.status


def metric_names(capsys: pytest.CaptureFixture[str]) -> set[str]:
    names: set[str] = set()
    for line in capsys.readouterr().out.splitlines():
        found = json.loads(line) if line.startswith("{") else {}
        for group in found.get("_aws", {}).get("CloudWatchMetrics", []):
            names |= {metric["Name"] for metric in group["Metrics"]}
    return names


def test_a_message_brings_its_job_to_the_product(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.job(world.product(), job_id=JOB_IDS[0])

    assert world.send(world.sample("push_one")) == []

    assert status(world, SHOP, JOB_IDS[0]) is PushStatus.PUSHED
    assert {"Pushed", "ShopifyCalls", "ShopifyPointsPerJob"} <= metric_names(capsys)


def test_the_trouble_of_one_shop_is_not_the_others(world: World) -> None:
    world.jobs_of_two_shops()
    event = world.sample("push_two_shops")
    world.control("PUT", "config", {"shops": {SHOP: {"throttleAs429": True}}})
    world.fault("throttled", shop=SHOP, status=429, retryAfterS=70.0, times=None)

    failed = world.send(event)

    records = event["Records"]
    assert failed == [records[0]["messageId"], records[2]["messageId"]]
    assert world.received.hidden == {
        records[0]["receiptHandle"]: 70,
        records[2]["receiptHandle"]: 70,
    }
    assert status(world, OTHER_SHOP, JOB_IDS[1]) is PushStatus.PUSHED


def test_after_a_message_that_comes_again_all_later_ones_of_its_shop_do_too(
    world: World,
) -> None:
    jobs = world.jobs_of_two_shops()
    event = world.sample("push_two_shops")
    world.store.delete(jobs[2])  # nothing to do for the shop's later message
    world.fault("throttled", shop=SHOP, status=429, retryAfterS=70.0, times=None)

    failed = world.send(event)

    assert failed == [event["Records"][0]["messageId"], event["Records"][2]["messageId"]]


def test_an_earlier_message_that_is_done_does_not_come_again(world: World) -> None:
    jobs = world.jobs_of_two_shops()
    event = world.sample("push_two_shops")
    world.store.delete(jobs[0])
    world.fault("throttled", shop=SHOP, status=429, retryAfterS=70.0, times=None)

    assert world.send(event) == [event["Records"][2]["messageId"]]


def test_trouble_of_one_job_is_no_failure_of_its_message(world: World) -> None:
    world.job(world.product(), job_id=JOB_IDS[0])
    world.configure(readyAfterS=600)

    assert world.send(world.sample("push_one")) == []
    assert status(world, SHOP, JOB_IDS[0]) is PushStatus.PROCESSING


def test_the_wait_doubles_with_every_receive_where_shopify_says_nothing(world: World) -> None:
    world.job(world.product(), job_id=JOB_IDS[0])
    world.fault("status_before", status=503, times=None)
    event = world.sample("push_one")
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = "3"

    world.send(event)

    assert list(world.received.hidden.values()) == [60]


def test_messages_that_cannot_be_hidden_come_again_all_the_same(world: World) -> None:
    world.job(world.product(), job_id=JOB_IDS[0])
    world.fault("status_before", status=503, times=None)
    world.received.broken = True

    assert len(world.send(world.sample("push_one"))) == 1


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_secret_that_cannot_be_read_is_counted_and_comes_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.job(world.product(), job_id=JOB_IDS[0])
    world.secrets.broken = True

    assert len(world.send(world.sample("push_one"))) == 1
    assert "SecretUnavailable" in metric_names(capsys)
    assert status(world, SHOP, JOB_IDS[0]) is PushStatus.QUEUED


def test_a_message_that_nobody_sends_does_not_block_its_shop(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.job(world.product(), job_id=JOB_IDS[0])
    event = world.sample("push_malformed")
    event["Records"] += world.sample("push_one")["Records"]

    assert world.send(event) == []
    assert status(world, SHOP, JOB_IDS[0]) is PushStatus.PUSHED
    assert "PushMalformed" in metric_names(capsys)


def test_the_log_has_neither_token_nor_picture(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.job(world.product(), job_id=JOB_IDS[0])
    world.send(world.sample("push_one"))

    printed = capsys.readouterr()
    assert "shpat_" not in printed.out + printed.err
