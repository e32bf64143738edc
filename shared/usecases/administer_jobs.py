"""What administrators do to jobs of any shop. Each is on the timeline, with who did it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain import lifecycle
from shared.domain.cursors import make_cursor, read_cursor
from shared.domain.duties import check_can_be_stopped
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.events import ParkedEvent
from shared.domain.ids import JobRef
from shared.domain.job import ASSIGNED, Job
from shared.domain.statistics import is_uncounted
from shared.domain.status import JobStatus, Outcome
from shared.usecases.change_documents import change_documents
from shared.usecases.identify_caller import Caller
from shared.usecases.issue_keys import active_agent
from shared.usecases.ports import Files, JobStore, KeyStore
from shared.usecases.reserve_budget import read_budget, set_aside
from shared.usecases.tracker import Note, Tracker

PARKED_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfJobs:
    """A page of all shops' jobs of a UTC day, newest first."""

    day: str
    jobs: tuple[Job, ...]
    next_cursor: str | None


def list_jobs_of_day(
    store: JobStore, day: str, *, limit: int, cursor: str | None, cursor_secrets: Sequence[str]
) -> DayOfJobs:
    """Return a page of the jobs of all shops created on a UTC day (`yyyy-mm-dd`).

    Raises InvalidRequestError for a cursor of another day.
    """
    scope = f"ADMIN#DAY#{day}"
    position = read_cursor(scope, cursor, cursor_secrets) if cursor is not None else None
    page = store.list_day(day, limit=limit, position=position)
    more = make_cursor(scope, page.position, cursor_secrets) if page.position else None
    return DayOfJobs(day=day, jobs=page.jobs, next_cursor=more)


def find_job(store: JobStore, job_id: str, shop: str | None) -> JobRef:
    """Name a job of the shop, or of whichever shop it is. Raises NotFoundError."""
    ref = JobRef(shop, job_id) if shop is not None else store.find_job(job_id)
    if ref is None:
        raise NotFoundError("There is no such job.")
    return ref


def complete_job(
    tracker: Tracker, files: Files, caller: Caller, ref: JobRef, result: Mapping[str, Any]
) -> Job:
    """End a job as completed, with a result that an administrator gives.

    Raises NotFoundError; ConflictError `wrong_status` when it is completed already;
    StoreUnavailableError (table or bucket).
    """

    def decide(job: Job, now: datetime) -> tuple[Job, Note]:
        check_can_be_stopped(job)
        return lifecycle.force_complete(job, result, now), _note(caller, "Completed by hand.")

    return change_documents(tracker, files, ref, decide)


def reassign_job(
    tracker: Tracker, keys: KeyStore, caller: Caller, ref: JobRef, agent_id: str
) -> Job:
    """Give a worker's job to an agent of the same shop, who finds it pending (`assigned`).

    A job that failed or was cancelled is begun anew by it. Raises NotFoundError (job or agent);
    ConflictError: `not_a_worker_job`; `wrong_status` when somebody is at work on it or it is
    completed, or the agent is not active; BudgetExceededError.
    """
    tracker.store.get(ref)
    agent = active_agent(keys, ref.shop, agent_id)
    budget = read_budget(tracker, ref.shop)

    def decide(job: Job, now: datetime) -> tuple[Job, Note]:
        if not job.is_worker_job:
            raise ConflictError("A provider works on this job.", code="not_a_worker_job")
        if is_uncounted(job):
            raise ConflictError("A bulk job is done by us.", code="not_a_worker_job")
        if job.status in (JobStatus.PROCESSING, JobStatus.COMPLETED):
            raise ConflictError(f"This job is {job.status}; it cannot be reassigned.")
        after = job
        if not job.status.is_active:
            after = set_aside(tracker, lifecycle.retry(job, now), budget)
        after = replace(after, agent_id=agent_id, native_status=ASSIGNED, updated_at=now)
        former = f" (before: {job.agent_id})" if job.agent_id else ""
        return after, _note(caller, f"Assigned to {agent.name}{former}.", ASSIGNED)

    return tracker.change(ref, decide, ceiling=budget)


def list_parked(store: JobStore, now: datetime, *, limit: int) -> list[ParkedEvent]:
    """Return events whose job nobody knows, of the last seven days, the newest first."""
    found: list[ParkedEvent] = []
    for days in range(PARKED_DAYS + 1):
        day = now.astimezone(UTC) - timedelta(days=days)
        if len(found) < limit:
            events = store.parked_on(f"{day:%Y-%m-%d}", limit=limit - len(found))
            found += reversed(events)
    return found


def _note(caller: Caller, message: str, native_status: str | None = None) -> Note:
    return Note(
        source=caller.source,
        actor=caller.actor,
        outcome=Outcome.APPLIED,
        message=message,
        native_status=native_status,
    )
