"""Make the jobs of a batch: each image's once, whatever is delivered again."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.batch import Batch, batch_job_id
from shared.domain.bulk import ChunkResult
from shared.domain.errors import RejectedError, VersionConflictError
from shared.domain.ids import JobRef
from shared.domain.job import Job, Priority
from shared.domain.status import JobStatus
from shared.usecases.cancel_job import cancel_job
from shared.usecases.create_job import Identity, NewJob, create_job
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Files, ShopStore, WorkStore
from shared.usecases.tracker import Tracker

CHUNK = 100


def keep_batch(works: WorkStore, job: Job, work: Mapping[str, Any]) -> None:
    """Keep what a batch was asked for; whoever took it may have died before that."""
    if works.get_batch(job.shop, job.job_id) is None:
        works.put_batch(
            Batch(
                shop=job.shop,
                batch_id=job.job_id,
                created_at=job.created_at,
                tool_id=work["common"]["tool_id"],
                tool_name=work.get("tool_name"),
                total=len(work["images"]),
                name=job.name,
                parameters=work["common"].get("parameters", {}),
            )
        )


def expand(
    tracker: Tracker,
    shops: ShopStore,
    files: Files,
    caller: Caller,
    job: Job,
    work: Mapping[str, Any],
) -> ChunkResult:
    """Make the next hundred jobs. Raises RetryableError: again, nothing is made twice."""
    images = work["images"]
    start = int(job.bulk_cursor or 0)
    end = min(start + CHUNK, len(images))
    refused: Counter[str] = Counter()
    for index in range(start, end):
        try:
            create_job(
                tracker,
                shops,
                files,
                caller,
                _wish(job, work, images[index]),
                idempotency=None,
                # They were checked when the batch was taken.
                is_allowed_http=lambda _host: True,
                identity=_identity(job, index),
            )
        except VersionConflictError:
            continue  # made by an earlier delivery of this chunk
        except RejectedError as error:
            refused[error.code] += 1
    made = end - start - refused.total()
    position = str(end) if end < len(images) else None
    return ChunkResult(successful=made, refused=refused, position=position, paid=made)


def cancel_made(tracker: Tracker, caller: Caller, job: Job, work: Mapping[str, Any]) -> None:
    """Cancel what the chunk made that was under way when its batch was cancelled.

    The bulk job that cancels the others may have looked before they were there.
    """
    now = tracker.store.get(job.ref)
    if now.status is not JobStatus.CANCELLED:
        return
    start = int(job.bulk_cursor or 0)
    for index in range(start, min(start + CHUNK, len(work["images"]))):
        try:
            cancel_job(tracker, caller, JobRef(job.shop, _identity(job, index).job_id))
        except RejectedError:
            continue  # not made, or ended already


def _identity(job: Job, index: int) -> Identity:
    name = batch_job_id(job.job_id, job.created_at, index)
    return Identity(job_id=name, created_at=job.created_at)


def _wish(job: Job, work: Mapping[str, Any], image: Mapping[str, Any]) -> NewJob:
    values = dict(work["common"]) | dict(image)
    if "priority" in values:
        values["priority"] = Priority(values["priority"])
    if "scheduled_at" in values:
        values["scheduled_at"] = datetime.fromisoformat(values["scheduled_at"])
    values["push_outputs"] = tuple(values.get("push_outputs", ()))
    return NewJob(batch_id=job.job_id, **values)
