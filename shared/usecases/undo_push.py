"""Have an image taken off its product again."""

from datetime import datetime
from functools import partial

from shared.domain import lifecycle
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import Outcome
from shared.usecases.do_once import done_by, was_done
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency
from shared.usecases.tracker import Note, Tracker
from shared.usecases.waiting import look_again


def undo_push(
    tracker: Tracker, caller: Caller, ref: JobRef, *, idempotency: Idempotency | None = None
) -> Job:
    """Queue the removal and wait until it has ended, for at most eight seconds; returns the job.

    Parameters
        idempotency: with the same key and body it is done once, whatever became of it since.

    Raises NotFoundError; ConflictError `wrong_status` when nothing of the job can be on a product.
    """
    job = queue_undo(tracker, caller, ref, idempotency=idempotency)
    look = partial(tracker.store.get, ref)
    return look_again(tracker.clock, job, look, until=lambda seen: not seen.push.undo)


def queue_undo(
    tracker: Tracker, caller: Caller, ref: JobRef, *, idempotency: Idempotency | None = None
) -> Job:
    """Queue the removal, unless it is under way; returns the job. Raises as `undo_push`."""

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        if job.push.undo or was_done(job, idempotency):
            return job, None
        return done_by(lifecycle.request_undo(job, now), idempotency), Note(
            source=caller.source,
            actor=caller.actor,
            outcome=Outcome.APPLIED,
            message="Removal from the product requested.",
        )

    return tracker.change(ref, decide)
