"""Bulk jobs: one job of ours that does something to many."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.filters import JobFilter
from shared.domain.job import Counts, Job
from shared.domain.statistics import BULK_TYPE_PREFIX
from shared.domain.status import JobStatus, PushStatus
from shared.domain.storage import export_folder

# Marks of so many bulk jobs stay on a job. Only one whose chunk is under way can come again.
MARKS_KEPT = 5

NOTHING_DONE = "nothing_done"
WORK_GONE = "work_gone"
FILE_STUCK = "file_stuck"


class BulkAction(StrEnum):
    """What a bulk job does to each job.

    `expand` makes the jobs of a batch; `export` and `archive` change none: they write a file.
    """

    RETRY = "retry"
    SYNC = "sync"
    PUSH = "push"
    UNDO_PUSH = "undo-push"
    CANCEL = "cancel"
    DELETE = "delete"
    EXPAND = "expand"
    EXPORT = "export"
    ARCHIVE = "archive"

    @property
    def job_type(self) -> str:
        """The type of such a job."""
        return BULK_TYPE_PREFIX + self.value

    @property
    def writes_file(self) -> bool:
        """Whether it writes a file for people to download."""
        return self in _FILE_NAMES


_FILE_NAMES = {BulkAction.EXPORT: "jobs.csv", BulkAction.ARCHIVE: "results.zip"}


def action_of(job: Job) -> BulkAction | None:
    """Return what a bulk job does; None if it is none, or of a kind we do not know (any more).

    >>> BulkAction("undo-push").job_type
    'bulk.undo-push'
    """
    name = job.type.removeprefix(BULK_TYPE_PREFIX)
    return BulkAction(name) if job.type != name and name in list(BulkAction) else None


def file_key(job: Job) -> str | None:
    """Return where the file is that a bulk job writes; None for a job that writes none.

    It follows from the job alone: nothing that anybody can write into a job names a file.
    """
    action = action_of(job)
    return export_folder(job.ref) + _FILE_NAMES[action] if action in _FILE_NAMES else None


def marked(job: Job, bulk_id: str) -> Job:
    """Return the job with the bulk job's mark."""
    return replace(job, bulk_marks=(*job.bulk_marks, bulk_id)[-MARKS_KEPT:])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """What one chunk did. refused: code → how many. position: where the next one begins.

    paid: how many attempts at a provider it began. result: what else the bulk job tells then.
    """

    successful: int
    refused: Mapping[str, int]
    position: str | None
    paid: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)


def begin(job: Job, now: datetime) -> Job:
    """Return a bulk job at work."""
    if job.status is not JobStatus.PENDING:
        return job
    started_at = job.started_at or now
    return replace(job, status=JobStatus.PROCESSING, started_at=started_at, updated_at=now)


def book(job: Job, chunk: ChunkResult, now: datetime) -> Job:
    """Return a bulk job after a chunk; ended with its last one.

    One that was cancelled meanwhile stays so; what the chunk did is counted all the same.
    """
    done = _counted(job, chunk, now)
    if not job.status.is_active:
        return done
    if chunk.position is not None:
        progress = max(job.progress, _progress(done.counts))
        return replace(begin(done, now), progress=progress, due_tries=0)
    counts = replace(done.counts, total=done.counts.processed)
    ended = replace(begin(done, now), counts=counts, completed_at=now, due_tries=0)
    if counts.processed and not counts.successful:
        return replace(
            ended,
            status=JobStatus.FAILED,
            error_code=NOTHING_DONE,
            error_message="Nothing could be done to any of these jobs; `result.refused` says why.",
        )
    return replace(ended, status=JobStatus.COMPLETED, progress=100)


def _counted(job: Job, chunk: ChunkResult, now: datetime) -> Job:
    refused = sum(chunk.refused.values())
    is_first = job.bulk_cursor is None
    old = replace(job.counts, processed=0, successful=0, failed=0) if is_first else job.counts
    counts = Counts(
        total=old.total,
        processed=(old.processed or 0) + chunk.successful + refused,
        successful=(old.successful or 0) + chunk.successful,
        failed=(old.failed or 0) + refused,
    )
    told = () if is_first else (job.result or {}).get("refused", ())
    known = {entry["code"]: entry["count"] for entry in told}
    for code, count in chunk.refused.items():
        known[code] = known.get(code, 0) + count
    refusals = {"refused": [{"code": code, "count": known[code]} for code in sorted(known)]}
    result = dict(job.result or {}) | refusals | dict(chunk.result)
    return replace(
        job,
        counts=counts,
        result=result,
        bulk_cursor=chunk.position,
        reported_at=now,
        updated_at=now,
    )


def _progress(counts: Counts) -> int:
    if not counts.total:
        return 0
    return min(99, (counts.processed or 0) * 100 // counts.total)


def filter_json(wanted: JobFilter) -> dict[str, Any]:
    """Write a filter as JSON, without its shop; what it does not ask for is left out."""
    values = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if name not in ("shop", "ascending") and value is not None
    }


def read_filter(shop: str, data: Mapping[str, Any]) -> JobFilter:
    """Read a filter from JSON, for a shop.

    >>> wanted = JobFilter(shop="a.myshopify.com", status=JobStatus.FAILED, text="mug")
    >>> read_filter(wanted.shop, filter_json(wanted)) == wanted
    True
    """
    readers = {
        "status": JobStatus,
        "push_status": PushStatus,
        "created_from": datetime.fromisoformat,
        "created_to": datetime.fromisoformat,
        "scheduled_before": datetime.fromisoformat,
    }
    values: dict[str, Any] = {
        name: readers[name](value) if name in readers else value for name, value in data.items()
    }
    return JobFilter(shop=shop, **values)


def begin_again(job: Job, position: str, now: datetime) -> Job:
    """Return a bulk job that must do everything anew, with nothing counted yet."""
    counts = replace(job.counts, processed=0, successful=0, failed=0)
    result = dict(job.result or {}) | {"refused": []}
    return replace(
        job, counts=counts, result=result, bulk_cursor=position, updated_at=now, due_tries=0
    )


def give_up(job: Job, sentence: str, now: datetime, code: str = WORK_GONE) -> Job:
    """Return a bulk job that cannot go on."""
    return replace(
        job,
        status=JobStatus.FAILED,
        error_code=code,
        error_message=sentence,
        completed_at=now,
        updated_at=now,
        due_tries=0,
    )
