"""A shop's token, fresh: refreshed once at a time, stored as a pair, dead when Shopify says so."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from shared.domain.errors import ShopBusyError, ShopRefusedError
from shared.domain.job import SHOP_NOT_INSTALLED, TOKEN_DEAD
from shared.domain.shop import Shop
from shared.gateways.token_box import SecretTokenBox
from shared.usecases.ports import Grant
from shared.usecases.shop_access import Access, ShopAccess
from tests.builders import SHOP
from tests.fakes.clock import FakeClock
from tests.fakes.memory import InMemoryShopStore
from tests.fakes.secrets import FakeSecrets


@dataclass
class FakeTokenService:
    """Gives numbered pairs, or fails as it is told; `during` happens while it is asked."""

    refreshed: list[str] = field(default_factory=list)
    failure: Exception | None = None
    during: list[object] = field(default_factory=list)

    def exchange(self, shop: str, id_token: str) -> Grant:
        raise AssertionError("the push lane has no ID tokens")

    def refresh(self, shop: str, refresh_token: str) -> Grant:
        self.refreshed.append(refresh_token)
        for action in self.during:
            assert callable(action)
            action()
        if self.failure is not None:
            raise self.failure
        number = len(self.refreshed) + 1
        return Grant(
            access_token=f"access-{number}",
            scopes="write_products",
            expires_in_s=3600,
            refresh_token=f"refresh-{number}",
            refresh_expires_in_s=90 * 86_400,
        )


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.shops = InMemoryShopStore()
        self.tokens = FakeTokenService()
        self.secrets = FakeSecrets()
        self.box = SecretTokenBox(lambda: self.secrets.get("app", "APP_SECRET"))
        self.access = ShopAccess(
            shops=self.shops,
            tokens=self.tokens,
            box=self.box,
            secrets=self.secrets,
            clock=self.clock,
        )

    def has_shop(self, life_s: float | None = 3600) -> None:
        ends_at = None if life_s is None else self.clock.now() + timedelta(seconds=life_s)
        self.shops.save_shop(
            None,
            Shop(
                shop=SHOP,
                token=self.box.seal("access-1"),
                token_expires_at=ends_at,
                refresh_token=self.box.seal("refresh-1"),
            ),
        )

    def shop(self) -> Shop:
        found = self.shops.get_shop(SHOP)
        assert found is not None
        return found

    def token(self) -> str:
        return self.access.token(SHOP).token


@pytest.fixture
def world() -> World:
    return World()


def test_a_single_merchants_token_goes_before_all_others(world: World) -> None:
    world.has_shop()
    world.secrets.values["shopify", "SHOPIFY_ACCESS_TOKEN"] = "shpat_static"
    assert world.access.token(SHOP) == Access(token="shpat_static", is_static=True)


def test_a_shop_nobody_knows_is_not_installed(world: World) -> None:
    with pytest.raises(ShopRefusedError) as caught:
        world.token()
    assert caught.value.code == SHOP_NOT_INSTALLED


def test_a_dead_token_is_not_tried_again(world: World) -> None:
    world.has_shop()
    world.shops.save_shop(world.shop(), replace(world.shop(), token_dead=True))
    with pytest.raises(ShopRefusedError) as caught:
        world.token()
    assert caught.value.code == TOKEN_DEAD


@pytest.mark.parametrize("life_s", [3600.0, 121.0, None])
def test_a_token_that_lasts_is_used_as_it_is(world: World, life_s: float | None) -> None:
    world.has_shop(life_s)
    assert world.token() == "access-1"
    assert world.tokens.refreshed == []


def test_a_token_about_to_end_is_refreshed_and_the_pair_stored(world: World) -> None:
    world.has_shop(119)
    before = world.shop()

    assert world.token() == "access-2"

    after = world.shop()
    assert world.box.open(after.token or "") == "access-2"
    assert world.box.open(after.refresh_token or "") == "refresh-2"
    assert after.token_expires_at == world.clock.now() + timedelta(seconds=3600)
    assert after.exchange_until is None
    assert after.version == before.version + 2
    assert world.token() == "access-2"
    assert world.tokens.refreshed == ["refresh-1"]


def test_only_one_refreshes_and_the_others_use_what_still_works(world: World) -> None:
    world.has_shop(60)
    others: list[str] = []
    world.tokens.during.append(lambda: others.append(world.token()))

    assert world.token() == "access-2"
    assert others == ["access-1"]
    assert world.tokens.refreshed == ["refresh-1"]


def test_with_nothing_that_works_the_others_come_back_in_a_moment(world: World) -> None:
    world.has_shop(-1)
    waits: list[float | None] = []

    def another() -> None:
        with pytest.raises(ShopBusyError) as caught:
            world.token()
        waits.append(caught.value.retry_after_s)

    world.tokens.during.append(another)
    assert world.token() == "access-2"
    assert waits == [3.0]


def test_a_refresh_that_died_is_taken_over_after_its_time(world: World) -> None:
    world.has_shop(-1)
    claimed = replace(world.shop(), exchange_until=world.clock.now() + timedelta(seconds=20))
    world.shops.save_shop(world.shop(), claimed)
    with pytest.raises(ShopBusyError):
        world.token()
    world.clock.advance(20)
    assert world.token() == "access-2"


def test_an_outage_of_the_endpoint_is_bridged_while_the_token_lasts(world: World) -> None:
    world.has_shop(60)
    world.tokens.failure = ShopBusyError("out")
    assert world.token() == "access-1"
    assert world.shop().exchange_until is None


def test_an_outage_without_a_working_token_means_later(world: World) -> None:
    world.has_shop(-1)
    world.tokens.failure = ShopBusyError("out")
    with pytest.raises(ShopBusyError):
        world.token()
    world.tokens.failure = None
    assert world.token() == "access-3"


def test_an_invalid_grant_is_the_end_of_the_token(world: World) -> None:
    world.has_shop(-1)
    world.tokens.failure = ShopRefusedError("no", code="invalid_grant")
    with pytest.raises(ShopRefusedError) as caught:
        world.token()
    assert caught.value.code == TOKEN_DEAD
    assert world.shop().token_dead


def test_trouble_with_our_own_app_does_not_kill_the_shops_token(world: World) -> None:
    world.has_shop(-1)
    world.tokens.failure = ShopRefusedError("no", code="invalid_client")
    with pytest.raises(ShopBusyError):
        world.token()
    assert not world.shop().token_dead


def test_a_setting_changed_during_a_refresh_stays_and_the_pair_is_stored(world: World) -> None:
    world.has_shop(60)
    world.tokens.during.append(
        lambda: world.shops.save_shop(world.shop(), replace(world.shop(), auto_push=True))
    )
    assert world.token() == "access-2"
    assert world.shop().auto_push
    assert world.box.open(world.shop().token or "") == "access-2"


def test_an_installation_during_a_refresh_is_not_overwritten(world: World) -> None:
    world.has_shop(60)
    newer = world.box.seal("access-9"), world.box.seal("refresh-9")
    world.tokens.during.append(
        lambda: world.shops.save_shop(
            world.shop(), replace(world.shop(), token=newer[0], refresh_token=newer[1])
        )
    )
    world.token()
    assert (world.shop().token, world.shop().refresh_token) == newer


def test_a_token_that_no_secret_opens_any_more_is_dead(world: World) -> None:
    world.has_shop()
    world.secrets.values["app", "APP_SECRET"] = "another"
    with pytest.raises(ShopRefusedError) as caught:
        world.token()
    assert caught.value.code == TOKEN_DEAD
    assert world.shop().token_dead


def test_a_refused_token_is_marked_dead(world: World) -> None:
    world.has_shop()
    world.access.refuse(SHOP, world.access.token(SHOP))
    assert world.shop().token_dead


def test_a_newer_token_is_not_marked_dead_for_an_older_ones_refusal(world: World) -> None:
    world.has_shop()
    with pytest.raises(ShopBusyError):
        world.access.refuse(SHOP, Access(token="an-older-one", is_static=False))
    assert not world.shop().token_dead


def test_a_refused_static_token_is_read_again_once(world: World) -> None:
    world.secrets.values["shopify", "SHOPIFY_ACCESS_TOKEN"] = "old"
    access = world.access.token(SHOP)
    world.access.refuse(SHOP, access)
    world.secrets.newer["shopify", "SHOPIFY_ACCESS_TOKEN"] = "new"
    with pytest.raises(ShopBusyError):
        world.access.refuse(SHOP, access)
    assert world.token() == "new"
