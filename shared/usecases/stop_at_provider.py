"""Have a provider stop what was cancelled here, where it can."""

from dataclasses import replace
from datetime import datetime

from shared.domain.errors import (
    NotFoundError,
    ProviderBusyError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
)
from shared.domain.events import Source
from shared.domain.job import Attempt, Job
from shared.domain.plan import owed_stops
from shared.domain.status import Outcome
from shared.providers.base import ProviderAdapter, provider_job
from shared.usecases.dispatch_lane import Advance, Advanced, DispatchLane
from shared.usecases.tracker import Note

# Of the refusals, those that may be another answer later.
_TRANSIENT = frozenset({401, 403, 408, 425, 429})


def stop_at_provider(lane: DispatchLane, job: Job, adapter: ProviderAdapter) -> Advanced:
    """Ask the provider to stop every attempt that was cancelled here and is known there.

    Whatever it answers, the job stays cancelled: it may have been too late. Asking again does no
    harm. Returns stopped, gone, or postponed: the sweep asks again.
    Raises SecretUnavailableError, StoreUnavailableError.
    """
    said: dict[int, str] = {}
    trouble: str | None = None
    for attempt in owed_stops(job):
        try:
            said[attempt.number] = _stop(lane, job, attempt, adapter)
        except (ProviderBusyError, ProviderUnreachableError, ProviderUnknownOutcomeError) as error:
            trouble = error.message
    if said and not _record(lane, job, said):
        return Advanced(advance=Advance.GONE)
    if trouble is not None:
        return Advanced(advance=Advance.POSTPONED, reason=trouble)
    return Advanced(advance=Advance.STOPPED)


def _stop(lane: DispatchLane, job: Job, attempt: Attempt, adapter: ProviderAdapter) -> str:
    asked = provider_job(job, attempt)
    request = adapter.cancel_request(asked) if asked is not None else None
    if request is None:
        return "The provider cannot stop this job."
    reply = lane.call(adapter, request, ceiling=adapter.poll_ceiling)
    if 200 <= reply.status < 300:
        return "The provider was asked to stop, and does."
    if 400 <= reply.status < 500 and reply.status not in _TRANSIENT:
        return f"The provider was asked to stop, and had nothing to stop ({reply.status})."
    raise ProviderUnknownOutcomeError(f"The provider answered {reply.status}.")


def _record(lane: DispatchLane, seen: Job, said: dict[int, str]) -> bool:
    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        after = job
        for attempt in job.attempts:
            if attempt.stop_wanted and attempt.number in said:
                after = after.with_attempt(replace(attempt, stop_wanted=False))
        if after is job:
            return job, None
        number = max(said)
        return replace(after, due_tries=0), Note(
            source=Source.DISPATCH, outcome=Outcome.NOTED, message=said[number], attempt=number
        )

    try:
        lane.tracker.change(seen.ref, decide)
    except NotFoundError:
        return False
    return True
