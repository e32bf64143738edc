"""The `JobStore` on DynamoDB: every write of a job is on condition of its version.

A change of the job alone is one plain update of the attributes that differ. What must change
together (a link, the statistics, a log entry, an idempotency key) is one transaction.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import batched, islice
from typing import TYPE_CHECKING

from shared.domain.batch import BatchSums
from shared.domain.budget import Budget, Spending, learnt_price, spending_changes
from shared.domain.errors import (
    InvariantError,
    LinkTakenError,
    NotFoundError,
    StoreUnavailableError,
    VersionConflictError,
)
from shared.domain.events import Link, LogEntry, ParkedEvent
from shared.domain.filters import JobFilter, LogFilter
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.statistics import Scope, Tally
from shared.domain.status import JobStatus, PushStatus
from shared.gateways import dynamo_items as items
from shared.gateways.dynamo_counters import (
    SHARDS,
    CounterChange,
    Counters,
    count_as_other,
    counter_changes,
    counter_row,
)
from shared.gateways.dynamo_errors import (
    CONDITION_FAILED,
    CONFLICT,
    ConditionFailedError,
    Reason,
    TransactionCancelledError,
    too_busy,
)
from shared.gateways.dynamo_listing import Listing
from shared.gateways.dynamo_notes import note_of, read_note, rewritten
from shared.gateways.dynamo_table import (
    MAX_BATCH_GET,
    Item,
    Request,
    Role,
    Row,
    Table,
    Terms,
    Value,
    check_size,
    key,
    number,
    text,
    update_expression,
)
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
    link_taken,
    links,
    made_and_deleted,
    new_links,
    pack_body,
    settle_counted_names,
    stored_form,
)
from shared.usecases.ports import (
    Clock,
    DayTally,
    DueJob,
    Idempotency,
    LogPage,
    Page,
    Randomness,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

log = logging.getLogger(__name__)

_EVERY_ENTRY = LogFilter()
# A counter that others are writing is tried on another shard, this often in all.
WRITE_TRIES = 6
# A transaction has at most 100 rows; older attempts' links are written before it.
_LINKS_TOGETHER = 50


@dataclass(slots=True)
class _Write:
    """One write as it is being tried.

    take_links: links of others are overwritten. keep_links: a link to be dropped has been taken
    over by its owner already. log_is_full: the entry is only counted.
    conflicts: how often counters were contended.
    ended_holder: the ended job that left its marker of an exclusive type.
    ceiling: what the shop may spend in a month.
    """

    before: Job | None
    after: Job
    entry: LogEntry | None = None
    idempotency: Idempotency | None = None
    take_links: bool = False
    keep_links: bool = False
    log_is_full: bool = False
    conflicts: int = 0
    ended_holder: str | None = None
    ceiling: Budget | None = None

    @property
    def kept_entry(self) -> LogEntry | None:
        """The entry, unless the timeline has no room for it."""
        return None if self.log_is_full else self.entry

    @property
    def note(self) -> str | None:
        """The entry as a line on the job itself, where there is room."""
        return note_of(self.after, self.kept_entry) if self.kept_entry is not None else None

    @property
    def placed(self) -> Job:
        """The job as it is written: with its entry, if that lies on it."""
        note = self.note
        return self.after if note is None else replace(self.after, notes=(*self.after.notes, note))

    @property
    def entry_apart(self) -> LogEntry | None:
        """The entry, if it is an item of its own."""
        return self.kept_entry if self.note is None else None


class DynamoJobStore:
    """The table of jobs.

    Parameters
        client: a botocore DynamoDB client. clock: tells what has expired.
        random: chooses the shards of the counters.
    """

    def __init__(
        self, client: DynamoDBClient, table_name: str, *, clock: Clock, random: Randomness
    ) -> None:
        self._table = Table(client, table_name, clock)
        self._listing = Listing(self._table)
        self._counters = Counters(self._table)
        self._clock = clock
        self._random = random

    # --- one job ---------------------------------------------------------------------

    def get(self, ref: JobRef) -> Job:
        """Read one job consistently. Raises NotFoundError."""
        item = self._table.get(items.job_key(ref))
        if item is None:
            raise NotFoundError("There is no such job.")
        return items.read_job(item)

    def get_many(self, refs: Sequence[JobRef]) -> list[Job]:
        """Read up to 100 jobs in the order asked; those that do not exist are left out."""
        found = self._listing.get_many(refs, consistent=True)
        return [found[ref] for ref in refs if ref in found]

    def create(
        self,
        job: Job,
        *,
        entry: LogEntry | None = None,
        idempotency: Idempotency | None = None,
        ceiling: Budget | None = None,
    ) -> Job:
        """Write a new job; see `JobStore.create`."""
        job = settle_counted_names(None, stored_form(job))
        check_size(items.job_item(job))
        write = _Write(None, job, entry, idempotency, ceiling=ceiling)
        if job.exclusive:
            earlier = self._made_before(write, None)
            if earlier is not None:
                return earlier
            self._check_nothing_runs(job)
        for _ in range(WRITE_TRIES):
            rows = self._create_rows(write)
            if len(rows) == 1:
                return self._put_alone(write.placed, rows[0])
            try:
                self._table.transact(rows)
            except TransactionCancelledError as cancelled:
                earlier = self._judge_create(write, rows, cancelled.reasons)
                if earlier is not None:
                    return earlier
            else:
                return write.placed
        raise too_busy()

    def save(
        self,
        before: Job,
        after: Job,
        *,
        entry: LogEntry | None = None,
        take_links: bool = False,
        ceiling: Budget | None = None,
    ) -> Job:
        """Write `after` over `before`; see `JobStore.save`.

        Raises VersionConflictError also when the job was deleted: reading it again tells.
        """
        after = replace(
            settle_counted_names(before, after),
            version=before.version + 1,
            notes=rewritten(before.notes, before, after),
        )
        write = _Write(before, stored_form(after), entry, take_links=take_links, ceiling=ceiling)
        if is_starting(before, after):
            self._check_nothing_runs(after)
        for _ in range(WRITE_TRIES):
            check_size(items.job_item(write.placed))
            rows = self._save_rows(before, write)
            try:
                if len(rows) == 1:
                    self._table.update(rows[0].request)
                else:
                    self._table.transact(rows)
            except ConditionFailedError as failed:
                self._judge_job(write, Reason(CONDITION_FAILED, failed.item))
            except TransactionCancelledError as cancelled:
                self._judge(write, rows, cancelled.reasons)
            else:
                return write.placed
        raise too_busy()

    def delete(self, job: Job) -> list[str]:
        """Delete the job; see `JobStore.delete`.

        The timeline goes first: if we die in between, the job is still there and deleting it
        can be repeated. It is looked at once more at the end, for entries that came meanwhile.
        """
        stored = self._table.get(items.job_key(job.ref), "version")
        if stored is None or int(stored["version"]["N"]) != job.version:
            raise VersionConflictError("The job was changed meanwhile.")
        files = self._delete_log(job.ref)
        # A link that proved to be another job's stays theirs.
        tombstones = [_tombstone_row(link) for link in links(job) if self._is_held(link)]
        for row in tombstones[:-_LINKS_TOGETHER]:
            self._table.put(row.request)
        self._remove(job, tombstones[-_LINKS_TOGETHER:])
        # Deleted it is, whatever becomes of this: nobody could repeat it.
        with contextlib.suppress(StoreUnavailableError):
            files += self._delete_log(job.ref)
        return files

    def erase(self, ref: JobRef) -> None:
        """Delete a job in whatever state, and everything that names it; see `JobStore.erase`."""
        item = self._table.get(items.job_key(ref))
        if item is not None:
            self._erase_item(ref, item)
        self._delete_log(ref)

    def _erase_item(self, ref: JobRef, item: Mapping[str, Value]) -> None:
        try:
            job = items.read_job(item)
        except InvariantError:
            # Of another version of ours: nobody can say what it links or counts.
            log.exception("unreadable job erased", extra={"job_id": ref.job_id})
            self._table.delete(items.job_key(ref))
            return
        held = [link for link in links(job) if self._is_held(link)]
        for link in held:
            self._delete_all(items.link_pk(link.provider, link.provider_job_id), but=items.LINK_SK)
        gone = [_drop_row(link, anyway=True) for link in held]
        for start in range(0, max(len(gone) - _LINKS_TOGETHER, 0), _LINKS_TOGETHER):
            self._drop_links(gone[start : start + _LINKS_TOGETHER])
        self._remove(job, gone[-_LINKS_TOGETHER:])

    def _drop_links(self, rows: Sequence[Row]) -> None:
        try:
            self._table.transact(rows)
        except TransactionCancelledError:
            raise VersionConflictError("A link was taken over meanwhile.") from None

    def _remove(self, job: Job, link_rows: Sequence[Row]) -> None:
        """Delete the job's item, with what must go in the same transaction."""
        write = _Write(job, job)
        changes = counter_changes(job, None)
        for _ in range(WRITE_TRIES):
            rows = [_delete_row(job), *link_rows, *self._counter_rows(changes, write)]
            try:
                self._table.transact(rows)
            except TransactionCancelledError as cancelled:
                try:
                    self._judge(write, rows, cancelled.reasons)
                except LinkTakenError:
                    raise VersionConflictError("A link was taken over meanwhile.") from None
            else:
                return
        raise too_busy()

    def _is_held(self, link: Link) -> bool:
        stored = self.find_link(link.provider, link.provider_job_id)
        return stored is None or stored.ref == link.ref

    # --- the rows of a write ---------------------------------------------------------

    def _create_rows(self, write: _Write) -> list[Row]:
        job = write.after
        item = items.job_item(write.placed)
        if write.entry is not None:
            item["log_count"] = number(1)
        terms = Terms()
        request = {"Item": item, "ConditionExpression": terms.absent()}
        rows = [Row(Role.JOB, "Put", terms.attach(request))]
        rows += [_link_row(link) for link in new_links(None, job)]
        if write.idempotency is not None:
            rows.append(self._idempotency_row(job, write.idempotency))
        if job.exclusive:
            rows.append(_running_row(job, write.ended_holder))
        rows += _budget_rows(write)
        rows += self._counter_rows(counter_changes(None, job), write)
        return rows + _entry_rows(job.ref, write.entry_apart)

    def _save_rows(self, before: Job, write: _Write) -> list[Row]:
        rows = [_job_row(before, write)]
        rows += [_link_row(link, write.take_links) for link in new_links(before, write.after)]
        if not write.keep_links:
            rows += [_drop_row(link) for link in dropped_links(before, write.after)]
        if is_starting(before, write.after):
            rows.append(_running_row(write.after, write.ended_holder))
        rows += self._counter_rows(counter_changes(before, write.after), write)
        rows += _budget_rows(write)
        return rows + _entry_rows(write.after.ref, write.entry_apart)

    def _counter_rows(self, changes: Mapping[Scope, CounterChange], write: _Write) -> list[Row]:
        return [
            counter_row(scope, change, self._shard(write.conflicts))
            for scope, change in changes.items()
        ]

    def _shard(self, conflicts: int) -> int:
        """Choose a shard at random, and the ones after it while that is contended."""
        return (int(self._random.fraction() * SHARDS) + conflicts) % SHARDS

    def _idempotency_row(self, job: Job, idempotency: Idempotency) -> Row:
        made = {"job_id": text(job.job_id)}
        return items.idempotency_row(job.shop, idempotency, made, self._clock.now())

    # --- what stood in the way -------------------------------------------------------

    def _judge_create(
        self, write: _Write, rows: Sequence[Row], reasons: Sequence[Reason]
    ) -> Job | None:
        """Return the job made earlier with the same idempotency key; else as `_judge`."""
        for row, reason in zip(rows, reasons, strict=True):
            if row.role is Role.IDEMPOTENCY and reason.code == CONDITION_FAILED:
                earlier = self._made_before(write, reason.item)
                if earlier is not None:
                    return earlier
            if row.role is Role.JOB and reason.code == CONDITION_FAILED:
                return self._same_or_conflict(write.after)
        self._judge(write, rows, reasons)
        return None

    def made_before(self, shop: str, idempotency: Idempotency) -> Job | None:
        """Return the job that was made with this key; see `JobStore.made_before`."""
        return self._made_as(shop, idempotency, None)

    def _made_before(self, write: _Write, item: Mapping[str, Value] | None) -> Job | None:
        if write.idempotency is None:
            return None
        return self._made_as(write.after.shop, write.idempotency, item)

    def _made_as(
        self, shop: str, idempotency: Idempotency, item: Mapping[str, Value] | None
    ) -> Job | None:
        if item is None:
            item = self._table.get(items.idempotency_key(shop, idempotency.key))
        if item is None or not items.was_made_with(item, idempotency, self._clock.now()):
            return None
        try:
            return self.get(JobRef(shop, item["job_id"]["S"]))
        except NotFoundError:
            raise made_and_deleted() from None

    def _judge_running(self, write: _Write, item: Mapping[str, Value] | None) -> None:
        """Let an exclusive job pass a marker whose job has ended or is gone."""
        job = write.after
        if item is None:
            item = self._table.get(items.running_key(job.shop, job.type))
        if item is None:
            return
        holder = item["job_id"]["S"]
        try:
            is_active = self.get(JobRef(job.shop, holder)).status.is_active
        except NotFoundError:
            is_active = False
        if is_active:
            raise already_running(holder)
        write.ended_holder = holder

    def _judge(self, write: _Write, rows: Sequence[Row], reasons: Sequence[Reason]) -> None:
        """Raise what a cancelled transaction means, or prepare the write for another try."""
        found = [
            (row.role, reason)
            for row, reason in zip(rows, reasons, strict=True)
            if reason.code is not None
        ]
        for role, reason in found:
            if role is Role.JOB:
                self._judge_job(write, reason)
        for role, reason in found:
            if reason.code == CONDITION_FAILED:
                self._judge_condition(write, role, reason)
        contended = {role for role, reason in found if reason.code == CONFLICT}
        if Role.BUDGET in contended:
            # One item, not sharded: it must be exact. Whoever has it is done in a moment.
            self._clock.sleep(0.02 * 2**write.conflicts * self._random.fraction())
        if contended:
            write.conflicts += 1

    def _judge_condition(self, write: _Write, role: Role, reason: Reason) -> None:
        match role:
            case Role.LINK:
                raise link_taken()
            case Role.DROPPED_LINK:
                write.keep_links = True
            case Role.RUNNING:
                self._judge_running(write, reason.item)
            case Role.BUDGET:
                raise budget_exceeded()
            case Role.COUNTER:
                write.after = self._crowded(write, reason.item)

    def _judge_job(self, write: _Write, reason: Reason) -> None:
        if reason.code == CONFLICT and write.before is None:
            return
        is_unchanged = (
            reason.item is not None
            and write.before is not None
            and int(reason.item["version"]["N"]) == write.before.version
        )
        if reason.code == CONDITION_FAILED and is_unchanged and write.entry is not None:
            write.log_is_full = True
            return
        raise VersionConflictError("The job was changed meanwhile.")

    @staticmethod
    def _crowded(write: _Write, item: Mapping[str, Value] | None) -> Job:
        job = write.after
        for change in counter_changes(write.before, job).values():
            job = count_as_other(job, change, item)
        return job

    def _put_alone(self, job: Job, row: Row) -> Job:
        try:
            self._table.put(row.request)
        except ConditionFailedError:
            return self._same_or_conflict(job)
        return job

    def _same_or_conflict(self, job: Job) -> Job:
        """Return the job if it is stored already: our own write, whose answer was lost."""
        try:
            stored = self.get(job.ref)
        except NotFoundError:
            stored = None
        if stored != job:
            raise VersionConflictError("A job with this id exists already.")
        return stored

    def _check_nothing_runs(self, job: Job) -> None:
        for other in self._listing.active_jobs(job.shop, job.type):
            if other.job_id != job.job_id:
                raise already_running(other.job_id)

    # --- timeline --------------------------------------------------------------------

    def note(self, ref: JobRef, entry: LogEntry) -> bool:
        """Put an entry on the timeline; nothing happens when the job is gone."""
        rows = [_count_entry_row(ref), *_entry_rows(ref, entry)]
        for tries in range(WRITE_TRIES):
            try:
                self._table.transact(rows)
            except TransactionCancelledError as cancelled:
                job = cancelled.reasons[0]
                if job.code == CONDITION_FAILED:
                    if job.item is not None:
                        self._count_only(ref)
                    return False
                # Somebody is changing the job this very moment.
                self._clock.sleep(0.01 * 2**tries * self._random.fraction())
            else:
                return True
        raise too_busy()

    def _count_only(self, ref: JobRef) -> None:
        terms = Terms()
        request = {
            "Key": items.job_key(ref),
            "UpdateExpression": update_expression(terms, add={"log_count": number(1)}),
            "ConditionExpression": terms.present(),
        }
        try:
            self._table.update(terms.attach(request))
        except ConditionFailedError:
            return

    def log(
        self,
        ref: JobRef,
        *,
        limit: int,
        position: str | None = None,
        wanted: LogFilter = _EVERY_ENTRY,
    ) -> LogPage:
        """Read the timeline, newest first. With a filter all of it is read: at most 500 entries."""
        request = _log_request(ref, before=position) | {
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        if wanted.is_unfiltered:
            rows: Iterable[Item] = self._table.query_page(request | {"Limit": limit + 1})["Items"]
        else:
            rows = self._table.query(request)
        now = self._clock.now()
        fitting = (
            entry
            for item in rows
            if wanted.matches(entry := entry_as_read(items.read_entry(item), now))
        )
        apart = list(islice(fitting, limit + 1))
        job = self._table.get(items.job_key(ref)) or {}
        count = int(job["log_count"]["N"]) if "log_count" in job else 0
        noted = [
            entry
            for entry in _noted(job)
            if wanted.matches(entry) and (position is None or entry.entry_id < position)
        ]
        found = sorted([*apart, *noted], key=lambda entry: entry.entry_id, reverse=True)
        return LogPage(
            entries=tuple(found[:limit]),
            position=found[limit - 1].entry_id if len(found) > limit else None,
            dropped=max(0, count - MAX_LOG_ENTRIES),
        )

    def body(self, ref: JobRef, entry_id: str) -> bytes | None:
        """Read the raw delivery behind an entry; None if none is kept."""
        now = self._clock.now()
        item = self._table.get(key(items.log_pk(ref), entry_id))
        if item is None or not entry_as_read(items.read_entry(item), now).has_body:
            return None
        if "body" not in item:
            item = self._table.get(items.body_key(ref, entry_id))
        if item is None or ("expires_at" in item and items.has_expired(item, now)):
            return None
        return gzip.decompress(item["body"]["B"])

    def entry(self, ref: JobRef, entry_id: str) -> LogEntry | None:
        """Read one entry of the timeline consistently; None if there is none."""
        item = self._table.get(key(items.log_pk(ref), entry_id))
        if item is not None:
            return entry_as_read(items.read_entry(item), self._clock.now())
        noted = _noted(self._table.get(items.job_key(ref)) or {})
        return next((entry for entry in noted if entry.entry_id == entry_id), None)

    def payload(self, ref: JobRef, entry_id: str) -> bytes | None:
        """Read the payload that lies beside an entry; None if there is none, or in the bucket."""
        item = self._table.get(items.payload_key(ref, entry_id))
        return gzip.decompress(item["payload"]["B"]) if item is not None else None

    def log_files(self, ref: JobRef) -> list[str]:
        """Read the keys of the timeline's payloads that lie in the bucket."""
        rows = self._table.query(_log_request(ref, before=None) | {"ConsistentRead": True})
        return [item["payload_key"]["S"] for item in rows if "payload_key" in item]

    def _delete_log(self, ref: JobRef) -> list[str]:
        """Delete the timeline; returns the keys of its payloads that lie in the bucket."""
        gone = self._delete_all(items.log_pk(ref))
        return [item["payload_key"]["S"] for item in gone if "payload_key" in item]

    def _delete_all(self, partition: str, but: str | None = None) -> list[Item]:
        """Delete a whole partition, except for one item of it; returns what named which files."""
        terms = Terms()
        condition = terms.equals("pk", text(partition))
        names = ", ".join(map(terms.name, ("pk", "sk", "payload_key")))
        request = {
            "KeyConditionExpression": condition,
            "ProjectionExpression": names,
            "ConsistentRead": True,
        }
        found = [
            item for item in self._table.query(terms.attach(request)) if item["sk"]["S"] != but
        ]
        self._table.batch_delete([key(item["pk"]["S"], item["sk"]["S"]) for item in found])
        return found

    # --- links and parked events -----------------------------------------------------

    def find_link(self, provider: str, provider_job_id: str) -> Link | None:
        """Read consistently which job a provider's id belongs to."""
        link_key = key(items.link_pk(provider, provider_job_id), items.LINK_SK)
        item = self._table.get(link_key)
        return items.read_link(provider, provider_job_id, item) if item is not None else None

    def park(self, event: ParkedEvent) -> bool:
        """Keep an event that came before its job; False when a link exists by now."""
        packed = gzip.compress(event.body, mtime=0)
        item = items.parked_item(event, packed, event.received_at + PARKED_FOR)
        check_size(item)
        link_pk = items.link_pk(event.provider, event.provider_job_id)
        terms = Terms()
        check = {
            "Key": key(link_pk, items.LINK_SK),
            "ConditionExpression": terms.absent(),
        }
        rows = [
            Row(Role.LINK, "ConditionCheck", terms.attach(check)),
            Row(Role.PARKED, "Put", {"Item": item}),
        ]
        for tries in range(WRITE_TRIES):
            try:
                self._table.transact(rows)
            except TransactionCancelledError as cancelled:
                if cancelled.reasons[0].code == CONDITION_FAILED:
                    return False
                self._clock.sleep(0.01 * 2**tries * self._random.fraction())
            else:
                return True
        raise too_busy()

    def parked(self, provider: str, provider_job_id: str) -> list[ParkedEvent]:
        """Read consistently what is parked for a provider's id, the oldest first."""
        terms = Terms()
        partition = terms.equals("pk", text(items.link_pk(provider, provider_job_id)))
        prefix = terms.value(text(items.PARKED_PREFIX))
        request = {
            "KeyConditionExpression": f"{partition} AND begins_with({terms.name('sk')}, {prefix})",
            "ConsistentRead": True,
        }
        now = self._clock.now()
        found = [
            items.read_parked(provider, provider_job_id, item, gzip.decompress)
            for item in self._table.query(terms.attach(request))
            if not items.has_expired(item, now)
        ]
        return sorted(found, key=lambda event: (event.received_at, event.key))

    def unpark(self, event: ParkedEvent) -> None:
        """Remove a parked event that was applied."""
        self._table.delete(items.parked_key(event))

    # --- many jobs -------------------------------------------------------------------

    def list_jobs(self, wanted: JobFilter, *, limit: int, position: str | None = None) -> Page:
        """Read a page: the most selective index is walked, every filter applied again."""
        return self._listing.page(wanted, limit=limit, position=position)

    def refs(
        self, shop: str, *, limit: int, after: str | None = None, until: datetime | None = None
    ) -> list[JobRef]:
        """Name the shop's jobs, our own bulk jobs too, the oldest first."""
        return self._listing.refs(shop, limit=limit, after=after, until=until)

    def due(self, now: datetime, *, limit: int) -> list[DueJob]:
        """Read what is due at `now`, the oldest first within each shard."""
        return self._listing.due(now, limit=limit)

    def count_active(self, shop: str) -> tuple[int, int]:
        """Count the shop's (pending, processing) jobs on the status index."""
        return self._listing.count(shop, JobStatus.PENDING), self.count_processing(shop)

    def count_processing(self, shop: str) -> int:
        """Count the shop's processing jobs on the status index."""
        return self._listing.count(shop, JobStatus.PROCESSING)

    def batch_sums(self, shop: str, batch_id: str) -> BatchSums:
        """Sum a batch's counter, and count its jobs on the index: two Queries."""
        tally, ended_at = self._counters.batch(shop, batch_id)
        jobs = self._listing.count_batch(shop, batch_id)
        return BatchSums(tally=tally, jobs=jobs, ended_at=ended_at)

    def active_jobs(self, shop: str, job_type: str) -> Sequence[Job]:
        """Read the shop's active jobs of a type, by the status index."""
        return tuple(self._listing.active_jobs(shop, job_type))

    def failed_pushes(self, shop: str, *, limit: int, position: str | None = None) -> Page:
        """Read the shop's jobs whose push failed."""
        wanted = JobFilter(shop=shop, push_status=PushStatus.FAILED)
        return self.list_jobs(wanted, limit=limit, position=position)

    # --- budgets and administrators --------------------------------------------------

    def spent(self, shop: str, month: str) -> Spending:
        """Read what is spent and set aside of a month."""
        item = self._table.get(items.budget_key(shop, month)) or {}
        counts = [int(item[name]["N"]) if name in item else 0 for name in _SPENT]
        return Spending(*counts)

    def last_price(self, shop: str, provider: str, tool_id: str) -> int | None:
        """Read the credits that a tool cost this shop last, None while nobody knows."""
        item = self._table.get(items.price_key(shop, provider, tool_id))
        return int(item["credits"]["N"]) if item is not None else None

    def find_job(self, job_id: str) -> JobRef | None:
        """Find whose job that is, on the index of days."""
        return self._listing.find(job_id)

    def list_day(self, day: str, *, limit: int, position: str | None = None) -> Page:
        """Read the jobs of all shops that were created on a UTC day, newest first."""
        return self._listing.day(day, limit=limit, position=position)

    def parked_on(self, day: str, *, limit: int) -> list[ParkedEvent]:
        """Read the newest `limit` parked events of all providers that came on a UTC day."""
        keys = self._listing.parked_keys(day)
        stored = [
            item
            for some in batched(keys, MAX_BATCH_GET, strict=False)
            for item in self._table.batch_get(some, consistent=True)
        ]
        now = self._clock.now()
        found = [
            items.read_parked(
                item["provider"]["S"], item["provider_job_id"]["S"], item, gzip.decompress
            )
            for item in stored
            if not items.has_expired(item, now)
        ]
        return sorted(found, key=lambda event: (event.received_at, event.key))[-limit:]

    # --- statistics ------------------------------------------------------------------

    def tally(self, scope_name: str, bucket: str) -> Tally:
        """Sum one counter (one Query)."""
        return self._counters.tally(scope_name, bucket)

    def tallies(self, scope_name: str) -> dict[str, Tally]:
        """Sum every bucket of a family (one Query)."""
        return self._counters.tallies(scope_name)

    def days(self, shop: str, first: str, last: str) -> list[DayTally]:
        """Sum the shop's days from `first` to `last`, those on which something ended."""
        return self._counters.days(shop, first, last)


def _job_row(before: Job, write: _Write) -> Row:
    """Return the update of the attributes that differ.

    With an entry, the condition is also that the timeline has room; the answer to a failure
    brings the item, which tells a full timeline from a changed job.
    """
    old, new = items.job_item(before), items.job_item(write.placed)
    terms = Terms()
    condition = terms.equals("version", number(before.version))
    request: Request = {"Key": items.job_key(before.ref)}
    if write.kept_entry is not None:
        condition += f" AND {_log_has_room(terms)}"
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    request["ConditionExpression"] = condition
    request["UpdateExpression"] = update_expression(
        terms,
        put={name: value for name, value in new.items() if old.get(name) != value},
        remove=[name for name in old if name not in new],
        add={} if write.entry is None else {"log_count": number(1)},
    )
    return Row(Role.JOB, "Update", terms.attach(request))


_SPENT = ("credits", "cost_micros")


def _budget_rows(write: _Write) -> list[Row]:
    """Return what the change takes of the shop's months, and a price that was learnt by it."""
    job = write.after
    rows = [
        _budget_row(job.shop, month, change, write.ceiling)
        for month, change in spending_changes(write.before, job).items()
    ]
    price = learnt_price(write.before, job)
    if price is not None and job.tool_id is not None:
        item = items.price_key(job.shop, job.provider, job.tool_id) | {"credits": number(price)}
        rows.append(Row(Role.PRICE, "Put", {"Item": item}))
    return rows


def _budget_row(shop: str, month: str, change: Spending, ceiling: Budget | None) -> Row:
    terms = Terms()
    amounts = {"credits": change.credits, "cost_micros": change.cost_micros}
    ceiling = ceiling or Budget()
    limits = {"credits": ceiling.credits, "cost_micros": ceiling.cost_micros}
    conditions = []
    for name, amount in amounts.items():
        limit = limits[name]
        if limit is None or amount <= 0:
            continue
        room = limit - amount
        fits = f"{terms.name(name)} <= {terms.value(number(room))}"
        # Nothing spent yet: it fits if the limit itself is no smaller.
        conditions.append(f"({terms.absent(name)} OR {fits})" if room >= 0 else fits)
    request: Request = {
        "Key": items.budget_key(shop, month),
        "UpdateExpression": update_expression(
            terms, add={name: number(amount) for name, amount in amounts.items() if amount}
        ),
    }
    if conditions:
        request["ConditionExpression"] = " AND ".join(conditions)
    return Row(Role.BUDGET, "Update", terms.attach(request))


def _count_entry_row(ref: JobRef) -> Row:
    terms = Terms()
    request = {
        "Key": items.job_key(ref),
        "UpdateExpression": update_expression(terms, add={"log_count": number(1)}),
        "ConditionExpression": f"{terms.present()} AND {_log_has_room(terms)}",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return Row(Role.JOB, "Update", terms.attach(request))


def _log_has_room(terms: Terms) -> str:
    count = terms.name("log_count")
    limit = terms.value(number(MAX_LOG_ENTRIES))
    return f"({terms.absent('log_count')} OR {count} < {limit})"


def _delete_row(job: Job) -> Row:
    terms = Terms()
    request = {
        "Key": items.job_key(job.ref),
        "ConditionExpression": terms.equals("version", number(job.version)),
    }
    return Row(Role.JOB, "Delete", terms.attach(request))


def _link_row(link: Link, take: bool = False) -> Row:
    """Return the write of a link, which may exist only if it says the same already.

    take: whatever it says.
    """
    terms = Terms()
    item: Item = items.link_item(link)
    if take:
        return Row(Role.LINK, "Put", {"Item": item})
    request = {"Item": item, "ConditionExpression": f"{terms.absent()} OR ({_same(terms, item)})"}
    return Row(Role.LINK, "Put", terms.attach(request))


def _drop_row(link: Link, *, anyway: bool = False) -> Row:
    """Return the deletion of a link, which must still be this job's.

    anyway: with the job itself; then the link may be gone already, and of any attempt.
    """
    terms = Terms()
    item = items.link_item(link)
    link_key = key(items.link_pk(link.provider, link.provider_job_id), items.LINK_SK)
    condition = _own(terms, item) if anyway else _same(terms, item)
    request = {"Key": link_key, "ConditionExpression": condition}
    role = Role.LINK if anyway else Role.DROPPED_LINK
    return Row(role, "Delete", terms.attach(request))


def _same(terms: Terms, item: Item) -> str:
    """Write the condition that the stored link says what this one says."""
    names = ("shop", "job_id", "attempt")
    said = [terms.equals(name, item[name]) for name in names]
    return " AND ".join([*said, terms.absent("is_tombstone")])


def _tombstone_row(link: Link) -> Row:
    """Return the write of a deleted job's link, which may have gone to nobody else."""
    terms = Terms()
    item: Item = items.link_item(replace(link, is_tombstone=True))
    request = {"Item": item, "ConditionExpression": _own(terms, item)}
    return Row(Role.LINK, "Put", terms.attach(request))


def _own(terms: Terms, item: Item) -> str:
    """Write the condition that there is no link, or one of this job."""
    own = " AND ".join(terms.equals(name, item[name]) for name in ("shop", "job_id"))
    return f"{terms.absent()} OR ({own})"


def _running_row(job: Job, ended_holder: str | None) -> Row:
    """Return the marker of an exclusive job, over none or over that of an ended job."""
    terms = Terms()
    item = items.running_key(job.shop, job.type) | {"job_id": text(job.job_id)}
    condition = terms.absent()
    if ended_holder is not None:
        condition += f" OR {terms.equals('job_id', text(ended_holder))}"
    request = {
        "Item": item,
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return Row(Role.RUNNING, "Put", terms.attach(request))


def _entry_rows(ref: JobRef, entry: LogEntry | None) -> list[Row]:
    """Return the entry and its raw delivery: in it while it costs no more, else apart from it;
    and its payload."""
    if entry is None:
        return []
    packed = pack_body(entry.body) if entry.body is not None else None
    alone = items.entry_item(ref, entry_to_keep(entry, packed))
    joined = items.entry_with_body(alone, packed) if packed is not None else None
    found = [joined or alone]
    if packed is not None and joined is None:
        found.append(items.body_item(ref, entry.entry_id, packed, entry.at + BODY_KEPT_FOR))
    if entry.payload is not None:
        small = gzip.compress(entry.payload, mtime=0)
        found.append(items.payload_item(ref, entry.entry_id, small))
    for item in found:
        check_size(item)
    return [Row(Role.ENTRY, "Put", {"Item": item}) for item in found]


def _noted(item: Mapping[str, Value]) -> list[LogEntry]:
    """Read the entries that lie on a job's item."""
    if "notes" not in item:
        return []
    job = items.read_job(item)
    return [read_note(job, line) for line in job.notes]


def _log_request(ref: JobRef, before: str | None) -> Request:
    """Return the Query of a timeline's entries; what lies beside them sorts after all of them."""
    terms = Terms()
    partition = terms.equals("pk", text(items.log_pk(ref)))
    end = terms.value(text(before if before is not None else items.BODY_PREFIX))
    condition = f"{partition} AND {terms.name('sk')} < {end}"
    return terms.attach({"KeyConditionExpression": condition})
