"""Do the one thing that a job needs from its provider now."""

from shared.domain.errors import InsufficientCreditsError, NotFoundError
from shared.domain.job import Job
from shared.domain.plan import DISPATCH_STEPS, Step, owed_results, owed_stops
from shared.providers.base import ProviderAdapter
from shared.usecases.create_at_provider import create_at_provider
from shared.usecases.dispatch_lane import Advance, Advanced, DispatchLane
from shared.usecases.find_owner import find_owner
from shared.usecases.keep_outputs import keep_outputs
from shared.usecases.look_up_job import look_up_job
from shared.usecases.poll_provider import can_poll, poll_many, poll_provider
from shared.usecases.ports import (
    DispatchMessage,
    DispatchRequest,
    FindOwnerRequest,
    PollManyRequest,
    RefreshRequest,
)
from shared.usecases.refresh_provider import note_created, note_spent, refresh_provider
from shared.usecases.stop_at_provider import stop_at_provider


def advance(lane: DispatchLane, message: DispatchMessage) -> list[Advanced]:
    """Do what a message of the dispatch lane asks for.

    Raises SecretUnavailableError, StoreUnavailableError, QueueUnavailableError: deliver the
    message again.
    """
    match message:
        case DispatchRequest():
            return [advance_job(lane, message)]
        case PollManyRequest():
            return poll_many(lane, message.provider, message.refs)
        case RefreshRequest():
            return [refresh_provider(lane, message)]
        case FindOwnerRequest():
            return [find_owner(lane, message)]


def advance_job(lane: DispatchLane, request: DispatchRequest) -> Advanced:
    """Look at a job and do its next step, if that is a step of this lane.

    The message is only a hint: the job, read consistently, says what to do, and every write
    is decided again on the job as it then is. Rate limits and "not yet" are results, never
    errors: they set `due_at`, and the message is done.

    Returns what became of it. Raises as `advance`.
    """
    try:
        job = lane.tracker.store.get(request.ref)
    except NotFoundError:
        return Advanced(advance=Advance.GONE)
    adapter = lane.tracker.adapters.get(job.provider)
    step = lane.tracker.step(job, lane.tracker.now())
    if adapter is not None and (request.poll or step is Step.POLL) and can_poll(lane, job):
        return poll_provider(lane, job, adapter)
    if adapter is not None and owed_stops(job):
        stopped = stop_at_provider(lane, job, adapter)
        if step is Step.STOP:
            return stopped
    if step is Step.KEEP or (owed_results(job) and step not in DISPATCH_STEPS):
        return keep_outputs(lane, job, adapter)
    if adapter is None:
        return Advanced(advance=Advance.NOTHING)
    if step is Step.CREATE:
        return _create(lane, job, adapter)
    if step is Step.LOOK_UP:
        return look_up_job(lane, job, adapter)
    return Advanced(advance=Advance.NOTHING)


def _create(lane: DispatchLane, job: Job, adapter: ProviderAdapter) -> Advanced:
    result = create_at_provider(lane, job, adapter)
    if result.advance is Advance.CREATED:
        note_created(lane, adapter.name)
    elif result.reason == InsufficientCreditsError.code:
        note_spent(lane, adapter.name)
    return result
