"""What a shop has set, and in what state its installation is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from shared.domain.budget import Spending, month_of
from shared.domain.shop import Shop, check_is_open
from shared.usecases.conflicts import retry_on_conflict
from shared.usecases.install_shop import has_working_token
from shared.usecases.ports import ShopStore
from shared.usecases.retain_jobs import owe_retention
from shared.usecases.tracker import Tracker


class TokenState(StrEnum):
    """What we have to call Shopify with. The token itself is never shown."""

    OK = "ok"
    MISSING = "missing"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopView:
    """A shop as its owner sees it. month, spent: what its budget of this UTC month took."""

    shop: Shop
    token: TokenState
    month: str
    spent: Spending


def read_shop(tracker: Tracker, shops: ShopStore, name: str, *, has_own_token: bool) -> ShopView:
    """Read a shop; one that was never seen has the defaults.

    has_own_token: a token was given to us for every shop (a custom app of one merchant).
    """
    shop = shops.get_shop(name) or Shop(shop=name)
    month = month_of(tracker.now())
    return ShopView(
        shop=shop,
        token=_state(tracker, shop, has_own_token),
        month=month,
        spent=tracker.store.spent(name, month),
    )


def change_shop(
    tracker: Tracker, shops: ShopStore, name: str, changes: Mapping[str, object]
) -> Shop:
    """Change settings (fields of `Shop`).

    Whoever sets a retention gets the job that sees to it first: it is written before the
    setting that names it, so a setting that is kept is always seen to.

    Raises ShopClosedError, StoreUnavailableError.
    """
    job_id: str | None = None

    def change() -> Shop:
        nonlocal job_id
        before = shops.get_shop(name)
        check_is_open(before)
        shop = before or Shop(shop=name)
        after = replace(shop, **changes)  # type: ignore[arg-type]  # the API's model names them
        if after.retention_days is None:
            after = replace(after, retention_job=None)
        elif after.retention_job is None:
            job_id = job_id or owe_retention(tracker, name)
            after = replace(after, retention_job=job_id)
        if after == shop:
            return shop
        return shops.save_shop(before, after)

    return retry_on_conflict("shop", change)


def _state(tracker: Tracker, shop: Shop, has_own_token: bool) -> TokenState:
    if has_own_token:
        return TokenState.OK
    if shop.token is None:
        return TokenState.MISSING
    return TokenState.OK if has_working_token(shop, tracker.now()) else TokenState.DEAD
