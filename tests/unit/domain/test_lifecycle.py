"""How a job moves, whatever order its events come in."""

import re
from dataclasses import replace

import pytest

from shared.domain import lifecycle
from shared.domain.errors import ConflictError
from shared.domain.job import DISPATCH_UNKNOWN, PROVIDER_JOB_NOT_FOUND, TIMED_OUT, Job, Output
from shared.domain.lifecycle import apply_event
from shared.domain.push_errors import PUSH_SENTENCES
from shared.domain.status import JobEvent, JobState, JobStatus, Outcome, PushEvent, PushStatus
from tests.builders import (
    RESULT_URL,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_kept_job,
    a_kept_output,
    an_event,
    later,
)

NOW = later(30)
FAILED = an_event(JobEvent.FAILED, error_code="bad_input", error_message="No.", credits=1)


def test_a_completion_ends_the_job_with_its_result_and_charge() -> None:
    decision = apply_event(a_dispatched_job(), an_event(), NOW)
    job = decision.job
    assert decision.outcome is Outcome.APPLIED
    assert (job.status, job.progress, job.completed_at) == (JobStatus.COMPLETED, 100, NOW)
    assert job.outputs == (Output(index=0, attempt=1, url=RESULT_URL),)
    assert (job.credits_used, job.processing_ms) == (2, 9000)


def test_a_late_failure_does_not_undo_success() -> None:
    job = a_completed_job()
    decision = apply_event(job, replace(FAILED, credits=None), NOW)
    assert decision.outcome is Outcome.LATE
    assert decision.job is job


def test_a_start_after_the_end_changes_nothing() -> None:
    job = a_completed_job()
    assert apply_event(job, an_event(JobEvent.STARTED), NOW).job is job


def test_a_duplicate_completion_changes_nothing() -> None:
    done = apply_event(a_dispatched_job(), an_event(), NOW).job
    again = apply_event(done, an_event(), later(60))
    assert again.outcome is Outcome.DUPLICATE
    assert again.job is done


def test_a_reported_failure_is_not_overridden() -> None:
    failed = apply_event(a_dispatched_job(), FAILED, NOW).job
    decision = apply_event(failed, an_event(), later(60))
    assert decision.outcome is Outcome.LATE
    assert decision.job.state is JobState.FAILED
    assert decision.job.outputs == ()


@pytest.mark.parametrize("code", [TIMED_OUT, DISPATCH_UNKNOWN])
def test_a_presumed_failure_is_overridden_by_a_real_completion(code: str) -> None:
    guessed = lifecycle.presume_failed(a_dispatched_job(), code, "Silent.", NOW)
    assert guessed.state is JobState.PRESUMED
    job = apply_event(guessed, an_event(), later(60)).job
    assert (job.state, job.error_code, job.error_message) == (JobState.COMPLETED, None, None)


def test_a_presumed_failure_becomes_a_reported_one_when_it_is_reported() -> None:
    guessed = lifecycle.presume_failed(a_dispatched_job(), TIMED_OUT, "Silent.", NOW)
    job = apply_event(guessed, FAILED, later(60)).job
    assert (job.state, job.error_code) == (JobState.FAILED, "bad_input")


@pytest.mark.parametrize("code", [TIMED_OUT, PROVIDER_JOB_NOT_FOUND])
def test_a_guess_made_again_does_not_end_the_job_anew(code: str) -> None:
    unknown = an_event(JobEvent.FAILED, error_code=PROVIDER_JOB_NOT_FOUND, error_message="No.")
    guessed = replace(
        lifecycle.presume_failed(a_dispatched_job(), TIMED_OUT, "Silent.", NOW), error_code=code
    )
    decision = apply_event(guessed, unknown, later(24 * 3600))
    assert decision.outcome is Outcome.DUPLICATE
    assert decision.job is guessed


def test_a_charge_is_booked_once_also_when_its_event_is_late() -> None:
    cancelled = lifecycle.cancel(a_dispatched_job(), NOW)
    once = apply_event(cancelled, an_event(), NOW)
    assert once.outcome is Outcome.LATE
    assert (once.job.status, once.job.credits_used) == (JobStatus.CANCELLED, 2)
    twice = apply_event(once.job, an_event(credits=5), NOW)
    assert twice.job.credits_used == 2


def test_the_creators_price_is_booked_only_for_a_success() -> None:
    job = a_dispatched_job(unit_cost_micros=20_000)
    assert apply_event(job, an_event(), NOW).job.cost_micros == 20_000
    assert apply_event(job, FAILED, NOW).job.cost_micros == 0


def test_an_event_of_an_earlier_attempt_never_moves_the_job() -> None:
    failed = apply_event(a_dispatched_job(), replace(FAILED, credits=None), NOW).job
    retried = lifecycle.retry(failed, later(60))
    decision = apply_event(retried, an_event(attempt=1), later(90))
    job = decision.job
    assert decision.outcome is Outcome.STALE
    assert (job.status, job.attempt.number) == (JobStatus.PENDING, 2)
    assert job.outputs == (Output(index=0, attempt=1, url=RESULT_URL),)
    assert job.current_outputs == ()
    assert job.credits_used == 2


def test_an_event_about_another_provider_job_has_no_effect() -> None:
    job = a_dispatched_job()
    decision = apply_event(job, an_event(provider_job_id="pk_other"), NOW)
    assert decision.outcome is Outcome.MISMATCH
    assert decision.job is job


def test_an_event_about_an_attempt_that_never_was_is_a_mismatch() -> None:
    job = a_dispatched_job()
    assert apply_event(job, an_event(attempt=2), NOW).outcome is Outcome.MISMATCH


def test_a_webhook_that_overtakes_the_create_answer_teaches_the_id() -> None:
    job = apply_event(a_job(), an_event(JobEvent.STARTED), NOW).job
    assert (job.provider_job_id, job.attempt.linked_at) == ("pk_1", NOW)
    assert job.status is JobStatus.PROCESSING


def test_progress_never_falls_and_stays_below_100_until_completed() -> None:
    job = a_job()
    seen = []
    for progress in (None, 80, 20, 250):
        job = apply_event(job, an_event(JobEvent.STARTED, progress=progress), NOW).job
        seen.append(job.progress)
    assert seen == [50, 80, 80, 99]


def test_an_unknown_word_is_kept_and_is_not_final() -> None:
    event = an_event(JobEvent.UNKNOWN, native="hibernating")
    decision = apply_event(a_dispatched_job(), event, NOW)
    assert decision.outcome is Outcome.UNKNOWN_STATUS
    assert decision.job.native_status == "hibernating"
    assert decision.job.status is JobStatus.PROCESSING


def test_a_retry_is_a_new_attempt_of_the_same_job() -> None:
    failed = apply_event(a_dispatched_job(), FAILED, NOW).job
    job = lifecycle.retry(failed, later(60))
    assert (job.job_id, job.attempt.number, job.status) == (failed.job_id, 2, JobStatus.PENDING)
    assert (job.progress, job.error_code, job.completed_at) == (0, None, None)
    assert job.provider_job_id is None
    assert job.credits_used == 1


@pytest.mark.parametrize("job", [a_job(), a_dispatched_job(), a_completed_job()])
def test_what_did_not_fail_cannot_be_retried(job) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConflictError) as caught:
        lifecycle.retry(job, NOW)
    assert caught.value.code == "wrong_status"


@pytest.mark.parametrize("code", ["output_expired", "output_refused", "no_output"])
def test_a_completed_job_whose_result_is_lost_can_be_retried(code: str) -> None:
    outputs = () if code == "no_output" else (Output(index=0, attempt=1, error_code=code),)
    lost = a_completed_job(outputs=outputs, error_code=code, error_message="Gone.")
    job = lifecycle.retry(lost, NOW)
    assert (job.status, job.attempt.number, job.error_code) == (JobStatus.PENDING, 2, None)


def test_a_completed_job_with_one_kept_result_of_two_cannot_be_retried() -> None:
    outputs = (a_kept_output(index=0), Output(index=1, attempt=1, error_code="output_expired"))
    with pytest.raises(ConflictError):
        lifecycle.retry(a_completed_job(outputs=outputs, error_code="output_expired"), NOW)


def test_cancelling_twice_is_no_error_but_a_completed_job_cannot_be_cancelled() -> None:
    cancelled = lifecycle.cancel(a_dispatched_job(), NOW)
    assert lifecycle.cancel(cancelled, later(60)) is cancelled
    with pytest.raises(ConflictError):
        lifecycle.cancel(a_completed_job(), NOW)


def test_a_push_needs_a_product_and_a_kept_result() -> None:
    assert lifecycle.request_push(a_kept_job(), NOW).push.status is PushStatus.QUEUED
    for job in (a_kept_job(product_id=None), a_completed_job(), a_dispatched_job()):
        with pytest.raises(ConflictError):
            lifecycle.request_push(job, NOW)


EXPIRED = Output(index=0, attempt=1, url=None, error_code="output_expired")


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (a_dispatched_job(), "There is no kept result to push yet."),
        (a_completed_job(), "There is no kept result to push yet."),
        (
            a_completed_job(outputs=(EXPIRED,), error_message="Its link had died."),
            "This job has no result to push: Its link had died.",
        ),
        (a_dispatched_job(status=JobStatus.CANCELLED), "cancelled; it has no result to push."),
    ],
)
def test_only_who_can_still_get_a_result_is_told_to_wait(job: Job, sentence: str) -> None:
    with pytest.raises(ConflictError, match=re.escape(sentence)):
        lifecycle.request_push(replace(job, product_id="gid://shopify/Product/1"), NOW)


def test_the_only_sentence_that_offers_a_retry_is_of_a_job_that_can_be_retried() -> None:
    lifecycle.retry(a_completed_job(outputs=(EXPIRED,), error_code="output_expired"), NOW)
    offers = {code for code, text in PUSH_SENTENCES.items() if "Retry the job" in text}
    assert offers == {"output_expired"}


def test_every_queued_push_raises_the_number() -> None:
    once = lifecycle.request_push(a_kept_job(), NOW)
    twice = lifecycle.request_push(once, NOW)
    assert (once.push.number, twice.push.number) == (1, 2)


def test_a_push_is_pushed_only_when_all_its_outputs_are() -> None:
    outputs = (a_kept_output(index=0), a_kept_output(index=1))
    job = lifecycle.request_push(a_kept_job(outputs=outputs), NOW)
    first = lifecycle.move_output(job.outputs[0], PushEvent.ATTACH)
    half = lifecycle.settle_push(job.with_output(first), NOW)
    assert half.push.status is PushStatus.QUEUED
    second = lifecycle.move_output(job.outputs[1], PushEvent.ATTACH)
    whole = lifecycle.settle_push(half.with_output(second), NOW)
    assert (whole.push.status, whole.push.pushed_at) == (PushStatus.PUSHED, NOW)


def test_a_failed_push_says_why_and_can_be_asked_for_again() -> None:
    job = lifecycle.request_push(a_kept_job(), NOW)
    failed = lifecycle.fail_push(job, "product_gone", "The product was deleted.", NOW)
    assert (failed.push.status, failed.push.error_code) == (PushStatus.FAILED, "product_gone")
    assert failed.outputs[0].push_status is PushStatus.FAILED
    again = lifecycle.request_push(failed, NOW)
    assert (again.push.status, again.push.error) == (PushStatus.QUEUED, None)


def test_nothing_can_be_undone_that_was_never_on_a_product() -> None:
    with pytest.raises(ConflictError):
        lifecycle.request_undo(a_kept_job(), NOW)
    pushed = a_kept_job(outputs=(a_kept_output(media_id="m1"),))
    assert lifecycle.request_undo(pushed, NOW).push.undo
