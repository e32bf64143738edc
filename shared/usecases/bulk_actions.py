"""What a bulk job does to each job: the same use-cases that a single call runs.

They get a tracker that puts the bulk job's mark into the very write that acts, or one that
writes nothing (to tell beforehand what would become of it).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from typing import Any

from shared.domain.budget import Budget, Spending, spending_changes
from shared.domain.bulk import BulkAction, marked
from shared.domain.errors import (
    BudgetExceededError,
    ConflictError,
    NotFoundError,
)
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.plan import schedule
from shared.domain.statistics import is_uncounted
from shared.usecases.cancel_job import cancel_job
from shared.usecases.conflicts import retry_on_conflict
from shared.usecases.delete_job import check_deletable, delete_job
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Files
from shared.usecases.request_push import queue_push
from shared.usecases.retry_job import retry_job
from shared.usecases.sync_job import can_be_asked, is_fresh
from shared.usecases.tracker import Note, Tracker
from shared.usecases.undo_push import queue_undo

type Decide = Callable[[Job, datetime], tuple[Job, Note | None]]


class AlreadyActedError(Exception):
    """This bulk job acted on this job before (its chunk was delivered again)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkingTracker(Tracker):
    """A tracker whose changes carry a bulk job's mark, and happen once."""

    bulk_id: str

    def change(self, ref: JobRef, decide: Decide, **more: Any) -> Job:
        """See `Tracker.change`. Raises AlreadyActedError, ConflictError (not a job to act on)."""

        def decide_once(job: Job, now: datetime) -> tuple[Job, Note | None]:
            if self.bulk_id in job.bulk_marks:
                raise AlreadyActedError
            _check_is_work(job)
            after, note = decide(job, now)
            if after is job:
                raise ConflictError("There is nothing to change about this job.")
            return marked(after, self.bulk_id), note

        return Tracker.change(self, ref, decide_once, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsingTracker(Tracker):
    """A tracker that decides and writes nothing.

    jobs: what was read beforehand. spent: what the changes so far would leave of each month.
    """

    jobs: Mapping[JobRef, Job]
    spent: dict[str, Spending] = field(default_factory=dict)

    def change(
        self, ref: JobRef, decide: Decide, *, ceiling: Budget | None = None, **more: Any
    ) -> Job:
        """Return the job as it would be.

        Raises what `decide` raises, NotFoundError, BudgetExceededError.
        """
        job = self.jobs.get(ref)
        if job is None:
            raise NotFoundError("There is no such job.")
        _check_is_work(job)
        after, _note = decide(job, self.now())
        if after is job:
            raise ConflictError("There is nothing to change about this job.")
        if ceiling is not None:
            self._spend(job, after, ceiling)
        return after

    def _spend(self, before: Job, after: Job, ceiling: Budget) -> None:
        changes = spending_changes(before, after)
        used = {
            month: self.spent.get(month) or self.store.spent(after.shop, month) for month in changes
        }
        if not all(ceiling.allows(used[month], change) for month, change in changes.items()):
            raise BudgetExceededError("This would cost more than is left of the shop's budget.")
        self.spent.update({month: used[month] + change for month, change in changes.items()})


class _Remembered:
    """A store that is asked the same only once: a thousand jobs have one budget, few tools."""

    def __init__(self, store: object) -> None:
        self._store = store
        self._answers: dict[tuple[object, ...], Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*about: object) -> Any:
            question = (name, *about)
            if question not in self._answers:
                self._answers[question] = getattr(self._store, name)(*about)
            return self._answers[question]

        return ask


def _check_is_work(job: Job) -> None:
    if is_uncounted(job):
        raise ConflictError("A bulk job cannot be acted on in bulk.")


def marking(tracker: Tracker, bulk_id: str) -> MarkingTracker:
    """Return the tracker that marks for a bulk job."""
    return MarkingTracker(**_parts(tracker), bulk_id=bulk_id)


def rehearsing(tracker: Tracker, jobs: Mapping[JobRef, Job]) -> RehearsingTracker:
    """Return the tracker that only decides. It reads budget and prices once, not for each job."""
    parts = _parts(tracker) | {"store": _Remembered(tracker.store)}
    if tracker.shops is not None:
        parts["shops"] = _Remembered(tracker.shops)
    return RehearsingTracker(**parts, jobs=jobs)


def planning(tracker: Tracker) -> Tracker:
    """Return a tracker for many jobs: the credits that one of them takes, the next one lacks."""
    return replace(tracker, catalog=tracker.catalog.planning() if tracker.catalog else None)


def _parts(tracker: Tracker) -> dict[str, Any]:
    tracker = planning(tracker)
    return {part.name: getattr(tracker, part.name) for part in fields(Tracker)}


def act(
    tracker: MarkingTracker, files: Files, caller: Caller, action: BulkAction, ref: JobRef
) -> Job | None:
    """Do it to one job; returns the job afterwards, None when it is gone as wanted.

    Raises AlreadyActedError; RejectedError when it cannot be done to this job; RetryableError.
    """
    if action is BulkAction.DELETE:
        _delete(tracker, files, ref)
        return None
    if action is BulkAction.SYNC:
        return _want_poll(tracker, ref)
    return _CHANGES[action](tracker, caller, ref)


def rehearse(tracker: RehearsingTracker, caller: Caller, action: BulkAction, ref: JobRef) -> Job:
    """Tell what would become of one job. Raises RejectedError when it cannot be done."""
    if action is BulkAction.DELETE:
        return tracker.change(ref, partial(_deletable, tracker))
    if action is BulkAction.SYNC:
        return tracker.change(ref, _polled)
    return _CHANGES[action](tracker, caller, ref)


_CHANGES: Mapping[BulkAction, Callable[[Tracker, Caller, JobRef], Job]] = {
    BulkAction.RETRY: retry_job,
    BulkAction.PUSH: queue_push,
    BulkAction.UNDO_PUSH: queue_undo,
    BulkAction.CANCEL: lambda tracker, caller, ref: cancel_job(tracker, caller, ref).job,
}


def _delete(tracker: MarkingTracker, files: Files, ref: JobRef) -> None:
    try:
        _check_is_work(tracker.store.get(ref))
        delete_job(tracker, files, ref)
    except NotFoundError:
        # Gone is what was wanted, and what an earlier delivery of this chunk left behind. Those
        # that never were have been counted out when the bulk job was made.
        return


def _deletable(tracker: Tracker, job: Job, now: datetime) -> tuple[Job, None]:
    check_deletable(tracker, job)
    return replace(job, updated_at=now), None


def _polled(job: Job, now: datetime) -> tuple[Job, None]:
    if not can_be_asked(job):
        raise ConflictError("There is nobody to ask about this job.")
    return replace(job, poll_wanted=True, updated_at=now), None


def _want_poll(tracker: MarkingTracker, ref: JobRef) -> Job | None:
    """Make a poll due, without a message: one listing answers for the whole chunk.

    Returns None for a job that was asked about just now.
    """

    def change() -> Job | None:
        before = tracker.store.get(ref)
        now = tracker.now()
        _check_is_work(before)
        after, _note = _polled(before, now)
        if is_fresh(before, now):
            return None
        after = schedule(after, now, tracker.patience(after))
        return before if before.poll_wanted else tracker.store.save(before, after)

    return retry_on_conflict("job", change)
