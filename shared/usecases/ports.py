"""What the use-cases need from the outside, named after the role.

Every port has a second implementation (a fake for tests, at least), and both pass the
same contract suite. Implementations raise errors of `shared.domain.errors` only.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from shared.domain.batch import Batch, BatchSums
from shared.domain.budget import Budget, Spending
from shared.domain.erasure import ErasureReport
from shared.domain.events import Link, LogEntry, ParkedEvent
from shared.domain.filters import JobFilter, LogFilter
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.keys import Agent, KeyHolder, ShopKey
from shared.domain.shop import Shop
from shared.domain.statistics import Tally
from shared.domain.templates import Template
from shared.domain.tools import Fact, FactKind
from shared.providers.base import Reply, Request

_EVERY_ENTRY = LogFilter()


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the present instant, aware UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait (only where a caller is waiting too; retries are delayed messages)."""
        ...


class Randomness(Protocol):
    """The only source of chance."""

    def token_bytes(self, count: int) -> bytes:
        """Return unguessable bytes."""
        ...

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A creation that may be asked for again within 24 hours.

    key: the caller's Idempotency-Key. body_sha256: digest of the body it came with.
    """

    key: str
    body_sha256: str

    @property
    def mark(self) -> str:
        """What a job that was changed by such a call bears, so that it is not done again."""
        return hashlib.sha256(f"{self.key}\n{self.body_sha256}".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a shop's jobs.

    position: where the next page starts (opaque to all but the store), None at the end.
    is_complete: the whole answer to the question is in `jobs` (first page and last).
    """

    jobs: tuple[Job, ...]
    position: str | None
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """One page of a timeline, newest first. dropped: entries beyond the 500 kept."""

    entries: tuple[LogEntry, ...]
    position: str | None
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTally:
    """One UTC day of a shop: the sums, and the same by tool and by type (20 names, `other`)."""

    date: str
    tally: Tally
    by_tool: Mapping[str, Tally] = field(default_factory=dict)
    by_type: Mapping[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueJob:
    """A job that somebody must look at."""

    ref: JobRef
    due_at: datetime


class JobStore(Protocol):
    """The table of jobs. Every write of a job is on condition of its version.

    All methods may raise StoreUnavailableError. A `JobRef` scopes every call by shop in
    the key itself: another shop's job is a job that does not exist.
    """

    def get(self, ref: JobRef) -> Job:
        """Read one job consistently. Raises NotFoundError."""
        ...

    def get_many(self, refs: Sequence[JobRef]) -> list[Job]:
        """Read up to 100 jobs in the order asked; those that do not exist are left out."""
        ...

    def create(
        self,
        job: Job,
        *,
        entry: LogEntry | None = None,
        idempotency: Idempotency | None = None,
        ceiling: Budget | None = None,
    ) -> Job:
        """Write a new job: with its link, if its provider's id is known, in one transaction.

        Returns the job; or, when the same idempotency key came with the same body within
        24 hours, the job made then. Raises LinkTakenError, IdempotencyKeyReusedError,
        ConflictError `already_running` (details: the running job's id) for an exclusive job
        of a type that is running in this shop; BudgetExceededError when what the job sets
        aside is more than the `ceiling` leaves of the month (no ceiling: counted only).
        """
        ...

    def made_before(self, shop: str, idempotency: Idempotency) -> Job | None:
        """Return the job that was made with this key and body within 24 hours, None if none was.

        For callers that would refuse what `create` would answer. Raises
        IdempotencyKeyReusedError.
        """
        ...

    def save(
        self,
        before: Job,
        after: Job,
        *,
        entry: LogEntry | None = None,
        take_links: bool = False,
        ceiling: Budget | None = None,
    ) -> Job:
        """Write `after` over `before`; returns it with the new version.

        take_links: the provider's id is proven to be this job's; a link that somebody else
        registered for it is taken over.

        One plain conditional update, or one transaction where a link is learnt, the
        statistics change (difference of contributions), or a log entry belongs to it.
        Raises VersionConflictError (read again, decide again), LinkTakenError,
        BudgetExceededError (see `create`), and ConflictError `already_running` when an exclusive
        job that had ended starts again beside another.
        """
        ...

    def note(self, ref: JobRef, entry: LogEntry) -> bool:
        """Put an entry without effect on the timeline (at most 500 a job, then only counted).

        Returns whether it is kept: False also when the job is gone.
        """
        ...

    def delete(self, job: Job) -> list[str]:
        """Delete the job, its timeline and its share of the statistics; links become
        tombstones. Returns the keys of the timeline's payloads that lie in the bucket.

        Raises VersionConflictError.
        """
        ...

    def erase(self, ref: JobRef) -> None:
        """Delete a job in whatever state, and everything that names it: its timeline, its links
        and what is parked for them, its share of the statistics. No tombstones stay.

        Again finishes what broke off, also when the job itself is gone already.
        Raises VersionConflictError.
        """
        ...

    def log(
        self,
        ref: JobRef,
        *,
        limit: int,
        position: str | None = None,
        wanted: LogFilter = _EVERY_ENTRY,
    ) -> LogPage:
        """Read the timeline, newest first (see `body` and `payload` for what lies beside it).

        A filter is applied before the limit.
        """
        ...

    def entry(self, ref: JobRef, entry_id: str) -> LogEntry | None:
        """Read one entry of the timeline consistently; None if there is none."""
        ...

    def payload(self, ref: JobRef, entry_id: str) -> bytes | None:
        """Read the payload that lies beside an entry; None if there is none, or in the bucket."""
        ...

    def log_files(self, ref: JobRef) -> list[str]:
        """Read the keys of the timeline's payloads that lie in the bucket."""
        ...

    def body(self, ref: JobRef, entry_id: str) -> bytes | None:
        """Read the raw delivery behind an entry; None if none is kept (over 16 KB gzipped,
        older than 30 days)."""
        ...

    def find_link(self, provider: str, provider_job_id: str) -> Link | None:
        """Read consistently which job a provider's id belongs to."""
        ...

    def park(self, event: ParkedEvent) -> bool:
        """Keep an event that came before its job; False when a link exists by now."""
        ...

    def parked(self, provider: str, provider_job_id: str) -> list[ParkedEvent]:
        """Read consistently what is parked for a provider's id (nothing older than 7 days)."""
        ...

    def unpark(self, event: ParkedEvent) -> None:
        """Remove a parked event that was applied."""
        ...

    def list_jobs(self, wanted: JobFilter, *, limit: int, position: str | None = None) -> Page:
        """Read a page: the most selective index is walked, every filter applied again.

        Reads at most 1,000 jobs; a page may be shorter than `limit`, even empty.
        """
        ...

    def refs(
        self, shop: str, *, limit: int, after: str | None = None, until: datetime | None = None
    ) -> list[JobRef]:
        """Name the shop's jobs, our own bulk jobs too, the oldest first, consistently.

        after: the id of the job after which to begin. until: only jobs whose id was made before
        it (to the millisecond). limit: fewer may be named though there are more, but not none.
        """
        ...

    def due(self, now: datetime, *, limit: int) -> list[DueJob]:
        """Read what is due at `now`, the oldest first within each shard."""
        ...

    def count_active(self, shop: str) -> tuple[int, int]:
        """Count the shop's (pending, processing) jobs on the status index."""
        ...

    def count_processing(self, shop: str) -> int:
        """Count the shop's processing jobs on the status index."""
        ...

    def active_jobs(self, shop: str, job_type: str) -> Sequence[Job]:
        """Read the shop's active jobs of a type: as many reads as there are active jobs."""
        ...

    def tally(self, scope_name: str, bucket: str) -> Tally:
        """Sum one counter (one Query)."""
        ...

    def tallies(self, scope_name: str) -> dict[str, Tally]:
        """Sum every bucket of a family, e.g. all projects of a shop (one Query)."""
        ...

    def days(self, shop: str, first: str, last: str) -> list[DayTally]:
        """Sum the shop's days from `first` to `last` (both inclusive, `yyyy-mm-dd`)."""
        ...

    def spent(self, shop: str, month: str) -> Spending:
        """Read what is spent and set aside of a month (`yyyy-mm`) by attempts with a budget."""
        ...

    def last_price(self, shop: str, provider: str, tool_id: str) -> int | None:
        """Read the credits that a tool cost this shop last, None while nobody knows."""
        ...

    def find_job(self, job_id: str) -> JobRef | None:
        """Find whose job that is (administrators; on the index of days, which may lag)."""
        ...

    def list_day(self, day: str, *, limit: int, position: str | None = None) -> Page:
        """Read the jobs of all shops that were created on a UTC day, newest first.

        limit: at most 100. Our own bulk jobs are among them.
        """
        ...

    def parked_on(self, day: str, *, limit: int) -> list[ParkedEvent]:
        """Read the newest `limit` parked events of all providers of a UTC day, the oldest first.

        Of a day with more than 1,000 of them, so many are looked at.
        """
        ...

    def batch_sums(self, shop: str, batch_id: str) -> BatchSums:
        """Sum a batch's counter, and count its jobs on the index."""
        ...

    def failed_pushes(self, shop: str, *, limit: int, position: str | None = None) -> Page:
        """Read the shop's jobs whose push failed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A job as its item lies in the store.

    job: None where no version of ours can read it. misplaced: the attributes of indexes that
    are not what the job's fields make them: such a job is missed by questions.
    """

    ref: JobRef
    job: Job | None
    misplaced: tuple[str, ...] = ()


class Samples(Protocol):
    """Jobs at random, of all shops, for the audit. May raise StoreUnavailableError."""

    def draw(self, day: datetime, place: float, *, limit: int) -> list[JobRef]:
        """Name up to `limit` jobs that were made on a UTC day, from some place of it on.

        day: its midnight. place: in [0, 1); any other gives other jobs, of a day that has more.
        All of a day that has fewer. The index lags, so one may be gone.
        """
        ...

    def look(self, refs: Sequence[JobRef]) -> list[Sighting]:
        """Read jobs consistently, in the order asked; those that are gone are left out."""
        ...


class ShopStore(Protocol):
    """What is known of each shop."""

    def get_shop(self, shop: str) -> Shop | None:
        """Read a shop's settings and token consistently; None when it was never installed."""
        ...

    def save_shop(self, before: Shop | None, after: Shop) -> Shop:
        """Write on condition of the version (or of absence). Raises VersionConflictError."""
        ...

    def bind_delivery(self, digest: str, shop: str, until: datetime) -> bool:
        """Remember, until then, which shop a signed body came for first.

        digest: of the body, in hex. False when that was another shop.
        """
        ...


class Belongings(StrEnum):
    """What the table has of a shop besides its jobs and the shop's own item: a closed set."""

    KEYS = "keys"  # of programs and agents: nobody may act for the shop any more
    TOMBSTONES = "tombstones"  # of links of jobs that were deleted
    ITEMS = "items"  # everything else in the shop's own partition
    COUNTERS = "counters"  # statistics and budgets


class Erasures(Protocol):
    """What the table has of a shop besides its jobs, and the reports about what was erased.

    All methods may raise StoreUnavailableError.
    """

    def find(self, shop: str, part: Belongings, *, limit: int) -> Sequence[str]:
        """Name some of what is left of a part: consistently, except for the tombstones (of
        which none is named wrongly)."""
        ...

    def erase(self, shop: str, part: Belongings, names: Sequence[str]) -> None:
        """Delete what was found; what is gone already is no error."""
        ...

    def finish(self, job: Job, report: ErasureReport) -> None:
        """Delete the last two items, the shop's own and the erasing job, and keep the report
        about it, all at once. Raises VersionConflictError."""
        ...

    def put_report(self, shop: str, report: ErasureReport) -> None:
        """Keep a report, filed under a digest of the shop."""
        ...

    def reports(self, shop: str) -> list[ErasureReport]:
        """Read the reports about a shop, the newest first."""
        ...


class KeyStore(Protocol):
    """Who may call with which key. All methods may raise StoreUnavailableError."""

    def find_key(self, key_id: str) -> KeyHolder | None:
        """Read consistently whose key that is (one read); None for a revoked one too."""
        ...

    def touch_key(self, key_id: str, at: datetime) -> None:
        """Note that the key was used; nothing happens when it is gone."""
        ...

    def add_key(self, key: ShopKey, *, idempotency: Idempotency | None = None) -> ShopKey:
        """Store a shop's key; returns it, or the one that was made with the same
        Idempotency-Key within 24 hours.

        Raises ConflictError when the shop has 20 of them, or when that one was revoked.
        """
        ...

    def renew_key(self, key: ShopKey, digest: str) -> ShopKey:
        """Give a shop's key, as it was read, another secret: the one before opens nothing more.

        Raises VersionConflictError, also when it was revoked.
        """
        ...

    def shop_keys(self, shop: str) -> list[ShopKey]:
        """Read the shop's keys, the oldest first."""
        ...

    def remove_key(self, shop: str, key_id: str) -> bool:
        """Revoke a shop's key; False when it has no such key."""
        ...

    def add_agent(self, agent: Agent, *, idempotency: Idempotency | None = None) -> Agent:
        """Store an agent with its key; returns it, or the one that was made with the same
        Idempotency-Key within 24 hours.

        Raises ConflictError when the shop has 100 active ones.
        """
        ...

    def agents(self, shop: str) -> list[Agent]:
        """Read the shop's agents, the oldest first."""
        ...

    def get_agent(self, shop: str, agent_id: str) -> Agent | None:
        """Read an agent consistently; None when the shop has no such agent."""
        ...

    def save_agent(self, before: Agent, after: Agent) -> Agent:
        """Write on condition of the version; its key works only while it is active, and of its
        secrets only the last one.

        Raises VersionConflictError; ConflictError when it becomes active beside 100 others.
        """
        ...


class Receipts(Protocol):
    """What was answered to calls with an Idempotency-Key, for 24 hours."""

    def begin(self, shop: str, idempotency: Idempotency) -> str | None:
        """Begin a call; or return the answer that it got before.

        Raises IdempotencyKeyReusedError when the key came with another body,
        ConflictError `already_running` while the same call is being answered.
        """
        ...

    def finish(self, shop: str, idempotency: Idempotency, answer: str) -> None:
        """Keep the answer of a call that was begun, for 24 hours from now."""
        ...

    def forget(self, shop: str, idempotency: Idempotency) -> None:
        """Let a call be made anew: it was refused, nothing was done."""
        ...


class WorkStore(Protocol):
    """What a bulk job is about: too large, and too dull, for the job itself; and batches."""

    def put_work(self, ref: JobRef, work: Mapping[str, Any], until: datetime) -> None:
        """Keep a document of JSON for a bulk job, until then at least.

        Raises InvalidRequestError when it is larger than an item can be.
        """
        ...

    def get_work(self, ref: JobRef) -> Mapping[str, Any] | None:
        """Read it consistently; None when there is none (any more)."""
        ...

    def keep_page(
        self, ref: JobRef, place: str, page: Mapping[str, Any], until: datetime
    ) -> Mapping[str, Any]:
        """Keep which jobs a bulk job acts on from a place of its walk on; returns what is kept.

        Whoever says so first is right: what one delivery began, the next one goes on with.
        """
        ...

    def put_batch(self, batch: Batch) -> None:
        """Keep what a batch was asked for."""
        ...

    def get_batch(self, shop: str, batch_id: str) -> Batch | None:
        """Read it consistently; None when the shop has no such batch."""
        ...

    def delete_batch(self, shop: str, batch_id: str) -> None:
        """Forget a batch; nothing happens when there is none."""
        ...

    def list_batches(
        self, shop: str, *, limit: int, position: str | None = None
    ) -> tuple[list[Batch], str | None]:
        """Read a page, newest first, and where the next one starts (None at the end).

        The page may be shorter than `limit`.
        """
        ...

    def finish_batch(self, shop: str, batch_id: str, by: str, attempt: int = 1) -> bool:
        """Note by which write the batch was first seen to be over.

        Parameters
            attempt: at making its jobs; by which write an earlier one was over counts no more.

        True when it was this one, now or when it was looked at before; False when another one
        was, or there is no such batch.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRef:
    """Which delivery to which endpoint of which shop."""

    shop: str
    endpoint_id: str
    delivery_id: str


class TemplateStore(Protocol):
    """What shops preset. All methods may raise StoreUnavailableError."""

    def add_template(
        self, template: Template, *, idempotency: Idempotency | None = None
    ) -> Template:
        """Store a template; returns it, or the one that was made with the same Idempotency-Key
        within 24 hours.

        Raises ConflictError when the shop has 100 of them, or when that one was deleted.
        """
        ...

    def templates(self, shop: str) -> list[Template]:
        """Read the shop's templates, the oldest first."""
        ...

    def get_template(self, shop: str, template_id: str) -> Template | None:
        """Read a template consistently; None when the shop has no such (any more)."""
        ...

    def save_template(self, before: Template, after: Template) -> Template:
        """Write on condition of the version. Raises VersionConflictError."""
        ...

    def remove_template(self, shop: str, template_id: str) -> bool:
        """Delete a template; False when the shop has no such."""
        ...


class FactStore(Protocol):
    """What providers said last beside jobs. All methods may raise StoreUnavailableError."""

    def facts(self, provider: str) -> Mapping[FactKind, Fact]:
        """Read what is known of a provider, with one call."""
        ...

    def claim_fact(self, provider: str, kind: FactKind, now: datetime, *, for_s: float) -> bool:
        """Note that somebody has the provider asked now.

        False when somebody else did within the last `for_s`: then it is being asked.
        """
        ...

    def put_fact(self, provider: str, kind: FactKind, value: Any, at: datetime) -> None:
        """Store what a provider said; nothing happens when something newer is there."""
        ...

    def fail_fact(self, provider: str, kind: FactKind, at: datetime) -> None:
        """Note that asking came to nothing; what was said before stays."""
        ...


class Limiter(Protocol):
    """Our share of a provider's rate limit, over all functions."""

    def take(self, provider: str, key: str, now: datetime, *, ceiling: int) -> bool:
        """Take one call of this minute; False when `ceiling` calls were taken already."""
        ...

    def reserve(
        self, provider: str, key: str, now: datetime, *, ceiling: int, minutes: int
    ) -> datetime | None:
        """Take one call of the first later minute that has one left, of the next `minutes`.

        Returns the beginning of that minute, None when all of them are taken.
        """
        ...


class Paces(Protocol):
    """How long each provider's tools take, learnt from jobs that ended."""

    def learn(self, provider: str, tool_id: str, duration_ms: int, now: datetime) -> None:
        """Count one duration, from the create call to the end. Raises StoreUnavailableError."""
        ...

    def expected_ms(self, provider: str, tool_id: str, now: datetime) -> int | None:
        """Return how long it took of late (the median); None while too little is known.

        Raises StoreUnavailableError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRequest:
    """Look at this job, in the dispatch lane. The job itself says what to do.

    poll: somebody is waiting for the provider's word now, whatever is planned.
    """

    ref: JobRef
    poll: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """Bring this job's kept outputs to its product (or take them off). A hint: the item decides."""

    ref: JobRef
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PollManyRequest:
    """Ask one provider about several jobs (of any shops) with one listing.

    refs: at most 100.
    """

    provider: str
    refs: tuple[JobRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRequest:
    """Ask a provider for its tools, or for our account, unless it was asked within `age_s`."""

    provider: str
    kind: FactKind
    age_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindOwnerRequest:
    """Ask a provider whose job it is that a parked delivery is about.

    tries: how often it did not answer so far.
    """

    provider: str
    provider_job_id: str
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    """Do the next chunk of this bulk job. A hint: the job's own cursor says where it is."""

    ref: JobRef


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverRequest:
    """Try this delivery. A hint: the delivery says whether it is owed and when.

    number: how often it had been tried when the message was sent; any other is of the past.
    """

    ref: DeliveryRef
    number: int


type DispatchMessage = DispatchRequest | PollManyRequest | RefreshRequest | FindOwnerRequest


class Outbox(Protocol):
    """The queues. All methods may raise QueueUnavailableError."""

    def send_dispatch(self, requests: Sequence[DispatchMessage], *, delay_s: int = 0) -> None:
        """Send to the dispatch queue (group = shop), delayed by up to 900 s."""
        ...

    def send_push(self, requests: Sequence[PushRequest]) -> None:
        """Send to the push queue: FIFO, group = shop, deduplication id `{job_id}:{n}`."""
        ...

    def send_bulk(self, requests: Sequence[BulkRequest], *, delay_s: int = 0) -> None:
        """Send to the bulk queue (group = shop), delayed by up to 900 s."""
        ...

    def send_deliver(self, requests: Sequence[DeliverRequest], *, delay_s: int = 0) -> None:
        """Send to the deliver queue (group = shop), delayed by up to 900 s."""
        ...


class Secrets(Protocol):
    """The secrets of one function's audiences."""

    def get(self, audience: str, name: str) -> tuple[str, ...]:
        """Return the values of a secret (several: comma-separated); () if it is not set.

        Raises SecretUnavailableError when it cannot be read.
        """
        ...

    def refresh(self, audience: str, *, older_than_s: float) -> bool:
        """Read it anew if the copy is older than that; True if it was."""
        ...


class KeySets(Protocol):
    """The public keys of providers that sign with a key of their own."""

    def get(self, provider: str) -> tuple[str, ...]:
        """Return the provider's keys: at most a day old, or the last good ones.

        Raises SecretUnavailableError when they cannot be had, and never were.
        """
        ...

    def refresh(self, provider: str, *, older_than_s: float) -> bool:
        """Fetch them anew if the copy is older than that; True if it was."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """The bytes of a result, and what they are (sniffed, not told).

    extension: without a dot, fit for the content type.
    """

    body: bytes = field(repr=False)
    content_type: str
    extension: str
    width: int | None
    height: int | None


class Downloads(Protocol):
    """Fetches result links, safely."""

    def fetch(self, url: str, hosts: Iterable[str]) -> Download:
        """Fetch an image of at most 20 MiB from one of `hosts`.

        Raises OutputExpiredError (the link is dead: 401, 403, 404, 410),
        OutputRefusedError (host, scheme, address, size or type), RetryableError.
        """
        ...


class Files(Protocol):
    """The output bucket."""

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store bytes under a key (again with the same bytes: no change)."""
        ...

    def get(self, key: str) -> bytes:
        """Read bytes. Raises NotFoundError."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete; keys that do not exist are no error."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of all files under a prefix."""
        ...

    def find(self, prefix: str, *, limit: int) -> list[str]:
        """Return what `remove` takes: some of the files under a prefix, in every version, and
        what was uploaded of those that are not finished."""
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Delete what was found for good; what is gone already is no error."""
        ...

    def link(self, key: str, *, valid_s: int, download_name: str | None = None) -> str:
        """Return a presigned link, without asking the bucket."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a file that is being written, as the bucket must find it in the end."""

    etag: str
    sha256: str


class Uploads(Protocol):
    """Writes files into the output bucket that are too large to be held, part by part.

    All calls may raise StoreUnavailableError; those about an upload UploadLostError, when it
    is not there (any more) or its parts are not what was recorded of them.
    """

    def begin(self, key: str, content_type: str, *, download_name: str) -> str:
        """Begin a file; returns the upload's id. What is never finished clears itself away.

        download_name: the name under which a browser saves it.
        """
        ...

    def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> Part:
        """Store part `number` (1 to 10,000), of 5 MiB at least unless it is the last one.

        Put again it takes the place of the first.
        """
        ...

    def finish(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the file of its parts (again: no change)."""
        ...

    def abort(self, key: str, upload_id: str) -> None:
        """Clear away what was uploaded; an upload that is not there is no error."""
        ...


class ProviderApi(Protocol):
    """HTTP towards one provider."""

    def call(self, request: Request) -> Reply:
        """Make one call, within 30 s. Any HTTP status is an answer.

        Raises ProviderUnreachableError (no connection was made: nothing was executed),
        ProviderUnknownOutcomeError (time-out or broken connection after that).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What Shopify's token endpoint gives.

    access_token: an offline token of the Admin API. scopes: comma-separated, as answered.
    expires_in_s: its life; None for a token that does not expire. refresh_token,
    refresh_expires_in_s: how to get the next one; None for a token that does not expire.
    """

    access_token: str = field(repr=False)
    scopes: str
    expires_in_s: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_in_s: float | None = None


class TokenService(Protocol):
    """Shopify's token endpoint.

    Both calls raise ShopBusyError (try again later: nothing is known to be wrong),
    ShopRefusedError (`code` is Shopify's OAuth word, e.g. `invalid_subject_token`,
    `invalid_grant`, `invalid_client`), SecretUnavailableError (our own app's secret).
    """

    def exchange(self, shop: str, id_token: str) -> Grant:
        """Turn an embedded app's ID token into an offline token of its shop."""
        ...

    def refresh(self, shop: str, refresh_token: str) -> Grant:
        """Turn a refresh token into the next pair. The old pair works until the new is used."""
        ...


class TokenBox(Protocol):
    """Keeps tokens unreadable in the table. Both calls may raise SecretUnavailableError."""

    def seal(self, text: str) -> str:
        """Encrypt with the first secret."""
        ...

    def open(self, text: str) -> str:
        """Decrypt with whichever secret fits.

        Raises ShopRefusedError `token_dead` when none does: the shop must be asked anew.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileToStage:
    """One upload target wanted. The file's name keeps its extension from here on."""

    filename: str
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedTarget:
    """Where to send the bytes (`url`, `parameters` in order), and what to call them then."""

    filename: str
    url: str
    resource_url: str
    parameters: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileToCreate:
    """One image file to make of uploaded bytes. source: the target's `resource_url`."""

    filename: str
    source: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """One image file as Shopify shows it.

    status: UPLOADED, PROCESSING, READY or FAILED. filename: as its public address says, None
    until READY. errors: Shopify's codes of a FAILED one. size_bytes, width, height: only
    `find` asks for them, None until READY.
    """

    media_id: str
    status: str
    alt: str
    filename: str | None = None
    errors: tuple[str, ...] = ()
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it can be put on a product."""
        return self.status == "READY"

    @property
    def has_failed(self) -> bool:
        """Whether Shopify gave up on it."""
        return self.status == "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What to change of one file: on which products it shows, and (unless None) its alt text."""

    media_id: str
    add_to: str | None = None
    remove_from: str | None = None
    alt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRefusal:
    """One entry of `userErrors`. index: which input it names, None if it names none."""

    code: str
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesAnswer:
    """What a mutation says: the files it made or changed, and what it refused."""

    files: tuple[MediaFile, ...]
    refusals: tuple[FileRefusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedAnswer:
    """The targets that could be matched with a file by name, and what was refused."""

    targets: tuple[StagedTarget, ...]
    refusals: tuple[FileRefusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductMedia:
    """One product: its title, and which media it shows."""

    product_id: str
    title: str
    media_ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductOutline:
    """What must be known of a product before anything is made for it.

    media_count: how many media it shows; 0 where Shopify does not say.
    """

    product_id: str
    title: str
    media_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueImage:
    """One image of a product: its public address, and its size in pixels."""

    media_id: str
    url: str
    alt: str | None
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueProduct:
    """One product as the catalogue shows it.

    status: Shopify's word. images: the first ten that are ready. media_count: of all.
    """

    product_id: str
    title: str
    handle: str | None
    status: str | None
    media_count: int
    images: tuple[CatalogueImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductPage:
    """A page of the catalogue. position: where the next one starts, None at the end."""

    products: tuple[CatalogueProduct, ...]
    position: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopLook:
    """What exists of the ids asked for; those that do not exist are left out."""

    media: Mapping[str, MediaFile]
    products: Mapping[str, ProductMedia]


# What `ShopAdmin.list_products` refuses a position with.
INVALID_CURSOR = "invalid_cursor"


class ShopAdmin(Protocol):
    """The Admin API of one shop, with its token.

    Every call may raise
        ShopBusyError: throttled, out, unreachable; nothing was executed (or it only read).
            `retry_after_s` is just long enough where Shopify says how long, else None.
        ShopRefusedError: `code` is one of `shared.domain.push_errors.SHOP_SENTENCES`.
        InvariantError: the call itself is wrong (its document, its cost).
    The mutations may raise ShopUnknownOutcomeError too: they may have been executed.
    """

    @property
    def calls(self) -> int:
        """GraphQL calls answered so far."""
        ...

    @property
    def points(self) -> float:
        """Actual cost of those, in Shopify's points."""
        ...

    def outline(self, product_ids: Sequence[str]) -> Mapping[str, ProductOutline]:
        """Read products by id, cheaply; those that do not exist are left out."""
        ...

    def list_products(self, search: str | None, *, first: int, after: str | None) -> ProductPage:
        """Read a page of the catalogue, by title.

        Parameters
            search: in Shopify's syntax; None: all. after: a page's `position`.

        ShopRefusedError INVALID_CURSOR for a position that Shopify does not know (any more).
        """
        ...

    def stage(self, files: Sequence[FileToStage]) -> StagedAnswer:
        """Open upload targets (safe to repeat)."""
        ...

    def upload(self, target: StagedTarget, body: bytes, content_type: str) -> None:
        """Send the bytes to a target (safe to repeat).

        Raises only ShopBusyError and ShopRefusedError; of this `upload_address_refused` when the
        target is no https address: nothing was sent.
        """
        ...

    def create(self, files: Sequence[FileToCreate]) -> FilesAnswer:
        """Make files; a name that is taken is refused. Answered files are not in order."""
        ...

    def look(self, media_ids: Sequence[str], product_ids: Sequence[str]) -> ShopLook:
        """Read files and products by id (consistent, unlike `find`)."""
        ...

    def find(self, filename: str, product_id: str) -> tuple[MediaFile, ...]:
        """Search files by name, in the index (which lags) and on the product."""
        ...

    def update(self, changes: Sequence[FileChange]) -> FilesAnswer:
        """Put files on products or take them off."""
        ...

    def delete(self, media_id: str) -> str | None:
        """Delete a file; one that does not exist is no error.

        Returns Shopify's word (FilesErrorCode) for why the file stays, None if it is gone.
        """
        ...


class ShopAdmins(Protocol):
    """Opens the Admin API of a shop."""

    def open(self, shop: str, token: str) -> ShopAdmin:
        """Return the shop's API. Makes no call."""
        ...


class ReceivedMessages(Protocol):
    """The messages that a function was given and will not finish."""

    def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """Have them come again after that time (0 to 43,200 s). Raises QueueUnavailableError."""
        ...
