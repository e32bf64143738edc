"""ShopStore and Limiter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.errors import VersionConflictError
from shared.domain.shop import Shop
from tests.builders import OTHER_SHOP, SHOP, later
from tests.contract.conftest import Stores
from tests.fakes.clock import START

FULL = Shop(
    shop=SHOP,
    installed_at=START.replace(microsecond=1),
    scopes="write_products",
    token="sealed",
    token_expires_at=later(3600),
    refresh_token="sealed too",
    refresh_expires_at=later(86_400),
    token_dead=True,
    exchange_until=later(30),
    auto_push=True,
)


def test_a_shop_that_was_never_installed_is_none(stores: Stores) -> None:
    assert stores.shops.get_shop(SHOP) is None


def test_a_shop_is_read_back_as_it_was_saved(stores: Stores) -> None:
    saved = stores.shops.save_shop(None, FULL)
    assert saved == replace(FULL, version=1)
    assert stores.shops.get_shop(SHOP) == saved
    assert stores.shops.get_shop(OTHER_SHOP) is None


def test_a_shop_is_changed_on_condition_of_its_version(stores: Stores) -> None:
    first = stores.shops.save_shop(None, FULL)
    second = stores.shops.save_shop(first, replace(first, token=None))
    assert second.version == 2
    assert stores.shops.get_shop(SHOP) == second
    with pytest.raises(VersionConflictError):
        stores.shops.save_shop(first, replace(first, token="late"))


def test_a_shop_is_installed_once(stores: Stores) -> None:
    stores.shops.save_shop(None, FULL)
    with pytest.raises(VersionConflictError):
        stores.shops.save_shop(None, FULL)


def test_a_shop_that_is_not_there_is_not_changed(stores: Stores) -> None:
    with pytest.raises(VersionConflictError):
        stores.shops.save_shop(replace(FULL, version=1), FULL)


def test_no_more_calls_are_allowed_than_the_ceiling_of_a_minute(stores: Stores) -> None:
    taken = [stores.limiter.take("pikcel", "key", later(n), ceiling=3) for n in range(5)]
    assert taken == [True, True, True, False, False]


def test_a_lower_ceiling_leaves_room_for_others(stores: Stores) -> None:
    for _ in range(2):
        assert stores.limiter.take("pikcel", "key", START, ceiling=2)
    assert not stores.limiter.take("pikcel", "key", START, ceiling=2)
    assert stores.limiter.take("pikcel", "key", START, ceiling=3)


def test_every_minute_provider_and_key_has_calls_of_its_own(stores: Stores) -> None:
    assert stores.limiter.take("pikcel", "key", START, ceiling=1)
    assert stores.limiter.take("pikcel", "key", later(60), ceiling=1)
    assert stores.limiter.take("fal", "key", START, ceiling=1)
    assert stores.limiter.take("pikcel", "other", START, ceiling=1)


def test_a_ceiling_of_none_allows_nothing(stores: Stores) -> None:
    assert not stores.limiter.take("pikcel", "key", START, ceiling=0)


def reserve(stores: Stores, seconds: float, *, ceiling: int = 2, minutes: int = 3) -> object:
    return stores.limiter.reserve("pikcel", "key", later(seconds), ceiling=ceiling, minutes=minutes)


def test_the_first_later_minute_with_room_is_reserved(stores: Stores) -> None:
    assert stores.limiter.take("pikcel", "key", later(120), ceiling=2)
    found = [reserve(stores, 7) for _ in range(6)]
    assert found == [later(60), later(60), later(120), later(180), later(180), None]


def test_a_reserved_call_is_a_call_of_its_minute(stores: Stores) -> None:
    assert reserve(stores, 0, ceiling=1) == later(60)
    assert not stores.limiter.take("pikcel", "key", later(61), ceiling=1)
    assert stores.limiter.take("pikcel", "key", later(0), ceiling=1)


def test_calls_of_other_keys_do_not_stand_in_the_way_of_a_reservation(stores: Stores) -> None:
    assert stores.limiter.take("fal", "key", later(60), ceiling=1)
    assert stores.limiter.take("pikcel", "other", later(60), ceiling=1)
    assert reserve(stores, 0, ceiling=1) == later(60)


def test_nothing_is_reserved_of_no_minutes_or_no_calls(stores: Stores) -> None:
    assert reserve(stores, 0, minutes=0) is None
    assert reserve(stores, 0, ceiling=0) is None
