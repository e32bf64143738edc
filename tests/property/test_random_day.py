"""After a random day of traffic the statistics equal a recount, and nobody saw or changed what
is not theirs.

One day takes some seconds. `RANDOM_DAYS=200` lives through two hundred, `RANDOM_DAY=17` through
day 17 alone; a day that fails says its number.
"""

import os

import pytest

from tests.promises import scaled, seed
from tests.whole.day import BEGIN, Day
from tests.whole.world import a_world

pytestmark = [
    pytest.mark.promise("drift", "random days of traffic, recounted"),
    pytest.mark.promise("tenants", "random days of traffic, recounted"),
    # While one function waits, another one may publish its metrics too.
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.timeout(900),
]

ACTS = 250


def _days() -> list[int]:
    one = os.environ.get("RANDOM_DAY")
    days = int(os.environ.get("RANDOM_DAYS", scaled(4)))
    return [int(one)] if one else list(range(seed(), seed() + days))


@pytest.mark.slow
@pytest.mark.parametrize("number", _days())
def test_after_a_random_day_all_is_counted_and_everybody_kept_to_their_own(number: int) -> None:
    """Every second day our own calls fail now and then, before or after they were executed."""
    with a_world("embedded", chunk=3, start=BEGIN, credits_balance=100_000) as world:
        day = Day(world, number, is_calm=number % 2 == 0)
        try:
            day.live(ACTS)
        except Exception as failure:
            failure.add_note(f"RANDOM_DAY={number} lives through this day again")
            raise
        assert world.bugs == []
        assert [dead.body for queue in world.queues.values() for dead in queue.dead] == []
