"""End a job on request."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain import lifecycle
from shared.domain.duties import check_can_be_stopped
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import Outcome
from shared.usecases.identify_caller import Caller
from shared.usecases.tracker import Note, Tracker

STILL_CHARGED = (
    "The provider cannot cancel: it may finish this job all the same, and charge for it. "
    "What it delivers is not used."
)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job afterwards, and what the user should know (None: nothing)."""

    job: Job
    notice: str | None


def cancel_job(tracker: Tracker, caller: Caller, ref: JobRef) -> Cancelled:
    """Cancel a job; cancelling a cancelled one changes nothing.

    It ends here at once; a provider that can is asked to stop, in the dispatch lane.

    Raises NotFoundError; ConflictError `wrong_status` when it ended otherwise.
    """

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        check_can_be_stopped(job)
        after = cancelled(tracker, job, now)
        if after is job:
            return job, None
        return after, Note(
            source=caller.source,
            actor=caller.actor,
            outcome=Outcome.APPLIED,
            message="Cancelled on request.",
        )

    job = tracker.change(ref, decide)
    return Cancelled(job, STILL_CHARGED if _may_be_charged(tracker, job) else None)


def cancelled(tracker: Tracker, job: Job, now: datetime) -> Job:
    """Return the job as cancelled, its provider to be asked to stop if it can be.

    Where the provider's id is not known yet, it is asked as soon as that is learnt. Raises
    ConflictError `wrong_status`.
    """
    after = lifecycle.cancel(job, now)
    if after is job or not _may_be_there(job) or not _can_be_stopped(tracker, job):
        return after
    return after.with_attempt(replace(after.attempt, stop_wanted=True))


def _may_be_charged(tracker: Tracker, job: Job) -> bool:
    """Whether the provider has the job, or may have it, and cannot be stopped."""
    is_known = job.provider in tracker.adapters
    return is_known and _may_be_there(job) and not _can_be_stopped(tracker, job)


def _can_be_stopped(tracker: Tracker, job: Job) -> bool:
    adapter = tracker.adapters.get(job.provider)
    return adapter is not None and adapter.can_cancel


def _may_be_there(job: Job) -> bool:
    return job.attempt.provider_job_id is not None or job.attempt.intent_at is not None
