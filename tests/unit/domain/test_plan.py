"""What a job needs next follows from the job alone."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain import lifecycle
from shared.domain.job import Job
from shared.domain.plan import Patience, Step, next_look, next_step, schedule
from shared.domain.status import JobStatus
from tests.builders import (
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_kept_job,
    a_worker_job,
    later,
)

PATIENCE = Patience()
NO_LIST = Patience(list_gap_s=None)


def test_a_new_job_is_created_at_the_provider_at_once() -> None:
    assert next_step(a_job(), later(0), PATIENCE) is Step.CREATE
    assert next_look(a_job(), later(0), PATIENCE) == later(45)


def test_a_queue_that_is_merely_long_gets_a_message_every_two_minutes() -> None:
    assert next_look(a_job(), later(45), PATIENCE) == later(165)


def test_a_plain_job_is_due_when_it_is_made_and_no_other_time_before_it_is_polled() -> None:
    """Every move of a due date costs two writes."""
    job = schedule(a_job(), later(0), PATIENCE)
    begun = job.with_attempt(replace(job.attempt, intent_at=later(1), tries=1))
    linked = begun.with_attempt(replace(begun.attempt, provider_job_id="pk_1", linked_at=later(2)))
    assert schedule(begun, later(1), PATIENCE) is begun
    assert schedule(linked, later(2), PATIENCE) is linked


def test_a_scheduled_job_waits_for_its_time() -> None:
    job = a_job(scheduled_at=later(3600))
    assert next_step(job, later(0), PATIENCE) is Step.WAIT
    assert next_look(job, later(0), PATIENCE) == later(3600)
    assert next_step(job, later(3600), PATIENCE) is Step.CREATE
    assert next_step(job, later(3600 + 899), PATIENCE) is Step.CREATE


def test_a_start_that_nobody_saw_to_in_time_is_begun_late_and_has_its_time_then() -> None:
    """The sweep was down when the job's time came: it did not fail to reach its provider."""
    waiting = schedule(a_job(scheduled_at=later(3600)), later(0), PATIENCE)
    assert next_step(waiting, later(3600 + 7200), PATIENCE) is Step.CREATE
    seen = schedule(waiting, later(3600 + 7200), PATIENCE)
    assert next_step(seen, later(3600 + 7200 + 899), PATIENCE) is Step.CREATE
    assert next_step(seen, later(3600 + 7200 + 900), PATIENCE) is Step.GIVE_UP


def test_a_start_that_was_seen_to_counts_from_its_time() -> None:
    seen = schedule(a_job(scheduled_at=later(3600)), later(3600), PATIENCE)
    assert next_step(seen, later(3600 + 900), PATIENCE) is Step.GIVE_UP


@pytest.mark.parametrize(
    ("job", "seconds", "patience", "step"),
    [
        (a_job(attempt={"not_before": later(50)}), 49, PATIENCE, Step.WAIT),
        (a_job(attempt={"not_before": later(50)}), 50, PATIENCE, Step.CREATE),
        (a_job(), 900, PATIENCE, Step.GIVE_UP),
        # A create call was begun: its outcome is not known before the call's time-out …
        (a_job(attempt={"intent_at": later(0)}), 44, PATIENCE, Step.WAIT),
        (a_job(attempt={"intent_at": later(0)}), 45, PATIENCE, Step.LOOK_UP),
        # … and one listing without it proves nothing yet.
        (a_job(attempt={"intent_at": later(0), "missed_at": later(50)}), 109, PATIENCE, Step.WAIT),
        (
            a_job(attempt={"intent_at": later(0), "missed_at": later(50)}),
            110,
            PATIENCE,
            Step.LOOK_UP,
        ),
        (a_job(attempt={"intent_at": later(0)}), 900, PATIENCE, Step.GIVE_UP),
        # A call begun just before the deadline still gets its two listings.
        (a_job(attempt={"intent_at": later(890)}), 1000, PATIENCE, Step.LOOK_UP),
        (a_job(attempt={"intent_at": later(0)}), 60, NO_LIST, Step.WAIT),
        (a_job(attempt={"intent_at": later(0)}), 900, NO_LIST, Step.GIVE_UP),
        (a_dispatched_job(), 59, PATIENCE, Step.WAIT),
        (a_dispatched_job(), 60, PATIENCE, Step.POLL),
        (a_dispatched_job(poll_wanted=True), 1, PATIENCE, Step.POLL),
        (a_dispatched_job(polled_at=later(60), due_tries=1), 149, PATIENCE, Step.WAIT),
        (a_dispatched_job(polled_at=later(60), due_tries=1), 150, PATIENCE, Step.POLL),
        (a_dispatched_job(), 3600, PATIENCE, Step.TIME_OUT),
        (a_completed_job(), 1, PATIENCE, Step.KEEP),
        (a_completed_job(outputs=()), 1, PATIENCE, Step.KEEP),
        (a_completed_job(outputs=(), error_code="no_output"), 1, PATIENCE, Step.NOTHING),
        (a_kept_job(), 1, PATIENCE, Step.NOTHING),
        (lifecycle.request_push(a_kept_job(), later(1)), 1, PATIENCE, Step.PUSH),
        (a_worker_job(), 86_400, PATIENCE, Step.WAIT),
        (a_worker_job(status=JobStatus.PROCESSING), 299, PATIENCE, Step.WAIT),
        (a_worker_job(status=JobStatus.PROCESSING), 300, PATIENCE, Step.TIME_OUT),
        (
            a_worker_job(status=JobStatus.PROCESSING, reported_at=later(299)),
            300,
            PATIENCE,
            Step.WAIT,
        ),
    ],
)
def test_the_next_step(job: Job, seconds: float, patience: Patience, step: Step) -> None:
    assert next_step(job, later(seconds), patience) is step


def test_a_lost_webhook_is_polled_before_a_result_could_expire() -> None:
    now, tries, polls = later(0), 0, []
    job = a_dispatched_job()
    while (look := next_look(job, now, PATIENCE)) is not None and look < later(3600):
        now = look
        if next_step(job, now, PATIENCE) is Step.POLL:
            polls.append(now)
            tries += 1
            job = replace(job, polled_at=now, due_tries=tries)
    gaps = [b - a for a, b in itertools.pairwise(polls)]
    assert polls[0] == later(60)
    assert max(gaps) <= timedelta(seconds=PATIENCE.max_poll_s)


def test_a_due_instant_that_serves_is_left_alone() -> None:
    job = schedule(a_job(), later(0), PATIENCE)
    assert job.due_at == later(45)
    assert schedule(job, later(30), PATIENCE) is job
    assert schedule(job, later(45), PATIENCE).due_at == later(165)


def test_an_ended_job_with_nothing_owed_is_never_due() -> None:
    assert schedule(a_kept_job(due_at=later(5)), later(9), PATIENCE).due_at is None


def test_every_state_of_a_job_is_looked_at_again_or_owes_nothing() -> None:
    jobs = [a_job(), a_dispatched_job(), a_completed_job(), a_kept_job()]
    for job in jobs:
        step, look = next_step(job, later(1), PATIENCE), next_look(job, later(1), PATIENCE)
        assert (look is None) == (step is Step.NOTHING)
