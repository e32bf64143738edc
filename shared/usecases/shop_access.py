"""A shop's access token, fresh: from the app's settings or from the shop's own record."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.errors import ShopBusyError, ShopRefusedError, VersionConflictError
from shared.domain.job import SHOP_NOT_INSTALLED, TOKEN_DEAD
from shared.domain.push_errors import SHOP_SENTENCES
from shared.domain.shop import Shop
from shared.usecases.ports import Clock, Grant, Secrets, ShopStore, TokenBox, TokenService

log = logging.getLogger(__name__)

# A token that ends within this time is refreshed before it is used: longer than any run.
FRESH_FOR = timedelta(seconds=120)
# How long one refresh may take before another may try: above the call's own time-out.
REFRESH_TAKES = timedelta(seconds=20)
# What somebody waits who needs the token while another is refreshing it.
REFRESH_WAIT_S = 3.0
# A secret is read again this often at most because Shopify refused what it holds.
SECRET_RE_READ_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A token, and where it came from. is_static: it belongs to a single-merchant app."""

    token: str
    is_static: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopAccess:
    """What is needed to get at shops' tokens."""

    shops: ShopStore
    tokens: TokenService
    box: TokenBox
    secrets: Secrets
    clock: Clock

    def token(self, shop: str) -> Access:
        """Return a token that works for the next two minutes, refreshed if need be.

        Raises
            ShopRefusedError: `shop_not_installed`, or `token_dead` (the shop must open the app).
            ShopBusyError: somebody else is refreshing it, or Shopify does not answer.
            SecretUnavailableError, StoreUnavailableError.
        Guarantees
            One refresh at a time per shop (a conditional write on its item); token and
            refresh token are stored together. A crash in between is harmless: the old
            refresh token works until the new one is first used.
        """
        static = self.secrets.get("shopify", "SHOPIFY_ACCESS_TOKEN")
        if static:
            return Access(token=static[0], is_static=True)
        found = self.shops.get_shop(shop)
        if found is None or (found.token is None and not found.token_dead):
            raise _refused(SHOP_NOT_INSTALLED)
        if found.token is None or found.token_dead:
            raise _refused(TOKEN_DEAD)
        ends_at, now = found.token_expires_at, self.clock.now()
        if ends_at is None or now < ends_at - FRESH_FOR:
            return Access(token=self._open(found, found.token), is_static=False)
        return self._refresh(found, now)

    def refuse(self, shop: str, access: Access) -> None:
        """Note that Shopify refused a token (401).

        Raises ShopBusyError when another token is there by now: try again with that one.
        Returns when there is none; the shop's record then says `token_dead`.
        """
        if access.is_static:
            self.secrets.refresh("shopify", older_than_s=SECRET_RE_READ_S)
            if self.secrets.get("shopify", "SHOPIFY_ACCESS_TOKEN")[:1] != (access.token,):
                raise ShopBusyError("The app's token has just been changed.", retry_after_s=1.0)
            return
        found = self.shops.get_shop(shop)
        if found is None or found.token is None or found.token_dead:
            return
        if self.box.open(found.token) != access.token:
            raise ShopBusyError("The shop's token has just been changed.", retry_after_s=1.0)
        try:
            self.shops.save_shop(found, replace(found, token_dead=True))
        except VersionConflictError as error:
            raise ShopBusyError("The shop is being changed.", retry_after_s=1.0) from error

    def _open(self, shop: Shop, sealed: str) -> str:
        """Unseal; what no secret of ours opens any more is as good as dead, and said to be."""
        try:
            return self.box.open(sealed)
        except ShopRefusedError as error:
            raise self._dead(shop) from error

    def _refresh(self, shop: Shop, now: datetime) -> Access:
        if shop.refresh_token is None or shop.token is None:
            raise self._dead(shop)
        if shop.exchange_until is not None and now < shop.exchange_until:
            return self._wait(shop, now)
        try:
            claimed = self.shops.save_shop(shop, replace(shop, exchange_until=now + REFRESH_TAKES))
        except VersionConflictError:
            return self._wait(shop, now)
        old = self._open(claimed, shop.refresh_token)
        try:
            grant = self.tokens.refresh(shop.shop, old)
        except ShopBusyError:
            self._release(claimed)
            return self._wait(shop, now)
        except ShopRefusedError as error:
            if error.code != "invalid_grant":
                self._release(claimed)
                raise ShopBusyError(error.message) from error
            raise self._dead(claimed) from error
        return self._store(claimed, grant)

    def _store(self, claimed: Shop, grant: Grant) -> Access:
        access = Access(token=grant.access_token, is_static=False)
        try:
            self.shops.save_shop(claimed, with_grant(claimed, grant, self.box, self.clock.now()))
        except VersionConflictError:
            # Somebody changed a setting, or installed anew. What we hold works either way; the
            # next one refreshes again with what is stored then.
            log.warning("a refreshed token was not stored: the shop was changed meanwhile")
            self._store_again(claimed, grant)
        return access

    def _store_again(self, claimed: Shop, grant: Grant) -> None:
        """Store the pair over a change that did not touch the tokens."""
        found = self.shops.get_shop(claimed.shop)
        if found is None or found.refresh_token != claimed.refresh_token:
            return
        try:
            self.shops.save_shop(found, with_grant(found, grant, self.box, self.clock.now()))
        except VersionConflictError:
            return

    def _wait(self, shop: Shop, now: datetime) -> Access:
        """Use the present token for as long as it lasts, else come back in a moment."""
        if shop.token is not None and shop.token_expires_at and now < shop.token_expires_at:
            return Access(token=self.box.open(shop.token), is_static=False)
        raise ShopBusyError("The shop's token is being refreshed.", retry_after_s=REFRESH_WAIT_S)

    def _release(self, claimed: Shop) -> None:
        try:
            self.shops.save_shop(claimed, replace(claimed, exchange_until=None))
        except VersionConflictError:
            return

    def _dead(self, shop: Shop) -> ShopRefusedError:
        try:
            self.shops.save_shop(shop, replace(shop, token_dead=True, exchange_until=None))
        except VersionConflictError as error:
            # Whoever changed it may have installed anew: look again.
            raise ShopBusyError("The shop is being changed.", retry_after_s=1.0) from error
        return _refused(TOKEN_DEAD)


def with_grant(shop: Shop, grant: Grant, box: TokenBox, now: datetime) -> Shop:
    """Return the shop with a new token pair, sealed; it is alive again."""

    def after(seconds: float | None) -> datetime | None:
        return None if seconds is None else now + timedelta(seconds=seconds)

    return replace(
        shop,
        installed_at=shop.installed_at or now,
        scopes=grant.scopes,
        token=box.seal(grant.access_token),
        token_expires_at=after(grant.expires_in_s),
        refresh_token=None if grant.refresh_token is None else box.seal(grant.refresh_token),
        refresh_expires_at=after(grant.refresh_expires_in_s),
        token_dead=False,
        exchange_until=None,
    )


def _refused(code: str) -> ShopRefusedError:
    return ShopRefusedError(SHOP_SENTENCES[code], code=code)
