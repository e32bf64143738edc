"""Refuse what the account at the provider cannot pay for, before anything is spent."""

from datetime import datetime

from shared.domain.job import Job
from shared.usecases.provider_catalog import Plan
from shared.usecases.tracker import Tracker


def check_credits(tracker: Tracker, job: Job, now: datetime) -> None:
    """Check a job whose current attempt is about to be begun.

    What is for later is not checked: nobody knows what there will be then. Nor is what is done
    elsewhere already, or by a program of the user's own.
    Raises InsufficientCreditsError.
    """
    is_later = job.scheduled_at is not None and job.scheduled_at > now
    if tracker.catalog is not None and _is_paid(job) and not is_later:
        tracker.catalog.check_credits(_plan(job))


def promise_credits(tracker: Tracker, job: Job) -> None:
    """Note that a job was begun which was checked, where many are begun together."""
    if tracker.catalog is not None and _is_paid(job):
        tracker.catalog.promise(_plan(job))


def quote(tracker: Tracker, job: Job) -> int | None:
    """Return the credits that the provider's price list asks for another attempt, if it is known.

    Attempts that another program began are not asked for here, but a next one would be.
    """
    if tracker.catalog is None or job.is_worker_job:
        return None
    return tracker.catalog.quote(_plan(job))


def tool_name(tracker: Tracker, provider: str, tool_id: str | None) -> str | None:
    """Return what the provider calls a tool, as far as anybody here knows."""
    if tracker.catalog is None or tool_id is None or provider not in tracker.adapters:
        return None
    return tracker.catalog.tool_name(provider, tool_id)


def _is_paid(job: Job) -> bool:
    return not job.is_worker_job and job.provider_job_id is None


def _plan(job: Job) -> Plan:
    return Plan(provider=job.provider, tool_id=job.tool_id, priority=job.priority)
