"""What a program says of its own job: pure functions from a job and a report to the job.

Counts are absolute, so a report that is sent twice changes nothing the second time, and one
that is lost is made good by the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from shared.domain.errors import ConflictError
from shared.domain.events import Remark
from shared.domain.job import ASSIGNED, WORKER_FAILED, Counts, Job, Priority, Sample
from shared.domain.lifecycle import Decision
from shared.domain.statistics import is_uncounted
from shared.domain.status import TRANSITIONS, JobEvent, JobState, JobStatus, Outcome

# The window over which speed is measured: at most so many counts, the last ones this far apart.
MAX_SAMPLES = 8
SAMPLE_GAP = timedelta(seconds=5)
LONGEST_ETA_S = 10 * 365 * 86_400  # beyond that nobody knows anything

_EVENTS = {
    JobStatus.PENDING: JobEvent.QUEUED,
    JobStatus.PROCESSING: JobEvent.STARTED,
    JobStatus.COMPLETED: JobEvent.COMPLETED,
    JobStatus.FAILED: JobEvent.FAILED,
    JobStatus.CANCELLED: JobEvent.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker says; None where it says nothing.

    status: in our words; native: in the worker's. counts: all absolute, integers ≥ 0.
    attempt: which attempt it is about (None: the current one). progress: percent, used where
    there are no counts to compute it from. metadata: added to what there is, by key.
    remark: what is to be on the timeline of it, whatever the report amounts to.
    A report that says nothing at all is a heartbeat.
    """

    status: JobStatus | None = None
    native: str | None = None
    attempt: int | None = None
    counts: Counts = field(default_factory=Counts)
    progress: float | None = None
    message: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    error: str | None = None
    remark: Remark | None = None

    def ended_as(self, status: JobStatus, native: str) -> "Report":
        """Return the same report as one that says how the job ended."""
        return replace(self, status=status, native=native)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What an owner changes of a job that nobody has begun; only the fields in `changes`.

    changes: name, description, acceptance_criteria, scheduled_at (None: now), agent_id (None
    clears them), priority.
    """

    changes: Mapping[str, str | Priority | datetime | None]


def check_is_reportable(job: Job) -> None:
    """Raise ConflictError `not_a_worker_job` unless a program of the user's own does it."""
    if not job.is_worker_job or is_uncounted(job):
        raise ConflictError(
            "Only jobs that a program of yours does can be reported on.", code="not_a_worker_job"
        )


def edit(job: Job, wanted: Edit, now: datetime) -> Job:
    """Change what a job is about, while it is pending; the same job if nothing changes.

    A job given to an agent is `assigned`. One that waits for its time can be started now.

    Raises ConflictError: `wrong_status` once it has begun, or is at its provider already (its
    time); `not_a_worker_job` for our own, or one that is a provider's to do (its agent).
    """
    if is_uncounted(job):
        raise ConflictError("This job is ours and cannot be edited.", code="not_a_worker_job")
    if job.status is not JobStatus.PENDING:
        raise ConflictError(f"This job is {job.status}; only a pending job can be edited.")
    asked = dict(wanted.changes)
    if "scheduled_at" in asked:
        asked["scheduled_at"] = _start(job.scheduled_at, wanted.changes["scheduled_at"], now)
    changes: dict[str, Any] = {
        name: value for name, value in asked.items() if getattr(job, name) != value
    }
    if "scheduled_at" in changes and _has_been_sent(job):
        raise ConflictError("This job has been sent to its provider; its time cannot be changed.")
    if "agent_id" in changes:
        if not job.is_worker_job:
            raise ConflictError("A provider works on this job.", code="not_a_worker_job")
        changes["native_status"] = ASSIGNED if changes["agent_id"] else None
    return replace(job, **changes, updated_at=now) if changes else job


def _start(planned: datetime | None, asked: object, now: datetime) -> datetime | None:
    """Return when a job is to begin. Its time-outs count from then: never from the past."""
    if isinstance(asked, datetime) and asked > now:
        return asked
    return now if planned is not None and planned > now else planned


def _has_been_sent(job: Job) -> bool:
    attempt = job.attempt
    return attempt.provider_job_id is not None or attempt.intent_at is not None


def apply_report(job: Job, report: Report, now: datetime) -> Decision:
    """Apply what a worker says of its job.

    Parameters
        now: the instant of reception; a worker's own clock is not asked.

    Returns the job afterwards, and what the report amounted to: `applied` if the status
    moved, `progressed` if anything else did, `duplicate` for a heartbeat; `late` or `stale`
    (the same job) once the attempt has ended.

    Raises ConflictError `not_a_worker_job`.
    Guarantees
        Any order and any number of reports end in the same status; an ended job is moved only
        by what the tables allow (a real end overrides a heartbeat time-out); progress never
        falls within an attempt and is at most 99 until completed.
    """
    check_is_reportable(job)
    if report.attempt is not None and report.attempt != job.attempt.number:
        is_earlier = report.attempt < job.attempt.number
        return Decision(job, Outcome.STALE if is_earlier else Outcome.MISMATCH)
    event = _event(job, report)
    row = TRANSITIONS[job.state][event]
    if row.outcome is Outcome.APPLIED:
        return Decision(_move(_tell(job, report, now), row.to, report, now), row.outcome)
    if not job.status.is_active:
        return Decision(job, row.outcome)
    told = _tell(job, report, now)
    if told == job:
        return Decision(_hear(job, now), Outcome.DUPLICATE)
    return Decision(replace(_hear(told, now), updated_at=now), Outcome.PROGRESSED)


def _event(job: Job, report: Report) -> JobEvent:
    if report.status is not None:
        return _EVENTS[report.status]
    counts = replace(report.counts, total=None)
    if counts != Counts() or report.progress is not None:
        # Who counts is at work.
        return JobEvent.STARTED
    return JobEvent.QUEUED if job.status is JobStatus.PENDING else JobEvent.STARTED


def _hear(job: Job, now: datetime) -> Job:
    return job if job.reported_at == now else replace(job, reported_at=now)


def _tell(job: Job, report: Report, now: datetime) -> Job:
    """Take over all that is said but the status."""
    said = {name: value for name, value in _said(report.counts) if value is not None}
    counts = replace(job.counts, **said)
    is_same_status = report.status is job.status and report.native is not None
    return replace(
        job,
        counts=counts,
        samples=_sampled(job, counts.processed, now),
        progress=_progress(job, counts, report.progress),
        native_status=report.native if is_same_status else job.native_status,
        message=job.message if report.message is None else report.message,
        metadata={**job.metadata, **report.metadata} if report.metadata else job.metadata,
        result=job.result if report.result is None else report.result,
        error_message=report.error or job.error_message,
    )


def _said(counts: Counts) -> list[tuple[str, int | None]]:
    return [(name, getattr(counts, name)) for name in Counts.__dataclass_fields__]


def _progress(job: Job, counts: Counts, told: float | None) -> int:
    """Return percent of the items, else as told: never less than before, at most 99."""
    if counts.total and counts.processed is not None:
        percent = counts.processed * 100 // counts.total
    else:
        percent = int(told) if told is not None else 0
    return max(job.progress, min(max(percent, 0), 99))


def _sampled(job: Job, processed: int | None, now: datetime) -> tuple[Sample, ...]:
    """Add a count to the window. The last one is replaced while it is close to the one before:
    a worker that reports every 10 ms has its speed measured over half a minute all the same."""
    is_news = processed is not None and processed != job.counts.processed
    if processed is None or not is_news or job.status is not JobStatus.PROCESSING:
        return job.samples
    kept = job.samples
    if not kept and job.started_at is not None and job.started_at < now:
        kept = (Sample(at=job.started_at, processed=min(job.counts.processed or 0, processed)),)
    if kept and processed < kept[-1].processed:
        # It began again, or corrects itself: what was before says nothing of its speed.
        kept = ()
    if len(kept) >= 2 and kept[-1].at - kept[-2].at < SAMPLE_GAP:
        kept = kept[:-1]
    return (*kept, Sample(at=now, processed=processed))[-MAX_SAMPLES:]


def _move(job: Job, to: JobState, report: Report, now: datetime) -> Job:
    had_started = job.started_at
    moved = replace(
        job,
        status=to.status,
        native_status=report.native or to.value,
        started_at=had_started or now,
        reported_at=now,
        updated_at=now,
        due_tries=0,
    )
    if to is JobState.PROCESSING:
        # The window begins with the work.
        first = Sample(at=now, processed=moved.counts.processed or 0)
        return replace(moved, samples=(first,))
    ended = replace(moved, completed_at=now, samples=())
    if to is JobState.COMPLETED:
        attempt = job.attempt
        if attempt.processing_ms is None and had_started is not None:
            attempt = replace(attempt, processing_ms=_ms(now - had_started))
        if attempt.cost_micros is None and job.unit_cost_micros is not None:
            attempt = replace(attempt, cost_micros=job.unit_cost_micros)
        done = ended.with_attempt(attempt)
        return replace(done, progress=100, error_code=None, error_message=report.error)
    if to is JobState.CANCELLED:
        # Whoever said so: a worker that does not know it yet shall learn it.
        return replace(ended, cancel_requested=True)
    return replace(
        ended,
        error_code=WORKER_FAILED,
        error_message=report.error or _own_error(job) or "The worker gave no reason.",
    )


def _own_error(job: Job) -> str | None:
    """Return the error the worker told before; a guess of ours is not one."""
    return None if job.state is JobState.PRESUMED else job.error_message


# --- numbers -------------------------------------------------------------------------


def speed(job: Job) -> float | None:
    """Return items a second: over the window while at work, over all of it at the end.

    A heartbeat without progress counts as time that passed. None while it is unknown, never
    infinite; three digits at least, however slow it is.
    """
    rate = _rate(job)
    if rate is None:
        return None
    return round(rate, 3) if rate >= 1 else float(f"{rate:.3g}")


def _rate(job: Job) -> float | None:
    processed = job.counts.processed
    if processed is None or job.started_at is None:
        return None
    if job.completed_at is not None:
        return _per_second(processed, job.completed_at - job.started_at)
    begun = Sample(at=job.started_at, processed=0)
    first, last = (job.samples or (begun,))[0], (job.samples or (begun,))[-1]
    until = max(last.at, job.reported_at or last.at)
    return _per_second(max(processed - first.processed, 0), until - first.at)


def eta_s(job: Job, now: datetime | None = None) -> int | None:
    """Return the seconds left, if it goes on at this speed; None while it is unknown.

    Parameters
        now: given, a provider's job has an ETA too: what its tool took of late, less what has
            passed (0 once it is overdue). It changes with time alone, the worker's does not.
    """
    expected_ms, begun_at = job.attempt.expected_ms, job.attempt.intent_at
    if expected_ms is not None and begun_at is not None and job.status.is_active:
        return None if now is None else max(0, ceil((expected_ms - _ms(now - begun_at)) / 1000))
    rate = _rate(job)
    if job.status is not JobStatus.PROCESSING or not rate or job.counts.total is None:
        return None
    left = max(0, job.counts.total - (job.counts.processed or 0))
    seconds = left / rate
    return ceil(seconds) if seconds <= LONGEST_ETA_S else None


def duration_ms(job: Job, now: datetime | None = None) -> int | None:
    """Return how long it took from its start to its end (or to `now`, if that is given)."""
    until = job.completed_at or now
    return None if job.started_at is None or until is None else _ms(until - job.started_at)


def _per_second(items: int, time: timedelta) -> float | None:
    return items / time.total_seconds() if time > timedelta() else None


def _ms(time: timedelta) -> int:
    return max(0, time // timedelta(milliseconds=1))
