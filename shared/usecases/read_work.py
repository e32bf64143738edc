"""Follow the work of a shop's programs: pages with exact totals, the latest of a type, logs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.errors import InvalidRequestError
from shared.domain.filters import JobFilter
from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.usecases.ports import JobStore

# One request reads no more jobs than this, however many there are.
MAX_READ = 1_000
_STEP = 100
STATISTICS_OF = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPage:
    """One page, newest first.

    total: all jobs of the shop, exactly. running: those that are processing.
    by_type: how many of the jobs created in the last 24 hours are of each type (the newest
    1,000 of them count, should there be more).
    """

    jobs: tuple[Job, ...]
    total: int
    running: int
    by_type: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a question found. total: how many there are in all, None where nobody counted."""

    jobs: tuple[Job, ...]
    total: int | None


def read_work_page(store: JobStore, shop: str, now: datetime, *, page: int, limit: int) -> WorkPage:
    """Return page number `page` (from 1) of the shop's jobs.

    Raises InvalidRequestError beyond the newest 1,000: numbered pages are counted from the start
    each time; cursors are not.
    """
    if page * limit > MAX_READ:
        raise InvalidRequestError(
            f"Numbered pages end at the newest {MAX_READ} jobs; GET /api/jobs has cursors.",
            details=[{"field": "page", "message": f"times limit must be at most {MAX_READ}"}],
        )
    everything = JobFilter(shop=shop)
    found = store.list_jobs(everything, limit=page * limit)
    pending, running = store.count_active(shop)
    if found.is_complete:
        total = len(found.jobs)
    else:
        total = store.tally(f"SHOP#{shop}", "ALL").ended + pending + running
    since = now - STATISTICS_OF
    recent: Sequence[Job] = found.jobs
    if not found.is_complete and all(job.created_at >= since for job in recent):
        recent = store.list_jobs(replace(everything, created_from=since), limit=MAX_READ).jobs
    return WorkPage(
        jobs=found.jobs[(page - 1) * limit :],
        total=total,
        running=running,
        by_type=Counter(job.type for job in recent if job.created_at >= since),
    )


def read_latest(store: JobStore, shop: str, job_type: str) -> tuple[Job | None, bool]:
    """Return the newest job of a type (None if there is none), and whether one is running."""
    page = store.list_jobs(JobFilter(shop=shop, type=job_type), limit=1)
    if not page.jobs:
        return None, False
    latest = page.jobs[0]
    is_running = latest.status is JobStatus.PROCESSING or any(
        job.status is JobStatus.PROCESSING for job in store.active_jobs(shop, job_type)
    )
    return latest, is_running


def find_work(
    store: JobStore,
    wanted: JobFilter,
    *,
    limit: int,
    is_meant: Callable[[Job], bool] | None = None,
) -> Found:
    """Return the newest `limit` jobs that fit; every filter is applied before the limit.

    Parameters
        is_meant: a condition that no index knows. With it, the newest 1,000 jobs that fit
            `wanted` are looked at.
    """
    if is_meant is None:
        page = store.list_jobs(wanted, limit=limit)
        return Found(jobs=page.jobs, total=_total(store, wanted, page.jobs, page.is_complete))
    fitting: list[Job] = []
    read, position = 0, None
    while read < MAX_READ:
        page = store.list_jobs(wanted, limit=_STEP, position=position)
        fitting += [job for job in page.jobs if is_meant(job)]
        read, position = read + len(page.jobs), page.position
        if position is None or not page.jobs:
            break
    total = len(fitting) if position is None else None
    return Found(jobs=tuple(fitting[:limit]), total=total)


def _total(
    store: JobStore, wanted: JobFilter, jobs: Sequence[Job], is_complete: bool
) -> int | None:
    """Count what is counted already: all jobs, or those of one status."""
    if is_complete:
        return len(jobs)
    if replace(wanted, status=None) != JobFilter(shop=wanted.shop):
        return None
    pending, running = store.count_active(wanted.shop)
    tally = store.tally(f"SHOP#{wanted.shop}", "ALL")
    by_status = {
        JobStatus.PENDING: pending,
        JobStatus.PROCESSING: running,
        JobStatus.COMPLETED: tally.completed,
        JobStatus.FAILED: tally.failed,
        JobStatus.CANCELLED: tally.cancelled,
        None: tally.ended + pending + running,
    }
    return by_status[wanted.status]
