"""functions/dispatch and functions/sweep put together as on AWS, on imitations of its services."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from moto import mock_aws

from functions.dispatch.app import handler as dispatch
from functions.sweep.app import handler as sweep
from shared import wiring
from shared.domain.job import Job
from shared.gateways import provider_http
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.system import SystemClock, SystemRandomness
from tests.builders import a_dispatched_job, a_job
from tests.fakes.table import make_table

TABLE, BUCKET = "jobs", "outputs"


@dataclass(frozen=True, slots=True)
class Stack:
    """The services, and what the provider was asked."""

    store: DynamoJobStore
    asked: list[httpx.Request]
    sqs: Any
    queue_url: str

    def messages(self) -> list[dict[str, Any]]:
        reply = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in reply.get("Messages", [])]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    asked: list[httpx.Request] = []

    def pikcel(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(
            201, json={"success": True, "data": {"id": "pk_1", "status": "pending"}}
        )

    client = provider_http.provider_client(httpx.MockTransport(pikcel))
    monkeypatch.setattr(provider_http, "provider_client", lambda: client)
    with mock_aws():
        wiring.reset()
        aws = wiring.clients()
        sqs: Any = aws.client("sqs")
        queue_url = sqs.create_queue(QueueName="dispatch")["QueueUrl"]
        push_url = sqs.create_queue(QueueName="push.fifo", Attributes={"FifoQueue": "true"})[
            "QueueUrl"
        ]
        secrets = aws.client("secretsmanager")
        for name, value in (("providers", "PIKCEL_API_KEY"), ("app", "APP_SECRET")):
            secrets.create_secret(Name=name, SecretString=json.dumps({value: "value-1"}))
        aws.client("s3").create_bucket(Bucket=BUCKET)
        make_table(aws.client("dynamodb"), TABLE)
        settings = {
            "TABLE_NAME": TABLE,
            "DISPATCH_QUEUE_URL": queue_url,
            "PUSH_QUEUE_URL": push_url,
            "BULK_QUEUE_URL": sqs.create_queue(QueueName="bulk")["QueueUrl"],
            "DELIVER_QUEUE_URL": sqs.create_queue(QueueName="deliver")["QueueUrl"],
            "NOTICE_TOPIC_PREFIX": "arn:aws:sns:us-east-1:123456789012:job-tracker-shop-",
            "OUTPUT_BUCKET": BUCKET,
            "PUBLIC_URL": "https://api.example",
            "PIKCEL_API_URL": "https://app.pikcel.ai",
            "RESULT_HOSTS": "",
            "PROVIDERS_SECRET_ID": "providers",
            "APP_SECRET_ID": "app",
        }
        for name, text in settings.items():
            monkeypatch.setenv(name, text)
        clock = SystemClock()
        store = DynamoJobStore(
            aws.client("dynamodb"), TABLE, clock=clock, random=SystemRandomness()
        )
        yield Stack(store=store, asked=asked, sqs=sqs, queue_url=queue_url)
    wiring.reset()
    client.close()


def message(job: Job) -> dict[str, Any]:
    body = json.dumps({"shop": job.shop, "jobId": job.job_id})
    return {"Records": [{"messageId": "1", "body": body}]}


def test_a_message_creates_its_job_at_the_provider(stack: Stack) -> None:
    job = stack.store.create(a_job(created_at=SystemClock().now()))
    assert dispatch(message(job), None) == {"batchItemFailures": []}
    after = stack.store.get(job.ref)
    assert after.provider_job_id == "pk_1"
    assert after.attempt.tries == 1
    [request] = stack.asked
    assert request.headers["authorization"] == "Bearer value-1"
    assert request.headers["x-client-name"] == "job-tracker"
    assert json.loads(request.content)["webhook_url"].startswith(
        "https://api.example/webhooks/pikcel?ref=a-shop.myshopify.com%3A"
    )
    link = stack.store.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == job.ref


def test_a_second_message_pays_nothing(stack: Stack) -> None:
    job = stack.store.create(a_job(created_at=SystemClock().now()))
    for _ in range(2):
        dispatch(message(job), None)
    assert len(stack.asked) == 1


def test_the_sweep_sends_what_was_lost_and_ends_what_is_stuck(stack: Stack) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    lost = stack.store.create(a_job(created_at=now - timedelta(minutes=3)))
    begun = now - timedelta(minutes=61)
    stuck = stack.store.create(
        a_dispatched_job(
            created_at=begun, attempt={"created_at": begun, "linked_at": begun, "intent_at": begun}
        )
    )
    assert sweep({}, None) == {"create": 1, "time_out": 1}
    assert stack.messages() == [{"shop": lost.shop, "jobId": lost.job_id}]
    assert stack.store.get(stuck.ref).error_code == "timed_out"
    assert sweep({}, None) == {}
