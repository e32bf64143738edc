"""Add an entry to a job's timeline by hand: what an agent, its owner or an administrator did."""

import hashlib
from dataclasses import replace

from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.events import LogEntry, Remark
from shared.domain.ids import TIME_CHARACTERS, JobRef, uuid7
from shared.domain.statistics import is_uncounted
from shared.domain.status import Outcome
from shared.usecases.identify_caller import Caller
from shared.usecases.payloads import attach, take_back
from shared.usecases.ports import Files, Idempotency
from shared.usecases.tracker import Note, Tracker

# Where a repeated call looks for the entry that it made before: one read.
_LOOKED_THROUGH = 100


def append_log(
    tracker: Tracker,
    files: Files,
    caller: Caller,
    ref: JobRef,
    remark: Remark,
    *,
    idempotency: Idempotency | None = None,
) -> LogEntry:
    """Add a remark to the timeline, at any time of the job's life; returns the entry.

    It changes nothing of the job, and is no heartbeat.

    Parameters
        idempotency: the same key with the same body gives the entry made then, if it is among
            the newest hundred: its id ends as the key says.

    Raises NotFoundError (an agent: also for a job of others); ConflictError: `not_a_worker_job`
    for a bulk job, which is ours, `wrong_status` when the timeline is full (the entry is
    counted); StoreUnavailableError (table or bucket).
    """
    job = tracker.store.get(ref)
    if not caller.may_see(job):
        raise NotFoundError("There is no such job.")
    if is_uncounted(job):
        raise ConflictError("This job is ours; nobody else writes on it.", code="not_a_worker_job")
    now = tracker.now()
    entry_id = tracker.new_id(now)
    if idempotency is not None:
        entry_id = uuid7(now, _digest(idempotency))
        earlier = _made_before(tracker, ref, entry_id)
        if earlier is not None:
            return earlier
    note = Note(
        source=caller.source,
        actor=caller.actor,
        outcome=Outcome.NOTED,
        message=remark.message or "",
        entry_id=entry_id,
    )
    note = attach(files, ref, note, remark)
    entry = tracker.entry(note, job, job, now)
    if not tracker.store.note(ref, entry):
        take_back(files, note)
        tracker.store.get(ref)  # or it was deleted meanwhile
        raise ConflictError("This job's timeline is full; the entry was only counted.")
    has_payload = note.payload is not None or note.payload_key is not None
    return replace(entry, has_payload=has_payload)


def _digest(idempotency: Idempotency) -> bytes:
    said = f"{idempotency.key}\n{idempotency.body_sha256}"
    return hashlib.sha256(said.encode(errors="surrogatepass")).digest()[:10]


def _made_before(tracker: Tracker, ref: JobRef, entry_id: str) -> LogEntry | None:
    """Find an entry of another instant that is otherwise named like this one."""
    entries = tracker.store.log(ref, limit=_LOOKED_THROUGH).entries
    tail = entry_id[TIME_CHARACTERS:]
    return next((e for e in entries if e.entry_id[TIME_CHARACTERS:] == tail), None)
