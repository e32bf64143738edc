"""Have a kept result put on its product."""

from datetime import datetime
from functools import partial

from shared.domain import lifecycle
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import JobStatus, Outcome
from shared.usecases.do_once import done_by, was_done
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency
from shared.usecases.tracker import Note, Tracker
from shared.usecases.waiting import look_again


def request_push(
    tracker: Tracker, caller: Caller, ref: JobRef, *, idempotency: Idempotency | None = None
) -> Job:
    """Queue a push and wait until it has ended, for at most eight seconds; returns the job.

    A job that has just been completed is given the same time to have its result kept. A push
    that is under way already is waited for, not queued again.

    Parameters
        idempotency: with the same key and body it is done once, whatever became of it since.

    Raises NotFoundError; ConflictError `wrong_status` when there is no kept result or product.
    """
    look = partial(tracker.store.get, ref)
    look_again(tracker.clock, look(), look, until=lambda job: not _is_being_kept(job))
    job = queue_push(tracker, caller, ref, idempotency=idempotency)
    return look_again(tracker.clock, job, look, until=lambda seen: not seen.push.status.is_active)


def queue_push(
    tracker: Tracker, caller: Caller, ref: JobRef, *, idempotency: Idempotency | None = None
) -> Job:
    """Queue a push, unless one is under way; returns the job. Raises as `request_push`."""

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        is_under_way = job.push.status.is_active and not job.push.undo
        if is_under_way or was_done(job, idempotency):
            return job, None
        return done_by(lifecycle.request_push(job, now), idempotency), Note(
            source=caller.source,
            actor=caller.actor,
            outcome=Outcome.APPLIED,
            message="Push to Shopify requested.",
        )

    return tracker.change(ref, decide)


def _is_being_kept(job: Job) -> bool:
    return (
        job.status is JobStatus.COMPLETED
        and job.product_id is not None
        and not lifecycle.can_push(job)
        and any(output.is_owed for output in job.current_outputs)
    )
