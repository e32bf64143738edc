"""The sweep: claims what is due, sends or ends it, and costs nothing when nothing is due."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.errors import (
    InvalidRequestError,
    InvariantError,
    JobTrackerError,
    StoreUnavailableError,
)
from shared.domain.ids import JobRef
from shared.domain.job import TIMED_OUT, Job, Output, Push
from shared.domain.plan import Step
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.ports import DispatchRequest, DueJob, PollManyRequest
from shared.usecases.push_changes import lease, postponed
from shared.usecases.sweep_due_jobs import (
    FAILURES_IN_A_ROW,
    MAX_ENDED_POLLS,
    MAX_KEEP_LOOKS,
    MAX_PUSH_LOOKS,
    PAGE,
    sweep_due_jobs,
)
from tests.builders import (
    RESULT_URL,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_kept_job,
    a_kept_output,
    a_worker_job,
    later,
)
from tests.unit.usecases.lane_world import LaneWorld


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


def queued(**changes: Any) -> Job:
    push = Push(status=PushStatus.QUEUED, number=1)
    return a_kept_job(**({"push": push} | changes))


def test_nothing_due_costs_one_question(world: LaneWorld) -> None:
    for _ in range(5):
        world.has(a_job())
    report = world.sweep()
    assert (report.backlog_age_s, report.is_complete, dict(report.steps)) == (0, True, {})
    assert world.outbox.calls == 0


def test_a_lost_message_is_sent_again(world: LaneWorld) -> None:
    ref = world.has(a_job())
    world.at(120)
    assert world.sweep().steps[Step.CREATE] == 1
    assert world.messages(ref) == [DispatchRequest(ref=ref)]
    assert world.due_in_s(ref) == 120


def test_what_was_just_claimed_is_left_alone(world: LaneWorld) -> None:
    ref = world.has(a_job())
    world.at(120)
    world.sweep()
    world.clock.advance(60)
    assert world.sweep().steps.total() == 0
    assert len(world.messages(ref)) == 1


def test_a_scheduled_job_starts(world: LaneWorld) -> None:
    ref = world.has(a_job(scheduled_at=later(3600)))
    world.at(3599)
    assert world.sweep().steps.total() == 0
    world.at(3600)
    assert world.sweep().steps[Step.CREATE] == 1
    assert world.messages(ref)


def test_a_job_whose_time_came_while_nobody_swept_still_starts(world: LaneWorld) -> None:
    ref = world.has(a_job(scheduled_at=later(3600)))
    world.at(3600 + 7200)
    assert world.sweep().steps[Step.CREATE] == 1
    assert world.messages(ref)
    world.at(3600 + 7200 + 899)
    assert world.step(ref) is Step.CREATE
    world.at(3600 + 7200 + 900)
    world.sweep()
    assert world.job(ref).error_code == "dispatch_failed"


def test_a_scheduled_worker_job_is_not_due_for_ever(world: LaneWorld) -> None:
    ref = world.has(a_worker_job(scheduled_at=later(3600)))
    world.at(3600)
    world.sweep()
    assert world.job(ref).due_at is None
    assert world.job(ref).status is JobStatus.PENDING
    assert world.sweep().steps.total() == 0


def test_a_worker_learns_from_the_job_that_its_time_has_come(world: LaneWorld) -> None:
    ref = world.has(a_worker_job(scheduled_at=later(3600)))
    world.at(3599)
    world.sweep()
    assert world.sentences(ref) == []
    world.at(3600)
    world.sweep()
    assert world.sentences(ref) == [
        "The time that this job was scheduled for has come; it waits for its worker."
    ]
    assert world.job(ref).updated_at == later(3600)


def test_a_duty_of_ours_begins_at_its_time_without_a_word(world: LaneWorld) -> None:
    ref = world.has(a_worker_job(type="bulk.retain", scheduled_at=later(3600)))
    world.at(3599)
    assert world.sweep().steps.total() == 0
    world.at(3600)
    assert world.sweep().steps[Step.BULK] == 1
    assert world.sentences(ref) == []
    assert [request.ref for request, _delay in world.outbox.bulks] == [ref]


def test_a_look_that_came_too_early_is_planned_anew(world: LaneWorld) -> None:
    ref = world.has(a_dispatched_job(due_at=later(10)))
    world.at(10)
    assert world.sweep().steps[Step.WAIT] == 1
    assert world.job(ref).due_at == later(60)
    assert not world.outbox.dispatches


def test_a_due_job_that_needs_nothing_is_due_no_more(world: LaneWorld) -> None:
    ref = world.has(a_kept_job(due_at=later(10)))
    world.at(10)
    assert world.sweep().steps[Step.NOTHING] == 1
    assert world.job(ref).due_at is None


# --- claims --------------------------------------------------------------------------


def test_a_job_that_somebody_changed_meanwhile_is_left_to_them(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = world.has(a_job())
    world.at(120)
    get_many = world.store.get_many

    def slow(refs: Sequence[JobRef]) -> list[Job]:
        jobs = get_many(refs)
        world.change(ref, lambda job: lifecycle.cancel(job, world.clock.now()))
        return jobs

    monkeypatch.setattr(world.store, "get_many", slow)
    report = world.sweep()
    assert (report.overtaken, report.steps.total()) == (1, 0)
    assert not world.outbox.dispatches


def test_of_two_sweeps_at_once_one_sends(world: LaneWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = world.has(a_job())
    world.at(120)
    get_many = world.store.get_many
    others = [True]

    def slow(refs: Sequence[JobRef]) -> list[Job]:
        jobs = get_many(refs)
        if others:
            others.pop()
            world.sweep()
        return jobs

    monkeypatch.setattr(world.store, "get_many", slow)
    world.sweep()
    assert len(world.messages(ref)) == 1


def test_a_claim_is_written_before_its_message(world: LaneWorld) -> None:
    ref = world.has(a_job())
    world.at(120)
    world.outbox.broken = True
    report = world.sweep()
    assert report.unsent == 1
    assert world.due_in_s(ref) == 120
    world.outbox.broken = False
    world.clock.advance(120)
    world.sweep()
    assert world.messages(ref)


def test_a_deleted_job_in_the_index_is_nothing_to_do(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ghost = DueJob(ref=a_job().ref, due_at=later(0))
    monkeypatch.setattr(world.store, "due", lambda now, limit: [ghost])
    assert world.sweep().steps.total() == 0


def test_an_index_that_lags_makes_nobody_twice(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = world.has(a_job())
    world.at(120)
    stale = [DueJob(ref=ref, due_at=later(120))]
    monkeypatch.setattr(world.store, "due", lambda now, limit: stale)
    assert world.sweep().steps.total() == 1
    assert world.sweep().steps.total() == 0


def test_all_that_is_due_is_seen_to_page_by_page(world: LaneWorld) -> None:
    for _ in range(PAGE * 2 + 5):
        world.has(a_job())
    world.at(120)
    report = world.sweep()
    assert report.steps[Step.CREATE] == PAGE * 2 + 5
    assert report.is_complete


def test_a_run_ends_with_its_time_and_says_so(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(10):
        world.has(a_job())
    world.at(120)
    save = world.store.save

    def slow(before: Job, after: Job, **more: Any) -> Job:
        world.clock.advance(2)
        return save(before, after, **more)

    monkeypatch.setattr(world.store, "save", slow)
    report = sweep_due_jobs(world.tracker, budget_s=10)
    assert (report.steps.total(), report.is_complete) == (5, False)
    assert len(world.outbox.dispatches) == 5


@pytest.mark.parametrize("error", [StoreUnavailableError, InvariantError, InvalidRequestError])
def test_one_bad_item_does_not_stop_the_others(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch, error: type[JobTrackerError]
) -> None:
    bad = world.has(a_job())
    good = world.has(a_job())
    world.at(120)
    save = world.store.save

    def broken(before: Job, after: Job, **more: Any) -> Job:
        if before.ref == bad:
            raise error("This item cannot be written.")
        return save(before, after, **more)

    monkeypatch.setattr(world.store, "save", broken)
    report = world.sweep()
    assert report.failed == 1
    assert world.outbox.dispatched_refs == [good]


def test_one_unreadable_item_does_not_stop_the_others(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = world.has(a_job())
    good = world.has(a_job())
    world.at(120)
    get_many = world.store.get_many

    def broken(refs: Sequence[JobRef]) -> list[Job]:
        if bad in refs:
            raise InvariantError("Job cannot be read.")
        return get_many(refs)

    monkeypatch.setattr(world.store, "get_many", broken)
    report = world.sweep()
    assert report.failed == 1
    assert world.outbox.dispatched_refs == [good]


def test_a_table_that_is_out_is_left_alone_soon(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        world.has(a_job())
    world.at(120)

    def broken(*_: Any, **__: Any) -> Job:
        raise StoreUnavailableError("The table is out.")

    monkeypatch.setattr(world.store, "save", broken)
    report = world.sweep()
    assert (report.failed, report.is_complete) == (FAILURES_IN_A_ROW, False)


def test_the_backlogs_age_is_that_of_the_oldest(world: LaneWorld) -> None:
    world.has(a_job(due_at=later(100)))
    world.has(a_job(due_at=later(40)))
    world.at(110)
    assert world.sweep().backlog_age_s == 70


# --- steps ---------------------------------------------------------------------------


def test_two_polls_are_sent_singly(world: LaneWorld) -> None:
    for number in range(2):
        world.has(a_dispatched_job(attempt={"provider_job_id": f"pk_{number}"}))
    world.at(60)
    world.sweep()
    assert [type(sent.request) for sent in world.outbox.dispatches] == [DispatchRequest] * 2


def test_three_polls_share_one_message(world: LaneWorld) -> None:
    refs = {
        world.has(a_dispatched_job(attempt={"provider_job_id": f"pk_{number}"}))
        for number in range(3)
    }
    world.at(60)
    assert world.sweep().steps[Step.POLL] == 3
    [sent] = world.outbox.dispatches
    assert isinstance(sent.request, PollManyRequest)
    assert sent.request.provider == "pikcel"
    assert set(sent.request.refs) == refs


def test_a_silent_provider_is_timed_out(world: LaneWorld) -> None:
    ref = world.has(a_dispatched_job())
    world.at(3600)
    assert world.sweep().steps[Step.TIME_OUT] == 1
    job = world.job(ref)
    assert (job.status, job.error_code, job.due_at) == (JobStatus.FAILED, "timed_out", None)
    assert job.state.value == "presumed"
    assert world.sentences(ref) == [job.error_message]


def test_a_silent_worker_is_timed_out_by_its_heartbeat(world: LaneWorld) -> None:
    ref = world.has(a_worker_job(status=JobStatus.PROCESSING, started_at=later(0)))
    world.at(299)
    assert world.sweep().steps.total() == 0
    world.at(300)
    world.sweep()
    assert world.job(ref).error_code == "timed_out"


def test_a_job_that_never_started_fails_with_the_last_reason(world: LaneWorld) -> None:
    trouble = "The provider cannot be reached (ConnectError)."
    ref = world.has(a_job(attempt={"trouble": trouble}))
    world.at(15 * 60)
    world.sweep()
    job = world.job(ref)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "dispatch_failed")
    assert job.error_message == (
        "The provider could not be given this job in time: "
        "The provider cannot be reached (ConnectError)."
    )
    assert job.state.value == "failed"  # known, not presumed


def test_a_job_that_never_started_may_have_no_reason(world: LaneWorld) -> None:
    ref = world.has(a_job())
    world.at(15 * 60)
    world.sweep()
    message = "The provider could not be given this job in time."
    assert world.job(ref).error_message == message


# --- lanes without a deadline --------------------------------------------------------


def looks(world: LaneWorld, ref: JobRef, count: int) -> list[float]:
    """Let a job fall due that often without anything coming of it; the waits between."""
    waits = []
    for _ in range(count):
        due_at = world.job(ref).due_at
        if due_at is None:
            break
        world.clock.set(due_at)
        world.sweep()
        if world.job(ref).due_at is not None:
            waits.append(world.due_in_s(ref))
    return waits


def test_waits_between_lost_keeps_grow_to_half_an_hour(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    assert looks(world, ref, 7) == [120, 240, 480, 960, 1800, 1800, 1800]
    assert len(world.messages(ref)) == 7


def test_a_push_that_waits_does_not_let_another_results_link_die(world: LaneWorld) -> None:
    kept, owed = a_kept_output(), Output(index=1, attempt=1, url=RESULT_URL)
    ref = world.has(queued(outputs=(kept, owed)))
    looks(world, ref, 1)
    assert world.outbox.dispatched_refs == [ref]
    assert len(world.outbox.pushes) == 1


def test_every_push_message_has_a_number_of_its_own(world: LaneWorld) -> None:
    ref = world.has(queued())
    looks(world, ref, 3)
    assert [push.number for push in world.outbox.pushes] == [2, 3, 4]
    assert world.job(ref).push.number == 4


def test_a_push_that_is_looked_at_in_earnest_is_never_given_up_by_the_sweep(
    world: LaneWorld,
) -> None:
    ref = world.has(queued())
    for _ in range(MAX_PUSH_LOOKS * 2):
        looks(world, ref, 1)
        world.change(ref, lambda job: postponed(job, 30, world.clock.now()))
    assert world.job(ref).push.status is PushStatus.QUEUED


def test_a_push_that_dies_after_taking_its_lease_is_given_up(world: LaneWorld) -> None:
    ref = world.has(queued())
    for _ in range(MAX_PUSH_LOOKS + 1):
        looks(world, ref, 1)
        if world.job(ref).push.status.is_active:
            world.change(ref, lambda job: lease(job, later(120, world.clock.now())))
    assert world.job(ref).push.error_code == "push_stuck"


def test_a_push_without_any_progress_fails_by_its_try_count(world: LaneWorld) -> None:
    ref = world.has(queued())
    looks(world, ref, MAX_PUSH_LOOKS)
    assert world.job(ref).push.status is PushStatus.QUEUED
    looks(world, ref, 1)
    job = world.job(ref)
    assert (job.push.status, job.push.error_code) == (PushStatus.FAILED, "push_stuck")
    assert (job.status, job.due_at) == (JobStatus.COMPLETED, None)
    assert len(world.outbox.pushes) == MAX_PUSH_LOOKS


def test_an_undo_without_any_progress_ends_too(world: LaneWorld) -> None:
    push = Push(status=PushStatus.PUSHED, number=1, undo=True)
    ref = world.has(queued(push=push, due_tries=MAX_PUSH_LOOKS))
    looks(world, ref, 1)
    push = world.job(ref).push
    assert (push.undo, push.error_code) == (False, "push_stuck")
    assert world.job(ref).due_at is None


def test_a_keep_without_any_progress_is_given_up_after_a_day(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(auto_push=True))
    looks(world, ref, MAX_KEEP_LOOKS)
    assert world.job(ref).outputs[0].is_owed
    looks(world, ref, 60)
    job = world.job(ref)
    assert (job.error_code, job.due_at) == ("output_expired", None)
    assert job.push.error_code == "output_expired"
    assert job.completed_at is not None
    assert world.clock.now() - job.completed_at < later(26 * 3600) - later(0)


def test_a_provider_that_cannot_be_asked_about_an_ended_job_is_not_asked_for_ever(
    world: LaneWorld,
) -> None:
    silent = lifecycle.presume_failed(a_dispatched_job(), TIMED_OUT, "Silent.", later(0))
    ref = world.has(replace(silent, poll_wanted=True, due_at=later(120)))
    waits = looks(world, ref, 20)
    assert waits == [120, 240, 480, 960] + [1800] * (MAX_ENDED_POLLS - 4)
    job = world.job(ref)
    assert (job.poll_wanted, job.due_at, job.error_code) == (False, None, TIMED_OUT)


def test_a_keep_that_never_learnt_a_link_is_given_up_as_no_output(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(outputs=(), due_tries=MAX_KEEP_LOOKS))
    world.at(25 * 3600)
    world.sweep()
    assert (world.job(ref).error_code, world.job(ref).due_at) == ("no_output", None)


def test_a_keep_is_never_given_up_before_it_was_tried(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.at(3 * 24 * 3600)
    assert world.sweep().steps[Step.KEEP] == 1
    assert world.job(ref).outputs[0].is_owed


def test_a_job_with_a_lost_push_message_ends_pushed_work_again(world: LaneWorld) -> None:
    ref = world.has(a_kept_job())
    now: datetime = world.clock.now()
    before = world.job(ref)
    world.outbox.broken = True
    world.tracker.write(before, lifecycle.request_push(before, now), None)
    world.outbox.broken = False
    world.clock.advance(120)
    world.sweep()
    assert [push.ref for push in world.outbox.pushes] == [ref]


def test_the_sweep_leaves_the_users_fields_alone(world: LaneWorld) -> None:
    ref = world.has(a_job())
    before = world.job(ref)
    world.at(120)
    world.sweep()
    after = world.job(ref)
    assert after == replace(before, due_at=after.due_at, version=before.version + 1)
