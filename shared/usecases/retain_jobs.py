"""Keep ended jobs for as long as the shop wants, and no longer: a walk a day, from the oldest.

One bulk job per shop does it, and is the same every day. It sits on the index of what is due
until its next day, so a shop without the setting costs nothing, and a walk costs what it deletes
(and the few jobs that are old and not ended).
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from shared.domain import duties
from shared.domain.bulk import BulkAction, action_of
from shared.domain.duties import Duty, Haul
from shared.domain.errors import (
    ConflictError,
    InvariantError,
    NotFoundError,
)
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.plan import schedule
from shared.usecases.delete_job import check_deletable, delete_job
from shared.usecases.duty_lane import PAGE, DutyLane, Ended, Found, Resting
from shared.usecases.tracker import Tracker

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
MAX_PAGES = 8  # of jobs that are all too young or active, in one look


def owe_retention(tracker: Tracker, shop: str) -> str:
    """Create the job that sees to a shop's retention, from tomorrow on; returns its id.

    It works only while the shop's own item names it: one that is named by no shop, because the
    call that made it died, ends by itself.
    """
    now = tracker.now()
    job = duties.new_duty(Duty.RETAIN, shop, tracker.new_id(now), now, start_at=now + EVERY)
    return tracker.store.create(schedule(job, now, tracker.patience(job))).job_id


class RetainWork:
    """Deletes ended jobs that were made, and ended, longer ago than the shop keeps them."""

    def __init__(self, lane: DutyLane) -> None:
        self._tracker = lane.tracker
        self._shops = lane.shops
        self._works = lane.works
        self._files = lane.files
        self._days = 0

    def begin(self, job: Job) -> Job | None:
        """Read the setting; without it (any more), remove this job itself."""
        shop = self._shops.get_shop(job.shop)
        if shop is None or shop.retention_days is None or shop.retention_job != job.job_id:
            self._tracker.store.delete(job)
            return None
        self._days = shop.retention_days
        if job.bulk_cursor is not None:
            return job
        return self._tracker.write(job, duties.wake(job, self._tracker.now()), None)

    def do(self, job: Job, haul: Haul) -> None:
        """Delete as one does by hand: files, timeline and share of the statistics with it."""
        for name in haul.names:
            # Gone already, or begun anew since it was looked at.
            with suppress(NotFoundError, ConflictError):
                self._delete(JobRef(job.shop, name))

    def look(self, job: Job, haul: Haul) -> Found | Resting | Ended:
        """Walk on until there is something to delete; stop at the first that is too young."""
        now = self._tracker.now()
        before, after = self._before(now), haul.after
        for _ in range(MAX_PAGES):
            refs = self._tracker.store.refs(job.shop, limit=PAGE, after=after, until=before)
            if not refs:
                rested = duties.begin_anew(job, now + EVERY, now)
                self._tracker.write(job, rested, None)
                return Ended()
            after = refs[-1].job_id
            names = [each.job_id for each in self._read(refs) if self._is_over(each, before)]
            if names:
                found = Haul(names=tuple(names), after=after)
                return Found(haul=found, counts={"jobs": len(names)})
        return Found(haul=Haul(after=after))

    def _before(self, now: datetime) -> datetime:
        return now - timedelta(days=self._days)

    def _delete(self, ref: JobRef) -> None:
        job = self._tracker.store.get(ref)
        # A haul may be done again minutes later: the job done anew, the setting changed.
        if not self._is_over(job, self._before(self._tracker.now())):
            return
        if action_of(job) is BulkAction.EXPAND:
            self._works.delete_batch(ref.shop, ref.job_id)
        delete_job(self._tracker, self._files, ref)

    def _is_over(self, job: Job, before: datetime) -> bool:
        """Whether a job has ended, in every respect, and long enough ago.

        What made a batch goes, and the batch with it, when none of its jobs is left.
        """
        try:
            check_deletable(self._tracker, job)
        except ConflictError:
            return False
        if (job.completed_at or job.updated_at) >= before:
            return False
        is_batch = action_of(job) is BulkAction.EXPAND
        return not is_batch or not self._tracker.store.batch_sums(job.shop, job.job_id).jobs

    def _read(self, refs: Sequence[JobRef]) -> list[Job]:
        try:
            return self._tracker.store.get_many(refs)
        except InvariantError:
            return [job for ref in refs for job in self._read_one(ref)]

    def _read_one(self, ref: JobRef) -> list[Job]:
        """Read one job of a page that has an unreadable one, which stays."""
        try:
            return self._tracker.store.get_many([ref])
        except InvariantError as error:
            log.exception("job not judged", extra={"job_id": ref.job_id, "code": error.code})
            return []
