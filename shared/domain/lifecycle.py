"""How a job moves: pure functions from a job and an event to the job afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.domain.errors import ConflictError
from shared.domain.events import ProviderEvent
from shared.domain.job import (
    DISPATCH_UNKNOWN,
    NO_OUTPUT,
    PRESUMED_CODES,
    TIMED_OUT,
    Attempt,
    Counts,
    Job,
    Output,
    Push,
)
from shared.domain.statistics import is_uncounted
from shared.domain.status import (
    PUSH_TRANSITIONS,
    TRANSITIONS,
    JobEvent,
    JobState,
    Outcome,
    PushEvent,
    PushStatus,
)

MAX_OUTPUTS = 20
NOT_CHOSEN = "None of the results that were kept is one that this job pushes."
SYNTHETIC_PROGRESS = 50  # what "processing" is shown as while the provider gives no number


@dataclass(frozen=True, slots=True)
class Decision:
    """The job afterwards (the same object if nothing changed), and what the event was."""

    job: Job
    outcome: Outcome


def apply_event(job: Job, event: ProviderEvent, now: datetime) -> Decision:
    """Apply what a provider said about one attempt.

    Parameters
        event: `attempt` must be known (from our reference or from the link).
        now: the instant of reception.

    Guarantees
        Any order and any number of deliveries of the same events end in the same status;
        terminal never moves except as the tables say; cost is booked once per attempt.
    """
    attempt = _attempt_of(job, event)
    if attempt is None:
        return Decision(job, Outcome.MISMATCH)
    after = _learn(job, attempt, event, now)
    if attempt.number < job.attempt.number:
        return _stamp(job, _add_outputs(after, attempt.number, event), Outcome.STALE, now)
    row = TRANSITIONS[job.state][event.event]
    if job.state is JobState.PRESUMED and _is_guess(event):
        return _stamp(job, after, Outcome.DUPLICATE, now)
    if row.outcome is Outcome.APPLIED:
        return _stamp(job, _move(after, row.to, event, now), Outcome.APPLIED, now)
    if row.outcome is Outcome.DUPLICATE and event.event is JobEvent.STARTED:
        progressed = _progress(after, event)
        outcome = Outcome.PROGRESSED if progressed is not after else Outcome.DUPLICATE
        return _stamp(job, progressed, outcome, now)
    if row.outcome is Outcome.DUPLICATE and event.event is JobEvent.COMPLETED:
        # The first telling may have lacked the links; a repeated one may bring them.
        return _stamp(job, _refresh_outputs(after, event), Outcome.DUPLICATE, now)
    is_news = job.status.is_active and job.native_status != event.native
    if row.outcome is Outcome.UNKNOWN_STATUS and is_news:
        after = replace(after, native_status=event.native)
    return _stamp(job, after, row.outcome, now)


def take_hint(job: Job, event: ProviderEvent, now: datetime) -> Decision:
    """Take from an event that proves too little which job of the provider it is, no more, and
    have the provider asked."""
    attempt = _attempt_of(job, event)
    if attempt is None:
        return Decision(job, Outcome.MISMATCH)
    after = _learn(job, attempt, replace(event, event=JobEvent.UNKNOWN), now)
    if attempt.number < job.attempt.number:
        return _stamp(job, after, Outcome.STALE, now)
    row = TRANSITIONS[job.state][event.event]
    if row.outcome is not Outcome.APPLIED and not job.status.is_active:
        # It ended already, and not by a guess of ours: nobody need be asked.
        return _stamp(job, after, row.outcome, now)
    return _stamp(job, replace(after, poll_wanted=True), Outcome.NOTED, now)


def _attempt_of(job: Job, event: ProviderEvent) -> Attempt | None:
    """Return the attempt that an event is about; None when it is about another job."""
    number = event.attempt if event.attempt is not None else job.attempt.number
    if not 1 <= number <= len(job.attempts):
        return None
    attempt = job.attempts[number - 1]
    is_other = attempt.provider_job_id is not None and event.provider_job_id not in (
        None,
        attempt.provider_job_id,
    )
    return None if is_other else attempt


def _is_guess(event: ProviderEvent) -> bool:
    """Whether a failure is presumed only. A job that ended by a guess ended then, not now."""
    return event.event is JobEvent.FAILED and event.error_code in PRESUMED_CODES


def _stamp(before: Job, after: Job, outcome: Outcome, now: datetime) -> Decision:
    if after is before or after == before:
        return Decision(before, outcome)
    return Decision(replace(after, updated_at=now), outcome)


def _learn(job: Job, attempt: Attempt, event: ProviderEvent, now: datetime) -> Job:
    """Take over the provider's id and the charge, whatever becomes of the event itself."""
    learnt = attempt
    if learnt.provider_job_id is None and event.provider_job_id is not None:
        learnt = replace(learnt, provider_job_id=event.provider_job_id, linked_at=now)
    if learnt.poll_url is None and event.poll_url is not None:
        learnt = replace(learnt, poll_url=event.poll_url)
    if event.event in (JobEvent.COMPLETED, JobEvent.FAILED, JobEvent.CANCELLED):
        learnt = _book(job, learnt, event)
    return job if learnt is attempt else job.with_attempt(learnt)


def _book(job: Job, attempt: Attempt, event: ProviderEvent) -> Attempt:
    cost = event.cost_micros
    if cost is None and event.event is JobEvent.COMPLETED:
        cost = job.unit_cost_micros
    booked = attempt
    if booked.credits is None and event.credits is not None:
        booked = replace(booked, credits=event.credits)
    if booked.cost_micros is None and cost is not None:
        booked = replace(booked, cost_micros=cost)
    if booked.processing_ms is None and event.processing_ms is not None:
        booked = replace(booked, processing_ms=event.processing_ms)
    return booked


def _move(job: Job, to: JobState, event: ProviderEvent, now: datetime) -> Job:
    moved = replace(
        job,
        status=to.status,
        native_status=event.native,
        tool_name=job.tool_name or event.tool_name,
        started_at=job.started_at or now,
        poll_wanted=False,
        due_tries=0,
    )
    if to is JobState.PROCESSING:
        return _progress(moved, event)
    ended = replace(moved, completed_at=now)
    if to is JobState.COMPLETED:
        cleared = replace(ended, progress=100, error_code=None, error_message=None)
        return _add_outputs(cleared, job.attempt.number, event)
    return replace(ended, error_code=event.error_code, error_message=event.error_message)


def _progress(job: Job, event: ProviderEvent) -> Job:
    shown = SYNTHETIC_PROGRESS if event.progress is None else event.progress
    progress = max(job.progress, min(max(shown, 0), 99))
    return job if progress == job.progress else replace(job, progress=progress)


def _add_outputs(job: Job, number: int, event: ProviderEvent) -> Job:
    if event.event is not JobEvent.COMPLETED or not event.output_urls:
        return job
    if any(output.attempt == number for output in job.outputs):
        return job
    new = tuple(
        Output(index=index, attempt=number, url=_storable(url))
        for index, url in enumerate(event.output_urls[:MAX_OUTPUTS])
    )
    return replace(job, outputs=job.outputs + new)


def _refresh_outputs(job: Job, event: ProviderEvent) -> Job:
    """Take fresh links for outputs that could not be kept yet, and links never told before."""
    known = job.current_outputs
    job = _add_outputs(job, job.attempt.number, event)
    if job.error_code == NO_OUTPUT and job.current_outputs != known:
        job = replace(job, error_code=None, error_message=None, due_tries=0)
        if job.push.error_code == NO_OUTPUT:
            # It failed for want of what is here now: it is wanted as before.
            job = replace(job, push=replace(Push(), number=job.push.number))
    for output in job.current_outputs:
        if output.is_owed and output.index < len(event.output_urls):
            url = _storable(event.output_urls[output.index])
            job = job.with_output(replace(output, url=url))
    return job


def _storable(url: str) -> str | None:
    """Return a link as it may stand on a job; one that holds the image is asked for again."""
    return None if url.startswith("data:") else url


def retry(job: Job, now: datetime) -> Job:
    """Open a new attempt of an ended job that did not succeed, or whose result is lost.

    Raises ConflictError `wrong_status` in every other state.
    """
    _check_stays(job)
    row = TRANSITIONS[job.state][JobEvent.RETRY]
    if row.outcome is not Outcome.APPLIED and not is_result_lost(job):
        raise ConflictError(
            f"This job is {job.status}; only a failed or cancelled job, or one whose result "
            "is lost, can be retried."
        )
    return replace(
        job,
        status=JobState.PENDING.status,
        native_status=None,
        attempts=(*job.attempts, Attempt(number=job.attempt.number + 1, created_at=now)),
        progress=0,
        started_at=None,
        completed_at=None,
        scheduled_at=None,
        error_code=None,
        error_message=None,
        # A bulk job goes on where it was stopped; everything else begins anew.
        result=job.result if is_uncounted(job) else None,
        counts=job.counts if is_uncounted(job) else Counts(total=job.counts.total),
        samples=(),
        message=None,
        cancel_requested=False,
        poll_wanted=False,
        polled_at=None,
        reported_at=None,
        push=replace(Push(), number=job.push.number),
        updated_at=now,
        due_tries=0,
    )


def is_result_lost(job: Job) -> bool:
    """Whether a completed job has no result, and will never get one without a new attempt."""
    return (
        job.state is JobState.COMPLETED
        and job.error_code is not None
        and not any(output.is_kept or output.is_owed for output in job.current_outputs)
    )


def _check_stays(job: Job) -> None:
    """Raise ConflictError `wrong_status` for a job whose files are going."""
    if job.delete_wanted:
        raise ConflictError("This job is being deleted; should it still be there, delete it again.")


def cancel(job: Job, now: datetime) -> Job:
    """End the job here, on request. Cancelling a cancelled job changes nothing.

    Raises ConflictError `wrong_status` when the job ended otherwise.
    """
    row = TRANSITIONS[job.state][JobEvent.CANCEL]
    if row.outcome is Outcome.DUPLICATE:
        return job
    if row.outcome is Outcome.REFUSED:
        raise ConflictError(f"This job is {job.status} already and cannot be cancelled.")
    return replace(
        job,
        status=row.to.status,
        completed_at=now,
        samples=(),
        cancel_requested=True,
        updated_at=now,
        due_tries=0,
    )


def force_complete(job: Job, result: Mapping[str, Any], now: datetime) -> Job:
    """End the job as completed with a result that an administrator gives.

    Nothing is booked: nobody said what it cost. Raises ConflictError `wrong_status` when it
    is completed already.
    """
    _check_stays(job)
    row = TRANSITIONS[job.state][JobEvent.FORCE_COMPLETE]
    if row.outcome is not Outcome.APPLIED:
        raise ConflictError(f"This job is {job.status} already.")
    return replace(
        job,
        status=row.to.status,
        result=result,
        progress=100,
        started_at=job.started_at or now,
        completed_at=now,
        error_code=None,
        error_message=None,
        cancel_requested=False,
        poll_wanted=False,
        updated_at=now,
        due_tries=0,
    )


def fail_dispatch(job: Job, code: str, message: str, now: datetime) -> Job:
    """End an attempt that the provider refused, or that never reached it: a known failure."""
    return replace(
        job,
        status=JobState.FAILED.status,
        samples=(),
        error_code=code,
        error_message=message,
        completed_at=now,
        updated_at=now,
        due_tries=0,
    )


def presume_failed(job: Job, code: str, message: str, now: datetime) -> Job:
    """End a silent job by guess (`timed_out`, `dispatch_unknown`); a real event may override."""
    if code not in (TIMED_OUT, DISPATCH_UNKNOWN):
        raise ValueError(code)
    if TRANSITIONS[job.state][JobEvent.TIME_OUT].outcome is not Outcome.APPLIED:
        return job
    return fail_dispatch(job, code, message, now)


def can_push(job: Job) -> bool:
    """Whether there is a kept output that was chosen to be pushed, and a product to put it on."""
    return (
        job.state is JobState.COMPLETED
        and not job.delete_wanted
        and job.product_id is not None
        and any(output.is_kept for output in job.chosen_outputs)
    )


def request_push(job: Job, now: datetime) -> Job:
    """Queue a push of the current attempt's chosen outputs (again, if it was pushed before).

    Raises ConflictError `wrong_status` when there is nothing kept or no product.
    """
    _check_stays(job)
    if job.product_id is None:
        raise ConflictError("This job has no product to push to.")
    if not can_push(job):
        raise ConflictError(_why_no_result(job))
    job = _move_outputs(job, PushEvent.REQUEST)
    for output in job.chosen_outputs:
        if output.media_failures or output.media_error:
            job = job.with_output(replace(output, media_failures=0, media_error=None))
    push = replace(
        job.push,
        status=PushStatus.QUEUED,
        number=job.push.number + 1,
        tries=0,
        not_before=None,
        undo=False,
        error_code=None,
        error=None,
    )
    return replace(job, push=push, updated_at=now, due_tries=0)


def _why_no_result(job: Job) -> str:
    """Say whether waiting helps: a job that ended without a kept result never gets one."""
    if job.status.is_active or any(output.is_owed for output in job.chosen_outputs):
        return "There is no kept result to push yet."
    if any(output.is_kept for output in job.current_outputs):
        return NOT_CHOSEN
    if job.error_message:
        return f"This job has no result to push: {job.error_message}"
    return f"This job is {job.status}; it has no result to push."


def request_undo(job: Job, now: datetime) -> Job:
    """Ask for the image to be taken off the product.

    Raises ConflictError `wrong_status` when no media of this job can be on the product.
    """
    _check_stays(job)
    if not any(output.media_id for output in job.current_outputs):
        raise ConflictError("Nothing of this job is on a product.")
    push = replace(job.push, number=job.push.number + 1, tries=0, not_before=None, undo=True)
    return replace(job, push=push, updated_at=now, due_tries=0)


def _move_outputs(job: Job, event: PushEvent) -> Job:
    for output in job.chosen_outputs:
        if output.is_kept:
            job = job.with_output(move_output(output, event))
    return job


def move_output(output: Output, event: PushEvent) -> Output:
    """Move one output along the push axis, as the table says (late events change nothing)."""
    row = PUSH_TRANSITIONS[output.push_status][event]
    return output if row.to is output.push_status else replace(output, push_status=row.to)


def settle_push(job: Job, now: datetime) -> Job:
    """Set the job's push status from its outputs'.

    While any output is under way the least advanced one counts; when all have ended it is
    `failed` if one failed, else `pushed`, else `none`.
    """
    statuses = [o.push_status for o in job.current_outputs if o.is_kept]
    active = [s for s in _PUSH_ORDER if s in statuses]
    if active:
        status = active[0]
    elif PushStatus.FAILED in statuses:
        status = PushStatus.FAILED
    elif PushStatus.PUSHED in statuses:
        status = PushStatus.PUSHED
    else:
        status = PushStatus.NONE
    push = replace(job.push, status=status)
    if status is PushStatus.PUSHED:
        push = replace(
            push, pushed_at=push.pushed_at or now, error_code=None, error=None, not_before=None
        )
    elif status is PushStatus.NONE:
        push = replace(push, pushed_at=None, error_code=None, error=None, undo=False)
    return job if push == job.push else replace(job, push=push, updated_at=now)


_PUSH_ORDER = (PushStatus.QUEUED, PushStatus.STAGING, PushStatus.PROCESSING)


def fail_push(job: Job, code: str, sentence: str, now: datetime) -> Job:
    """End the whole push with a reason that a merchant understands."""
    job = _move_outputs(job, PushEvent.FAIL)
    push = replace(
        job.push,
        status=PushStatus.FAILED,
        undo=False,
        not_before=None,
        error_code=code,
        error=sentence,
    )
    return replace(job, push=push, updated_at=now, due_tries=0)
