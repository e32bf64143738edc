"""Erase a shop: leave nothing in the table or the bucket that names it.

The shop's own item is the lock. While it says `erasing`, nobody installs the app, changes a
setting or creates a job; so nothing new begins. What had begun before may still write: that is
why everything is looked through again, five minutes later (no function runs for more than two),
and again, until a look finds nothing. Then the shop's item, the erasing job's own and the report
change hands in one transaction.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from shared.domain import duties, lifecycle
from shared.domain.duties import Haul
from shared.domain.erasure import ErasureReport, kind_of_item
from shared.domain.errors import (
    InvariantError,
    NotFoundError,
)
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.shop import Redaction, Shop, judge_redaction
from shared.domain.storage import prefixes_of
from shared.usecases.conflicts import retry_on_conflict
from shared.usecases.duty_lane import PAGE, QUIET, DutyLane, Ended, Found, Resting
from shared.usecases.ports import Belongings
from shared.usecases.tracker import Note

log = logging.getLogger(__name__)

INSTALLED_AGAIN = "installed_again"
UNDER_WAY = "under_way"


class EraseWork:
    """Erases one shop, part by part."""

    def __init__(self, lane: DutyLane) -> None:
        self._lane = lane
        self._tracker = lane.tracker
        self._erasures = lane.erasures
        # First who may act for it; the files after the jobs that refer to them.
        self._parts: tuple[tuple[str, _Find, _Erase], ...] = (
            self._belongings(Belongings.KEYS),
            ("jobs", self._find_jobs, self._erase_jobs),
            self._belongings(Belongings.TOMBSTONES),
            self._belongings(Belongings.ITEMS),
            self._belongings(Belongings.COUNTERS),
            ("files", self._find_files, self._erase_files),
        )

    def begin(self, job: Job) -> Job | None:
        """Close the shop, unless it is in use again or being erased already."""
        if job.bulk_cursor is not None:
            return job
        refusal = self._close(job)
        now = self._tracker.now()
        if refusal is not None:
            log.warning("shop not erased", extra={"shop": job.shop, "reason": refusal})
            ended = duties.finish(job, now, erased=False, reason=refusal)
            self._tracker.write(job, ended, None)
            return None
        # Addresses of people lie at Amazon SNS. Nobody can be added to a closed shop.
        self._lane.letters.subscribe(job.shop, None)
        begun = duties.take_on(job, Haul(), {}, now)
        self._erasures.put_report(job.shop, self._report(begun, Haul(), None))
        return self._tracker.write(job, begun, None)

    def do(self, job: Job, haul: Haul) -> None:
        """Erase what a haul names."""
        if haul.names:
            _name, _find, erase = self._parts[haul.part]
            erase(job, haul.names)

    def look(self, job: Job, haul: Haul) -> Found | Resting | Ended:
        """Find the next of a part, or of the parts after it; at the end, look again later."""
        for part in range(haul.part, len(self._parts)):
            name, find, _erase = self._parts[part]
            found = find(job)
            if found:
                step = replace(haul, part=part, names=tuple(found), has_found=True)
                return Found(haul=step, counts=_counts(name, found))
        now = self._tracker.now()
        if haul.look == 1 or haul.has_found:
            again = Haul(look=haul.look + 1)
            return Resting(haul=again, until=now + QUIET)
        self._erasures.finish(job, self._report(job, haul, now))
        return Ended()

    def _close(self, job: Job) -> str | None:
        """Say on the shop's item that it is being erased; returns why that may not be."""
        triggered_at = datetime.fromisoformat(job.parameters["triggeredAt"])

        def close() -> str | None:
            shop = self._lane.shops.get_shop(job.shop)
            if shop is not None and shop.erasing is not None:
                return None if shop.erasing == job.job_id else UNDER_WAY
            if judge_redaction(shop, triggered_at) is Redaction.OUTDATED:
                return INSTALLED_AGAIN
            # Settings and token go at once.
            self._lane.shops.save_shop(shop, Shop(shop=job.shop, erasing=job.job_id))
            return None

        return retry_on_conflict("shop", close)

    def _report(self, job: Job, haul: Haul, ended_at: datetime | None) -> ErasureReport:
        return ErasureReport(
            erasure_id=job.job_id,
            requested_at=datetime.fromisoformat(job.parameters["requestedAt"]),
            started_at=job.started_at or self._tracker.now(),
            ended_at=ended_at,
            deleted=dict((job.result or {}).get("done", {})),
            looks=haul.look if ended_at is not None else 0,
            log_days=self._lane.log_days,
        )

    def _belongings(self, part: Belongings) -> "tuple[str, _Find, _Erase]":
        def find(job: Job) -> Sequence[str]:
            return self._erasures.find(job.shop, part, limit=PAGE)

        def erase(job: Job, names: Sequence[str]) -> None:
            self._erasures.erase(job.shop, part, names)

        return part.value, find, erase

    def _find_jobs(self, job: Job) -> Sequence[str]:
        refs = self._tracker.store.refs(job.shop, limit=PAGE + 1)
        return [ref.job_id for ref in refs if ref != job.ref][:PAGE]

    def _erase_jobs(self, job: Job, names: Sequence[str]) -> None:
        for name in names:
            self._erase_job(JobRef(job.shop, name))

    def _erase_job(self, ref: JobRef) -> None:
        """End it, so that nobody works on it any more, then delete all that there is of it."""

        def erase() -> None:
            # Gone already, ended, or unreadable.
            with suppress(NotFoundError, InvariantError):
                self._tracker.change(ref, _cancel)
            self._tracker.store.erase(ref)

        retry_on_conflict("job", erase)

    def _find_files(self, job: Job) -> Sequence[str]:
        for prefix in prefixes_of(job.shop):
            found = self._lane.files.find(prefix, limit=PAGE)
            if found:
                return found
        return ()

    def _erase_files(self, _job: Job, names: Sequence[str]) -> None:
        self._lane.files.remove(names)


type _Find = Callable[[Job], Sequence[str]]
type _Erase = Callable[[Job, Sequence[str]], None]


def _counts(part: str, found: Sequence[str]) -> Mapping[str, int]:
    if part == Belongings.ITEMS:
        return Counter(kind_of_item(name) for name in found)
    return {part: len(found)}


def _cancel(job: Job, now: datetime) -> tuple[Job, Note | None]:
    if not job.status.is_active:
        return job, None
    return lifecycle.cancel(job, now), None
