"""Whom we write to: the settings win, and what SNS was not told is told later."""

from dataclasses import replace

import pytest

from shared.domain.errors import InvalidRequestError, RetryableError
from shared.domain.notice_types import NoticeType
from shared.domain.shop import Notifications, Shop
from shared.usecases.notice_ports import AddressState
from shared.usecases.shop_letters import address_states, change_notifications
from tests.builders import SHOP
from tests.fakes.notices import FakeLetters
from tests.unit.usecases.lane_world import LaneWorld

ANNA = Notifications(emails=("anna@example.com",), types=(NoticeType.JOB_FAILED,))
BEN = Notifications(emails=("ben@example.com",), phones=("+4930123456",))


class World:
    def __init__(self) -> None:
        world = LaneWorld()
        self.tracker, self.shops = world.tracker, world.shops
        self.letters = FakeLetters()

    def wish(self, wanted: Notifications | None) -> None:
        change_notifications(self.tracker, self.shops, self.letters, SHOP, wanted)

    @property
    def shop(self) -> Shop:
        found = self.shops.get_shop(SHOP)
        assert found is not None
        return found

    def states(self) -> dict[str, AddressState]:
        return dict(address_states(self.shops, self.letters, self.shop))


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_wished_is_subscribed_and_nothing_is_owed(world: World) -> None:
    world.wish(ANNA)
    assert world.letters.subscribed == {SHOP: ANNA}
    assert (world.shop.notifications, world.shop.subscriptions_owed) == (ANNA, False)
    assert world.states() == {"anna@example.com": AddressState.PENDING}
    world.letters.confirmed.add("anna@example.com")
    assert world.states() == {"anna@example.com": AddressState.CONFIRMED}
    world.wish(None)
    assert world.letters.subscribed == {}
    assert world.states() == {}


def test_what_sns_was_not_told_is_told_by_the_next_look(world: World) -> None:
    world.letters.error = RetryableError("out")
    with pytest.raises(RetryableError):
        world.wish(ANNA)
    assert (world.shop.notifications, world.shop.subscriptions_owed) == (ANNA, True)
    assert world.states() == {"anna@example.com": AddressState.UNKNOWN}
    world.letters.error = None
    assert world.states() == {"anna@example.com": AddressState.PENDING}
    assert world.letters.subscribed == {SHOP: ANNA}
    assert not world.shop.subscriptions_owed


def test_of_two_wishes_at_once_the_last_one_wins(world: World) -> None:
    world.letters.during = lambda: world.wish(BEN)
    world.wish(ANNA)
    assert world.shop.notifications == BEN
    assert world.letters.subscribed == {SHOP: BEN}
    assert not world.shop.subscriptions_owed


def test_an_address_that_sns_refuses_leaves_everything_as_it_was(world: World) -> None:
    world.wish(ANNA)
    world.letters.refused["ben@example.com"] = InvalidRequestError("no address")
    with pytest.raises(InvalidRequestError):
        world.wish(BEN)
    assert world.shop.notifications == ANNA
    assert world.letters.subscribed == {SHOP: ANNA}
    assert not world.shop.subscriptions_owed


def test_other_settings_of_the_shop_are_left_alone(world: World) -> None:
    world.shops.save_shop(None, Shop(shop=SHOP, auto_push=True, budget_credits=9))
    world.wish(ANNA)
    assert world.shop == replace(
        Shop(shop=SHOP, auto_push=True, budget_credits=9),
        notifications=ANNA,
        version=world.shop.version,
    )


def test_whoever_has_left_is_shown_as_gone_and_asked_anew_when_named_again(world: World) -> None:
    world.wish(ANNA)
    world.letters.subscribed.clear()
    assert world.states() == {"anna@example.com": AddressState.GONE}
    world.wish(ANNA)
    assert world.states() == {"anna@example.com": AddressState.PENDING}
