"""Ask the provider how far a job is, now."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import JobState
from shared.usecases.tracker import Tracker
from shared.usecases.waiting import look_again

# The provider is asked about one job at most once in this time.
FRESH_FOR = timedelta(seconds=10)


def sync_job(tracker: Tracker, ref: JobRef) -> Job:
    """Have the dispatch lane ask the provider and wait for what it says; returns the job.

    The stored job is the answer when it has ended (a presumed failure has not quite), when
    there is nobody to ask (a worker's job, or the provider does not have it yet), when it was
    asked less than ten seconds ago, and when the provider does not answer within eight.

    Raises NotFoundError.
    """
    asked_before: datetime | None = None
    is_asked = False

    def decide(job: Job, now: datetime) -> tuple[Job, None]:
        nonlocal asked_before, is_asked
        asked_before = job.polled_at
        is_asked = can_be_asked(job) and not is_fresh(job, now)
        if not is_asked or job.poll_wanted:
            return job, None
        return replace(job, poll_wanted=True), None

    job = tracker.change(ref, decide)
    if not is_asked:
        return job
    return look_again(
        tracker.clock,
        job,
        partial(tracker.store.get, ref),
        until=lambda seen: seen.polled_at != asked_before or not can_be_asked(seen),
    )


def is_fresh(job: Job, now: datetime) -> bool:
    """Whether the provider was asked just now."""
    return job.polled_at is not None and now - job.polled_at < FRESH_FOR


def can_be_asked(job: Job) -> bool:
    """Whether there is somebody who may know more of the job."""
    if job.is_worker_job or job.provider_job_id is None:
        return False
    return job.status.is_active or job.state is JobState.PRESUMED
