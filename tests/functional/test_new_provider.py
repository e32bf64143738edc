"""A new provider is one file and one row: everything else follows from its adapter."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest
from moto import mock_aws

from functions.dispatch.app import handler as dispatch
from functions.webhook.app import handler as webhook
from shared import wiring
from shared.domain.errors import ProviderUnknownOutcomeError
from shared.domain.events import Proof, ProviderEvent, Source
from shared.domain.job import Job
from shared.domain.plan import Patience
from shared.domain.status import JobEvent, JobStatus
from shared.gateways import provider_http
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.system import SystemClock, SystemRandomness
from shared.providers.answers import body_of, create_failure, failure, is_success
from shared.providers.base import (
    Access,
    Callback,
    Keys,
    ParsedDelivery,
    ProviderAdapter,
    ProviderJob,
    Reply,
    Request,
    Verdict,
)
from shared.providers.reading import identifier, links_in, read_object, text
from shared.providers.registry import ADAPTERS
from shared.providers.signatures import standard_key, verify_standard
from tests.builders import a_job
from tests.fakes.table import make_table
from tests.unit.providers.senders import sign_standard

STATUSES = {"made": JobEvent.COMPLETED, "spoilt": JobEvent.FAILED, "baking": JobEvent.STARTED}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


# --- the one file --------------------------------------------------------------------------


class AcmeAdapter(ProviderAdapter):
    """A provider that does not exist."""

    name = "acme"
    proof = Proof.BODY_TIME
    access = Access(url="https://api.acme.example", prefix="/v3", header="x-acme", scheme="Token ")
    patience = Patience(list_gap_s=None)
    result_hosts = ("cdn.acme.example",)
    create_ceiling = 60
    poll_ceiling = 60

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        return verify_standard(body, headers, [standard_key(each) for each in keys.texts], now)

    def parse(
        self, body: bytes, headers: Mapping[str, str], received_at: datetime, proof: Proof
    ) -> ParsedDelivery:
        event = _event(read_object(body), Source.WEBHOOK)
        return ParsedDelivery(event=replace(event, proof=proof), reference=None)

    def create_request(self, job: Job, callback: Callback) -> Request:
        body = {"cake": job.tool_id, "call": callback.url}
        return Request(method="POST", path="/v3/cakes", body=body)

    def read_created(self, reply: Reply) -> ProviderEvent:
        if not is_success(reply):
            raise create_failure("Acme", reply, None, text(body_of(reply).get("fault")))
        return _event(body_of(reply), Source.DISPATCH)

    def poll_request(self, asked: ProviderJob) -> Request:
        return Request(method="GET", path=f"/v3/cakes/{asked.job_id}")

    def read_polled(self, asked: ProviderJob, request: Request, reply: Reply) -> ProviderEvent:
        if not is_success(reply):
            raise failure("Acme", reply)
        return _event(body_of(reply), Source.POLL)


def _event(cake: Mapping[str, Any], source: Source) -> ProviderEvent:
    job_id, state = identifier(cake.get("cake_id")), text(cake.get("state")) or "unknown"
    if job_id is None:
        raise ProviderUnknownOutcomeError("No cake.")
    kind = STATUSES.get(state, JobEvent.UNKNOWN)
    return ProviderEvent(
        provider="acme",
        provider_job_id=job_id,
        event=kind,
        native=state,
        key=f"{job_id}:{state}",
        source=source,
        proof=Proof.POLL,
        output_urls=links_in(cake.get("photos")),
    )


# --- and everything else ---------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[httpx.Request]]:
    # The one row.
    monkeypatch.setitem(ADAPTERS, "acme", AcmeAdapter())
    seen: list[httpx.Request] = []

    def acme(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"cake_id": "c1", "state": "baking"})

    client = provider_http.provider_client(httpx.MockTransport(acme))
    monkeypatch.setattr(provider_http, "provider_client", lambda: client)
    with mock_aws():
        wiring.reset()
        aws = wiring.clients()
        sqs: Any = aws.client("sqs")
        queues = {
            "DISPATCH_QUEUE_URL": sqs.create_queue(QueueName="dispatch")["QueueUrl"],
            "BULK_QUEUE_URL": sqs.create_queue(QueueName="bulk")["QueueUrl"],
            "PUSH_QUEUE_URL": sqs.create_queue(
                QueueName="push.fifo", Attributes={"FifoQueue": "true"}
            )["QueueUrl"],
        }
        held = {
            "signing": {"ACME_WEBHOOK_SECRET": SECRET},
            "providers": {"ACME_API_KEY": "cake-key"},
            "app": {"APP_SECRET": "an-app-secret"},
        }
        for name, values in held.items():
            aws.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(values))
            monkeypatch.setenv(f"{name.upper()}_SECRET_ID", name)
        make_table(aws.client("dynamodb"), "jobs")
        settings = {"TABLE_NAME": "jobs", "OUTPUT_BUCKET": "outputs", "RESULT_HOSTS": ""}
        for name, value in {**settings, **queues, "PUBLIC_URL": "https://us.example"}.items():
            monkeypatch.setenv(name, value)
        yield seen
    wiring.reset()
    client.close()


def test_one_file_and_one_row_go_the_whole_way(asked: list[httpx.Request]) -> None:
    clock = SystemClock()
    store = DynamoJobStore(
        wiring.clients().client("dynamodb"), "jobs", clock=clock, random=SystemRandomness()
    )
    job = store.create(a_job(provider="acme", tool_id="sponge", created_at=clock.now()))
    message = json.dumps({"shop": job.shop, "jobId": job.job_id})
    dispatch({"Records": [{"messageId": "1", "body": message}]}, None)
    [request] = asked
    assert str(request.url) == "https://api.acme.example/v3/cakes"
    assert request.headers["x-acme"] == "Token cake-key"
    callback = json.loads(request.content)["call"]
    assert callback.startswith("https://us.example/webhooks/acme?ref=")
    assert store.get(job.ref).provider_job_id == "c1"

    body = json.dumps(
        {"cake_id": "c1", "state": "made", "photos": ["https://cdn.acme.example/1.png"]}
    ).encode()
    answer = webhook(
        {
            "pathParameters": {"provider": "acme"},
            "requestContext": {"requestId": "r"},
            "headers": sign_standard(body, "msg_1", int(clock.now().timestamp()), SECRET),
            "queryStringParameters": {"ref": httpx.URL(callback).params["ref"]},
            "body": body.decode(),
        },
        None,
    )
    assert json.loads(answer["body"]) == {"success": True, "outcome": "applied"}
    done = store.get(job.ref)
    assert done.status is JobStatus.COMPLETED
    assert [output.url for output in done.outputs] == ["https://cdn.acme.example/1.png"]


def test_its_address_can_be_set_as_everybody_elses(
    asked: list[httpx.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_URL", "http://127.0.0.1:9000/v3/")
    clock = SystemClock()
    store = DynamoJobStore(
        wiring.clients().client("dynamodb"), "jobs", clock=clock, random=SystemRandomness()
    )
    job = store.create(a_job(provider="acme", tool_id="sponge", created_at=clock.now()))
    message = json.dumps({"shop": job.shop, "jobId": job.job_id})
    dispatch({"Records": [{"messageId": "1", "body": message}]}, None)
    assert str(asked[0].url) == "http://127.0.0.1:9000/v3/cakes"
