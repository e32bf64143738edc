"""A batch: many images for one tool, made into jobs one by one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.ids import uuid7
from shared.domain.job import Job
from shared.domain.statistics import Tally
from shared.domain.status import JobStatus

MAX_IMAGES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What was asked for. batch_id is also the id of the bulk job that makes the jobs.

    total: how many images. tool_name: as the provider called the tool then, if that was known.
    finished_by: the write (`{job}:{version}`) by which it was first seen to be over.
    finished_round: the attempt of its making that was over then; 0 while it never was.
    """

    shop: str
    batch_id: str
    created_at: datetime
    tool_id: str
    total: int
    name: str | None = None
    tool_name: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    finished_by: str | None = None
    finished_round: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSums:
    """What the table knows of a batch's jobs.

    tally: over those that ended. jobs: how many there are. ended_at: when the newest end was.
    """

    tally: Tally = field(default_factory=Tally)
    jobs: int = 0
    ended_at: datetime | None = None


class BatchStatus(StrEnum):
    """How far a batch is."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A batch as it now is. expansion: the bulk job that makes its jobs, None if it is gone."""

    batch: Batch
    sums: BatchSums
    expansion: Job | None

    @property
    def is_expanding(self) -> bool:
        """Whether jobs are still to be made."""
        return self.expansion is not None and self.expansion.status.is_active

    @property
    def round(self) -> int:
        """Which attempt at making its jobs this is, from 1."""
        return self.expansion.attempt.number if self.expansion is not None else 1

    @property
    def total(self) -> int:
        """How many jobs it has or will have."""
        return max(self.batch.total, self.sums.jobs)

    @property
    def completed(self) -> int:
        """How many of them succeeded."""
        return self.sums.tally.completed

    @property
    def failed(self) -> int:
        """How many failed, those included that could not be made (a budget, say)."""
        refused = (self.expansion.counts.failed or 0) if self.expansion else 0
        unmade = self._unmade if self._has_broken_off else 0
        return self.sums.tally.failed + refused + unmade

    @property
    def cancelled(self) -> int:
        """How many were cancelled, those included that were never made."""
        return self.sums.tally.cancelled + (0 if self._has_broken_off else self._unmade)

    @property
    def _unmade(self) -> int:
        """How many will never be made: whatever made the jobs has ended before them.

        Those of a chunk that broke off are there without having been counted.
        """
        if self.expansion is None or self.is_expanding:
            return 0
        counts = self.expansion.counts
        seen_to = max(counts.processed or 0, self.sums.jobs + (counts.failed or 0))
        return max(0, self.batch.total - seen_to)

    @property
    def _has_broken_off(self) -> bool:
        return self.expansion is not None and self.expansion.status is JobStatus.FAILED

    @property
    def active(self) -> int:
        """How many jobs are there and have not ended."""
        return max(0, self.sums.jobs - self.sums.tally.ended)

    @property
    def progress(self) -> int:
        """Ended of all, in percent (0-100); 100 only when all have ended."""
        ended = self.completed + self.failed + self.cancelled
        if self.is_over:
            return 100
        return min(99, ended * 100 // self.total) if self.total else 0

    @property
    def success_rate(self) -> float:
        """Completed of completed and failed, in percent (0-100); 0 if there are none."""
        return Tally(completed=self.completed, failed=self.failed).success_rate

    @property
    def is_over(self) -> bool:
        """Whether every job has ended, and none is still to be made."""
        return not self.is_expanding and self.active == 0

    @property
    def status(self) -> BatchStatus:
        """Partial: some completed, some failed."""
        if not self.is_over:
            begun = self.sums.tally.ended or (self.expansion and self.expansion.started_at)
            return BatchStatus.PROCESSING if begun else BatchStatus.PENDING
        if self.failed and self.completed:
            return BatchStatus.PARTIAL
        if self.failed or (self.expansion is None and not self.sums.jobs):
            return BatchStatus.FAILED
        return BatchStatus.CANCELLED if self.cancelled else BatchStatus.COMPLETED

    @property
    def started_at(self) -> datetime | None:
        """When the first jobs were made."""
        return self.expansion.started_at if self.expansion else None

    @property
    def completed_at(self) -> datetime | None:
        """When the last job ended (or was refused), once all have."""
        if not self.is_over:
            return None
        known = (self.sums.ended_at, self.expansion.completed_at if self.expansion else None)
        return max((at for at in known if at is not None), default=None)

    @property
    def updated_at(self) -> datetime:
        """When it was last seen to move."""
        known = (self.sums.ended_at, self.expansion.updated_at if self.expansion else None)
        return max((at for at in known if at is not None), default=self.batch.created_at)


def batch_job_id(batch_id: str, made_at: datetime, index: int) -> str:
    """Return the id of the job of an image: the same at every try, in the images' order.

    >>> from datetime import UTC
    >>> batch_job_id("b", datetime(2026, 1, 1, tzinfo=UTC), 3)[:18]
    '019b76da-a800-7003'
    """
    digest = hashlib.sha256(f"{batch_id}:{index}".encode()).digest()
    return uuid7(made_at, index.to_bytes(2) + digest[:8])
