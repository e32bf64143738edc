"""Whom of a shop we write to: settings in our table, subscriptions at Amazon SNS.

The table says what is wanted; what SNS still has to be told is owed there too, so a change that
was interrupted is made good by the next look at the settings.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from shared.domain.errors import InvalidRequestError, RetryableError, VersionConflictError
from shared.domain.shop import Notifications, Shop
from shared.usecases.conflicts import CONFLICT_TRIES, contended
from shared.usecases.notice_ports import AddressState, Letters
from shared.usecases.ports import ShopStore
from shared.usecases.shop_settings import change_shop
from shared.usecases.tracker import Tracker


def change_notifications(
    tracker: Tracker,
    shops: ShopStore,
    letters: Letters,
    name: str,
    wanted: Notifications | None,
) -> None:
    """Write to these people of the shop from now on, and to nobody else.

    Raises InvalidRequestError for an address that SNS refuses (nothing is changed then);
    RetryableError: what was changed, SNS is still to be told.
    """
    before = shops.get_shop(name)
    held = before.notifications if before is not None else None
    wish = {"notifications": wanted, "subscriptions_owed": True}
    change_shop(tracker, shops, name, wish)
    try:
        settle_subscriptions(shops, letters, name)
    except InvalidRequestError:
        change_shop(tracker, shops, name, {"notifications": held})
        settle_subscriptions(shops, letters, name)
        raise


def settle_subscriptions(shops: ShopStore, letters: Letters, name: str) -> None:
    """Tell SNS what the shop wants, if it may not know.

    Raises RetryableError (it is still owed), InvalidRequestError for an address that SNS refuses.
    Guarantees
        The last change wins, also when two are settled at once.
    """
    for tries in range(CONFLICT_TRIES):
        shop = shops.get_shop(name)
        # After a conflict SNS was told of older settings, perhaps after the newer ones.
        if tries == 0 and (shop is None or not shop.subscriptions_owed):
            return
        letters.subscribe(name, shop.notifications if shop is not None else None)
        if shop is None:
            return
        try:
            shops.save_shop(shop, replace(shop, subscriptions_owed=False))
        except VersionConflictError:
            continue
        return
    raise contended("shop")


def address_states(shops: ShopStore, letters: Letters, shop: Shop) -> Mapping[str, AddressState]:
    """Return whether each address of the shop's settings has agreed to be written to."""
    wanted = shop.notifications
    if wanted is None:
        return {}
    addresses = (*wanted.emails, *wanted.phones)
    with suppress(RetryableError):
        settle_subscriptions(shops, letters, shop.shop)
        known = letters.states(shop.shop)
        return {each: known.get(each, AddressState.GONE) for each in addresses}
    return dict.fromkeys(addresses, AddressState.UNKNOWN)
