"""Any call may fail, with or without having been executed: nothing is lost or happens twice.

As in the tests of kills, but the process lives: it is told that there is no connection, that
the service is too busy or broken, that the answer did not come in time or the connection was
reset; the last three although the call was executed. A client library may also send an AWS call
again by itself, of which the product hears nothing but the second answer.
"""

import random

import pytest

from tests.whole.calls import FAILURES, Fault
from tests.whole.stories import LONG_STORIES, STORIES, story_of
from tests.whole.story import Story, differences, tell
from tests.whole.tellings import check_quickly, tell_with_each_fault

pytestmark = [
    # While one function waits, another one may publish its metrics too.
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.timeout(600),
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAILURES, ids=lambda fault: fault.name.lower())
def test_a_failure_of_any_call_changes_no_ending_on_the_table(fault: Fault) -> None:
    tell_with_each_fault(story_of("plain"), "embedded", [fault])


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_failure_of_any_call_changes_no_ending(story: Story) -> None:
    # Six failures at each call: the long stories are told with every fourth.
    tell_with_each_fault(story, "memory", FAILURES, every=4 if story in LONG_STORIES else 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_three_faults_in_one_life_change_no_ending(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        story = rng.choice(STORIES)
        peaceful = tell(story)
        spread = range(1, len(peaceful.calls) + 1)
        faults = {number: rng.choice(list(Fault)) for number in rng.sample(spread, 3)}
        assert differences(tell(story, faults=faults), peaceful) == [], (story.name, faults)


def test_a_failure_of_some_calls_changes_no_ending() -> None:
    check_quickly(FAILURES)
