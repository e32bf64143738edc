"""Which of two secrets fits is counted without a write per delivery."""

from collections.abc import Mapping

import pytest

from shared.domain.errors import StoreUnavailableError
from shared.domain.rotation import HourOfMatches, Matched, fingerprint
from shared.usecases.count_matches import MatchWatch
from tests.builders import later
from tests.fakes.clock import FakeClock
from tests.fakes.memory_quarantine import InMemorySecretMatches

NAME, HOUR = "PIKCEL_WEBHOOK_SECRET", "2026-11-22T12"
NEW, OLD = (fingerprint("app", NAME, value) for value in ("new", "old"))


class CountingMatches(InMemorySecretMatches):
    """Counts its writes, and fails if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.is_broken = False

    def add(self, name: str, hour: str, matched: Mapping[str, Matched]) -> None:
        self.writes += 1
        if self.is_broken:
            raise StoreUnavailableError("The table does not answer.")
        super().add(name, hour, matched)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.matches = CountingMatches()
        self.watch = MatchWatch(
            matches=self.matches, clock=self.clock, app_secrets=lambda: ("app", "older-app")
        )

    def note(self, secret: str) -> None:
        self.watch.note(NAME, secret, self.clock.now())

    def hours(self) -> list[HourOfMatches]:
        return self.matches.hours(NAME, self.clock.now())


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_one_is_written_at_once(world: World) -> None:
    world.note("old")
    assert world.hours() == [HourOfMatches(HOUR, {OLD: Matched(1, later(0))})]


def test_within_a_minute_nothing_more_is_written_and_then_all_of_it(world: World) -> None:
    for _ in range(60):
        world.note("old")
        world.clock.advance(1)
    assert world.matches.writes == 1
    world.note("old")
    assert world.matches.writes == 2
    assert world.hours() == [HourOfMatches(HOUR, {OLD: Matched(61, later(60))})]


def test_that_the_other_one_fits_too_is_written_at_once_with_all_that_was_counted(
    world: World,
) -> None:
    world.note("new")
    world.clock.advance(1)
    world.note("new")
    world.note("old")
    assert world.matches.writes == 2
    assert world.hours() == [
        HourOfMatches(HOUR, {NEW: Matched(2, later(1)), OLD: Matched(1, later(1))})
    ]


def test_what_could_not_be_written_is_written_later(world: World) -> None:
    world.matches.is_broken = True
    world.note("old")
    world.matches.is_broken = False
    world.clock.advance(60)
    world.note("old")
    assert world.hours() == [HourOfMatches(HOUR, {OLD: Matched(2, later(60))})]


def test_each_hour_gets_its_own(world: World) -> None:
    world.note("old")
    world.clock.advance(1)
    world.note("old")
    world.clock.advance(60 * 60)
    world.note("old")
    assert [(each.hour, each.matched[OLD].count) for each in world.hours()] == [
        (HOUR, 2),
        ("2026-11-22T13", 1),
    ]


def test_the_secrets_of_two_providers_do_not_wait_for_each_other(world: World) -> None:
    world.note("old")
    world.watch.note("OPENAI_WEBHOOK_SECRET", "old", later(0))
    assert world.matches.writes == 2
