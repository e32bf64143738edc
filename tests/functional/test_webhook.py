"""functions/webhook, from API Gateway's event to its answer."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from functions.webhook import app as webhook
from functions.webhook import deliveries
from functions.webhook.app import handler
from shared import wiring
from shared.domain import lifecycle
from shared.domain.errors import (
    InvalidRequestError,
    InvariantError,
    JobTrackerError,
    NotFoundError,
    SecretUnavailableError,
    StoreUnavailableError,
)
from shared.domain.events import ParkedEvent, Proof, Source
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.references import make_reference
from shared.domain.status import JobStatus, Outcome
from shared.observability import count
from shared.providers.base import Check
from shared.providers.pikcel import PikcelAdapter
from shared.usecases.apply_event import adopt_parked, apply_event
from shared.usecases.hold_delivery import Ward
from shared.usecases.ports import DispatchRequest
from shared.usecases.receive_webhook import Seals, SignatureError, UncheckedError
from shared.usecases.tracker import Tracker
from tests.builders import OTHER_SHOP, SHOP, a_dispatched_job, a_job, an_event, later
from tests.fakes.clock import FakeClock
from tests.fakes.desk import FakeDesk
from tests.fakes.files import FakeFiles
from tests.fakes.key_sets import FakeKeySets
from tests.fakes.memory import InMemoryJobStore
from tests.fakes.memory_quarantine import InMemoryQuarantine
from tests.fakes.outbox import FakeOutbox
from tests.fakes.randomness import FakeRandomness
from tests.fakes.secrets import FakeSecrets

EVENTS = Path(__file__).parents[2] / "events"
JOB_ID = "019aab7c-5e00-7000-8000-000000000001"  # the job that the sample events are about
REF = JobRef(SHOP, JOB_ID)


class World:
    """The function with everything around it in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock(later(1))
        self.store = InMemoryJobStore(self.clock)
        self.outbox = FakeOutbox()
        self.secrets = FakeSecrets()
        self.files = FakeFiles()
        self.quarantine = InMemoryQuarantine()
        self.tracker = Tracker(
            store=self.store,
            outbox=self.outbox,
            clock=self.clock,
            random=FakeRandomness(),
            adapters={"pikcel": PikcelAdapter()},
            secrets=self.secrets,
        )

    def has(self, job: Job) -> Job:
        return self.store.create(job)

    def send(self, event: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = handler(event, None)
        return answer

    def job(self) -> Job:
        return self.store.get(REF)

    def outcomes(self) -> list[Outcome]:
        """The timeline, oldest first."""
        return [entry.outcome for entry in reversed(self.store.log(REF, limit=100).entries)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    seals = Seals(secrets=world.secrets, key_sets=FakeKeySets())
    desk = FakeDesk(world.files)
    app = wiring.WebhookApp(tracker=world.tracker, seals=seals, desk=desk, clock=world.clock)
    monkeypatch.setattr(wiring, "webhook_app", lambda: app)
    ward = Ward(quarantine=world.quarantine, receivers=wiring.RECEIVERS)
    monkeypatch.setattr(wiring, "ward", lambda: ward)
    return world


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"webhook_pikcel_{name}.json").read_text())
    return event


def signed(event: dict[str, Any], body: bytes, secret: str = "test-secret") -> dict[str, Any]:
    """Put another body into a sample, rightly signed."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return event | {
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
        "headers": {"X-Pikcel-Signature": signature},
    }


def said(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


@pytest.mark.parametrize("name", ["completed", "completed_form2"])
def test_a_completion_moves_the_job_and_sends_for_its_result(world: World, name: str) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    answer = world.send(sample(name))
    assert (answer["statusCode"], said(answer)["outcome"]) == (200, "applied")
    assert world.job().status is JobStatus.COMPLETED
    assert [sent.request for sent in world.outbox.dispatches] == [DispatchRequest(ref=REF)]


def test_the_timeline_keeps_what_was_delivered_and_what_it_proves(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    event = sample("completed")
    world.send(event)
    entry = world.store.log(REF, limit=1).entries[0]
    digest = hashlib.sha256(event["body"].encode()).hexdigest()
    assert (entry.source, entry.proof, entry.body_sha256) == ("webhook", "body", digest)
    assert (entry.from_status, entry.to_status) == (JobStatus.PROCESSING, JobStatus.COMPLETED)


def test_a_duplicate_and_a_late_delivery_are_acknowledged_without_effect(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    world.send(sample("completed"))
    done = world.job()
    world.outbox.clear()
    answers = [world.send(sample(name)) for name in ("completed", "started", "failed")]
    assert [said(answer)["outcome"] for answer in answers] == ["duplicate", "late", "late"]
    assert [answer["statusCode"] for answer in answers] == [200, 200, 200]
    assert world.job().version == done.version
    assert world.outbox.calls == 1
    assert world.outcomes() == ["applied", "duplicate", "late", "late"]


def test_a_webhook_that_overtakes_the_create_answer_is_applied(world: World) -> None:
    world.has(a_job(job_id=JOB_ID))
    assert said(world.send(sample("completed")))["outcome"] == "applied"
    link = world.store.find_link("pikcel", "pk_1")
    assert link is not None
    assert (link.ref, link.attempt) == (REF, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event["headers"].pop("x-pikcel-signature"),
        lambda event: event["headers"].update({"x-pikcel-signature": "0" * 64}),
        lambda event: event["headers"].update({"x-pikcel-signature": "é"}),
        lambda event: event.update(body=event["body"] + " "),
        lambda event: event.update(body="[" * 100_000),
        lambda event: event.update(body=""),
    ],
)
def test_a_forged_delivery_gets_the_same_401_and_touches_nothing(
    world: World, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    touched: list[str] = []
    monkeypatch.setattr(world.store, "get", lambda ref: touched.append("get"))
    monkeypatch.setattr(PikcelAdapter, "parse", lambda *_: touched.append("parse"))
    event = sample("completed")
    change(event)
    answer = world.send(event)
    assert answer["statusCode"] == 401
    assert said(answer) == {
        "success": False,
        "error": "The signature is missing or wrong.",
        "code": "unauthorized",
        "requestId": "JKJaXmPLvHcESHA=",
    }
    assert touched == []


def test_the_forged_sample_is_refused(world: World) -> None:
    assert world.send(sample("forged"))["statusCode"] == 401


def test_a_failed_check_reads_a_rotated_secret_once_more(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    world.secrets.values["signing", "PIKCEL_WEBHOOK_SECRET"] = "old"
    world.secrets.newer["signing", "PIKCEL_WEBHOOK_SECRET"] = "test-secret"
    assert world.send(sample("completed"))["statusCode"] == 200
    assert world.secrets.refreshes == 1


@pytest.mark.parametrize("secret", [("signing", "PIKCEL_WEBHOOK_SECRET"), ("app", "APP_SECRET")])
@pytest.mark.parametrize("value", ["", " , "])
def test_without_our_own_secret_the_sender_is_asked_to_try_again(
    world: World, secret: tuple[str, str], value: str
) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    world.secrets.values[secret] = value
    answer = world.send(sample("completed"))
    assert (answer["statusCode"], said(answer)["code"]) == (503, "unavailable")
    assert world.job().status is JobStatus.PROCESSING


def test_when_the_store_is_down_the_sender_is_asked_to_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))

    def down(*_: object, **__: object) -> None:
        raise StoreUnavailableError("The table does not answer.")

    monkeypatch.setattr(world.store, "save", down)
    answer = world.send(sample("completed"))
    assert (answer["statusCode"], "table" in answer["body"]) == (503, False)


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
@pytest.mark.parametrize(
    ("trouble", "metrics"),
    [
        (StoreUnavailableError("The table does not answer."), ["WebhookUnavailable"]),
        (InvariantError("The table refused our request."), ["WebhookUnavailable"]),
        (SecretUnavailableError("Unreadable."), ["SecretUnavailable"]),
        (UncheckedError("Not set.", Check.NO_KEY), ["DeliveryQuarantined", "SecretUnavailable"]),
        (UncheckedError("Not set.", Check.MISSING), ["SecretUnavailable"]),
        (SignatureError(Check.WRONG), ["DeliveryQuarantined", "WebhookRejected"]),
        (SignatureError(Check.MISSING), ["WebhookRejected"]),
        (InvalidRequestError("Not JSON."), ["WebhookUnreadable"]),
        (NotFoundError("There is no such provider."), ["WebhookUnreadable"]),
    ],
)
def test_each_refusal_is_counted_as_what_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: JobTrackerError, metrics: list[str]
) -> None:
    counted: list[str] = []

    def broken(*_: object) -> None:
        raise trouble

    def note(name: str) -> None:
        counted.append(name)
        count(name)

    monkeypatch.setattr(webhook, "receive_webhook", broken)
    monkeypatch.setattr(deliveries, "count", note)
    world.send(sample("completed"))
    assert counted == metrics


def test_when_the_queue_is_down_nothing_acknowledged_is_lost(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    world.outbox.broken = True
    assert world.send(sample("completed"))["statusCode"] == 200
    due_at = world.job().due_at
    assert due_at is not None
    assert due_at <= later(121)


def test_an_unknown_job_is_parked_and_applied_when_it_is_registered(world: World) -> None:
    answer = world.send(sample("foreign"))
    assert (answer["statusCode"], said(answer)["outcome"]) == (200, "parked")
    assert world.outbox.dispatches == []  # PikcelAI would have said that it is ours
    job = a_job(attempt={"provider_job_id": "pk_foreign", "linked_at": later(1)})
    adopt_parked(world.tracker, world.store.create(job))
    assert world.store.get(job.ref).status is JobStatus.COMPLETED
    assert world.store.parked("pikcel", "pk_foreign") == []


def test_a_registered_foreign_job_is_found_through_its_link(world: World) -> None:
    job = a_job(attempt={"provider_job_id": "pk_foreign", "linked_at": later(0)})
    world.store.create(job)
    assert said(world.send(sample("foreign")))["outcome"] == "applied"
    assert world.store.get(job.ref).status is JobStatus.COMPLETED


def test_a_job_registered_between_the_look_and_the_parking_gets_its_event(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_job(attempt={"provider_job_id": "pk_foreign", "linked_at": later(0)})
    park = world.store.park

    def register_first(event: Any) -> bool:
        world.store.create(job)
        return park(event)

    monkeypatch.setattr(world.store, "park", register_first)
    assert said(world.send(sample("foreign")))["outcome"] == "applied"


def test_a_deleted_jobs_late_event_is_dropped_not_parked(world: World) -> None:
    job = world.store.create(a_job(attempt={"provider_job_id": "pk_foreign"}))
    ended = world.store.save(job, lifecycle.cancel(job, later(1)))
    world.store.delete(ended)
    assert said(world.send(sample("foreign")))["outcome"] == "gone"
    assert world.store.parked("pikcel", "pk_foreign") == []


def test_a_reference_without_a_valid_token_does_not_count(world: World) -> None:
    victim = world.has(a_dispatched_job(job_id=JOB_ID))
    event = sample("foreign")
    reference = f"{SHOP}:{JOB_ID}:1:{'0' * 32}"
    event["queryStringParameters"] = {"ref": reference}
    assert said(world.send(event))["outcome"] == "parked"
    assert world.job().version == victim.version


def test_another_shops_reference_cannot_reach_a_job(world: World) -> None:
    victim = world.has(a_dispatched_job(job_id=JOB_ID))
    event = sample("foreign")
    true_reference = sample("completed")["queryStringParameters"]["ref"]
    event["queryStringParameters"] = {"ref": true_reference.replace(SHOP, OTHER_SHOP)}
    world.send(event)
    assert world.job().version == victim.version


def test_an_event_about_another_provider_job_is_noted_and_changes_nothing(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    body = json.dumps({"event": "job.completed", "job_id": "pk_other"}).encode()
    assert said(world.send(signed(sample("completed"), body)))["outcome"] == "mismatch"
    assert world.job().status is JobStatus.PROCESSING


@pytest.mark.parametrize("name", ["completed", "completed_form2"])
def test_an_id_that_another_shop_registered_first_is_still_ours_by_reference(
    world: World, name: str
) -> None:
    thief = a_job(shop=OTHER_SHOP, attempt={"provider_job_id": "pk_1", "linked_at": later(0)})
    world.store.create(thief)
    world.has(a_job(job_id=JOB_ID))
    assert said(world.send(sample(name)))["outcome"] == "applied"
    assert world.job().status is JobStatus.COMPLETED
    link = world.store.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == REF
    assert world.store.get(thief.ref).outputs == ()


def test_a_delivery_whose_body_names_another_of_our_jobs_is_a_mismatch(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    other = make_reference("pikcel", JobRef(OTHER_SHOP, JOB_ID), 1, "test-app-secret")
    body = {"job_id": "pk_1", "status": "completed", "metadata": {"ref": other}}
    answer = world.send(signed(sample("completed"), json.dumps(body).encode()))
    assert said(answer)["outcome"] == "mismatch"
    assert world.job().status is JobStatus.PROCESSING


def test_a_job_that_names_another_shop_is_given_up_and_free_for_its_owner(world: World) -> None:
    thief = a_dispatched_job(shop=OTHER_SHOP)
    world.store.create(thief)
    told = an_event(source=Source.POLL, proof=Proof.POLL, shop=SHOP)
    assert apply_event(world.tracker, thief.ref, told, polled=True) is Outcome.MISMATCH
    seen = world.store.get(thief.ref)
    assert (seen.status, seen.error_code) == (JobStatus.FAILED, "provider_job_taken")
    assert (seen.outputs, seen.credits_used, seen.provider_job_id) == ((), 0, None)
    owner = world.store.create(a_dispatched_job())
    assert apply_event(world.tracker, owner.ref, told, polled=True) is Outcome.APPLIED


def test_a_parked_event_of_another_shops_job_is_not_adopted(world: World) -> None:
    theirs = make_reference("pikcel", JobRef(OTHER_SHOP, JOB_ID), 1, "test-app-secret")
    body = {"job_id": "pk_1", "status": "completed", "metadata": {"ref": theirs}}
    world.store.park(
        ParkedEvent(
            provider="pikcel",
            provider_job_id="pk_1",
            key="k",
            received_at=later(0),
            proof=Proof.BODY,
            body=json.dumps(body).encode(),
        )
    )
    job = world.has(a_job(job_id=JOB_ID, attempt={"provider_job_id": "pk_1"}))
    adopt_parked(world.tracker, job)
    assert (world.job().status, world.job().outputs) == (JobStatus.PENDING, ())


def test_a_delivery_from_another_time_is_not_applied_but_makes_its_job_due(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID, attempt={"linked_at": later(290)}))
    world.clock.advance(301)
    answer = world.send(sample("completed"))
    assert (answer["statusCode"], said(answer)["outcome"]) == (200, "out_of_window")
    assert (world.job().status, world.job().poll_wanted) == (JobStatus.PROCESSING, True)
    assert world.outbox.dispatched_refs == [REF]


def test_over_one_mib_is_413_and_makes_its_job_due_only_when_signed(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    exact = b'{"job_id":"pk_1","status":"processing","pad":"' + b"x" * (1024 * 1024 - 48) + b'"}'
    assert len(exact) == 1024 * 1024
    assert world.send(signed(sample("completed"), exact))["statusCode"] == 200
    large = exact + b" "
    assert world.send(signed(sample("completed"), large, "wrong"))["statusCode"] == 401
    assert not world.job().poll_wanted
    answer = world.send(signed(sample("completed"), large))
    assert (answer["statusCode"], said(answer)["code"]) == (413, "too_large")
    assert world.job().poll_wanted


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[]", b'{"job_id":1e999}'])
def test_a_signed_body_that_cannot_be_read_is_400_and_polled(world: World, body: bytes) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    answer = world.send(signed(sample("completed"), body))
    assert (answer["statusCode"], said(answer)["code"]) == (400, "invalid_request")
    assert world.job().poll_wanted


def test_a_body_that_is_not_the_base64_it_claims_to_be_is_400(world: World) -> None:
    event = sample("completed") | {"isBase64Encoded": True, "body": "%%%"}
    assert world.send(event)["statusCode"] == 400


def test_an_unknown_provider_is_404(world: World) -> None:
    event = sample("completed") | {"pathParameters": {"provider": "nobody"}}
    answer = world.send(event)
    assert (answer["statusCode"], said(answer)["code"]) == (404, "not_found")


def test_an_unknown_status_is_kept_and_the_provider_is_asked(world: World) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    body = json.dumps({"job_id": "pk_1", "status": "hibernating"}).encode()
    assert said(world.send(signed(sample("completed"), body)))["outcome"] == "unknown_status"
    assert (world.job().native_status, world.job().poll_wanted) == ("hibernating", True)


def test_two_deliveries_at_once_both_find_their_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has(a_dispatched_job(job_id=JOB_ID))
    save = world.store.save
    raced: list[bool] = []

    def race(before: Job, after: Job, **more: Any) -> Job:
        if not raced:
            raced.append(True)
            world.send(sample("failed"))
        return save(before, after, **more)

    monkeypatch.setattr(world.store, "save", race)
    assert said(world.send(sample("completed")))["outcome"] == "late"
    assert world.job().status is JobStatus.FAILED
