"""Store a new job; an exclusive one takes the place of one that nobody ever began."""

from datetime import datetime
from typing import Any

from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.ids import JobRef
from shared.domain.job import TIMED_OUT, Job
from shared.domain.lifecycle import presume_failed
from shared.domain.plan import is_abandoned
from shared.domain.status import Outcome
from shared.usecases.identify_caller import Caller
from shared.usecases.tracker import Note, Tracker

SENTENCE = "Nobody has begun this job for too long, and another one of its type takes its place."


def create_or_take_place(tracker: Tracker, caller: Caller, job: Job, **how: Any) -> Job:
    """Create a job as `JobStore.create` does.

    A program that dies between making its exclusive job and its first report leaves it pending,
    and no heartbeat ends what never began: it would keep all others of its type out for ever.
    """
    try:
        return tracker.store.create(job, **how)
    except ConflictError as error:
        if not _gives_way(tracker, caller, error):
            raise
    return tracker.store.create(job, **how)


def _gives_way(tracker: Tracker, caller: Caller, error: ConflictError) -> bool:
    """End the job that is in the way, if it may be ended; False when none was."""

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        if not (caller.may_see(job) and is_abandoned(job, now, tracker.patience(job))):
            return job, None
        note = Note(
            source=caller.source, actor=caller.actor, outcome=Outcome.APPLIED, message=SENTENCE
        )
        return presume_failed(job, TIMED_OUT, SENTENCE, now), note

    details = [detail for detail in error.details if isinstance(detail, dict)]
    names = [detail["runningJobId"] for detail in details if "runningJobId" in detail]
    try:
        held = [tracker.change(JobRef(caller.require_shop(), name), decide) for name in names]
    except NotFoundError:
        return True  # it was deleted meanwhile
    return bool(held) and not any(each.status.is_active for each in held)
