"""End a job on request."""

from dataclasses import dataclass
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

    Raises NotFoundError; ConflictError `wrong_status` when it ended otherwise.
    """

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        check_can_be_stopped(job)
        after = lifecycle.cancel(job, now)
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


def _may_be_charged(tracker: Tracker, job: Job) -> bool:
    """Whether the provider has the job, or may have it, and cannot be stopped."""
    adapter = tracker.adapters.get(job.provider)
    if adapter is None or adapter.can_cancel:
        return False
    return job.attempt.provider_job_id is not None or job.attempt.intent_at is not None
