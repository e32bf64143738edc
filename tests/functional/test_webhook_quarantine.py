"""functions/webhook put together as on AWS: a wrong secret of ours loses nothing."""

import base64
import hashlib
import hmac
import json
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from functions.webhook.app import handler
from shared import wiring
from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.gateways.dynamo_matches import DynamoSecretMatches
from shared.gateways.dynamo_quarantine import DynamoQuarantine
from shared.gateways.system import SystemClock
from shared.providers.registry import ADAPTERS
from shared.usecases import reverify_quarantine
from tests.api_world import logged
from tests.builders import a_worker_job
from tests.functional import test_webhook_providers
from tests.functional.test_dispatch import metrics_of
from tests.functional.test_webhook_providers import ENDS_AT_ONCE, KEPT, TABLE, Stack, _forget
from tests.unit.providers.senders import APP_SECRET, FAL_USER, SENDERS

stack = test_webhook_providers.stack


@pytest.fixture(autouse=True)
def no_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one call check all there is, however slow this machine is."""
    monkeypatch.setattr(reverify_quarantine, "BUDGET", timedelta(hours=1))


EVENTS = Path(__file__).parents[2] / "events"
SHOPIFY_SECRET = "shpss_0123456789"
RIGHT = {
    name: sender.key for name, sender in SENDERS.items() if name not in ("fal", "bfl", "runpod")
}


def put_secrets(stack: Stack, **changes: str | None) -> None:
    """Edit the secrets, by the sender whose they are (None: right again), and forget nothing."""
    named = {**RIGHT, "shopify": SHOPIFY_SECRET} | {k: v for k, v in changes.items() if v}
    app = named.pop("app", APP_SECRET)
    signing = {f"{name.upper()}_WEBHOOK_SECRET": value for name, value in named.items()}
    signing["SHOPIFY_API_SECRET"] = named["shopify"]
    stack.secrets.put_secret_value(SecretId="signing", SecretString=json.dumps(signing))
    stack.secrets.put_secret_value(SecretId="app", SecretString=json.dumps({"APP_SECRET": app}))


def reverify(*providers: str, after: Any = None) -> dict[str, Any]:
    event = {"asked": "reverify", "providers": list(providers), "after": after}
    answer: dict[str, Any] = handler(event, None)
    return answer


def told(**counts: int) -> dict[str, Any]:
    names = ("checked", "accepted", "refused", "failing", "remaining")
    return {**dict.fromkeys(names, 0), "mark": None, **counts}


def make_wrong(stack: Stack, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have us know the wrong thing about a provider: its secret, ours, or our own account."""
    if provider == "fal":
        monkeypatch.setenv("FAL_USER_ID", "user_wrong")
    wrong = base64.b64encode(b"wrong-secret-0123456789").decode()
    callback = provider in ("bfl", "runpod")
    put_secrets(stack, **({"app": "another"} if callback else {provider: wrong}))
    _forget()


def make_right(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put_secrets(stack)
    monkeypatch.setenv("FAL_USER_ID", FAL_USER)


@pytest.mark.parametrize("provider", ADAPTERS)
def test_a_delivery_that_failed_because_of_us_is_recovered_once_we_are_right(
    stack: Stack, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stack.has(provider)
    make_wrong(stack, provider, monkeypatch)
    assert stack.deliver(provider, job.ref)[0] == 401
    assert stack.dynamo.operations == KEPT
    assert reverify(provider) == told(checked=1, failing=1)
    assert stack.store.get(job.ref) == job
    make_right(stack, monkeypatch)
    if provider == "fal":
        _forget()  # a variable of the function: its processes begin anew
    assert reverify(provider) == told(checked=1, accepted=1)
    after = stack.store.get(job.ref)
    assert (after.status is JobStatus.COMPLETED) is (provider in ENDS_AT_ONCE)
    assert after.poll_wanted is (provider not in ENDS_AT_ONCE)
    assert reverify(provider) == told()
    assert stack.store.get(job.ref) == after


def test_the_timeline_says_when_a_recovered_delivery_came_in(stack: Stack) -> None:
    """However soon it is checked again: the delay between the two is what was wrong with us."""
    job = stack.has("replicate")
    put_secrets(stack, replicate=base64.b64encode(b"wrong" * 5).decode())
    _forget()
    stack.deliver("replicate", job.ref)
    put_secrets(stack)
    (held,) = wiring.ward().quarantine.take("replicate", SystemClock().now(), after=None)
    reverify("replicate")
    (entry,) = stack.store.log(job.ref, limit=10).entries
    assert (entry.received_at, entry.at > held.received_at) == (held.received_at, True)


@pytest.mark.parametrize("provider", ["replicate", "openai"])
def test_a_delivery_that_no_key_of_ours_could_check_is_recovered_too(
    stack: Stack, provider: str
) -> None:
    job = stack.has(provider)
    put_secrets(stack, **{provider: "whsec_%%%"})
    _forget()
    assert stack.deliver(provider, job.ref)[0] == 503
    put_secrets(stack)
    assert reverify(provider) == told(checked=1, accepted=1)
    assert stack.store.get(job.ref).status is JobStatus.COMPLETED


def test_an_old_delivery_is_judged_by_the_instant_of_its_reception(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicate signs the time. An hour later it is still one of then; a forged time is not."""
    job = stack.has("replicate")
    put_secrets(stack, replicate=base64.b64encode(b"wrong" * 5).decode())
    _forget()
    stack.deliver("replicate", job.ref)
    put_secrets(stack)
    in_an_hour = SystemClock().now() + timedelta(hours=1)
    monkeypatch.setattr(SystemClock, "now", lambda _self: in_an_hour)
    assert reverify("replicate")["accepted"] == 1
    assert stack.store.get(job.ref).status is JobStatus.COMPLETED


def test_what_was_delivered_again_meanwhile_changes_nothing_a_second_time(stack: Stack) -> None:
    job = stack.has("pikcel")
    put_secrets(stack, pikcel="wrong")
    _forget()
    for _ in range(3):
        assert stack.deliver("pikcel", job.ref)[0] == 401
    put_secrets(stack)
    _forget()
    assert stack.deliver("pikcel", job.ref)[0] == 200
    done = stack.store.get(job.ref)
    assert reverify("pikcel") == told(checked=3, accepted=3)
    assert stack.store.get(job.ref) == done
    outcomes = [entry.outcome.value for entry in stack.store.log(job.ref, limit=9).entries]
    assert outcomes.count("applied") == 1


def test_what_comes_before_its_job_is_known_is_parked_from_quarantine(stack: Stack) -> None:
    job = stack.has("openai", attempt={})
    put_secrets(stack, openai=base64.b64encode(b"wrong" * 5).decode())
    _forget()
    assert stack.deliver("openai", job.ref)[0] == 401
    put_secrets(stack)
    assert reverify("openai")["accepted"] == 1
    parked = stack.store.parked_on(f"{SystemClock().now():%Y-%m-%d}", limit=5)
    assert [each.provider for each in parked] == ["openai"]


def _worker_report(stack: Stack, job: Job, **changes: Any) -> int:
    body = {"type": "job.completed", "data": {"jobId": job.job_id, "result": {"n": 1}}}
    told_ = json.dumps(body | {"timestamp": "2026-11-22T12:00:00Z"} | changes).encode()
    letter = SENDERS["worker"].letter(told_, at=SystemClock().now())
    event = {
        "pathParameters": {"provider": "worker"},
        "requestContext": {"requestId": "r"},
        "headers": dict(letter.headers),
        "body": told_.decode(),
    }
    status: int = handler(event, None)["statusCode"]
    return status


def test_a_workers_report_is_recovered(stack: Stack) -> None:
    now = SystemClock().now()
    job = stack.store.create(a_worker_job(created_at=now))
    gone = a_worker_job(job_id=str(uuid.UUID(int=7 << 76 | 2 << 62)))
    put_secrets(stack, worker=base64.b64encode(b"wrong" * 5).decode())
    _forget()
    assert [_worker_report(stack, each) for each in (job, gone)] == [401, 401]
    put_secrets(stack)
    held, _ = wiring.ward().quarantine.take("worker", SystemClock().now(), after=None)
    # That of a job that nobody knows is refused, as it would have been.
    assert reverify("worker") == told(checked=2, accepted=1, refused=1)
    after = stack.store.get(job.ref)
    assert (after.status, after.result) == (JobStatus.COMPLETED, {"n": 1})
    (entry,) = stack.store.log(job.ref, limit=10).entries
    assert entry.received_at == held.received_at


def test_shopifys_own_webhook_is_recovered(stack: Stack) -> None:
    event: dict[str, Any] = json.loads((EVENTS / "webhook_shopify_data_request.json").read_text())
    digest = hmac.new(SHOPIFY_SECRET.encode(), event["body"].encode(), hashlib.sha256).digest()
    event["headers"]["x-shopify-hmac-sha256"] = base64.b64encode(digest).decode()
    put_secrets(stack, shopify="wrong")
    _forget()
    assert handler(event, None)["statusCode"] == 401
    put_secrets(stack)
    assert reverify("shopify") == told(checked=1, accepted=1)


def test_the_sample_goes_on_where_it_says(stack: Stack) -> None:
    put_secrets(stack)
    event = json.loads((EVENTS / "asked_reverify.json").read_text())
    assert handler(event, None) == told()


def test_while_the_table_is_out_it_says_so(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.domain.errors import StoreUnavailableError

    def down(*_: object, **__: object) -> None:
        raise StoreUnavailableError("The table does not answer.")

    put_secrets(stack)
    monkeypatch.setattr(DynamoQuarantine, "take", down)
    assert reverify("pikcel") == {"unavailable": "unavailable"}
    assert metrics_of(capsys) == {"WebhookUnavailable": 1}


def test_nothing_of_a_held_delivery_is_logged(
    stack: Stack, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    job = stack.has("pikcel")
    put_secrets(stack, pikcel="wrong")
    _forget()
    body = json.dumps({"job_id": "pk-77", "status": "failed", "error": "verysecretbody"}).encode()
    signature = SENDERS["pikcel"].letter(body).headers["x-pikcel-signature"]
    assert stack.deliver("pikcel", job.ref, body)[0] == 401
    put_secrets(stack)
    reverify("pikcel")
    written = capsys.readouterr().out + logged(caplog)
    assert "quarantine checked again" in written
    for hidden in ("verysecretbody", signature, RIGHT["pikcel"], job.shop):
        assert hidden not in written


# --- rotation ----------------------------------------------------------------------------


def test_fingerprints_tell_secrets_apart_and_nothing_else(stack: Stack) -> None:
    put_secrets(stack, pikcel=f"new-one,{RIGHT['pikcel']}")
    event = json.loads((EVENTS / "asked_fingerprints.json").read_text())
    told = handler(event, None)
    found = told["fingerprints"]
    assert told["placeholders"] == []
    assert {name: len(values) for name, values in found.items()} == {
        "APP_SECRET": 1,
        "OPENAI_WEBHOOK_SECRET": 1,
        "PIKCEL_WEBHOOK_SECRET": 2,
        "REPLICATE_WEBHOOK_SECRET": 1,
        "SHOPIFY_API_SECRET": 1,
        "WORKER_WEBHOOK_SECRET": 1,
    }
    marks = [mark for values in found.values() for value in values for mark in value]
    assert len(set(marks)) == len(marks) == 7
    assert {len(mark) for mark in marks} == {12}


def test_a_value_in_the_place_of_a_secret_is_told_by_the_secrets_name(stack: Stack) -> None:
    put_secrets(stack, pikcel=f"{RIGHT['pikcel']},change-me")
    told = handler({"asked": "fingerprints"}, None)
    assert told["placeholders"] == ["PIKCEL_WEBHOOK_SECRET"]


def test_while_two_secrets_are_set_it_is_counted_which_one_fitted(stack: Stack) -> None:
    put_secrets(stack, pikcel=f"new-one,{RIGHT['pikcel']}")
    job = stack.has("pikcel")
    for cost in (["update_item", "get_item", "transact_write_items"], ["get_item"]):
        stack.dynamo.calls.clear()
        stack.deliver("pikcel", job.ref)
        # Once a minute: the second delivery costs what it always does.
        assert stack.dynamo.operations[: len(cost)] == cost
    now = SystemClock().now()
    client: Any = stack.dynamo
    (hour,) = DynamoSecretMatches(client, TABLE, clock=SystemClock()).hours(
        "PIKCEL_WEBHOOK_SECRET", now
    )
    old = handler({"asked": "fingerprints"}, None)["fingerprints"]["PIKCEL_WEBHOOK_SECRET"][1][0]
    assert {mark: each.count for mark, each in hour.matched.items()} == {old: 1}


def test_with_one_secret_nothing_is_counted_and_nothing_costs_more(stack: Stack) -> None:
    job = stack.has("pikcel")
    stack.deliver("pikcel", job.ref)
    assert stack.dynamo.operations == ["get_item", "transact_write_items"]


def test_the_wired_function_knows_every_sender(stack: Stack) -> None:
    assert set(wiring.SENDERS) == {*ADAPTERS, "worker", "shopify"}
    assert replace(wiring.ward()).receivers.keys() == {*ADAPTERS, "worker"}
