"""Find a shop's jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.cursors import jobs_scope, make_cursor, read_cursor
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef, is_job_id
from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.usecases.ports import JobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """A page of jobs.

    total: how many jobs the question finds in all, exactly, or None where that would have to
    be counted by reading them. running: how many of them are processing, likewise.
    """

    jobs: tuple[Job, ...]
    next_cursor: str | None
    total: int | None
    running: int | None


def list_jobs(
    store: JobStore,
    wanted: JobFilter,
    *,
    limit: int,
    cursor: str | None,
    cursor_secrets: Sequence[str],
) -> JobList:
    """Return a page of at most `limit` jobs; the end is `next_cursor` None.

    Raises InvalidRequestError for a cursor of another shop or other filters.
    """
    scope = jobs_scope(wanted)
    position = read_cursor(scope, cursor, cursor_secrets) if cursor is not None else None
    page = store.list_jobs(wanted, limit=limit, position=position)
    more = make_cursor(scope, page.position, cursor_secrets) if page.position else None
    total = running = None
    if position is None and page.is_complete:
        total, running = len(page.jobs), _running(page.jobs)
    elif position is None and wanted.is_unfiltered:
        pending, running = store.count_active(wanted.shop)
        total = store.tally(f"SHOP#{wanted.shop}", "ALL").ended + pending + running
    return JobList(jobs=page.jobs, next_cursor=more, total=total, running=running)


def list_jobs_by_id(store: JobStore, wanted: JobFilter, job_ids: Sequence[str]) -> JobList:
    """Return those of up to 100 named jobs that exist, are the shop's and fit the filter."""
    names = dict.fromkeys(job_ids)
    found = store.get_many([JobRef(wanted.shop, name) for name in names if is_job_id(name)])
    jobs = sorted(
        (job for job in found if wanted.matches(job)),
        key=lambda job: job.job_id,
        reverse=not wanted.ascending,
    )
    return JobList(jobs=tuple(jobs), next_cursor=None, total=len(jobs), running=_running(jobs))


def list_job_by_provider_id(
    store: JobStore, wanted: JobFilter, provider: str, provider_job_id: str
) -> JobList:
    """Return the job of which some attempt has this id at its provider, if it fits the filter.

    One read of the link, one of the job: nothing is searched.
    """
    link = store.find_link(provider, provider_job_id)
    names = [link.ref.job_id] if link is not None and link.ref.shop == wanted.shop else []
    return list_jobs_by_id(store, wanted, names)


def _running(jobs: Sequence[Job]) -> int:
    return sum(job.status is JobStatus.PROCESSING for job in jobs)
