"""What is told to others about a shop's jobs, made from what a write changed.

A notice is thin: it says what happened and to what; who wants more reads the job. Its id is
made from the write that it tells of, so however often the write is looked at, it is the same
notice: `{job}:{version of the job}:{type}`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.batch import BatchView
from shared.domain.bulk import BulkAction, action_of
from shared.domain.ids import iso
from shared.domain.job import Job
from shared.domain.notice_types import NoticeType
from shared.domain.statistics import is_uncounted
from shared.domain.status import JobStatus, PushStatus

# JavaScript rounds what is larger.
_MAX_SAFE_INTEGER = 2**53
# Texts of people and providers are cut: the whole stays far below the 20 KB that receivers of
# Standard Webhooks are promised. Ids are never cut; the API takes none over 128 characters.
_MAX_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell.

    notice_id: the same whenever the same thing is told again. at: when it happened. data: JSON
    data, the thin description of what it happened to. batch_id: the batch it belongs to.
    """

    notice_id: str
    type: NoticeType
    shop: str
    at: datetime
    data: Mapping[str, Any] = field(repr=False)
    batch_id: str | None = None

    @property
    def is_of_one_in_many(self) -> bool:
        """Whether it is about one job of a batch, which people hear of in one digest (if the
        batch is one of ours, not only a name)."""
        return self.batch_id is not None and self.type is not NoticeType.BATCH_FINISHED

    @property
    def webhook_id(self) -> str:
        """The id as a webhook carries it: the scheme signs `id.timestamp.body`, so it has no dot.

        Source: Standard Webhooks 1.0.0, "Signature scheme" (read 2026-11).
        """
        return self.notice_id.replace(".", "_")

    @property
    def body(self) -> str:
        """The body of a webhook: the same text at every try."""
        told = {"type": self.type.value, "timestamp": iso(self.at), "data": self.data}
        return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def job_notices(before: Job | None, after: Job) -> tuple[Notice, ...]:
    """Return what a write of a job is worth telling (our own bulk jobs: nothing).

    A presumed failure that its provider confirms is one failure, told once; one that turns into
    a success is told as both.
    """
    if is_uncounted(after):
        return ()
    found = []
    if before is None or before.status is not after.status:
        found += [_TOLD_OF_STATUS.get(after.status)]
    if (PushStatus.NONE if before is None else before.push.status) is not after.push.status:
        found += [_TOLD_OF_PUSH.get(after.push.status)]
    return tuple(_job_notice(kind, after) for kind in found if kind is not None)


_TOLD_OF_STATUS = {
    JobStatus.COMPLETED: NoticeType.JOB_COMPLETED,
    JobStatus.FAILED: NoticeType.JOB_FAILED,
}
_TOLD_OF_PUSH = {
    PushStatus.PUSHED: NoticeType.JOB_PUSHED,
    PushStatus.FAILED: NoticeType.JOB_PUSH_FAILED,
}


def _job_notice(kind: NoticeType, job: Job) -> Notice:
    return Notice(
        notice_id=f"{job.job_id}:{job.version}:{kind.value}",
        type=kind,
        shop=job.shop,
        at=job.updated_at,
        data=_job_data(job),
        batch_id=job.batch_id,
    )


def _job_data(job: Job) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "shop": job.shop,
        "status": job.status.value,
        "pushStatus": job.push.status.value,
        "type": job.type,
        "name": _cut(job.name),
        "provider": job.provider,
        "toolId": job.tool_id,
        "productId": job.product_id,
        "productTitle": _cut(job.product_title),
        "projectId": job.project_id,
        "batchId": job.batch_id,
        "agentId": job.agent_id,
        "attempt": job.attempt.number,
        "errorCode": job.error_code,
        "errorMessage": _cut(job.error_message),
        "pushErrorCode": job.push.error_code,
        "pushError": _cut(job.push.error),
        "creditsUsed": _number(job.credits_used),
        "costMicros": _number(job.cost_micros),
        "createdAt": _at(job.created_at),
        "completedAt": _at(job.completed_at),
        "updatedAt": _at(job.updated_at),
    }


def batch_to_look_at(before: Job | None, after: Job) -> str | None:
    """Return the batch that may be over by this write: one of its jobs ended, or their making did.

    Only the batch's own sums can tell whether it is.
    """
    has_ended = not after.status.is_active and (before is None or before.status.is_active)
    if not has_ended:
        return None
    if action_of(after) is BulkAction.EXPAND:
        return after.job_id
    return None if is_uncounted(after) else after.batch_id


def batch_notice(view: BatchView, at: datetime) -> Notice:
    """Return what is told of a batch that is over: once, and once more when its making, of which
    that was told, was retried."""
    batch, tally = view.batch, view.sums.tally
    data = {
        "id": batch.batch_id,
        "shop": batch.shop,
        "status": view.status.value,
        "name": _cut(batch.name),
        "toolId": batch.tool_id,
        "totalJobs": view.total,
        "completedJobs": view.completed,
        "failedJobs": view.failed,
        "cancelledJobs": view.cancelled,
        "creditsUsed": _number(tally.credits),
        "costMicros": _number(tally.cost_micros),
        "createdAt": _at(batch.created_at),
        "startedAt": _at(view.started_at),
        "completedAt": _at(view.completed_at),
    }
    return Notice(
        notice_id=f"{batch.batch_id}:{view.round}:{NoticeType.BATCH_FINISHED.value}",
        type=NoticeType.BATCH_FINISHED,
        shop=batch.shop,
        at=at,
        data=data,
        batch_id=batch.batch_id,
    )


def _at(at: datetime | None) -> str | None:
    return iso(at) if at is not None else None


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= _MAX_TEXT:
        return text
    return text[: _MAX_TEXT - 1] + "…"


def _number(amount: int) -> int | str:
    return amount if amount <= _MAX_SAFE_INTEGER else str(amount)
