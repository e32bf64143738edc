"""The one way to change a job: write it with its next look planned, then send what it owes.

The table is the outbox: a write that owes a message also sets `due_at`, and the message
is sent after it. If we die between the two, the sweep sends it.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.budget import Budget
from shared.domain.errors import QueueUnavailableError, VersionConflictError
from shared.domain.events import LogEntry, Proof, ProviderEvent, Source
from shared.domain.ids import JobRef, change_id, remark_id, uuid7
from shared.domain.job import Job
from shared.domain.plan import Patience, Step, next_step, owed_results, schedule
from shared.domain.references import read_reference
from shared.domain.status import Outcome
from shared.providers.base import ProviderAdapter
from shared.usecases.conflicts import CONFLICT_TRIES, contended
from shared.usecases.ports import (
    BulkRequest,
    Clock,
    DispatchRequest,
    JobStore,
    Outbox,
    PushRequest,
    Randomness,
    Secrets,
    ShopStore,
)

if TYPE_CHECKING:
    from shared.usecases.provider_catalog import Catalog

log = logging.getLogger(__name__)

_SENT_AT_ONCE = frozenset({Step.CREATE, Step.KEEP, Step.POLL, Step.STOP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the timeline says of a change, and who made it.

    entry_id: of the entry, where it must be known before it is written. native_status,
    received_at, payload, payload_key: as in `LogEntry`.
    """

    source: Source
    outcome: Outcome
    message: str
    actor: str | None = None
    attempt: int | None = None
    proof: Proof | None = None
    body: bytes | None = None
    entry_id: str | None = None
    native_status: str | None = None
    received_at: datetime | None = None
    payload: bytes | None = field(default=None, repr=False)
    payload_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracker:
    """What every use-case that changes jobs works with.

    adapters: by provider name (the worker has none). secrets: needed only where providers'
    events are applied, to verify the references that they echo. shops: needed only where
    attempts are begun, for the shop's budget; and catalog, for what the provider's account holds.
    """

    store: JobStore
    outbox: Outbox
    clock: Clock
    random: Randomness
    adapters: Mapping[str, ProviderAdapter]
    secrets: Secrets | None = None
    shops: ShopStore | None = None
    catalog: "Catalog | None" = None

    def now(self) -> datetime:
        """Return the present instant."""
        return self.clock.now()

    def new_id(self, at: datetime) -> str:
        """Make a time-ordered id."""
        return uuid7(at, self.random.token_bytes(10))

    def patience(self, job: Job) -> Patience:
        """Return how long to wait for the job's provider."""
        adapter = self.adapters.get(job.provider)
        return adapter.patience if adapter else Patience()

    def belongs(self, event: ProviderEvent, ref: JobRef) -> bool | None:
        """Tell whether the provider's job says of itself that it is this job's.

        True when it carries our reference of this job, False when it carries another job's
        or is for another shop, None when it says nothing. A job that was registered by its
        provider id could otherwise be given the result of somebody else's.

        Raises SecretUnavailableError.
        """
        if event.reference is not None and self.secrets is not None:
            app_secrets = self.secrets.get("app", "APP_SECRET")
            owner = read_reference(event.provider, event.reference, app_secrets)
            if owner is not None:
                return owner.ref == ref
        # A shop's domain is the same in any case; ours is kept in lower case.
        return False if event.shop is not None and event.shop.lower() != ref.shop else None

    def step(self, job: Job, now: datetime) -> Step:
        """Return what the job needs at `now`."""
        return next_step(job, now, self.patience(job))

    def entry(
        self,
        note: Note,
        before: Job | None,
        after: Job,
        now: datetime,
        *,
        version: int | None = None,
    ) -> LogEntry:
        """Make a timeline entry of the change that makes a version of the job; None: of something
        that changed nothing."""
        if version is not None:
            entry_id = change_id(after.job_id, version, now)
        else:
            entry_id = remark_id(after.version, now, self.random.token_bytes(10))
        return LogEntry(
            entry_id=note.entry_id or entry_id,
            at=now,
            source=note.source,
            outcome=note.outcome,
            message=note.message,
            actor=note.actor,
            attempt=note.attempt or after.attempt.number,
            from_status=before.status if before else None,
            to_status=after.status,
            proof=note.proof,
            body=note.body,
            body_sha256=hashlib.sha256(note.body).hexdigest() if note.body is not None else None,
            native_status=note.native_status,
            received_at=note.received_at,
            payload=note.payload,
            payload_key=note.payload_key,
        )

    def write(
        self,
        before: Job,
        after: Job,
        note: Note | None,
        *,
        take_links: bool = False,
        ceiling: Budget | None = None,
    ) -> Job:
        """Write `after` over `before`, then send the message it owes.

        Parameters
            note: what the timeline says; None for steps that nobody needs to read about
                (a log entry makes the write a transaction, at twice the price).

        Raises VersionConflictError, LinkTakenError, BudgetExceededError,
        StoreUnavailableError: nothing was written. A message that cannot be sent is no error:
        it is due, and the sweep sends it.
        """
        now = self.now()
        after = schedule(after, now, self.patience(after))
        version = before.version + 1
        entry = self.entry(note, before, after, now, version=version) if note else None
        saved = self.store.save(before, after, entry=entry, take_links=take_links, ceiling=ceiling)
        self.send_owed(before, saved, now)
        return saved

    def send_owed(self, before: Job | None, after: Job, now: datetime) -> None:
        """Send the message that a change made due: once per change of what is to be done."""
        step = self.step(after, now)
        is_new_step = before is None or (step, after.push.number) != (
            self.step(before, now),
            before.push.number,
        )
        # A result that comes while an image is on its way to Shopify waits for nothing.
        is_new_result = owed_results(after) > (owed_results(before) if before else 0)
        try:
            if (is_new_step and step in _SENT_AT_ONCE) or is_new_result:
                self.outbox.send_dispatch([DispatchRequest(ref=after.ref)])
            if is_new_step and step is Step.BULK:
                self.outbox.send_bulk([BulkRequest(ref=after.ref)])
            if is_new_step and step is Step.PUSH:
                self.outbox.send_push([PushRequest(ref=after.ref, number=after.push.number)])
        except QueueUnavailableError as error:
            log.warning("message not sent, the sweep will", extra={"reason": str(error)})

    def change(
        self,
        ref: JobRef,
        decide: Callable[[Job, datetime], tuple[Job, Note | None]],
        *,
        seen: Job | None = None,
        take_links: bool = False,
        ceiling: Budget | None = None,
    ) -> Job:
        """Read, decide and write, again if somebody else was faster.

        Parameters
            decide: returns the job afterwards and the note; the same job means no change
                (then a note is put on the timeline without a write of the job).
            seen: the job as it was read just now. The first try begins with it and saves a read;
                the write is on condition that it is still so, as ever.

        Raises NotFoundError, and what `decide` raises.
        """
        for _ in range(CONFLICT_TRIES):
            before, seen = seen or self.store.get(ref), None
            after, note = decide(before, self.now())
            if after is before:
                if note is not None:
                    self.store.note(ref, self.entry(note, before, after, self.now()))
                return before
            try:
                return self.write(before, after, note, take_links=take_links, ceiling=ceiling)
            except VersionConflictError:
                continue
        raise contended("job")
