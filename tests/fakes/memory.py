"""The stores in memory: for tests, and the model that the table is compared with.

Statistics are recounted from the jobs on every question: they cannot drift here.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.domain.batch import Batch, BatchSums
from shared.domain.budget import Budget, Spending, learnt_price, spending_changes
from shared.domain.erasure import shop_digest
from shared.domain.errors import NotFoundError, VersionConflictError
from shared.domain.events import Link, LogEntry, ParkedEvent
from shared.domain.filters import JobFilter, LogFilter
from shared.domain.ids import JobRef, first_id_at
from shared.domain.job import Job
from shared.domain.pace import bucket_of, expected_ms
from shared.domain.shop import Shop
from shared.domain.statistics import Tally, contribution, is_uncounted, scopes, total
from shared.domain.status import JobStatus, PushStatus
from shared.gateways.store_rules import (
    BODY_KEPT_FOR,
    MAX_LOG_ENTRIES,
    PARKED_FOR,
    already_running,
    budget_exceeded,
    dropped_links,
    entry_as_read,
    entry_to_keep,
    is_starting,
    later_minutes,
    limit_names,
    link_taken,
    links,
    new_links,
    pace_months,
    pack_body,
    settle_counted_names,
    stored_form,
)
from shared.usecases.ports import Clock, DayTally, DueJob, Idempotency, LogPage, Page
from tests.fakes.memory_once import Makings, made_before, remember

type _LinkKey = tuple[str, str]

_EVERY_ENTRY = LogFilter()


@dataclass(slots=True)
class _Timeline:
    """One job's entries, their raw deliveries (gzipped, with their end), and the true count."""

    entries: dict[str, LogEntry] = field(default_factory=dict)
    payloads: dict[str, bytes] = field(default_factory=dict)
    bodies: dict[str, tuple[datetime, bytes]] = field(default_factory=dict)
    count: int = 0


class InMemoryJobStore:
    """A `JobStore` without a table.

    Parameters
        clock: tells what has expired.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[JobRef, Job] = {}
        self._timelines: defaultdict[JobRef, _Timeline] = defaultdict(_Timeline)
        self._links: dict[_LinkKey, Link] = {}
        self._parked: defaultdict[_LinkKey, dict[str, ParkedEvent]] = defaultdict(dict)
        self._made: Makings[JobRef] = {}
        self._spent: defaultdict[tuple[str, str], Spending] = defaultdict(Spending)
        self._prices: dict[tuple[str, str, str], int] = {}

    # --- one job ---------------------------------------------------------------------

    def get(self, ref: JobRef) -> Job:
        """Read one job. Raises NotFoundError."""
        try:
            return self._jobs[ref]
        except KeyError:
            raise NotFoundError("There is no such job.") from None

    def get_many(self, refs: Sequence[JobRef]) -> list[Job]:
        """Read up to 100 jobs in the order asked; those that do not exist are left out."""
        return [self._jobs[ref] for ref in refs if ref in self._jobs]

    def create(
        self,
        job: Job,
        *,
        entry: LogEntry | None = None,
        idempotency: Idempotency | None = None,
        ceiling: Budget | None = None,
    ) -> Job:
        """Write a new job; see `JobStore.create`."""
        if idempotency is not None:
            earlier = self.made_before(job.shop, idempotency)
            if earlier is not None:
                return earlier
        if job.ref in self._jobs:
            raise VersionConflictError("A job with this id exists already.")
        if job.exclusive:
            self._check_nothing_runs(job)
        self._check_links(new_links(None, job))
        self._check_budget(None, job, ceiling)
        job = settle_counted_names(None, stored_form(job))
        self._put(None, job)
        self._enter(job.ref, entry)
        remember(self._made, job.shop, idempotency, job.ref, self._clock.now())
        return job

    def save(
        self,
        before: Job,
        after: Job,
        *,
        entry: LogEntry | None = None,
        take_links: bool = False,
        ceiling: Budget | None = None,
    ) -> Job:
        """Write `after` over `before`; see `JobStore.save`."""
        self._check_version(before)
        if is_starting(before, after):
            self._check_nothing_runs(after)
        if not take_links:
            self._check_links(new_links(before, after))
        self._check_budget(before, after, ceiling)
        after = replace(settle_counted_names(before, after), version=before.version + 1)
        after = stored_form(after)
        self._put(before, after)
        self._enter(after.ref, entry)
        return after

    def delete(self, job: Job) -> list[str]:
        """Delete the job and its timeline; links become tombstones."""
        self._check_version(job)
        files = self.log_files(job.ref)
        del self._jobs[job.ref]
        self._timelines.pop(job.ref, None)
        for link in links(job):
            # A link that proved to be another job's stays theirs.
            if self._links.get(_link_key(link), link).ref == job.ref:
                self._links[_link_key(link)] = replace(link, is_tombstone=True)
        return files

    def erase(self, ref: JobRef) -> None:
        """Delete a job in whatever state, and everything that names it."""
        job = self._jobs.pop(ref, None)
        for link in links(job) if job is not None else ():
            if self._links.get(_link_key(link), link).ref == ref:
                self._links.pop(_link_key(link), None)
                self._parked.pop(_link_key(link), None)
        self._timelines.pop(ref, None)

    def _put(self, before: Job | None, after: Job) -> None:
        for link in new_links(before, after):
            self._links[_link_key(link)] = link
        for month, change in spending_changes(before, after).items():
            self._spent[after.shop, month] += change
        price = learnt_price(before, after)
        if price is not None and after.tool_id is not None:
            self._prices[after.shop, after.provider, after.tool_id] = price
        for link in dropped_links(before, after) if before else ():
            if self._links.get(_link_key(link)) == link:
                del self._links[_link_key(link)]
        self._jobs[after.ref] = after

    def _check_budget(self, before: Job | None, after: Job, ceiling: Budget | None) -> None:
        changes = spending_changes(before, after).items()
        used = self._spent
        if ceiling is not None and not all(
            ceiling.allows(used[after.shop, month], change) for month, change in changes
        ):
            raise budget_exceeded()

    def _check_version(self, job: Job) -> None:
        stored = self._jobs.get(job.ref)
        if stored is None or stored.version != job.version:
            raise VersionConflictError("The job was changed meanwhile.")

    def _check_links(self, wanted: Iterable[Link]) -> None:
        if any(self._links.get(_link_key(link), link) != link for link in wanted):
            raise link_taken()

    def _check_nothing_runs(self, job: Job) -> None:
        for other in self._jobs.values():
            is_alike = (other.shop, other.type) == (job.shop, job.type)
            if is_alike and other.status.is_active and other.ref != job.ref:
                raise already_running(other.job_id)

    def made_before(self, shop: str, idempotency: Idempotency) -> Job | None:
        """Return the job that was made with this key; see `JobStore.made_before`."""
        now = self._clock.now()
        return made_before(self._made, shop, idempotency, now, find=self._jobs.get)

    # --- timeline --------------------------------------------------------------------

    def note(self, ref: JobRef, entry: LogEntry) -> bool:
        """Put an entry on the timeline; nothing happens when the job is gone."""
        return ref in self._jobs and self._enter(ref, entry)

    def log(
        self,
        ref: JobRef,
        *,
        limit: int,
        position: str | None = None,
        wanted: LogFilter = _EVERY_ENTRY,
    ) -> LogPage:
        """Read the timeline, newest first."""
        timeline = self._timelines.get(ref, _Timeline())
        ids = sorted((i for i, e in timeline.entries.items() if wanted.matches(e)), reverse=True)
        left = [i for i in ids if position is None or i < position]
        page = left[:limit]
        now = self._clock.now()
        return LogPage(
            entries=tuple(entry_as_read(timeline.entries[i], now) for i in page),
            position=page[-1] if len(left) > limit else None,
            dropped=max(0, timeline.count - MAX_LOG_ENTRIES),
        )

    def entry(self, ref: JobRef, entry_id: str) -> LogEntry | None:
        """Read one entry of the timeline; None if there is none."""
        found = self._timelines.get(ref, _Timeline()).entries.get(entry_id)
        return None if found is None else entry_as_read(found, self._clock.now())

    def payload(self, ref: JobRef, entry_id: str) -> bytes | None:
        """Read the payload that lies beside an entry; None if there is none, or in the bucket."""
        return self._timelines.get(ref, _Timeline()).payloads.get(entry_id)

    def log_files(self, ref: JobRef) -> list[str]:
        """Read the keys of the timeline's payloads that lie in the bucket."""
        entries = self._timelines.get(ref, _Timeline()).entries
        return [entries[i].payload_key or "" for i in sorted(entries) if entries[i].payload_key]

    def body(self, ref: JobRef, entry_id: str) -> bytes | None:
        """Read the raw delivery behind an entry; None if none is kept."""
        kept = self._timelines.get(ref, _Timeline()).bodies.get(entry_id)
        if kept is None or kept[0] <= self._clock.now():
            return None
        return gzip.decompress(kept[1])

    def _enter(self, ref: JobRef, entry: LogEntry | None) -> bool:
        """Put an entry on the timeline; returns whether it is kept."""
        if entry is None:
            return False
        timeline = self._timelines[ref]
        timeline.count += 1
        if timeline.count > MAX_LOG_ENTRIES:
            return False
        packed = pack_body(entry.body) if entry.body is not None else None
        timeline.entries[entry.entry_id] = entry_to_keep(entry, packed)
        if packed is not None:
            timeline.bodies[entry.entry_id] = (entry.at + BODY_KEPT_FOR, packed)
        if entry.payload is not None:
            timeline.payloads[entry.entry_id] = entry.payload
        return True

    # --- links and parked events -----------------------------------------------------

    def find_link(self, provider: str, provider_job_id: str) -> Link | None:
        """Read which job a provider's id belongs to."""
        return self._links.get((provider, provider_job_id))

    def park(self, event: ParkedEvent) -> bool:
        """Keep an event that came before its job; False when a link exists by now."""
        key = (event.provider, event.provider_job_id)
        if key in self._links:
            return False
        self._parked[key][event.key] = event
        return True

    def parked(self, provider: str, provider_job_id: str) -> list[ParkedEvent]:
        """Read what is parked for a provider's id, the oldest first."""
        oldest = self._clock.now() - PARKED_FOR
        events = self._parked.get((provider, provider_job_id), {}).values()
        return sorted(
            (event for event in events if event.received_at > oldest),
            key=lambda event: (event.received_at, event.key),
        )

    def unpark(self, event: ParkedEvent) -> None:
        """Remove a parked event that was applied."""
        self._parked[event.provider, event.provider_job_id].pop(event.key, None)

    # --- many jobs -------------------------------------------------------------------

    def list_jobs(self, wanted: JobFilter, *, limit: int, position: str | None = None) -> Page:
        """Read a page of the jobs that match."""
        found = sorted(
            (job for job in self._jobs.values() if wanted.matches(job)),
            key=lambda job: job.job_id,
            reverse=not wanted.ascending,
        )
        left = [job for job in found if _is_after(job.job_id, position, wanted.ascending)]
        page = left[:limit]
        more = len(left) > limit
        return Page(
            jobs=tuple(page),
            position=page[-1].job_id if more else None,
            is_complete=position is None and not more,
        )

    def refs(
        self, shop: str, *, limit: int, after: str | None = None, until: datetime | None = None
    ) -> list[JobRef]:
        """Name the shop's jobs, our own bulk jobs too, the oldest first."""
        end = first_id_at(until) if until is not None else "~"
        names = sorted(ref.job_id for ref in self._jobs if ref.shop == shop)
        return [JobRef(shop, name) for name in names if (after or "") < name < end][:limit]

    def due(self, now: datetime, *, limit: int) -> list[DueJob]:
        """Read what is due at `now`, the oldest first."""
        due = [
            DueJob(ref=job.ref, due_at=job.due_at)
            for job in self._jobs.values()
            if job.due_at is not None and job.due_at <= now
        ]
        return sorted(due, key=lambda job: (job.due_at, job.ref.job_id))[:limit]

    def count_active(self, shop: str) -> tuple[int, int]:
        """Count the shop's (pending, processing) jobs."""
        return self._count(shop, JobStatus.PENDING), self._count(shop, JobStatus.PROCESSING)

    def count_processing(self, shop: str) -> int:
        """Count the shop's processing jobs."""
        return self._count(shop, JobStatus.PROCESSING)

    def _count(self, shop: str, status: JobStatus) -> int:
        return sum(
            (job.shop, job.status) == (shop, status) and not is_uncounted(job)
            for job in self._jobs.values()
        )

    def batch_sums(self, shop: str, batch_id: str) -> BatchSums:
        """Sum a batch's jobs."""
        jobs = [job for job in self._jobs.values() if (job.shop, job.batch_id) == (shop, batch_id)]
        ends = [job.completed_at for job in jobs if job.completed_at and scopes(job)]
        return BatchSums(
            tally=total(map(contribution, jobs)), jobs=len(jobs), ended_at=max(ends, default=None)
        )

    def active_jobs(self, shop: str, job_type: str) -> Sequence[Job]:
        """Read the shop's active jobs of a type."""
        return tuple(
            job
            for job in self._jobs.values()
            if (job.shop, job.type) == (shop, job_type) and job.status.is_active
        )

    def failed_pushes(self, shop: str, *, limit: int, position: str | None = None) -> Page:
        """Read the shop's jobs whose push failed."""
        wanted = JobFilter(shop=shop, push_status=PushStatus.FAILED)
        return self.list_jobs(wanted, limit=limit, position=position)

    # --- budgets and administrators --------------------------------------------------

    def spent(self, shop: str, month: str) -> Spending:
        """Read what is spent and set aside of a month."""
        return self._spent[shop, month]

    def last_price(self, shop: str, provider: str, tool_id: str) -> int | None:
        """Read the credits that a tool cost this shop last, None while nobody knows."""
        return self._prices.get((shop, provider, tool_id))

    def find_job(self, job_id: str) -> JobRef | None:
        """Find whose job that is."""
        return next((ref for ref in self._jobs if ref.job_id == job_id), None)

    def list_day(self, day: str, *, limit: int, position: str | None = None) -> Page:
        """Read the jobs of all shops that were created on a UTC day, newest first."""
        found = sorted(
            (job for job in self._jobs.values() if f"{job.created_at:%Y-%m-%d}" == day),
            key=lambda job: job.job_id,
            reverse=True,
        )
        left = [job for job in found if _is_after(job.job_id, position, False)]
        more = len(left) > limit
        return Page(
            jobs=tuple(left[:limit]),
            position=left[limit - 1].job_id if more else None,
            is_complete=position is None and not more,
        )

    def parked_on(self, day: str, *, limit: int) -> list[ParkedEvent]:
        """Read the newest `limit` parked events of all providers that came on a UTC day."""
        oldest = self._clock.now() - PARKED_FOR
        found = [
            event
            for events in self._parked.values()
            for event in events.values()
            if f"{event.received_at:%Y-%m-%d}" == day and event.received_at > oldest
        ]
        return sorted(found, key=lambda event: (event.received_at, event.key))[-limit:]

    # --- statistics ------------------------------------------------------------------

    def tally(self, scope_name: str, bucket: str) -> Tally:
        """Sum one counter."""
        return self.tallies(scope_name).get(bucket, Tally())

    def tallies(self, scope_name: str) -> dict[str, Tally]:
        """Sum every bucket of a family."""
        found: defaultdict[str, Tally] = defaultdict(Tally)
        for job in self._jobs.values():
            for scope in scopes(job):
                if scope.name == scope_name:
                    found[scope.bucket] += contribution(job)
        return dict(found)

    def days(self, shop: str, first: str, last: str) -> list[DayTally]:
        """Sum the shop's days from `first` to `last`, those on which something ended."""
        by_day: defaultdict[str, list[Job]] = defaultdict(list)
        for job in self._jobs.values():
            if job.shop == shop and scopes(job) and job.completed_at is not None:
                by_day[f"{job.completed_at:%Y-%m-%d}"].append(job)
        return [
            DayTally(
                date=date,
                tally=total(contribution(job) for job in jobs),
                by_tool=_by_name(jobs, lambda job: job.tool_id),
                by_type=_by_name(jobs, lambda job: job.type),
            )
            for date, jobs in sorted(by_day.items())
            if first <= date <= last
        ]


def _link_key(link: Link) -> _LinkKey:
    return link.provider, link.provider_job_id


def _is_after(job_id: str, position: str | None, ascending: bool) -> bool:
    if position is None:
        return True
    return job_id > position if ascending else job_id < position


def _by_name(jobs: Iterable[Job], name_of: Callable[[Job], str | None]) -> dict[str, Tally]:
    found: defaultdict[str, Tally] = defaultdict(Tally)
    for job in jobs:
        name = name_of(job)
        if name is not None:
            found[name] += contribution(job)
    return limit_names(found)


class InMemoryShopStore:
    """A `ShopStore` without a table."""

    def __init__(self) -> None:
        self._shops: dict[str, Shop] = {}
        self._bound: dict[str, tuple[datetime, str]] = {}

    def get_shop(self, shop: str) -> Shop | None:
        """Read what is known of a shop; None when it was never installed."""
        return self._shops.get(shop)

    def save_shop(self, before: Shop | None, after: Shop) -> Shop:
        """Write on condition of the version (or of absence). Raises VersionConflictError."""
        stored = self._shops.get(after.shop)
        expected = before.version if before is not None else None
        if (stored.version if stored is not None else None) != expected:
            raise VersionConflictError("The shop was changed meanwhile.")
        saved = replace(after, version=(expected or 0) + 1)
        self._shops[after.shop] = saved
        return saved

    def bind_delivery(self, digest: str, shop: str, until: datetime) -> bool:
        """Remember which shop a signed body came for first; False when that was another."""
        return self._bound.setdefault(digest, (until, shop_digest(shop)))[1] == shop_digest(shop)


class InMemoryLimiter:
    """A `Limiter` without a table."""

    def __init__(self) -> None:
        self._used: defaultdict[tuple[str, str, str], int] = defaultdict(int)

    def take(self, provider: str, key: str, now: datetime, *, ceiling: int) -> bool:
        """Take one call of this minute; False when `ceiling` calls were taken already."""
        minute = (provider, key, f"{now:%Y-%m-%dT%H:%M}")
        if self._used[minute] >= ceiling:
            return False
        self._used[minute] += 1
        return True

    def reserve(
        self, provider: str, key: str, now: datetime, *, ceiling: int, minutes: int
    ) -> datetime | None:
        """Take one call of the first later minute that has one left; None if none has."""
        for minute in later_minutes(now, minutes):
            if self.take(provider, key, minute, ceiling=ceiling):
                return minute
        return None


class InMemoryPaces:
    """`Paces` without a table."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str, str], defaultdict[int, int]] = defaultdict(
            lambda: defaultdict(int)
        )

    def learn(self, provider: str, tool_id: str, duration_ms: int, now: datetime) -> None:
        """Count one duration."""
        self._counts[provider, tool_id, pace_months(now)[-1]][bucket_of(duration_ms)] += 1

    def expected_ms(self, provider: str, tool_id: str, now: datetime) -> int | None:
        """Return how long it took of late; None while too little is known."""
        counts: defaultdict[int, int] = defaultdict(int)
        for month in pace_months(now):
            for bucket, count in self._counts[provider, tool_id, month].items():
                counts[bucket] += count
        return expected_ms(counts)


class InMemoryWorkStore:
    """A `WorkStore` without a table."""

    def __init__(self) -> None:
        self._works: dict[JobRef, str] = {}
        self._pages: dict[tuple[JobRef, str], str] = {}
        self._batches: dict[JobRef, Batch] = {}

    def put_batch(self, batch: Batch) -> None:
        """Keep a batch."""
        self._batches[JobRef(batch.shop, batch.batch_id)] = batch

    def get_batch(self, shop: str, batch_id: str) -> Batch | None:
        """Read a batch; None when the shop has no such."""
        return self._batches.get(JobRef(shop, batch_id))

    def delete_batch(self, shop: str, batch_id: str) -> None:
        """Forget a batch."""
        self._batches.pop(JobRef(shop, batch_id), None)

    def list_batches(
        self, shop: str, *, limit: int, position: str | None = None
    ) -> tuple[list[Batch], str | None]:
        """Read a page, newest first."""
        mine = [batch for ref, batch in self._batches.items() if ref.shop == shop]
        left = sorted(mine, key=lambda batch: batch.batch_id, reverse=True)
        left = [batch for batch in left if position is None or batch.batch_id < position]
        page = left[:limit]
        return page, page[-1].batch_id if len(left) > limit else None

    def finish_batch(self, shop: str, batch_id: str, by: str, attempt: int = 1) -> bool:
        """Note by which write the batch was first seen to be over; see `WorkStore`."""
        batch = self.get_batch(shop, batch_id)
        if batch is None:
            return False
        if batch.finished_round >= attempt:
            return (batch.finished_by, batch.finished_round) == (by, attempt)
        self.put_batch(replace(batch, finished_by=by, finished_round=attempt))
        return True

    def put_work(self, ref: JobRef, work: Mapping[str, Any], until: datetime) -> None:
        """Keep a document for a bulk job (as text: nobody changes it afterwards)."""
        self._works[ref] = json.dumps(work)

    def keep_page(
        self, ref: JobRef, place: str, page: Mapping[str, Any], until: datetime
    ) -> Mapping[str, Any]:
        """Keep a page, unless one is kept; returns what is."""
        kept: dict[str, Any] = json.loads(self._pages.setdefault((ref, place), json.dumps(page)))
        return kept

    def get_work(self, ref: JobRef) -> Mapping[str, Any] | None:
        """Read it; None when there is none."""
        work = self._works.get(ref)
        return json.loads(work) if work is not None else None
