"""Set aside of the shop's budget what an attempt is expected to cost, before it is begun."""

from dataclasses import replace

from shared.domain.budget import Budget
from shared.domain.job import Job
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
        reserved_credits=_expected_credits(tracker, job),
        reserved_cost_micros=job.unit_cost_micros or 0,
    )
    return job.with_attempt(attempt)


def last_price(tracker: Tracker, job: Job) -> int | None:
    """Return the credits that the job's tool cost this shop last; None where nobody knows."""
    if job.is_worker_job:
        return 0
    if job.tool_id is None:
        return None
    return tracker.store.last_price(job.shop, job.provider, job.tool_id)


def _expected_credits(tracker: Tracker, job: Job) -> int:
    known = last_price(tracker, job)
    return UNKNOWN_PRICE_CREDITS if known is None else known
