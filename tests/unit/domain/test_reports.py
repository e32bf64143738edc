"""What a worker says of its job: any order, any number of times, one end."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import lifecycle
from shared.domain.errors import ConflictError
from shared.domain.job import TIMED_OUT, WORKER_FAILED, Counts, Job, Priority
from shared.domain.plan import Patience, Step, next_step, schedule
from shared.domain.reports import (
    MAX_SAMPLES,
    Edit,
    Report,
    apply_report,
    duration_ms,
    edit,
    eta_s,
    speed,
)
from shared.domain.statistics import contribution
from shared.domain.status import JobState, JobStatus, Outcome
from tests.builders import a_dispatched_job, a_job, a_worker_job, later
from tests.fakes.clock import START


def said(**changes: Any) -> Report:
    """Return a report: counts by their names, all else as in Report."""
    names = Counts.__dataclass_fields__
    counts = {name: changes.pop(name) for name in list(changes) if name in names}
    return Report(counts=Counts(**counts), **changes)


def running(**changes: Any) -> Job:
    start = Report(status=JobStatus.PROCESSING, native="RUNNING")
    return apply_report(a_worker_job(**changes), start, START).job


def reported(job: Job, at_s: float, **report: Any) -> Job:
    return apply_report(job, said(**report), later(at_s)).job


def test_a_first_report_starts_the_job() -> None:
    decision = apply_report(a_worker_job(), said(processed=1, total=4), later(3))
    job = decision.job
    assert decision.outcome is Outcome.APPLIED
    assert (job.status, job.started_at, job.progress) == (JobStatus.PROCESSING, later(3), 25)


@pytest.mark.parametrize("report", [said(), said(total=9), said(message="soon"), said(metadata={})])
def test_what_is_no_work_yet_does_not_start_the_job(report: Report) -> None:
    assert apply_report(a_worker_job(), report, later(3)).job.status is JobStatus.PENDING


def test_the_workers_own_word_is_kept() -> None:
    assert running().native_status == "RUNNING"
    later_word = said(status=JobStatus.PROCESSING, native="in_progress")
    assert apply_report(running(), later_word, later(1)).job.native_status == "in_progress"


def test_a_heartbeat_changes_nothing_but_when_the_worker_was_heard() -> None:
    job = running()
    decision = apply_report(job, said(), later(9))
    assert decision.outcome is Outcome.DUPLICATE
    assert decision.job == replace(job, reported_at=later(9))


def test_a_heartbeat_puts_the_time_out_off() -> None:
    patience = Patience()
    quiet = schedule(running(), START, patience)
    alive = reported(quiet, 200)
    assert next_step(quiet, later(300), patience) is Step.TIME_OUT
    assert next_step(alive, later(499), patience) is Step.WAIT
    assert next_step(alive, later(500), patience) is Step.TIME_OUT


@pytest.mark.parametrize(
    ("report", "percent"),
    [
        ({"processed": 50, "total": 200}, 25),
        ({"processed": 300, "total": 200}, 99),
        ({"processed": 200, "total": 200}, 99),
        ({"processed": 5, "total": 0}, 0),
        ({"processed": 5}, 0),
        ({"progress": 33.9}, 33),
        ({"progress": 250.0}, 99),
        ({"progress": -5.0}, 0),
        ({"processed": 1, "total": 2, "progress": 90.0}, 50),
    ],
)
def test_percent_is_of_the_items_and_never_beyond_the_end(
    report: dict[str, Any], percent: int
) -> None:
    assert reported(running(), 1, **report).progress == percent


def test_progress_never_falls() -> None:
    job = reported(running(), 1, processed=50, total=100)
    assert reported(job, 2, total=1000).progress == 50
    assert reported(job, 2, processed=10).counts.processed == 10
    assert reported(job, 2, processed=10).progress == 50


def test_metadata_are_added_by_key_and_the_last_message_stays() -> None:
    job = reported(running(metadata={"a": 1, "b": 2}), 1, metadata={"b": 3}, message="page 2")
    job = reported(job, 2, metadata={"c": 4})
    assert job.metadata == {"a": 1, "b": 3, "c": 4}
    assert job.message == "page 2"


def test_a_completion_ends_the_job_and_books_how_long_it_took() -> None:
    job = running(unit_cost_micros=500)
    done = reported(job, 12.5, status=JobStatus.COMPLETED, processed=10, result={"ok": True})
    assert (done.status, done.progress, done.completed_at) == (
        JobStatus.COMPLETED,
        100,
        later(12.5),
    )
    assert (done.processing_ms, duration_ms(done), done.cost_micros) == (12_500, 12_500, 500)
    assert (done.result, done.samples) == ({"ok": True}, ())
    assert (contribution(done).processing_ms, contribution(done).timed) == (12_500, 1)


def test_a_job_that_was_never_seen_running_took_nobody_knows_how_long() -> None:
    done = reported(a_worker_job(), 5, status=JobStatus.COMPLETED)
    assert (done.processing_ms, contribution(done).timed) == (None, 0)


def test_a_failure_says_why() -> None:
    failed = reported(running(), 5, status=JobStatus.FAILED, error="The shop is closed.")
    assert (failed.error_code, failed.error_message) == (WORKER_FAILED, "The shop is closed.")
    assert reported(running(), 5, status=JobStatus.FAILED).error_message


def test_an_error_alone_ends_nothing_and_a_completion_forgets_it() -> None:
    job = reported(running(), 5, error="Page 3 was missing.")
    assert (job.status, job.error_message) == (JobStatus.PROCESSING, "Page 3 was missing.")
    assert reported(job, 6, status=JobStatus.COMPLETED).error_message is None


@pytest.mark.parametrize("status", list(JobStatus))
def test_after_a_cancel_no_report_has_any_effect(status: JobStatus) -> None:
    job = lifecycle.cancel(running(), later(4))
    decision = apply_report(job, said(status=status, processed=7, metadata={"x": 1}), later(5))
    assert decision.job is job
    assert job.cancel_requested


def test_a_cancel_that_the_front_end_reports_is_told_to_the_worker() -> None:
    job = reported(running(), 3, status=JobStatus.CANCELLED)
    assert (job.status, job.cancel_requested) == (JobStatus.CANCELLED, True)


def test_a_real_end_overrides_a_heartbeat_time_out_and_progress_does_not() -> None:
    silent = lifecycle.presume_failed(running(), TIMED_OUT, "Silent.", later(300))
    assert silent.state is JobState.PRESUMED
    assert reported(silent, 301, processed=3) is silent
    done = reported(silent, 302, status=JobStatus.COMPLETED, processed=5)
    assert (done.status, done.error_code, done.error_message) == (JobStatus.COMPLETED, None, None)
    failed = reported(silent, 302, status=JobStatus.FAILED)
    assert failed.error_code == WORKER_FAILED
    assert failed.error_message != "Silent."


def test_a_reported_failure_is_not_overridden() -> None:
    failed = reported(running(), 1, status=JobStatus.FAILED, error="No.")
    assert reported(failed, 2, status=JobStatus.COMPLETED) is failed


def test_a_worker_of_an_earlier_attempt_moves_nothing() -> None:
    failed = reported(running(), 1, status=JobStatus.FAILED, processed=3, total=9)
    again = lifecycle.retry(failed, later(2))
    assert again.counts == Counts(total=9)
    late = apply_report(again, said(status=JobStatus.COMPLETED, attempt=1), later(3))
    assert (late.job, late.outcome) == (again, Outcome.STALE)
    assert reported(again, 3, status=JobStatus.COMPLETED, attempt=2).status is JobStatus.COMPLETED


@pytest.mark.parametrize("job", [a_job(), a_dispatched_job(), a_worker_job(type="bulk.retry")])
def test_nobody_reports_on_what_no_program_of_theirs_does(job: Job) -> None:
    with pytest.raises(ConflictError) as raised:
        apply_report(job, said(processed=1), later(1))
    assert raised.value.code == "not_a_worker_job"


# --- speed ---------------------------------------------------------------------------


def test_speed_is_that_of_the_window_not_of_the_whole_life() -> None:
    job = running()
    for second in range(10, 110, 10):
        job = reported(job, second, processed=second, total=10_000)  # one a second
    for second in range(110, 210, 10):
        job = reported(job, second, processed=100 + 10 * (second - 100))  # ten a second
    assert len(job.samples) == MAX_SAMPLES
    assert speed(job) == 10.0
    assert eta_s(job) == 890


def test_many_reports_a_second_still_make_a_window_of_half_a_minute() -> None:
    job = running()
    for tick in range(1, 1001):
        job = reported(job, tick / 10, processed=tick, total=2000)
    assert len(job.samples) == MAX_SAMPLES
    assert job.samples[-1].at - job.samples[0].at >= timedelta(seconds=30)
    assert speed(job) == 10.0


def test_heartbeats_without_progress_lower_the_speed() -> None:
    job = reported(running(), 10, processed=100, total=200)
    assert (speed(job), eta_s(job)) == (10.0, 10)
    job = reported(job, 20)
    assert (speed(job), eta_s(job)) == (5.0, 20)


@pytest.mark.parametrize(
    ("minutes", "shown", "left_s"), [(60, 0.000278, 8 * 3600), (12, 0.00139, 8 * 720)]
)
def test_slow_work_has_a_speed_and_an_end_too(minutes: int, shown: float, left_s: int) -> None:
    # An agent that needs an hour for each of its ten tasks does not stand still.
    job = reported(running(), 0, processed=0, total=10)
    job = reported(job, minutes * 60, processed=1)
    job = reported(job, 2 * minutes * 60, processed=2)
    assert (speed(job), eta_s(job)) == (shown, left_s)


def test_the_speed_of_an_ended_job_is_that_of_all_of_it() -> None:
    job = reported(running(), 20, status=JobStatus.COMPLETED, processed=100)
    assert (speed(job), eta_s(job)) == (5.0, None)


def test_what_ends_in_no_time_has_no_speed_and_never_an_infinite_one() -> None:
    job = reported(running(), 0, status=JobStatus.COMPLETED, processed=100)
    assert (speed(job), duration_ms(job)) == (None, 0)


def test_a_worker_that_begins_again_has_no_negative_speed() -> None:
    job = reported(reported(running(), 10, processed=100), 20, processed=0)
    assert speed(job) in (None, 0.0)
    assert speed(reported(job, 30, processed=50)) == 5.0


REPORTS = st.builds(
    Report,
    status=st.none() | st.sampled_from(JobStatus),
    native=st.none() | st.just("word"),
    attempt=st.none() | st.integers(1, 3),
    counts=st.builds(Counts, total=st.none() | st.integers(0, 50), processed=st.integers(0, 99)),
    progress=st.none() | st.floats(-1e9, 1e9),
    error=st.none() | st.just("e"),
)
STEPS = st.lists(
    st.tuples(REPORTS | st.sampled_from(["cancel", "retry", "silence"]), st.floats(0, 400)),
    max_size=12,
)


@given(STEPS)
def test_any_story_keeps_the_promises(steps: list[tuple[Any, float]]) -> None:
    job, now = a_worker_job(), START
    for step, wait_s in steps:
        before, now = job, now + timedelta(seconds=wait_s)
        if isinstance(step, Report):
            job = apply_report(job, step, now).job
            assert apply_report(job, step, now).job.status is job.status
        elif step == "retry" and job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            job = lifecycle.retry(job, now)
        elif step == "cancel" and job.status.is_active:
            job = lifecycle.cancel(job, now)
        elif step == "silence":
            job = lifecycle.presume_failed(job, TIMED_OUT, "Silent.", now)
        keeps_promises(before, job, step)


def keeps_promises(before: Job, after: Job, step: Any) -> None:
    limit = 100 if after.status is JobStatus.COMPLETED else 99
    assert 0 <= after.progress <= limit
    if after.attempt.number == before.attempt.number:
        assert after.progress >= before.progress
        if before.state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED):
            assert after is before or step == "retry"
    assert len(after.samples) <= MAX_SAMPLES
    assert after.status is JobStatus.PROCESSING or after.samples == ()
    rate = speed(after)
    assert rate is None or 0 <= rate < float("inf")
    assert (eta_s(after) or 0) >= 0
    assert (duration_ms(after) or 0) >= 0


# --- edits ---------------------------------------------------------------------------


def test_an_owner_edits_what_nobody_has_begun() -> None:
    job = a_worker_job(name="Old", description="Gone")
    wanted = Edit(changes={"name": "New", "description": None, "priority": Priority.HIGH})
    changed = edit(job, wanted, later(1))
    assert (changed.name, changed.description, changed.priority) == ("New", None, Priority.HIGH)
    assert edit(changed, wanted, later(2)) is changed


def test_what_has_begun_is_not_edited() -> None:
    with pytest.raises(ConflictError, match="only a pending job"):
        edit(running(), Edit(changes={"name": "New"}), later(1))


def test_a_job_that_waits_is_put_off_brought_forward_or_started() -> None:
    job = a_job(scheduled_at=later(3600))
    assert edit(job, Edit(changes={"scheduled_at": later(7200)}), START).scheduled_at == later(7200)
    for asked in (None, later(-99), later(5)):
        started = edit(job, Edit(changes={"scheduled_at": asked}), later(5))
        assert started.scheduled_at == later(5)
        assert edit(started, Edit(changes={"scheduled_at": None}), later(9)) is started


def test_a_job_without_a_time_is_given_one_in_the_future_only() -> None:
    job = a_job()
    assert edit(job, Edit(changes={"scheduled_at": later(60)}), START).scheduled_at == later(60)
    for asked in (None, later(-1)):
        assert edit(job, Edit(changes={"scheduled_at": asked}), START) is job


def test_a_job_started_by_hand_after_days_has_all_its_time_to_be_dispatched() -> None:
    day = 86_400
    job = schedule(a_job(scheduled_at=later(9 * day)), START, Patience())
    started = edit(job, Edit(changes={"scheduled_at": None}), later(3 * day))
    assert next_step(started, later(3 * day), Patience()) is Step.CREATE
    assert next_step(started, later(3 * day + 14 * 60), Patience()) is Step.CREATE
    assert next_step(started, later(3 * day + 16 * 60), Patience()) is Step.GIVE_UP


@pytest.mark.parametrize("attempt", [{"provider_job_id": "pk_1"}, {"intent_at": START}])
def test_the_time_of_a_job_that_was_sent_is_not_changed(attempt: dict[str, Any]) -> None:
    job = a_job()
    job = job.with_attempt(replace(job.attempt, **attempt))
    with pytest.raises(ConflictError, match="sent to its provider"):
        edit(job, Edit(changes={"scheduled_at": later(60)}), START)
    assert edit(job, Edit(changes={"name": "New"}), START).name == "New"


def test_a_workers_job_is_given_to_an_agent_and_taken_back() -> None:
    given = edit(a_worker_job(), Edit(changes={"agent_id": "a1"}), START)
    assert (given.agent_id, given.native_status, given.status) == ("a1", "assigned", "pending")
    taken = edit(given, Edit(changes={"agent_id": None}), START)
    assert (taken.agent_id, taken.native_status) == (None, None)
    with pytest.raises(ConflictError) as refused:
        edit(a_job(), Edit(changes={"agent_id": "a1"}), START)
    assert refused.value.code == "not_a_worker_job"
