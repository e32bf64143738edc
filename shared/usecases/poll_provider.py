"""Ask a provider how far jobs are: one by one, or many with one call."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from shared.domain.errors import (
    ProviderBusyError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
)
from shared.domain.events import ProviderEvent, Source
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.plan import Step
from shared.domain.status import Outcome
from shared.providers.base import ProviderAdapter, provider_job
from shared.usecases.apply_event import apply_event
from shared.usecases.dispatch_lane import Advance, Advanced, DispatchLane, silent_provider
from shared.usecases.look_up_job import CLOCKS_DIFFER_BY, LISTING_BUDGET
from shared.usecases.ports import DispatchRequest

# A listing may be long; beyond this many pages single calls are cheaper again.
MAX_PAGES = 5
# However many ask for it, a job is asked about no more often than this.
ASKED_JUST_NOW = timedelta(seconds=10)


def can_poll(lane: DispatchLane, job: Job) -> bool:
    """Whether the provider can be asked about the job, and was not asked just now."""
    if job.provider_job_id is None or job.provider not in lane.tracker.adapters:
        return False
    return job.polled_at is None or lane.tracker.now() - job.polled_at >= ASKED_JUST_NOW


def poll_provider(lane: DispatchLane, job: Job, adapter: ProviderAdapter) -> Advanced:
    """Ask about one job and apply the answer.

    Returns polled, gone, or postponed: the provider was too busy or did not answer, and the
    sweep asks again.
    Raises SecretUnavailableError, StoreUnavailableError.
    """
    asked = provider_job(job, job.attempt)
    if asked is None:
        return Advanced(advance=Advance.NOTHING)
    try:
        event = lane.ask(adapter, asked)
    except (ProviderBusyError, ProviderUnreachableError, ProviderUnknownOutcomeError) as error:
        return Advanced(advance=Advance.POSTPONED, reason=error.message)
    return _apply(lane, job, adapter, event)


def poll_many(lane: DispatchLane, provider: str, refs: Sequence[JobRef]) -> list[Advanced]:
    """Ask about several jobs of one provider with one listing, and apply what it says.

    Those that the listing lacks get a message of their own. When it cannot be read at all
    because the provider is busy, nothing is done: the sweep asks again.

    Returns one result per job that is still to be polled. Raises as `poll_provider`.
    """
    adapter = lane.tracker.adapters.get(provider)
    if adapter is None:
        return []
    now = lane.tracker.now()
    jobs = [
        job
        for job in lane.tracker.store.get_many(refs)
        if lane.tracker.step(job, now) is Step.POLL and can_poll(lane, job)
    ]
    if not jobs:
        return []
    try:
        listed = _list(lane, jobs, adapter)
    except (ProviderBusyError, ProviderUnreachableError) as error:
        return [Advanced(advance=Advance.POSTPONED, reason=error.message) for _ in jobs]
    lacking = [job for job in jobs if job.provider_job_id not in listed]
    if lacking:
        lane.tracker.outbox.send_dispatch([DispatchRequest(ref=job.ref) for job in lacking])
    return [
        _apply(lane, job, adapter, listed[job.provider_job_id])
        for job in jobs
        if job.provider_job_id in listed
    ] + [Advanced(advance=Advance.POSTPONED, reason="not in the listing") for _ in lacking]


def _list(
    lane: DispatchLane, jobs: Sequence[Job], adapter: ProviderAdapter
) -> dict[str | None, ProviderEvent]:
    wanted = {job.provider_job_id for job in jobs}
    oldest = min(job.attempt.intent_at or job.attempt.created_at for job in jobs)
    found: dict[str | None, ProviderEvent] = {}
    offset = 0
    ends_at = lane.tracker.now() + LISTING_BUDGET
    for _ in range(MAX_PAGES):
        if lane.tracker.now() > ends_at:
            break
        request = adapter.list_request(oldest - CLOCKS_DIFFER_BY, offset)
        if request is None:
            break
        try:
            reply = lane.call(adapter, request, ceiling=adapter.poll_ceiling)
            page = adapter.read_listed(reply, offset)
        except ProviderUnknownOutcomeError:
            break  # What was read so far is true; the rest is asked singly.
        found |= {key: event for key, event in page.by_id.items() if key in wanted}
        if page.next_offset is None or len(found) == len(wanted):
            break
        offset = page.next_offset
    return found


def _apply(
    lane: DispatchLane, job: Job, adapter: ProviderAdapter, event: ProviderEvent
) -> Advanced:
    event = replace(event, attempt=job.attempt.number, source=Source.POLL)
    outcome = apply_event(lane.tracker, job.ref, event, polled=True)
    if outcome is Outcome.GONE:
        return Advanced(advance=Advance.GONE)
    silent = silent_provider(adapter, job, event, outcome)
    return Advanced(advance=Advance.POLLED, silent=silent, reason=outcome)
