"""One shop: the tenant."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What is known of a shop.

    token: the offline access token, encrypted (never readable here), None when there is
        none; token_expires_at: None for a token that does not expire; refresh_token:
        encrypted too. token_dead: Shopify refused it.
    exchange_until: somebody is exchanging tokens until then (single flight).
    resume_owed: pushes that waited for a token must still be queued.
    auto_push: push kept outputs without being asked.
    budget_credits, budget_cost_micros: the most to be spent in a UTC month; None: no limit.
    retention_days: how long ended jobs are kept; None: until somebody deletes them.
    """

    shop: str
    version: int = 0
    installed_at: datetime | None = None
    scopes: str | None = None
    token: str | None = None
    token_expires_at: datetime | None = None
    refresh_token: str | None = None
    refresh_expires_at: datetime | None = None
    token_dead: bool = False
    exchange_until: datetime | None = None
    resume_owed: bool = False
    auto_push: bool = False
    budget_credits: int | None = None
    budget_cost_micros: int | None = None
    retention_days: int | None = None
