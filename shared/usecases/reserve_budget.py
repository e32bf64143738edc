"""Set aside of the shop's budget what an attempt is expected to cost, before it is begun."""

from dataclasses import replace

from shared.domain.budget import Budget, Spending, month_of
from shared.domain.errors import BudgetExceededError
from shared.domain.job import WORKER, Job
from shared.domain.shop import Shop
from shared.usecases.tracker import Tracker

# Until a tool was charged for once in this shop. A provider's job that costs nothing is rare.
UNKNOWN_PRICE_CREDITS = 1


def budget_of(shop: Shop | None) -> Budget | None:
    """Return what the shop may spend in a month, None when it set no limit at all."""
    if shop is None or (shop.budget_credits is None and shop.budget_cost_micros is None):
        return None
    return Budget(shop.budget_credits, shop.budget_cost_micros)


def read_budget(tracker: Tracker, shop: str) -> Budget | None:
    """Read what the shop may spend in a month."""
    return budget_of(tracker.shops.get_shop(shop)) if tracker.shops is not None else None


def set_aside(tracker: Tracker, job: Job, budget: Budget | None) -> Job:
    """Return the job with its current attempt's expected charge on it.

    Credits: what the tool cost this shop last, one while nobody knows, none for a worker.
    Cost: the price that the job's creator named.
    """
    if budget is None:
        return job
    attempt = replace(
        job.attempt,
        reserved_credits=_expected_credits(tracker, job.shop, job.provider, job.tool_id),
        reserved_cost_micros=job.unit_cost_micros or 0,
    )
    return job.with_attempt(attempt)


def check_budget(
    tracker: Tracker, shop: str, provider: str, tool_id: str | None, count: int
) -> None:
    """Raise BudgetExceededError, before any is begun, when so many attempts are more than is left.

    Each is checked again when it is begun: others may spend meanwhile.
    """
    budget = read_budget(tracker, shop)
    if budget is None:
        return
    used = tracker.store.spent(shop, month_of(tracker.now()))
    wanted = Spending(credits=count * _expected_credits(tracker, shop, provider, tool_id))
    if not budget.allows(used, wanted):
        raise BudgetExceededError(
            f"These {count} would cost more than is left of the shop's budget for this month."
        )


def last_price(tracker: Tracker, shop: str, provider: str, tool_id: str | None) -> int | None:
    """Return the credits that a tool cost this shop last; None where nobody knows."""
    if provider == WORKER:
        return 0
    if tool_id is None:
        return None
    return tracker.store.last_price(shop, provider, tool_id)


def _expected_credits(tracker: Tracker, shop: str, provider: str, tool_id: str | None) -> int:
    known = last_price(tracker, shop, provider, tool_id)
    return UNKNOWN_PRICE_CREDITS if known is None else known
