"""Find out whose a parked delivery is, by asking its provider."""

import math
from dataclasses import replace

from shared.domain.errors import (
    NotFoundError,
    ProviderBusyError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
    RetryableError,
)
from shared.domain.events import Link, ProviderEvent, Source
from shared.domain.references import Reference, read_reference
from shared.domain.status import Outcome
from shared.providers.base import ProviderAdapter, ProviderJob
from shared.usecases.apply_event import adopt_parked, apply_event
from shared.usecases.dispatch_lane import LONGEST_DELAY_S, Advance, Advanced, DispatchLane
from shared.usecases.ports import FindOwnerRequest

# Who else uses our account there has his responses delivered to us as well: asking whose they are
# must not use up the calls that our own jobs need.
OWNERS_KEY = "owners"
BASE_S, CAP_S = 60.0, 900.0
# With these waits about a day.
MAX_TRIES = 200


def find_owner(lane: DispatchLane, request: FindOwnerRequest) -> Advanced:
    """Ask whose job at a provider it is that nobody here knows, and give it what was parked for it.

    It is the job of a create call whose answer was lost, or nobody's here. The provider repeats
    what the job was created with, so our reference proves whose it is as it does in a callback
    address: its token is an HMAC with APP_SECRET over provider, shop, job and attempt. Who may
    write it there: everybody with a key of our account at the provider, and with it that account's
    members. A shop may not, for the adapter writes it over whatever the shop gives; and no
    reference is of use for another job, or for an attempt whose id at the provider is known.
    So whoever has our account can, by copying what he reads there, at most give the attempt
    whose answer was lost another result of that account.

    Returns found (linked as the answer would have linked it, and what is known of it is applied),
    gone, foreign (not ours: it stays parked), nothing (somebody learnt its id meanwhile), postponed
    (not answered: a later message asks again), or unproven (not for a day).
    Raises SecretUnavailableError, StoreUnavailableError, QueueUnavailableError: deliver the
    message again.
    Guarantees
        It is asked once, as far as the provider answers. Nothing is created, whatever is found.
        Whoever learns the id and dies before he applies what was parked has it applied here.
    """
    adapter = lane.tracker.adapters.get(request.provider)
    if adapter is None or not adapter.tells_owner:
        return Advanced(advance=Advance.NOTHING)
    link = lane.tracker.store.find_link(request.provider, request.provider_job_id)
    if link is not None:
        return _adopt(lane, link)
    secrets = lane.app_secrets()
    try:
        event = _ask(lane, adapter, request)
    except (ProviderBusyError, ProviderUnreachableError, ProviderUnknownOutcomeError) as error:
        return _ask_later(lane, request, error)
    owner = read_reference(adapter.name, event.reference, secrets)
    if owner is None:
        return Advanced(advance=Advance.FOREIGN)
    return _apply(lane, owner, event)


def _adopt(lane: DispatchLane, link: Link) -> Advanced:
    if link.is_tombstone:
        return Advanced(advance=Advance.GONE)
    try:
        job = lane.tracker.store.get(link.ref)
    except NotFoundError:
        return Advanced(advance=Advance.GONE)
    adopt_parked(lane.tracker, job, link.attempt)
    return Advanced(advance=Advance.NOTHING)


def _ask(lane: DispatchLane, adapter: ProviderAdapter, request: FindOwnerRequest) -> ProviderEvent:
    now, ceiling = lane.tracker.now(), adapter.create_ceiling // 2
    if not lane.limiter.take(adapter.name, OWNERS_KEY, now, ceiling=ceiling):
        raise ProviderBusyError(
            "As many were asked about in this minute as may be.",
            retry_after_s=lane.next_minute_s(now),
        )
    return lane.ask(adapter, ProviderJob(job_id=request.provider_job_id))


def _ask_later(lane: DispatchLane, request: FindOwnerRequest, error: RetryableError) -> Advanced:
    """Have it asked again after a wait; no job knows that it is due, so the message must."""
    tries = request.tries + 1
    if tries >= MAX_TRIES:
        return Advanced(advance=Advance.UNPROVEN, reason=error.message)
    wait_s = lane.wait_s(error, tries, base_s=BASE_S, cap_s=CAP_S)
    delay_s = min(math.ceil(wait_s), LONGEST_DELAY_S)
    lane.tracker.outbox.send_dispatch([replace(request, tries=tries)], delay_s=delay_s)
    return Advanced(advance=Advance.POSTPONED, reason=error.message)


def _apply(lane: DispatchLane, owner: Reference, event: ProviderEvent) -> Advanced:
    told = replace(event, attempt=owner.attempt, source=Source.POLL)
    outcome = apply_event(lane.tracker, owner.ref, told)
    if outcome is Outcome.GONE:
        return Advanced(advance=Advance.GONE)
    # A mismatch: that attempt is another job of the provider already.
    advance = Advance.FOREIGN if outcome is Outcome.MISMATCH else Advance.FOUND
    return Advanced(advance=advance, reason=outcome)
