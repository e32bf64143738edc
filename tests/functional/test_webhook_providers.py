"""functions/webhook put together as on AWS: what each provider is believed, and what it costs."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws

from functions.webhook.app import handler
from shared import wiring
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.references import Reference, delivery_key, make_reference
from shared.domain.status import JobStatus
from shared.gateways.aws import AwsClients
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.system import SystemClock, SystemRandomness
from shared.providers.registry import ADAPTERS
from tests.builders import a_job
from tests.fakes.table import ProbedClient, make_table
from tests.functional.test_dispatch import completions_of, metrics_of
from tests.unit.gateways.test_key_sets import Pool, a_set
from tests.unit.providers.senders import APP_SECRET, FAL_KEY, FAL_USER, SENDERS
from tests.unit.providers.stories import TOOLS, WITHOUT_CALLBACK, read_story

TABLE, ROOT = "jobs", Path(__file__).parents[2]


@dataclass
class Stack:
    """The webhook function on imitations of its services."""

    store: DynamoJobStore
    dynamo: ProbedClient
    sqs: ProbedClient
    secrets: Any
    pool: Pool = field(default_factory=Pool)

    def has(self, provider: str, **changes: Any) -> Job:
        """Make a job that the provider knows, created now."""
        now = SystemClock().now()
        job_id = read_story(provider, "happy")["expect"].get("providerJobId", "pk-77")
        attempt = {"provider_job_id": job_id, "linked_at": now, "intent_at": now, "tries": 1}
        job = a_job(
            provider=provider,
            tool_id=TOOLS[provider],
            created_at=now,
            attempt=changes.pop("attempt", attempt),
            **changes,
        )
        created = self.store.create(job)
        self.dynamo.calls.clear()
        return created

    def deliver(
        self,
        provider: str,
        ref: JobRef,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Deliver the end of the provider's happy story; returns status and answer."""
        if body is None:
            steps = read_story(provider, "happy")["steps"]
            told = [step["webhook"]["body"] for step in steps if "webhook" in step][-1]
            told.pop("timestamp", None)
            body = json.dumps(told).encode()
        request_id = json.loads(body).get("request_id", "msg_1")
        key = delivery_key(provider, Reference(ref, 1), APP_SECRET)
        letter = SENDERS[provider].letter(
            body, request_id, at=SystemClock().now(), key=key if provider == "bfl" else None
        )
        reference = make_reference(provider, ref, 1, APP_SECRET)
        answer = handler(
            {
                "pathParameters": {"provider": provider},
                "requestContext": {"requestId": "r"},
                "headers": {**letter.headers, **(headers or {})},
                "queryStringParameters": None
                if provider in WITHOUT_CALLBACK
                else {"ref": reference},
                "body": body.decode(),
                "isBase64Encoded": False,
            },
            None,
        )
        return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with mock_aws():
        wiring.reset()
        aws = AwsClients()
        make_table(aws.client("dynamodb"), TABLE)
        sqs: Any = aws.client("sqs")
        secrets: Any = aws.client("secretsmanager")
        signing = {
            f"{name.upper()}_WEBHOOK_SECRET": sender.key
            for name, sender in SENDERS.items()
            if name not in ("fal", "bfl", "runpod")
        }
        secrets.create_secret(Name="signing", SecretString=json.dumps(signing))
        secrets.create_secret(Name="app", SecretString=json.dumps({"APP_SECRET": APP_SECRET}))
        settings = {
            "TABLE_NAME": TABLE,
            "DISPATCH_QUEUE_URL": sqs.create_queue(QueueName="dispatch")["QueueUrl"],
            "BULK_QUEUE_URL": sqs.create_queue(QueueName="bulk")["QueueUrl"],
            "OUTPUT_BUCKET": "outputs",
            "SIGNING_SECRET_ID": "signing",
            "APP_SECRET_ID": "app",
            "FAL_USER_ID": FAL_USER,
            "FAL_JWKS_URL": "https://keys.example/jwks.json",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        probed = {
            "dynamodb": ProbedClient(aws.client("dynamodb")),
            "sqs": ProbedClient(sqs),
            "secretsmanager": secrets,
            "s3": aws.client("s3"),
        }
        monkeypatch.setattr(wiring, "clients", lambda: SimpleNamespace(client=probed.__getitem__))
        store = DynamoJobStore(
            aws.client("dynamodb"), TABLE, clock=SystemClock(), random=SystemRandomness()
        )
        made = Stack(store, probed["dynamodb"], probed["sqs"], secrets)
        made.pool.answer = (200, a_set(FAL_KEY))
        monkeypatch.setattr("urllib3.PoolManager", lambda: made.pool)
        _forget()
        yield made
    _forget()


def _forget() -> None:
    """Be a new process (its clients are the test's)."""
    for made in (wiring.webhook_app, wiring.shop_desk, wiring.ward, wiring.reverify_desk):
        made.cache_clear()


KEPT = ["update_item", "put_item"]


ENDS_AT_ONCE = {"pikcel", "replicate", "fal", "openai"}


@pytest.mark.parametrize("provider", ADAPTERS)
def test_an_end_is_taken_or_asked_about_by_the_strength_of_its_proof(
    stack: Stack, provider: str
) -> None:
    job = stack.has(provider)
    outcome = "applied" if provider in ENDS_AT_ONCE else "noted"
    assert stack.deliver(provider, job.ref) == (200, {"success": True, "outcome": outcome})
    after = stack.store.get(job.ref)
    assert (after.status is JobStatus.COMPLETED) is (provider in ENDS_AT_ONCE)
    assert after.poll_wanted is (provider not in ENDS_AT_ONCE)
    [entry, *_] = stack.store.log(job.ref, limit=5).entries
    assert entry.proof is ADAPTERS[provider].proof


@pytest.mark.parametrize("provider", sorted(set(ADAPTERS) - WITHOUT_CALLBACK))
def test_a_delivery_with_our_reference_costs_one_read_one_write_and_one_message(
    stack: Stack, provider: str
) -> None:
    job = stack.has(provider)
    stack.deliver(provider, job.ref)
    assert stack.dynamo.operations == ["get_item", "transact_write_items"]
    assert stack.sqs.operations == ["send_message_batch"]
    stack.deliver(provider, job.ref)
    # What is fetched once stays: keys of the sender included.
    assert len(stack.pool.asked) == (1 if provider == "fal" else 0)


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_an_end_that_was_told_is_counted_as_told_also_where_it_must_be_confirmed(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    for provider in ("replicate", "runpod"):
        job = stack.has(provider)
        stack.deliver(provider, job.ref)
        assert '"CompletedByWebhook":[1.0]' in capsys.readouterr().out


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
@pytest.mark.parametrize("provider", ADAPTERS)
def test_an_end_that_was_told_speaks_for_its_provider_once(
    stack: Stack, provider: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = stack.has(provider)
    stack.deliver(provider, job.ref)
    assert completions_of(capsys) == [(provider, 0, -1)]
    if provider in ENDS_AT_ONCE:
        assert stack.deliver(provider, job.ref)[1]["outcome"] == "duplicate"
        assert completions_of(capsys) == []


def test_a_delivery_that_is_found_by_its_providers_id_costs_one_read_more(stack: Stack) -> None:
    job = stack.has("openai")
    stack.deliver("openai", job.ref)
    assert stack.dynamo.operations == ["get_item", "get_item", "transact_write_items"]


@pytest.mark.parametrize("provider", sorted(set(ADAPTERS) - {"runpod"}))
def test_a_forged_delivery_is_kept_but_not_read_and_without_a_signature_costs_nothing(
    stack: Stack, provider: str
) -> None:
    job = stack.has(provider)
    signature = SENDERS[provider].signature_header
    assert signature is not None
    genuine = SENDERS[provider].letter(b"other").headers[signature]
    for forged, cost in (("", []), ("junk", KEPT), (genuine, KEPT)):
        stack.dynamo.calls.clear()
        status, answer = stack.deliver(provider, job.ref, headers={signature: forged})
        assert (status, answer["code"]) == (401, "unauthorized")
        assert stack.dynamo.operations == cost
    assert stack.sqs.operations == []
    assert stack.store.get(job.ref).status is JobStatus.PENDING


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_once_an_hour_is_full_a_forged_delivery_costs_nothing(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.gateways.dynamo_quarantine.MAX_AN_HOUR", 2)
    job = stack.has("replicate")
    forged = {SENDERS["replicate"].signature_header or "": "junk"}
    for cost in (KEPT, KEPT, ["update_item"], [], []):
        stack.dynamo.calls.clear()
        assert stack.deliver("replicate", job.ref, headers=forged)[0] == 401
        assert stack.dynamo.operations == cost
    counted = metrics_of(capsys)
    assert (counted["DeliveryQuarantined"], counted["QuarantineFull"]) == (2, 3)


def test_what_is_not_signed_needs_the_token_that_only_its_provider_was_told(stack: Stack) -> None:
    job = stack.has("runpod")
    other = JobRef("other-shop.myshopify.com", job.job_id)
    reference = make_reference("runpod", other, 1, "another-secret")
    body = json.dumps({"id": job.provider_job_id, "status": "COMPLETED"})
    for query in (None, {}, {"ref": reference}, {"ref": make_reference("runpod", job.ref, 1, "x")}):
        answer = handler(
            {
                "pathParameters": {"provider": "runpod"},
                "requestContext": {"requestId": "r"},
                "headers": {},
                "queryStringParameters": query,
                "body": body,
            },
            None,
        )
        assert answer["statusCode"] == 401
    # Those with an address that another APP_SECRET could have made.
    assert stack.dynamo.operations == KEPT * 2


def test_a_secret_of_one_attempt_opens_no_other(stack: Stack) -> None:
    job = stack.has("bfl")
    body = json.dumps({"id": "x", "status": "Ready"}).encode()
    other = delivery_key("bfl", Reference(job.ref, 2), APP_SECRET)
    headers = SENDERS["bfl"].letter(body, key=other).headers
    assert stack.deliver("bfl", job.ref, body, headers=headers)[0] == 401


@pytest.mark.parametrize("answer", [(500, b""), (200, b"<html>"), OSError("no network")])
def test_without_fals_keys_it_is_503_never_401(
    stack: Stack, answer: tuple[int, bytes] | Exception
) -> None:
    job = stack.has("fal")
    stack.pool.answer = answer
    assert stack.deliver("fal", job.ref)[0] == 503
    assert stack.deliver("fal", job.ref, headers={"x-fal-webhook-signature": "0" * 128})[0] == 503
    assert stack.dynamo.operations == KEPT * 2


def test_fal_signs_for_all_its_customers_but_only_our_own_account_is_heard(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_USER_ID", "user_ours")
    wiring.webhook_app.cache_clear()
    job = stack.has("fal")
    assert stack.deliver("fal", job.ref)[0] == 401


def test_the_signed_header_and_the_body_name_the_same_request(stack: Stack) -> None:
    job = stack.has("fal")
    body = json.dumps({"request_id": "another", "status": "OK", "payload": {}}).encode()
    letter = SENDERS["fal"].letter(body, "this-one", at=SystemClock().now())
    status, answer = stack.deliver("fal", job.ref, body, headers=letter.headers)
    assert (status, answer["code"]) == (400, "invalid_request")
    assert stack.store.get(job.ref).poll_wanted


@pytest.mark.parametrize("provider", ["replicate", "openai"])
@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%"])
def test_a_secret_of_ours_that_is_none_is_503(stack: Stack, provider: str, secret: str) -> None:
    job = stack.has(provider)
    stack.secrets.put_secret_value(
        SecretId="signing",
        SecretString=json.dumps({f"{provider.upper()}_WEBHOOK_SECRET": secret}),
    )
    assert stack.deliver(provider, job.ref)[0] == 503


def test_what_comes_before_its_job_is_known_waits_for_it(stack: Stack) -> None:
    job = stack.has("openai", attempt={})
    status, answer = stack.deliver("openai", job.ref)
    assert (status, answer["outcome"]) == (200, "parked")
    job_id = read_story("openai", "happy")["expect"]["providerJobId"]
    [parked] = stack.store.parked("openai", job_id)
    assert parked.key == "msg_1"  # the delivery's id, not the event's


def test_whose_it_is_then_costs_one_message_at_a_provider_that_tells(stack: Stack) -> None:
    job = stack.has("openai", attempt={})
    stack.deliver("openai", job.ref)
    assert stack.dynamo.operations == ["get_item", "transact_write_items"]
    assert stack.sqs.operations == ["send_message_batch"]


# --- what it imports -----------------------------------------------------------------------

HEAVY = ("pydantic", "httpx", "boto3", "jwt", "nacl", "urllib3.contrib.pyopenssl", "imagesize")


def _imported(program: str) -> list[str]:
    code = f"import sys\n{program}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found: list[str] = json.loads(done.stdout.replace("'", '"'))
    return found


@pytest.mark.parametrize(
    ("provider", "wanted"),
    [("replicate", []), ("pikcel", []), ("bfl", []), ("openai", []), ("fal", ["nacl"])],
)
def test_a_check_imports_what_its_own_scheme_needs_and_nothing_else(
    provider: str, wanted: list[str]
) -> None:
    """The senders of the tests need more than the product: their letters are made beforehand."""
    letter = SENDERS[provider].letter()
    program = (
        "from datetime import datetime, UTC\n"
        "import functions.webhook.app\n"
        "from shared.providers.base import Keys\n"
        "from shared.providers.registry import ADAPTERS\n"
        f"verdict = ADAPTERS[{provider!r}].verify({letter.body!r}, {dict(letter.headers)!r}, "
        f"Keys(texts=[{letter.key!r}]), datetime.fromisoformat({letter.now.isoformat()!r}))\n"
        "assert verdict.is_accepted\n"
    )
    assert _imported(program) == wanted
