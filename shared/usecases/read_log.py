"""Read a job's timeline, and what lies beside one entry of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.domain.cursors import log_scope, make_cursor, read_cursor
from shared.domain.errors import NotFoundError
from shared.domain.events import LogEntry
from shared.domain.filters import LogFilter
from shared.domain.ids import JobRef, is_job_id
from shared.usecases.identify_caller import Caller
from shared.usecases.payloads import Payload, read_payload
from shared.usecases.ports import Files, JobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A page of a timeline, newest first. dropped: entries beyond those that are kept."""

    entries: tuple[LogEntry, ...]
    next_cursor: str | None
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeEntry:
    """One entry with all that lies beside it. body: the raw delivery, None if there is none."""

    entry: LogEntry
    payload: Payload
    body: bytes | None = field(repr=False)


def read_log(
    store: JobStore,
    caller: Caller,
    ref: JobRef,
    wanted: LogFilter,
    *,
    limit: int,
    cursor: str | None,
    cursor_secrets: Sequence[str],
) -> Timeline:
    """Return a page of the timeline. Raises NotFoundError, InvalidRequestError (cursor)."""
    scope = log_scope(ref.shop, ref.job_id, wanted)
    position = read_cursor(scope, cursor, cursor_secrets) if cursor is not None else None
    store.get(ref)
    page = store.log(ref, limit=limit, position=position, wanted=wanted)
    more = make_cursor(scope, page.position, cursor_secrets) if page.position else None
    entries = tuple(_shown(caller, entry) for entry in page.entries)
    return Timeline(entries=entries, next_cursor=more, dropped=page.dropped)


def read_log_entry(
    store: JobStore, files: Files, caller: Caller, ref: JobRef, entry_id: str
) -> WholeEntry:
    """Return one entry, its payload and its raw delivery (which agents do not get).

    Raises NotFoundError (job or entry), StoreUnavailableError (table or bucket).
    """
    store.get(ref)
    # What else lies in the timeline's partition is no entry.
    found = store.entry(ref, entry_id) if is_job_id(entry_id) else None
    if found is None:
        raise NotFoundError("There is no such entry on this job's timeline.")
    entry = _shown(caller, found)
    return WholeEntry(
        entry=entry,
        payload=read_payload(store, files, ref, entry),
        body=store.body(ref, entry_id) if entry.has_body else None,
    )


def _shown(caller: Caller, entry: LogEntry) -> LogEntry:
    """Return an entry as the caller may see it: what providers sent is none of an agent's."""
    return replace(entry, has_body=False) if caller.is_agent else entry
