"""Have something done to many jobs: as a tracked job of its own, or as a question beforehand."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

from shared.domain.budget import Spending
from shared.domain.bulk import BulkAction, filter_json
from shared.domain.errors import RejectedError
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef, is_job_id
from shared.domain.job import WORKER, Attempt, Counts, Job
from shared.domain.plan import schedule
from shared.domain.status import Outcome
from shared.usecases.bulk_actions import RehearsingTracker, rehearse, rehearsing
from shared.usecases.check_credits import quote
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency, WorkStore
from shared.usecases.reserve_budget import last_price
from shared.usecases.tracker import Note, Tracker

MAX_IDS = 1_000
# What a dry run reads, and what a list of work is kept for (a failed bulk job can be retried).
MAX_READ = 1_000
WORK_KEPT_FOR = timedelta(days=30)
_TOGETHER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which jobs: named ones, or those that fit a filter."""

    job_ids: tuple[str, ...] | None = None
    wanted: JobFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a bulk job would do now.

    matched: how many jobs are meant. eligible: to how many it can be done. refused: code → the
    others. credits, cost_micros: what retries are expected to cost (see _price). is_complete:
    False when only the first thousand were looked at.
    """

    matched: int = 0
    eligible: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    credits: int = 0
    cost_micros: int = 0
    is_complete: bool = True


def start_bulk(
    tracker: Tracker,
    works: WorkStore,
    caller: Caller,
    action: BulkAction,
    selection: Selection,
    *,
    idempotency: Idempotency | None = None,
) -> Job:
    """Create a bulk job; returns it. It acts on jobs that existed before it.

    Parameters
        idempotency: the same key with the same body gives the bulk job made then.

    Raises InvalidRequestError, StoreUnavailableError.
    """
    if selection.job_ids is not None:
        names = list(dict.fromkeys(selection.job_ids))
        work: dict[str, Any] = {"ids": names}
        total: int | None = len(names)
        if action is BulkAction.DELETE:
            # Later nobody can tell them from those that it deleted itself.
            jobs, _, _ = _select(tracker, caller.require_shop(), selection)
            work["missing"] = sorted(set(names) - {job.job_id for job in jobs})
    else:
        wanted = selection.wanted or JobFilter(shop=caller.require_shop())
        page = tracker.store.list_jobs(wanted, limit=MAX_READ)
        work = {"filter": filter_json(wanted)}
        total = len(page.jobs) if page.is_complete else None
    return create_bulk_job(
        tracker, works, caller, action, work, total=total, idempotency=idempotency
    )


def create_bulk_job(
    tracker: Tracker,
    works: WorkStore,
    caller: Caller,
    action: BulkAction,
    work: Mapping[str, Any],
    *,
    total: int | None,
    name: str | None = None,
    idempotency: Idempotency | None = None,
) -> Job:
    """Keep what is to be done, then create the bulk job and send its first message."""
    now = tracker.now()
    ref = JobRef(caller.require_shop(), tracker.new_id(now))
    # First the work: a bulk job without it could only fail. Alone it is cleared away in time.
    who = {"kind": caller.kind.value, "actor": caller.actor}
    works.put_work(ref, dict(work) | who, now + WORK_KEPT_FOR)
    job = Job(
        shop=ref.shop,
        job_id=ref.job_id,
        created_at=now,
        updated_at=now,
        provider=WORKER,
        type=action.job_type,
        name=name,
        counts=Counts(total=total, processed=0, successful=0, failed=0),
        attempts=(Attempt(number=1, created_at=now),),
    )
    job = schedule(job, now, tracker.patience(job))
    note = Note(
        source=caller.source,
        actor=caller.actor,
        outcome=Outcome.APPLIED,
        message="Bulk job created.",
    )
    entry = tracker.entry(note, None, job, now, version=job.version)
    created = tracker.store.create(job, entry=entry, idempotency=idempotency)
    tracker.send_owed(None, created, now)
    return created


def forecast(
    tracker: Tracker, caller: Caller, action: BulkAction, selection: Selection
) -> Forecast:
    """Tell what a bulk job would do, and change nothing. Reads at most a thousand jobs."""
    jobs, missing, is_complete = _select(tracker, caller.require_shop(), selection)
    rehearsal = rehearsing(tracker, {job.ref: job for job in jobs})
    found = Forecast(
        matched=len(jobs) + missing,
        refused=Counter({"not_found": missing} if missing else {}),
        is_complete=is_complete,
    )
    for job in jobs:
        found = _add(found, rehearsal, caller, action, job)
    return found


def _add(
    found: Forecast, rehearsal: RehearsingTracker, caller: Caller, action: BulkAction, job: Job
) -> Forecast:
    try:
        rehearse(rehearsal, caller, action, job.ref)
    except RejectedError as error:
        return replace(found, refused=found.refused + Counter([error.code]))
    price = _price(rehearsal, job) if action is BulkAction.RETRY else Spending()
    return replace(
        found,
        eligible=found.eligible + 1,
        credits=found.credits + price.credits,
        cost_micros=found.cost_micros + price.cost_micros,
    )


def _price(tracker: Tracker, job: Job) -> Spending:
    """Return what another attempt is expected to cost.

    As the newest one of the job that was charged. Failures are mostly free, which tells nothing
    of a success: then by the provider's price list, else as the tool cost this shop last, else
    0, for nobody knows. Money: likewise, else the price that the job's creator named.
    """
    charged = _newest(a.credits for a in job.attempts)
    return Spending(
        credits=charged
        or quote(tracker, job)
        or last_price(tracker, job.shop, job.provider, job.tool_id)
        or 0,
        cost_micros=_newest(a.cost_micros for a in job.attempts) or job.unit_cost_micros or 0,
    )


def _newest(charges: Iterable[int | None]) -> int:
    known = [charge for charge in charges if charge]
    return known[-1] if known else 0


def _select(tracker: Tracker, shop: str, selection: Selection) -> tuple[Sequence[Job], int, bool]:
    """Read the jobs; returns them, how many named ones are missing, and whether that is all."""
    if selection.job_ids is not None:
        names = list(dict.fromkeys(selection.job_ids))
        refs = [JobRef(shop, name) for name in names if is_job_id(name)]
        jobs = [
            job
            for chunk in batched(refs, _TOGETHER, strict=False)
            for job in tracker.store.get_many(chunk)
        ]
        return jobs, len(names) - len(jobs), True
    wanted = selection.wanted or JobFilter(shop=shop)
    page = tracker.store.list_jobs(wanted, limit=MAX_READ)
    return page.jobs, 0, page.is_complete


def until(created_at: datetime, wanted: JobFilter) -> JobFilter:
    """Return the filter for jobs that were created before a bulk job was."""
    end = created_at + timedelta(microseconds=1)
    return replace(wanted, created_to=min(end, wanted.created_to or end))
