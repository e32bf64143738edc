"""Show what a provider offers, and what is left of our account there."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.errors import InvalidRequestError, ProviderUnreachableError
from shared.domain.tools import Account, FactKind, Tool, read_account_value, read_tools_value
from shared.usecases.provider_catalog import (
    ACCOUNT_SHOWN_FOR,
    TOOLS_SHOWN_FOR,
    Catalog,
    is_fresh,
)
from shared.usecases.tracker import Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown[T]:
    """What a provider said, and when. is_stale: it could not be asked anew."""

    value: T
    fetched_at: datetime
    is_stale: bool


def read_tools(tracker: Tracker, catalog: Catalog, provider: str) -> Shown[tuple[Tool, ...]]:
    """Return a provider's tools, no older than five minutes where it answers.

    Raises InvalidRequestError for a provider that has none; ProviderUnreachableError when it
    never said.
    """
    shown = _read(tracker, catalog, provider, FactKind.TOOLS, TOOLS_SHOWN_FOR)
    tools = tuple(read_tools_value(shown.value).values())
    return Shown(value=tools, fetched_at=shown.fetched_at, is_stale=shown.is_stale)


def read_account(tracker: Tracker, catalog: Catalog, provider: str) -> Shown[Account]:
    """Return our account at a provider, no older than half a minute where it answers.

    Raises as `read_tools`.
    """
    shown = _read(tracker, catalog, provider, FactKind.ACCOUNT, ACCOUNT_SHOWN_FOR)
    account = read_account_value(shown.value)
    if account is None:
        raise _never_said(provider)
    return Shown(value=account, fetched_at=shown.fetched_at, is_stale=shown.is_stale)


def _read(
    tracker: Tracker, catalog: Catalog, provider: str, kind: FactKind, age: timedelta
) -> Shown[object]:
    adapter = tracker.adapters.get(provider)
    if adapter is None or adapter.fact_request(kind) is None:
        all_of_them = sorted(tracker.adapters.items())
        known = ", ".join(name for name, each in all_of_them if each.fact_request(kind))
        raise InvalidRequestError(
            f"This provider cannot be asked for that; {known} can.",
            details=[{"field": "provider", "message": f"is not one of {known}"}],
        )
    fact = catalog.refreshed(provider, {kind: age}).get(kind)
    if fact is None or fact.fetched_at is None:
        raise _never_said(provider)
    is_stale = not is_fresh(fact, catalog.clock.now(), age)
    return Shown(value=fact.value, fetched_at=fact.fetched_at, is_stale=is_stale)


def _never_said(provider: str) -> ProviderUnreachableError:
    return ProviderUnreachableError(f"{provider} has not answered yet.")
