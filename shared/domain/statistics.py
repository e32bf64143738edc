"""What a job adds to the statistics, and what is computed from them.

Only ended jobs count. What a job adds is a pure function of the job, so a change of the
counters is always the difference of two contributions: ending, re-opening, a cost that
arrives late and deletion are one rule, and the sums cannot drift.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from shared.domain.job import Job
from shared.domain.status import JobStatus

BULK_TYPE_PREFIX = "bulk."
OTHER = "other"
# What the buckets of days begin with; then comes the UTC date.
DAY = "DAY#"
# The families of names that a day counts apart.
TOOL = "tool"
TYPE = "type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over ended jobs.

    processing_ms, timed: over completed jobs that say how long they took. failed_credits,
    failed_cost_micros, cancelled_credits, cancelled_cost_micros: how much of credits and
    cost_micros was for jobs that ended so; the rest was for completed ones.
    """

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    processing_ms: int = 0
    timed: int = 0
    credits: int = 0
    cost_micros: int = 0
    failed_credits: int = 0
    failed_cost_micros: int = 0
    cancelled_credits: int = 0
    cancelled_cost_micros: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in TALLY_FIELDS})

    def __sub__(self, other: "Tally") -> "Tally":
        return Tally(**{name: getattr(self, name) - getattr(other, name) for name in TALLY_FIELDS})

    @property
    def ended(self) -> int:
        """How many jobs."""
        return self.completed + self.failed + self.cancelled

    @property
    def success_rate(self) -> float:
        """Completed of completed and failed, in percent (0–100); 0 if there are none.

        >>> Tally(completed=3, failed=1, cancelled=5).success_rate
        75.0
        """
        finished = self.completed + self.failed
        return self.completed / finished * 100 if finished else 0.0

    @property
    def average_processing_ms(self) -> float:
        """Mean over completed jobs, in milliseconds; 0 if there are none."""
        return self.processing_ms / self.timed if self.timed else 0.0

    @property
    def average_cost_micros(self) -> float:
        """Mean cost of these jobs, in millionths; 0 if there are none.

        >>> Tally(completed=1, failed=1, cost_micros=25).average_cost_micros
        12.5
        """
        return self.cost_micros / self.ended if self.ended else 0.0

    def of(self, status: JobStatus) -> "Tally":
        """Return what of it is about the jobs that ended so (nothing for active ones).

        >>> both = Tally(completed=2, failed=1, credits=5, failed_credits=1)
        >>> both.of(JobStatus.COMPLETED).credits, both.of(JobStatus.FAILED).credits
        (4, 1)
        """
        failed = Tally(
            failed=self.failed,
            credits=self.failed_credits,
            cost_micros=self.failed_cost_micros,
            failed_credits=self.failed_credits,
            failed_cost_micros=self.failed_cost_micros,
        )
        cancelled = Tally(
            cancelled=self.cancelled,
            credits=self.cancelled_credits,
            cost_micros=self.cancelled_cost_micros,
            cancelled_credits=self.cancelled_credits,
            cancelled_cost_micros=self.cancelled_cost_micros,
        )
        match status:
            case JobStatus.COMPLETED:
                return self - failed - cancelled
            case JobStatus.FAILED:
                return failed
            case JobStatus.CANCELLED:
                return cancelled
        return Tally()


TALLY_FIELDS = tuple(field.name for field in fields(Tally))


def total(tallies: Iterable[Tally]) -> Tally:
    """Add tallies up."""
    return sum(tallies, Tally())


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One place where ended jobs are counted.

    name: which family (`SHOP#…`, `PROJECT#…`, `BATCH#…`); bucket: the row within it
    (`ALL`, `DAY#2026-11-22`, a project's or batch's id). On days the tool and the type
    are counted apart too.
    """

    name: str
    bucket: str


def contribution(job: Job) -> Tally:
    """Return what the job adds to each of its scopes: nothing while it is active."""
    if job.status.is_active or is_uncounted(job):
        return Tally()
    is_completed = job.status is JobStatus.COMPLETED
    is_failed, is_cancelled = job.status is JobStatus.FAILED, job.status is JobStatus.CANCELLED
    timed_ms = job.processing_ms if is_completed else None
    return Tally(
        completed=int(is_completed),
        failed=int(is_failed),
        cancelled=int(is_cancelled),
        processing_ms=timed_ms or 0,
        timed=int(timed_ms is not None),
        credits=job.credits_used,
        cost_micros=job.cost_micros,
        failed_credits=job.credits_used * is_failed,
        failed_cost_micros=job.cost_micros * is_failed,
        cancelled_credits=job.credits_used * is_cancelled,
        cancelled_cost_micros=job.cost_micros * is_cancelled,
    )


def scopes(job: Job) -> tuple[Scope, ...]:
    """Return where the job is counted (none while it is active)."""
    if job.status.is_active or is_uncounted(job) or job.completed_at is None:
        return ()
    found = [
        Scope(name=f"SHOP#{job.shop}", bucket="ALL"),
        Scope(name=f"SHOP#{job.shop}", bucket=f"{DAY}{job.completed_at:%Y-%m-%d}"),
    ]
    if job.batch_id is not None:
        found.append(Scope(name=f"BATCH#{job.shop}", bucket=job.batch_id))
    if job.project_id is not None:
        found.append(Scope(name=f"PROJECT#{job.shop}", bucket=job.project_id))
    return tuple(found)


def counted_names(job: Job) -> list[tuple[str, str]]:
    """Return under what the day of its end counts the job apart: families and names in them."""
    tool = job.counted_tool or job.tool_id
    found = [(TYPE, job.counted_type or job.type)]
    return found if tool is None else [(TOOL, tool), *found]


def is_uncounted(job: Job) -> bool:
    """Whether the job is one of our own bulk jobs, which are in no statistics."""
    return job.type.startswith(BULK_TYPE_PREFIX)
