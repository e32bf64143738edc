"""The statistics as anybody would count them: from the jobs that there are, one by one.

Written apart from the product's own sums, from what README and the API's document promise.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.job import Job

ENDED = ("completed", "failed", "cancelled")
MINUTES_SAVED = 5  # by a completed job


def is_bulk(job: Job) -> bool:
    """Whether it is one of the product's own bulk jobs, which are in no statistics."""
    return job.type.startswith("bulk.")


def statistics(jobs: Iterable[Job]) -> dict[str, Any]:
    """Return `stats` of `GET /api/jobs/stats`."""
    counted = [job for job in jobs if not is_bulk(job)]
    active = {status: _how_many(counted, status) for status in ("pending", "processing")}
    saved_hours = round(_how_many(counted, "completed") * MINUTES_SAVED / 60, 1)
    return active | sums(counted) | {"timeSavedHours": saved_hours}


def sums(jobs: Sequence[Job]) -> dict[str, Any]:
    """Return what every scope says of its jobs. Credits and times are those of ended jobs."""
    by_status = {status: _how_many(jobs, status) for status in ENDED}
    completed, failed = by_status["completed"], by_status["failed"]
    ended = [job for job in jobs if job.status.value in ENDED]
    times = [
        job.attempts[-1].processing_ms
        for job in ended
        if job.status.value == "completed" and job.attempts[-1].processing_ms is not None
    ]
    cost = sum(a.cost_micros or 0 for job in ended for a in job.attempts)
    return {
        "total": len(jobs),
        **by_status,
        "successRate": completed / (completed + failed) * 100 if completed + failed else 0,
        "averageProcessingTime": sum(times) / len(times) if times else 0,
        "totalCreditsUsed": sum(a.credits or 0 for job in ended for a in job.attempts),
        "totalCostMicros": cost,
        "averageCostMicros": cost / len(ended) if ended else 0,
    }


def days(jobs: Iterable[Job], now: datetime, count: int) -> list[dict[str, Any]]:
    """Return `days` of the statistics: the last so many UTC days, by the jobs' ends."""
    by_day: defaultdict[str, list[Job]] = defaultdict(list)
    for job in _ended(jobs):
        by_day[_day(job)].append(job)
    dates = [f"{now - timedelta(days=back):%Y-%m-%d}" for back in range(count - 1, -1, -1)]
    return [{"date": date, **sums(by_day[date])} for date in dates]


def groups(jobs: Iterable[Job], by: str, now: datetime, count: int) -> list[dict[str, Any]]:
    """Return `groups` of the statistics, by key. Tools and types: of jobs ended in the window."""
    jobs = list(jobs)
    if by == "status":
        return _by_status([job for job in jobs if not is_bulk(job)])
    first = f"{now - timedelta(days=count - 1):%Y-%m-%d}"
    key_of: dict[str, Callable[[Job], str | None]] = {
        "project": lambda job: job.project_id,
        "tool": lambda job: job.tool_id,
        "type": lambda job: job.type,
    }
    found: defaultdict[str, list[Job]] = defaultdict(list)
    for job in _ended(jobs):
        key = key_of[by](job)
        if key is not None and (by == "project" or _day(job) >= first):
            found[key].append(job)
    return [
        {"key": key, "pending": 0, "processing": 0, **sums(found[key])} for key in sorted(found)
    ]


def spent(jobs: Iterable[Job], month: str) -> dict[str, int]:
    """Return what a budget counts of a month: attempts begun in it while there was a budget.

    The charge counts once the provider has said it, until then what was set aside; nothing of
    that once the attempt has ended. `jobs`: also those that were deleted, as they were then.
    """
    found = {"credits": 0, "costMicros": 0}
    for job in jobs:
        for attempt in job.attempts:
            is_counted = attempt.reserved_credits is not None
            if not is_counted or f"{attempt.created_at.astimezone(UTC):%Y-%m}" != month:
                continue
            is_open = job.status.value not in ENDED and attempt is job.attempts[-1]
            for name, charged, reserved in (
                ("credits", attempt.credits, attempt.reserved_credits),
                ("costMicros", attempt.cost_micros, attempt.reserved_cost_micros),
            ):
                found[name] += charged if charged is not None else (reserved or 0) * is_open
    return found


def _by_status(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    found = []
    for status in ("pending", "processing", *ENDED):
        own = [job for job in jobs if job.status.value == status]
        active = {name: len(own) * (name == status) for name in ("pending", "processing")}
        found.append({"key": status, **active, **sums(own)})
    return sorted(found, key=lambda row: str(row["key"]))


def _ended(jobs: Iterable[Job]) -> list[Job]:
    return [job for job in jobs if job.status.value in ENDED and not is_bulk(job)]


def _day(job: Job) -> str:
    assert job.completed_at is not None
    return f"{job.completed_at.astimezone(UTC):%Y-%m-%d}"


def _how_many(jobs: Iterable[Job], status: str) -> int:
    return sum(job.status.value == status for job in jobs)
