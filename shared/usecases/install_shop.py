"""Install a shop with the first valid login that comes from it: get its offline token.

Also the way back from a dead token: the next login brings a new one, and the pushes that
failed for want of it go out by themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from shared.domain import duties
from shared.domain.duties import Duty
from shared.domain.errors import JobTrackerError, VersionConflictError
from shared.domain.plan import schedule
from shared.domain.shop import Shop, check_is_open
from shared.usecases.conflicts import CONFLICT_TRIES, contended
from shared.usecases.ports import (
    Clock,
    Grant,
    Secrets,
    ShopStore,
    TokenBox,
    TokenService,
)
from shared.usecases.shop_access import with_grant
from shared.usecases.tracker import Tracker

KNOWN_FOR = timedelta(seconds=60)
# One caller exchanges; the others go on without waiting. After a failure nobody tries for as long.
CLAIM = timedelta(seconds=30)
# By then the token is stored, and the pushes under way that did without it have failed.
SOON = timedelta(seconds=30)
MAX_REMEMBERED = 10_000


class Installation(StrEnum):
    """What a login found or did: a closed set."""

    KNOWN = "known"  # there is a token, as far as we know a good one
    INSTALLED = "installed"  # there is one now
    UNDER_WAY = "under_way"  # somebody else is getting one, or just failed to
    FAILED = "failed"  # Shopify gave none; tried again later


@dataclass(frozen=True, slots=True)
class Installed:
    """The result, and why it failed (a code)."""

    installation: Installation
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopInstaller:
    """Gets offline tokens, once per shop even when many logins come at the same instant.

    remembered: shops seen in good order by this process, until when.
    """

    shops: ShopStore
    tokens: TokenService
    box: TokenBox
    tracker: Tracker
    secrets: Secrets
    clock: Clock
    remembered: dict[str, datetime] = field(default_factory=dict)

    def install(self, name: str, id_token: str) -> Installed:
        """Make sure that the shop has a working token.

        Parameters
            id_token: verified, of this shop.

        Returns at once for a shop in good order. A failure of Shopify's is a result, not an
        error: the caller's own request can go on.
        Raises ShopClosedError: what is left of an earlier installation goes first;
        StoreUnavailableError, SecretUnavailableError.
        """
        now = self.clock.now()
        if self.remembered.get(name, now) > now:
            return Installed(Installation.KNOWN)
        if self.secrets.get("shopify", "SHOPIFY_ACCESS_TOKEN"):
            # A custom app of one merchant: its token was given to us.
            self._remember(name, now)
            return Installed(Installation.KNOWN)
        shop = self.shops.get_shop(name)
        check_is_open(shop)
        if shop is not None and has_working_token(shop, now):
            self._remember(name, now)
            return Installed(Installation.KNOWN)
        if shop is not None and shop.exchange_until is not None and shop.exchange_until > now:
            return Installed(Installation.UNDER_WAY)
        try:
            claimed = self.shops.save_shop(
                shop, replace(shop or Shop(shop=name), exchange_until=now + CLAIM)
            )
        except VersionConflictError:
            return Installed(Installation.UNDER_WAY)
        try:
            grant = self.tokens.exchange(name, id_token)
            change = partial(self._granting, grant, now)
            granted = change(claimed)
        except JobTrackerError as error:
            # The claim stays until it ends: nobody hammers Shopify meanwhile.
            return Installed(Installation.FAILED, error.code)
        self._owe_pushes(name, now)
        self._store(claimed, granted, change)
        self._remember(name, now)
        return Installed(Installation.INSTALLED)

    def _granting(self, grant: Grant, now: datetime, shop: Shop) -> Shop:
        """Return the shop with its new token."""
        check_is_open(shop)
        granted = with_grant(shop, grant, self.box, now)
        return replace(granted, exchanged_at=now, uninstalled_at=None, scopes_at=None)

    def _store(self, claimed: Shop, granted: Shop, change: Callable[[Shop], Shop]) -> None:
        """Write the token beside whatever else changes at the shop meanwhile."""
        before: Shop | None = claimed
        after = granted
        for _ in range(CONFLICT_TRIES):
            try:
                self.shops.save_shop(before, after)
            except VersionConflictError:
                before = self.shops.get_shop(claimed.shop)
                after = change(before or Shop(shop=claimed.shop))
            else:
                return
        raise contended("shop")

    def _owe_pushes(self, name: str, now: datetime) -> None:
        """Owe the pushes that waited for a token, before there is one: a crash loses none."""
        job_id = duties.duty_id(Duty.RESUME, name, "login", now)
        duty = duties.new_duty(Duty.RESUME, name, job_id, now, start_at=now + SOON)
        self.tracker.store.create(schedule(duty, now, self.tracker.patience(duty)))

    def _remember(self, name: str, now: datetime) -> None:
        if len(self.remembered) >= MAX_REMEMBERED:
            self.remembered.clear()
        self.remembered[name] = now + KNOWN_FOR


def has_working_token(shop: Shop, now: datetime) -> bool:
    """Whether Shopify has not refused the token, and it is (or can be made) current."""
    if shop.token is None or shop.token_dead:
        return False
    if shop.token_expires_at is None or shop.token_expires_at > now:
        return True
    if shop.refresh_token is None:
        return False
    return shop.refresh_expires_at is None or shop.refresh_expires_at > now
