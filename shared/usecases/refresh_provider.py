"""Ask a provider for what it offers and for our account, in the one lane that may."""

from contextlib import suppress
from datetime import timedelta

from shared.domain.errors import (
    ProviderBusyError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
    QueueUnavailableError,
    SecretUnavailableError,
)
from shared.domain.tools import Fact, FactKind, account_value, tools_value
from shared.providers.base import ProviderAdapter, Request
from shared.usecases.create_at_provider import UNAUTHORIZED
from shared.usecases.dispatch_lane import Advance, Advanced, DispatchLane
from shared.usecases.ports import RefreshRequest
from shared.usecases.provider_catalog import is_fresh

# How old what is known may be before jobs that are created have it asked for anew.
ACCOUNT_AGE_S = 60
TOOLS_AGE_S = 30 * 60
# After the provider said that there is too little left.
SPENT_AGE_S = 10
ASKED_AGAIN_AFTER = timedelta(seconds=60)


def refresh_provider(lane: DispatchLane, request: RefreshRequest) -> Advanced:
    """Ask a provider, and store what it says.

    Returns refreshed; nothing (it was asked just now, or cannot be asked); postponed or
    unauthorized, and whoever waits for it sees that there is no answer.
    Raises SecretUnavailableError, StoreUnavailableError.
    """
    adapter = lane.tracker.adapters.get(request.provider)
    asked = adapter.fact_request(request.kind) if adapter is not None else None
    if adapter is None or asked is None:
        return Advanced(advance=Advance.NOTHING)
    now = lane.tracker.now()
    fact = lane.facts.facts(request.provider).get(request.kind, Fact())
    if is_fresh(fact, now, timedelta(seconds=request.age_s)):
        return Advanced(advance=Advance.NOTHING)
    try:
        value = _ask(lane, adapter, asked, request.kind)
    except (ProviderBusyError, ProviderUnreachableError, ProviderUnknownOutcomeError) as error:
        lane.facts.fail_fact(request.provider, request.kind, lane.tracker.now())
        is_key = error.code == UNAUTHORIZED
        advance = Advance.UNAUTHORIZED if is_key else Advance.POSTPONED
        return Advanced(advance=advance, reason=error.message)
    except SecretUnavailableError:
        lane.facts.fail_fact(request.provider, request.kind, lane.tracker.now())
        raise
    lane.facts.put_fact(request.provider, request.kind, value, lane.tracker.now())
    return Advanced(advance=Advance.REFRESHED)


def _ask(lane: DispatchLane, adapter: ProviderAdapter, asked: Request, kind: FactKind) -> object:
    reply = lane.call(adapter, asked, ceiling=adapter.poll_ceiling)
    if kind is FactKind.TOOLS:
        return tools_value(adapter.read_tools(reply))
    return account_value(adapter.read_account(reply))


def note_created(lane: DispatchLane, provider: str) -> None:
    """Have the account looked at again, for a job was created: its price will be taken.

    At most once a minute and process, and not for a process's first job: of a quiet shop's
    processes most see no second one.
    """
    now = lane.tracker.now()
    last = lane.asked_at.setdefault(provider, now)
    if now - last >= ASKED_AGAIN_AFTER:
        lane.asked_at[provider] = now
        _send(lane, provider, ACCOUNT_AGE_S)


def note_spent(lane: DispatchLane, provider: str) -> None:
    """Have the account looked at now: the provider says that there is too little left."""
    _send(lane, provider, SPENT_AGE_S)


def _send(lane: DispatchLane, provider: str, account_age_s: int) -> None:
    messages = [
        RefreshRequest(provider=provider, kind=FactKind.ACCOUNT, age_s=account_age_s),
        RefreshRequest(provider=provider, kind=FactKind.TOOLS, age_s=TOOLS_AGE_S),
    ]
    with suppress(QueueUnavailableError):  # the next job asks again
        lane.tracker.outbox.send_dispatch(messages)
