"""What every implementation of the stores must do alike: limits, lifetimes, derivations."""

import gzip
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.domain.errors import (
    BudgetExceededError,
    ConflictError,
    IdempotencyKeyReusedError,
    LinkTakenError,
)
from shared.domain.events import Link, LogEntry
from shared.domain.ids import instant, milliseconds_up
from shared.domain.job import Job
from shared.domain.statistics import OTHER, Tally, scopes, total

MAX_LOG_ENTRIES = 500
MAX_BODY_BYTES = 16 * 1024  # gzipped
MAX_JOBS_READ = 1_000  # by one request of a page
NAMES_PER_DAY = 20  # tools, and types, that a day counts apart

BODY_KEPT_FOR = timedelta(days=30)
PARKED_FOR = timedelta(days=7)
IDEMPOTENT_FOR = timedelta(hours=24)
# Of how long tools take, the present month and the one before are asked for.
PACE_KEPT_FOR = timedelta(days=100)
# The API's function ends after 28 s: whoever began a call longer ago than this has died.
ONE_CALL_TAKES = timedelta(seconds=60)


def stored_form(job: Job) -> Job:
    """Return the job as it will be read back: due instants are whole milliseconds.

    They are rounded up: nobody looks at a job before its time.
    """
    if job.due_at is None or job.due_at.microsecond % 1000 == 0:
        return job
    return replace(job, due_at=instant(milliseconds_up(job.due_at)))


def new_links(before: Job | None, after: Job) -> list[Link]:
    """Return the links of every attempt whose provider's id was learnt by this change."""
    known = {a.number: a.provider_job_id for a in before.attempts} if before else {}
    return [link for link in links(after) if known.get(link.attempt) != link.provider_job_id]


def dropped_links(before: Job, after: Job) -> list[Link]:
    """Return the links of attempts whose provider's id turned out to be somebody else's."""
    kept = {attempt.provider_job_id for attempt in after.attempts}
    return [link for link in links(before) if link.provider_job_id not in kept]


def is_starting(before: Job | None, after: Job) -> bool:
    """Whether this write is the beginning of an exclusive job: it is made, or ended and retried."""
    was_active = before is not None and before.status.is_active
    return after.exclusive and after.status.is_active and not was_active


def links(job: Job) -> list[Link]:
    """Return the links of all attempts that have a provider's id.

    Should the provider have given two attempts the same id, the later one has the link.
    """
    found = {
        attempt.provider_job_id: Link(
            provider=job.provider,
            provider_job_id=attempt.provider_job_id,
            ref=job.ref,
            attempt=attempt.number,
        )
        for attempt in job.attempts
        if attempt.provider_job_id is not None
    }
    return list(found.values())


def later_minutes(now: datetime, count: int) -> list[datetime]:
    """Return the beginnings of the `count` minutes after the present one."""
    present = now.replace(second=0, microsecond=0)
    return [present + timedelta(minutes=number) for number in range(1, count + 1)]


def pace_months(now: datetime) -> tuple[str, str]:
    """Return the month before and the present one (`yyyy-mm`, UTC).

    >>> pace_months(datetime(2026, 1, 31, tzinfo=UTC))
    ('2025-12', '2026-01')
    """
    first = now.astimezone(UTC).replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}", f"{first:%Y-%m}"


def pack_body(body: bytes) -> bytes | None:
    """Return the raw delivery gzipped, or None when that is still over 16 KB."""
    packed = gzip.compress(body, mtime=0)
    return packed if len(packed) <= MAX_BODY_BYTES else None


def entry_to_keep(entry: LogEntry, packed_body: bytes | None) -> LogEntry:
    """Return the entry as it is stored: without what lies beside it, but saying that it does."""
    has_payload = entry.payload is not None or entry.payload_key is not None
    return replace(
        entry,
        body=None,
        has_body=packed_body is not None,
        payload=None,
        has_payload=has_payload,
    )


def entry_as_read(entry: LogEntry, now: datetime) -> LogEntry:
    """Return a stored entry as it is at `now`: the raw delivery goes before its entry does."""
    is_over = entry.has_body and entry.at + BODY_KEPT_FOR <= now
    return replace(entry, has_body=False) if is_over else entry


def settle_counted_names(before: Job | None, after: Job) -> Job:
    """Return `after` with the names it is counted under: kept while it stays counted there.

    A job that is counted anew (or nowhere) starts with its own names; only the table knows
    whether the day has room for them.
    """
    stays = (
        before is not None
        and bool(scopes(after))
        and scopes(before) == scopes(after)
        and (before.tool_id, before.type) == (after.tool_id, after.type)
    )
    tool = before.counted_tool if before is not None and stays else None
    kind = before.counted_type if before is not None and stays else None
    if (tool, kind) == (after.counted_tool, after.counted_type):
        return after
    return replace(after, counted_tool=tool, counted_type=kind)


def limit_names(tallies: Mapping[str, Tally]) -> dict[str, Tally]:
    """Return the busiest 20 names (alphabetical among equals); the rest is summed as `other`.

    Names that nothing is counted under any more are left out.
    """
    named = {n: t for n, t in tallies.items() if n != OTHER and t != Tally()}
    order = sorted(named, key=lambda name: (-named[name].ended, name))
    kept = {name: named[name] for name in sorted(order[:NAMES_PER_DAY])}
    rest = total(named[name] for name in order[NAMES_PER_DAY:]) + tallies.get(OTHER, Tally())
    return kept if rest == Tally() else {**kept, OTHER: rest}


def link_taken() -> LinkTakenError:
    """Make the error for a provider's id that belongs to another job."""
    return LinkTakenError("This provider job is already tracked.")


def already_running(job_id: str) -> ConflictError:
    """Make the error for an exclusive job of a type that is running."""
    return ConflictError(
        "A job of this type is running already.",
        code="already_running",
        details=[{"runningJobId": job_id}],
    )


def key_reused() -> IdempotencyKeyReusedError:
    """Make the error for an Idempotency-Key that came with another body before."""
    return IdempotencyKeyReusedError("This Idempotency-Key was used with another body.")


def made_and_deleted(what: str = "job") -> ConflictError:
    """Make the error for a repeated creation whose job (or `what`) was deleted meanwhile."""
    return ConflictError(f"The {what} made with this Idempotency-Key has been deleted.")


def budget_exceeded() -> BudgetExceededError:
    """Make the error for an attempt that the month's budget does not allow."""
    return BudgetExceededError(
        "This would cost more than is left of the shop's budget for this month."
    )


def answered_now() -> ConflictError:
    """Make the error for a call with an Idempotency-Key whose twin is still being answered."""
    return ConflictError("The same call is being answered right now.", code="already_running")


def too_many(what: str, most: int) -> ConflictError:
    """Make the error for a shop that has all it may have of something."""
    return ConflictError(f"A shop has at most {most} {what}.")
