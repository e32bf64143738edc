"""functions/notify, from the stream's records to the partial answer, log and metrics."""

import copy
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from functions.notify.app import handler
from shared import wiring
from shared.domain.errors import RetryableError
from shared.domain.notice_types import CHOICES
from shared.domain.shop import Notifications, Shop
from shared.gateways.stream import read_change
from tests.api_world import logged
from tests.builders import SHOP, a_completed_job, a_dispatched_job, a_job_id, later
from tests.fakes.table import make_table
from tests.functional.test_dispatch import metrics_of
from tests.unit.domain.test_endpoints import an_endpoint
from tests.unit.usecases.notice_world import NoticeWorld

EVENT = Path(__file__).parents[2] / "events" / "stream_changes.json"


def sample() -> dict[str, Any]:
    event: dict[str, Any] = json.loads(EVENT.read_text())
    return event


def number(event: dict[str, Any], record: int) -> str:
    found: str = event["Records"][record]["dynamodb"]["SequenceNumber"]
    return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> NoticeWorld:
    world = NoticeWorld()
    app = wiring.NotifyApp(lane=world.notices, read=read_change)
    monkeypatch.setattr(wiring, "notify_app", lambda: app)
    return world


def test_a_completed_job_and_a_dead_endpoint_are_told_of(
    world: NoticeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handler(sample(), None) == {"batchItemFailures": []}
    assert world.told() == [
        "019aab7c-5e00-7000-8000-000000000001:5:job.completed",
        "019aab7c-5e00-7000-8000-0000000000e1:2:endpoint.disabled",
    ]
    assert world.bus.notices[0].data["creditsUsed"] == 2
    told = metrics_of(capsys)
    assert (told["Notices"], told.get("NotifyFailed", 0)) == (2, 0)


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_record_that_nobody_can_read_is_left_out_and_counted(
    world: NoticeWorld, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    event = sample()
    event["Records"][0]["dynamodb"]["NewImage"]["status"] = {"S": "exploded"}
    assert handler(event, None) == {"batchItemFailures": []}
    assert world.kinds() == ["endpoint.disabled"]
    assert metrics_of(capsys)["NotifyFailed"] == 1
    (line,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    keys = event["Records"][0]["dynamodb"]["Keys"]
    # Whoever is called by NotifyFailuresAlarm looks for the job.
    assert vars(line)["item"] == f"{keys['pk']['S']} {keys['sk']['S']}"


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_bug_of_ours_meets_one_record_only(
    world: NoticeWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put, calls = world.bus.put, 0

    def stumble(notices: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        put(notices)

    monkeypatch.setattr(world.bus, "put", stumble)
    assert handler(sample(), None) == {"batchItemFailures": []}
    assert world.kinds() == ["endpoint.disabled"]
    assert metrics_of(capsys)["NotifyFailed"] == 1


def test_while_something_is_out_the_stream_begins_again_where_it_was(
    world: NoticeWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    event = sample()
    event["Records"] = [*event["Records"], *copy.deepcopy(event["Records"])]
    for position, record in enumerate(event["Records"]):
        record["dynamodb"]["SequenceNumber"] = str(100 + position)
    put, calls = world.bus.put, 0

    def out(notices: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise RetryableError("The event bus does not answer.")
        put(notices)

    world.bus.put = out  # type: ignore[method-assign]
    assert handler(event, None) == {"batchItemFailures": [{"itemIdentifier": number(event, 2)}]}
    assert calls == 3
    assert metrics_of(capsys)["NotifyUnavailable"] == 1


@pytest.mark.parametrize("kind", ["SHOP", "KEY#1", "DELIVERY#e#d", "BATCH#b", "BULK#j"])
def test_other_items_mean_nothing_to_others(world: NoticeWorld, kind: str) -> None:
    event = sample()
    event["Records"][0]["dynamodb"]["Keys"]["sk"]["S"] = kind
    del event["Records"][1]
    assert handler(event, None) == {"batchItemFailures": []}
    assert world.kinds() == []


def test_what_is_deleted_is_told_of_to_nobody(world: NoticeWorld) -> None:
    event = sample()
    for record in event["Records"]:
        del record["dynamodb"]["NewImage"]
        record["eventName"] = "REMOVE"
    assert handler(event, None) == {"batchItemFailures": []}
    assert world.kinds() == []


@pytest.mark.promise("hostile", "no secret and no body in any log")
def test_no_secret_and_no_body_is_logged(
    world: NoticeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    handler(sample(), None)
    text = logged(caplog)
    assert "job.completed" in text
    assert "AbCdEf" not in text
    assert "Blue mug" not in text


# --- put together as on AWS -----------------------------------------------------------

PREFIX = "arn:aws:sns:us-east-1:123456789012:job-tracker-shop-"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with mock_aws():
        wiring.reset()
        clients = wiring.clients()
        make_table(clients.client("dynamodb"), "jobs")
        clients.client("events").create_event_bus(Name="job-tracker")
        queue_url = clients.client("sqs").create_queue(QueueName="deliver")["QueueUrl"]
        for name, value in {
            "TABLE_NAME": "jobs",
            "DELIVER_QUEUE_URL": queue_url,
            "EVENT_BUS_NAME": "job-tracker",
            "NOTICE_TOPIC_PREFIX": PREFIX,
        }.items():
            monkeypatch.setenv(name, value)
        yield clients
    wiring.reset()


def read_all(sqs: Any, url: str) -> list[Any]:
    reply = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in reply.get("Messages", [])]


def test_on_the_real_services_everybody_hears_of_it(aws: Any) -> None:
    lane = wiring.notify_app().lane
    endpoint = an_endpoint(endpoint_id=a_job_id(later(1)), types=CHOICES)
    lane.endpoints.add_endpoint(endpoint)
    lane.shops.save_shop(
        None, Shop(shop=SHOP, notifications=Notifications(emails=("anna@example.com",)))
    )
    sns, sqs = aws.client("sns"), aws.client("sqs")
    # Two mailboxes, as queues: one asks for failures, the other for completed jobs.
    sns.create_topic(Name="job-tracker-shop-a-shop")
    boxes = {}
    for kind in ("job.failed", "job.completed"):
        boxes[kind] = sqs.create_queue(QueueName=kind.replace(".", "-"))["QueueUrl"]
        sns.subscribe(
            TopicArn=f"{PREFIX}a-shop",
            Protocol="sqs",
            Endpoint=f"arn:aws:sqs:us-east-1:123456789012:{kind.replace('.', '-')}",
            Attributes={"FilterPolicy": json.dumps({"shop": [SHOP], "type": [kind]})},
        )
    event = sample()
    failed = event["Records"][0]["dynamodb"]["NewImage"]
    failed["status"] = {"S": "failed"}
    assert handler(event, None) == {"batchItemFailures": []}
    urls = {message["endpointId"] for message in read_all(sqs, aws_queue(sqs))}
    assert urls == {endpoint.endpoint_id}
    (letter,) = read_all(sqs, boxes["job.failed"])
    assert letter["Subject"] == f'{SHOP}: "Blue mug" has failed'
    assert read_all(sqs, boxes["job.completed"]) == []


def aws_queue(sqs: Any) -> str:
    url: str = sqs.get_queue_url(QueueName="deliver")["QueueUrl"]
    return url


def test_images_are_read_as_they_were_written() -> None:
    from shared.gateways.dynamo_items import job_item
    from shared.usecases.notice_ports import JobChange

    before, after = a_dispatched_job(), a_completed_job(attempt={"cost_micros": 2**60})
    record = {
        "dynamodb": {
            "Keys": {"sk": {"S": f"JOB#{after.job_id}"}},
            "OldImage": job_item(before),
            "NewImage": job_item(after),
        }
    }
    assert read_change(record) == JobChange(before=before, after=after)
