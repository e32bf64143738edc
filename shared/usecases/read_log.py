"""Read a job's timeline."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.cursors import log_scope, make_cursor, read_cursor
from shared.domain.events import LogEntry
from shared.domain.ids import JobRef
from shared.usecases.ports import JobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A page of a timeline, newest first. dropped: entries beyond those that are kept."""

    entries: tuple[LogEntry, ...]
    next_cursor: str | None
    dropped: int


def read_log(
    store: JobStore,
    ref: JobRef,
    *,
    limit: int,
    cursor: str | None,
    cursor_secrets: Sequence[str],
) -> Timeline:
    """Return a page of the timeline. Raises NotFoundError, InvalidRequestError (cursor)."""
    scope = log_scope(ref.shop, ref.job_id)
    position = read_cursor(scope, cursor, cursor_secrets) if cursor is not None else None
    store.get(ref)
    page = store.log(ref, limit=limit, position=position)
    more = make_cursor(scope, page.position, cursor_secrets) if page.position else None
    return Timeline(entries=page.entries, next_cursor=more, dropped=page.dropped)
