"""Recount a shop: its statistics and its months against its jobs, read one by one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.domain.audit import (
    Difference,
    NamesOfDays,
    Recount,
    counter_differences,
    day_differences,
    name_differences,
    recount,
    type_differences,
)
from shared.domain.budget import Spending, month_of
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.statistics import DAY, TOOL, TYPE, Scope, Tally
from shared.domain.status import JobStatus
from shared.usecases.audit_job import AuditLane
from shared.usecases.ports import Sighting

# A shop of at most so many jobs is recounted whole; of a larger one so many in a row, and a batch.
AT_MOST = 500
BATCH_AT_MOST = 1_000
# Of each active status, the oldest first: whoever is stuck is old.
ACTIVE = 100
PAGE = 100
READINGS = 3  # while counters move
FIRST_DAY, LAST_DAY = "0000-01-01", "9999-12-31"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopLook:
    """What one look at a shop found; None where others were at it all the while.

    seen: the jobs that were read on the way.
    """

    differences: list[Difference] | None
    seen: Sequence[Sighting] = ()


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the table says that jobs add up to."""

    counters: Mapping[Scope, Tally]
    months: Mapping[str, Spending]
    names: NamesOfDays = field(default_factory=dict)


def look_at_shop(lane: AuditLane, shop: str, drawn: JobRef | None) -> ShopLook:
    """Compare a shop's counters with its jobs.

    Parameters
        drawn: a job of it: a large shop is recounted from there on, and that job's batch.

    The counters must be the same before and after the jobs are read, or else others were at them.
    Raises StoreUnavailableError.
    """
    if len(lane.tracker.store.refs(shop, limit=AT_MOST + 1)) <= AT_MOST:
        return _look_at_all(lane, shop)
    return _look_at_part(lane, shop, drawn)


def _look_at_all(lane: AuditLane, shop: str) -> ShopLook:
    seen: list[Sighting] = []

    def count() -> Recount:
        seen[:] = _walk(lane, shop, None)
        return recount(_jobs(seen), is_whole=True)

    families = [f"{family}#{shop}" for family in ("PROJECT", "BATCH")]
    found = _compare(lambda: _sums(lane, shop, families), count)
    return ShopLook(differences=found, seen=seen)


def _look_at_part(lane: AuditLane, shop: str, drawn: JobRef | None) -> ShopLook:
    seen: list[Sighting] = []
    family = f"SHOP#{shop}"
    days: list[Difference] = []

    def read() -> _Sums:
        sums = _sums(lane, shop, [])
        buckets = {scope.bucket: tally for scope, tally in sums.counters.items()}
        days[:] = [*day_differences(buckets), *type_differences(buckets, sums.names)]
        return sums

    def count() -> Recount:
        seen[:] = _walk(lane, shop, drawn.job_id if drawn is not None else None)
        found = recount(_jobs(seen), is_whole=False)
        own = {scope: tally for scope, tally in found.tallies.items() if scope.name == family}
        return replace(found, tallies=own)

    found = _compare(read, count)
    batch = _look_at_batch(lane, drawn)
    both = None if found is None or batch is None else [*found, *days, *batch]
    return ShopLook(differences=both, seen=[*seen, *_active(lane, shop)])


def _look_at_batch(lane: AuditLane, drawn: JobRef | None) -> list[Difference] | None:
    """Recount the batch of a job, all of it; one that is too large is left out."""
    jobs = lane.tracker.store.get_many([drawn]) if drawn is not None else []
    if not jobs or jobs[0].batch_id is None:
        return []
    shop, batch_id = jobs[0].shop, jobs[0].batch_id
    refs = _of_batch(lane, shop, batch_id)
    if len(refs) > BATCH_AT_MOST:
        return []
    scope = Scope(name=f"BATCH#{shop}", bucket=batch_id)

    def count() -> Recount:
        found = recount(_jobs(lane.samples.look(refs)), is_whole=True)
        return Recount({scope: found.tallies.get(scope, Tally())}, {}, is_whole=True)

    def read() -> _Sums:
        return _Sums({scope: lane.tracker.store.tally(scope.name, scope.bucket)}, {})

    return _compare(read, count)


def _compare(read: Callable[[], _Sums], count: Callable[[], Recount]) -> list[Difference] | None:
    for _ in range(READINGS):
        before = read()
        found = count()
        if read() == before:
            return [
                *counter_differences(found, before.counters, before.months),
                *name_differences(found, before.names),
            ]
    return None


def _sums(lane: AuditLane, shop: str, families: Sequence[str]) -> _Sums:
    """Read the shop's own counters and those of families beside them; and of what was spent the
    present month and the one before."""
    store, now = lane.tracker.store, lane.tracker.now()
    own = f"SHOP#{shop}"
    days = store.days(shop, FIRST_DAY, LAST_DAY)
    counters = {Scope(name=own, bucket="ALL"): store.tally(own, "ALL")}
    counters |= {Scope(name=own, bucket=DAY + day.date): day.tally for day in days}
    counters |= {
        Scope(name=family, bucket=bucket): tally
        for family in families
        for bucket, tally in store.tallies(family).items()
    }
    months = {month_of(now), month_of(now.replace(day=1) - timedelta(days=1))}
    return _Sums(
        counters,
        {month: store.spent(shop, month) for month in months},
        {(d.date, TOOL): d.by_tool for d in days} | {(d.date, TYPE): d.by_type for d in days},
    )


def _walk(lane: AuditLane, shop: str, after: str | None) -> list[Sighting]:
    """Read jobs in a row, at most as many as a small shop has; after the newest the oldest."""
    seen: list[Sighting] = []
    is_round = after is None
    while len(seen) < AT_MOST:
        room = min(PAGE, AT_MOST - len(seen))
        refs = lane.tracker.store.refs(shop, limit=room, after=after)
        if not refs and is_round:
            break
        is_round = is_round or not refs
        after = refs[-1].job_id if refs else None
        seen += lane.samples.look(refs)
    return seen


def _active(lane: AuditLane, shop: str) -> list[Sighting]:
    refs: list[JobRef] = []
    for status in (JobStatus.PENDING, JobStatus.PROCESSING):
        wanted = JobFilter(shop=shop, status=status, ascending=True)
        refs += [job.ref for job in lane.tracker.store.list_jobs(wanted, limit=ACTIVE).jobs]
    return lane.samples.look(refs)


def _of_batch(lane: AuditLane, shop: str, batch_id: str) -> list[JobRef]:
    wanted = JobFilter(shop=shop, batch_id=batch_id)
    refs: list[JobRef] = []
    position = None
    while len(refs) <= BATCH_AT_MOST:
        page = lane.tracker.store.list_jobs(wanted, limit=PAGE, position=position)
        refs += [job.ref for job in page.jobs]
        position = page.position
        if position is None:
            break
    return refs


def _jobs(seen: Sequence[Sighting]) -> list[Job]:
    return [sighting.job for sighting in seen if sighting.job is not None]
