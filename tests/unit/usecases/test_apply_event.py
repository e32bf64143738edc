"""What becomes of what a provider says: trusted or only a hint, early, late or repeated."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from shared.domain import lifecycle
from shared.domain.events import ParkedEvent, Proof
from shared.domain.ids import JobRef
from shared.domain.job import NO_OUTPUT
from shared.domain.plan import Step
from shared.domain.references import make_reference
from shared.domain.status import JobEvent, JobStatus, Outcome, PushStatus
from shared.providers.base import Check, Delivery, Keys, Verdict
from shared.providers.pikcel import PikcelAdapter
from shared.usecases.apply_event import apply_event
from shared.usecases.dispatch_lane import Advance
from shared.usecases.receive_webhook import Seals, receive_webhook
from tests.builders import OTHER_SHOP, RESULT_URL, SHOP, a_dispatched_job, a_job, an_event, later
from tests.fakes.key_sets import FakeKeySets
from tests.unit.usecases.lane_world import LaneWorld


class Weak(PikcelAdapter):
    """A provider whose deliveries prove only what `proof` says, and are not trusted for it."""

    trusts_deliveries = False
    proof = Proof.ID_TIME

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        return Verdict(Check.ACCEPTED, self.proof)


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


@pytest.fixture
def weak(world: LaneWorld) -> Weak:
    adapter = Weak()
    world.tracker.adapters["pikcel"] = adapter  # type: ignore[index]
    return adapter


def deliver(
    world: LaneWorld, ref: JobRef, status: str, held_since: datetime | None = None
) -> Outcome:
    body = {"job_id": "pk_1", "status": status, "output_image_url": RESULT_URL}
    delivery = Delivery(
        provider="pikcel",
        body=json.dumps(body).encode(),
        headers={},
        received_at=held_since or world.clock.now(),
        is_held=held_since is not None,
        reference=make_reference("pikcel", ref, 1, "test-app-secret"),
    )
    seals = Seals(secrets=world.secrets, key_sets=FakeKeySets())
    return receive_webhook(world.tracker, seals, delivery).outcome


def test_what_was_in_quarantine_says_when_it_had_come(world: LaneWorld, weak: Weak) -> None:
    ref = world.store.create(a_dispatched_job()).ref
    came = world.clock.now()
    assert deliver(world, ref, "processing") is not Outcome.GONE
    world.clock.advance(3600)
    assert deliver(world, ref, "completed", held_since=came) is Outcome.NOTED
    held, live = world.store.log(ref, limit=5).entries
    assert (held.at, held.received_at) == (world.clock.now(), came)
    assert live.received_at is None


# --- proof ---------------------------------------------------------------------------


@pytest.mark.parametrize("proof", [Proof.BODY, Proof.ID_TIME, Proof.NONE])
@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_an_ending_that_is_not_proven_has_the_provider_asked(
    world: LaneWorld, weak: Weak, proof: Proof, status: str
) -> None:
    weak.proof = proof
    ref = world.has(a_dispatched_job())
    assert deliver(world, ref, status) is Outcome.NOTED
    assert (world.job(ref).status, world.job(ref).outputs) == (JobStatus.PROCESSING, ())
    assert world.step(ref) is Step.POLL
    assert world.messages(ref)
    says = f"A delivery that proves too little says {status}; the provider is asked."
    assert world.sentences(ref)[-1] == says


def test_the_provider_itself_confirms_a_hint(world: LaneWorld, weak: Weak) -> None:
    ref = world.has(a_dispatched_job())
    deliver(world, ref, "completed")
    world.provider_has(ref, "pk_1", "completed", output_image_url=RESULT_URL)
    result = world.advance(ref)
    # It was told by webhook: that share is what an alarm watches.
    assert (result.advance, result.silent) == (Advance.POLLED, None)
    assert world.job(ref).status is JobStatus.COMPLETED


def test_a_hint_still_tells_under_which_id_the_provider_has_the_job(
    world: LaneWorld, weak: Weak
) -> None:
    ref = world.has(a_job(attempt={"intent_at": later(0)}))
    deliver(world, ref, "completed")
    assert world.job(ref).provider_job_id == "pk_1"
    assert world.step(ref) is Step.POLL


def test_what_ends_nothing_needs_no_proof(world: LaneWorld, weak: Weak) -> None:
    ref = world.has(a_dispatched_job(status=JobStatus.PENDING))
    assert deliver(world, ref, "processing") is Outcome.APPLIED


def test_body_and_time_are_proof_enough_and_so_is_the_adapters_word(
    world: LaneWorld, weak: Weak
) -> None:
    weak.proof = Proof.BODY_TIME
    ref = world.has(a_dispatched_job())
    assert deliver(world, ref, "completed") is Outcome.APPLIED
    assert PikcelAdapter.trusts_deliveries


# --- early, late, repeated -----------------------------------------------------------


def test_what_was_parked_for_an_earlier_attempt_is_adopted_when_its_id_is_learnt(
    world: LaneWorld,
) -> None:
    ref = world.has(a_job())
    world.change(ref, lambda job: lifecycle.cancel(job, later(1)))
    world.change(ref, lambda job: lifecycle.retry(job, later(1)))
    body = {"job_id": "pk_old", "status": "completed", "output_image_url": RESULT_URL}
    parked = ParkedEvent(
        provider="pikcel",
        provider_job_id="pk_old",
        key="k",
        received_at=later(0),
        proof=Proof.BODY,
        body=json.dumps({**body, "credits_used": 3}).encode(),
    )
    assert world.store.park(parked)
    event = an_event(JobEvent.STARTED, provider_job_id="pk_old", attempt=1)
    assert apply_event(world.tracker, ref, event) is Outcome.STALE
    job = world.job(ref)
    assert (job.attempts[0].provider_job_id, job.attempts[0].credits) == ("pk_old", 3)
    assert [output.attempt for output in job.outputs] == [1]
    assert job.status is JobStatus.PENDING
    assert not world.store.parked("pikcel", "pk_old")


def test_a_result_that_is_told_after_all_is_kept_and_pushed(world: LaneWorld) -> None:
    ref = world.has(a_dispatched_job(auto_push=True))
    apply_event(world.tracker, ref, an_event(JobEvent.COMPLETED, output_urls=()))
    world.api.has("pk_1", "completed")
    assert world.advance(ref).advance is Advance.NOT_KEPT
    job = world.job(ref)
    assert (job.error_code, job.push.status) == (NO_OUTPUT, PushStatus.FAILED)
    again = an_event(JobEvent.COMPLETED, output_urls=(RESULT_URL,))
    assert apply_event(world.tracker, ref, again) is Outcome.DUPLICATE
    job = world.job(ref)
    assert (job.error_code, job.error_message, job.push.error) == (None, None, None)
    world.link_works(RESULT_URL)
    assert world.advance(ref).advance is Advance.KEPT
    assert world.job(ref).push.status is PushStatus.QUEUED


def test_an_unknown_word_does_not_replace_the_last_word_of_an_ended_job(
    world: LaneWorld,
) -> None:
    ref = world.has(a_dispatched_job())
    unknown = an_event(JobEvent.UNKNOWN, native="polishing")
    apply_event(world.tracker, ref, unknown)
    assert world.job(ref).native_status == "polishing"
    apply_event(world.tracker, ref, an_event(JobEvent.FAILED, native="failed", error_code="x"))
    assert apply_event(world.tracker, ref, unknown) is Outcome.UNKNOWN_STATUS
    assert world.job(ref).native_status == "failed"


def test_a_shop_is_the_same_in_any_case(world: LaneWorld) -> None:
    ref = world.has(a_dispatched_job(status=JobStatus.PENDING))
    event = an_event(JobEvent.STARTED, provider_job_id="pk_1")
    other = replace(event, shop=OTHER_SHOP.upper())
    assert apply_event(world.tracker, ref, other) is Outcome.MISMATCH
    assert apply_event(world.tracker, ref, replace(event, shop=SHOP.title())) is Outcome.APPLIED
