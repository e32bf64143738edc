"""Polling: one job at a time, or many with one listing."""

from dataclasses import replace

import pytest

from shared.domain.errors import ProviderUnknownOutcomeError, ProviderUnreachableError
from shared.domain.ids import JobRef
from shared.domain.plan import Step
from shared.domain.status import JobEvent, JobStatus
from shared.usecases.apply_event import apply_event
from shared.usecases.dispatch_lane import Advance
from shared.usecases.poll_provider import poll_many
from tests.builders import RESULT_URL, a_dispatched_job, a_job, a_worker_job, an_event, later
from tests.fakes.provider_api import Fault, a_refusal, a_reply
from tests.unit.usecases.lane_world import LaneWorld


@pytest.fixture
def world() -> LaneWorld:
    world = LaneWorld()
    world.at(60)
    return world


@pytest.fixture
def ref(world: LaneWorld) -> JobRef:
    return world.has(a_dispatched_job())


def test_a_poll_learns_the_completion(world: LaneWorld, ref: JobRef) -> None:
    world.api.has("pk_1", "completed", output_image_url=RESULT_URL, credits_used=2)
    result = world.advance(ref)
    assert (result.advance, result.silent) == (Advance.POLLED, "pikcel")
    job = world.job(ref)
    assert (job.status, job.credits_used) == (JobStatus.COMPLETED, 2)
    assert job.polled_at == world.clock.now()
    assert world.messages(ref)  # to keep the result


def test_a_poll_that_finds_nothing_new_makes_the_next_one_later(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.has("pk_1", "processing")
    waits = []
    for _ in range(4):
        assert world.advance(ref).advance is Advance.POLLED
        waits.append(world.due_in_s(ref))
        world.clock.advance(waits[-1])
    assert waits == [90, 135, 202.5, 240]


def test_a_poll_that_finds_nothing_new_is_not_on_the_timeline(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.has("pk_1", "processing")
    world.advance(ref)
    assert world.sentences(ref) == []


def test_progress_found_by_a_poll_keeps_the_polls_frequent(world: LaneWorld, ref: JobRef) -> None:
    world.change(ref, lambda job: replace(job, due_tries=3))
    world.at(300)
    world.api.has("pk_1", "processing", progress=80)
    world.advance(ref)
    assert (world.job(ref).progress, world.job(ref).due_tries) == (80, 0)


def test_an_unknown_word_in_a_poll_does_not_ask_for_another_one(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.has("pk_1", "meditating")
    world.advance(ref)
    job = world.job(ref)
    assert (job.poll_wanted, job.native_status) == (False, "meditating")
    assert world.step(ref) is Step.WAIT


def test_a_job_that_the_provider_does_not_know_is_a_failed_one(
    world: LaneWorld, ref: JobRef
) -> None:
    world.advance(ref)
    job = world.job(ref)
    assert job.status is JobStatus.FAILED
    assert job.error_message == "PikcelAI does not know this job."


@pytest.mark.parametrize(
    "fault",
    [
        Fault(error=ProviderUnreachableError("no connection")),
        Fault(error=ProviderUnknownOutcomeError("broken")),
        Fault(reply=a_refusal(429, "RATE_LIMIT", "slow")),
        Fault(reply=a_reply(500, "oops")),
        Fault(reply=a_refusal(401, "UNAUTHORIZED", "key")),
    ],
)
def test_a_poll_without_an_answer_changes_nothing(
    world: LaneWorld, ref: JobRef, fault: Fault
) -> None:
    before = world.job(ref)
    world.api.faults.append(fault)
    assert world.advance(ref).advance is Advance.POSTPONED
    assert world.job(ref) == before


def test_without_a_share_of_the_limit_nobody_is_asked(world: LaneWorld, ref: JobRef) -> None:
    world.use_up_the_limit()
    assert world.advance(ref).advance is Advance.POSTPONED
    assert not world.api.calls


def test_polls_leave_the_last_of_the_limit_to_creates(world: LaneWorld, ref: JobRef) -> None:
    for _ in range(world.adapter.poll_ceiling):
        world.limiter.take("pikcel", "account", world.clock.now(), ceiling=90)
    for _ in range(world.adapter.asking_floor):
        world.limiter.take("pikcel", "asking", world.clock.now(), ceiling=5)
    new = world.has(a_job(created_at=later(60)))
    assert world.advance(ref).advance is Advance.POSTPONED
    assert world.advance(new).advance is Advance.CREATED


def test_creates_leave_some_calls_to_those_who_ask(world: LaneWorld, ref: JobRef) -> None:
    world.use_up_the_creates()
    assert world.advance(ref).advance is Advance.POLLED
    floor = world.adapter.asking_floor
    more = [
        world.has(a_dispatched_job(attempt={"provider_job_id": f"pk_x{number}"}))
        for number in range(floor)
    ]
    found = [world.advance(job).advance for job in more]
    assert found == [Advance.POLLED] * (floor - 1) + [Advance.POSTPONED]
    assert world.adapter.create_ceiling + floor < 100


def test_an_early_message_does_not_poll(world: LaneWorld, ref: JobRef) -> None:
    world.at(30)
    assert world.advance(ref).advance is Advance.NOTHING
    assert not world.api.calls


def test_somebody_who_waits_has_the_provider_asked_now(world: LaneWorld, ref: JobRef) -> None:
    world.at(30)
    world.api.has("pk_1", "processing")
    assert world.advance(ref, poll=True).advance is Advance.POLLED


def test_a_job_is_asked_about_once_in_ten_seconds(world: LaneWorld, ref: JobRef) -> None:
    world.api.has("pk_1", "processing")
    world.advance(ref, poll=True)
    world.clock.advance(9.9)
    assert world.advance(ref, poll=True).advance is Advance.NOTHING
    world.clock.advance(0.1)
    assert world.advance(ref, poll=True).advance is Advance.POLLED


def test_a_presumed_failure_is_polled_when_something_was_said(
    world: LaneWorld, ref: JobRef
) -> None:
    world.at(3600)
    world.sweep()
    assert world.job(ref).error_code == "timed_out"
    world.change(ref, lambda job: replace(job, poll_wanted=True))
    world.api.has("pk_1", "completed", output_image_url=RESULT_URL)
    result = world.advance(ref)
    # Somebody told us to ask: that is no silence of the provider's.
    assert (result.advance, result.silent) == (Advance.POLLED, None)
    assert world.job(ref).status is JobStatus.COMPLETED


def test_a_webhook_during_the_poll_is_not_undone(world: LaneWorld, ref: JobRef) -> None:
    world.api.has("pk_1", "processing")
    event = an_event(JobEvent.COMPLETED)

    def webhook() -> None:
        apply_event(world.tracker, ref, event)

    world.api.during = webhook
    world.advance(ref)
    assert world.job(ref).status is JobStatus.COMPLETED


def test_nobody_is_asked_about_a_workers_job(world: LaneWorld) -> None:
    ref = world.has(a_worker_job(status=JobStatus.PROCESSING))
    assert world.advance(ref, poll=True).advance is Advance.NOTHING


# --- many ----------------------------------------------------------------------------


def several(world: LaneWorld, count: int) -> tuple[JobRef, ...]:
    refs = []
    for number in range(count):
        job = a_dispatched_job(attempt={"provider_job_id": f"pk_{number}"})
        refs.append(world.has(job))
    return tuple(refs)


def test_one_listing_answers_many_polls(world: LaneWorld) -> None:
    refs = several(world, 5)
    for number in range(5):
        world.api.has(f"pk_{number}", "completed", output_image_url=RESULT_URL)
    results = poll_many(world.lane, "pikcel", refs)
    assert [result.silent for result in results] == ["pikcel"] * 5
    assert len(world.api.calls) == 1
    assert {world.job(ref).status for ref in refs} == {JobStatus.COMPLETED}


def test_a_job_that_the_listing_lacks_is_asked_about_singly(world: LaneWorld) -> None:
    refs = several(world, 3)
    world.api.has("pk_0", "processing")
    world.api.has("pk_2", "processing")
    results = poll_many(world.lane, "pikcel", refs)
    assert sorted(result.advance for result in results) == ["polled", "polled", "postponed"]
    assert world.outbox.dispatched_refs == [refs[1]]
    assert world.job(refs[1]).status is JobStatus.PROCESSING


def test_a_listing_that_cannot_be_read_leaves_all_to_single_polls(world: LaneWorld) -> None:
    refs = several(world, 3)
    world.api.faults.append(Fault(reply=a_reply(500, "oops")))
    poll_many(world.lane, "pikcel", refs)
    assert world.outbox.dispatched_refs == list(refs)


def test_a_busy_provider_gets_no_single_polls_either(world: LaneWorld) -> None:
    refs = several(world, 3)
    world.api.faults.append(Fault(reply=a_reply(429, "slow")))
    results = poll_many(world.lane, "pikcel", refs)
    assert {result.advance for result in results} == {Advance.POSTPONED}
    assert not world.outbox.dispatches


def test_jobs_that_need_no_poll_any_more_are_left_out(world: LaneWorld) -> None:
    refs = several(world, 3)
    world.change(refs[0], lambda job: replace(job, polled_at=world.clock.now()))
    for number in range(3):
        world.api.has(f"pk_{number}", "processing")
    assert len(poll_many(world.lane, "pikcel", refs)) == 2


def test_a_provider_nobody_knows_is_nothing_to_do(world: LaneWorld) -> None:
    assert poll_many(world.lane, "nobody", several(world, 3)) == []
