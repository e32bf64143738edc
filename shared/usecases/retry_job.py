"""Open a new attempt of a job that did not succeed."""

from datetime import datetime

from shared.domain import lifecycle
from shared.domain.errors import ConflictError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import Outcome
from shared.usecases.check_credits import check_credits, promise_credits
from shared.usecases.do_once import done_by, was_done
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency
from shared.usecases.reserve_budget import read_budget, set_aside
from shared.usecases.tracker import Note, Tracker


def retry_job(
    tracker: Tracker, caller: Caller, ref: JobRef, *, idempotency: Idempotency | None = None
) -> Job:
    """Retry a failed or cancelled job; returns it, pending again.

    Parameters
        idempotency: the same key with the same body begins no second attempt, also when the
            first one has failed meanwhile.

    Raises NotFoundError; BudgetExceededError, InsufficientCreditsError; ConflictError
    `wrong_status` when it did not end without success, or was made elsewhere and lacks what a
    provider needs to be asked again.
    """

    budget = read_budget(tracker, ref.shop)

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        if was_done(job, idempotency):
            return job, None
        after = set_aside(tracker, lifecycle.retry(job, now), budget)
        if _lacks_input(tracker, job):
            raise ConflictError(
                "This job was made elsewhere, without its tool or its input image here: "
                "it cannot be sent again."
            )
        check_credits(tracker, after, now)
        after = done_by(after, idempotency)
        number = after.attempt.number
        return after, Note(
            source=caller.source,
            actor=caller.actor,
            outcome=Outcome.APPLIED,
            message=f"Retried: attempt {number} begins.",
        )

    retried = tracker.change(ref, decide, ceiling=budget)
    promise_credits(tracker, retried)
    return retried


def _lacks_input(tracker: Tracker, job: Job) -> bool:
    """Whether a job cannot be sent to its provider: it was made elsewhere, and lacks its half."""
    if job.is_worker_job:
        return False
    adapter = tracker.adapters.get(job.provider)
    needs_image = adapter is None or adapter.needs_image
    return job.tool_id is None or (needs_image and job.input_image_url is None)
