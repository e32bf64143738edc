"""Any call may fail, with or without having been executed: nothing is lost or happens twice.

As in the tests of kills, but the process lives: it is told that there is no connection, that
the service is too busy or broken, that the answer did not come in time or the connection was
reset; the last three although the call was executed. A client library may also send an AWS call
again by itself, of which the product hears nothing but the second answer.
"""

import random

import pytest

from tests.promises import CASES, Record, scale, scaled, seed
from tests.whole.calls import FAILURES, Fault
from tests.whole.stories import LONG_STORIES, STORIES, story_of
from tests.whole.story import Story, differences, tell
from tests.whole.tellings import check_quickly, tell_with_each_fault

pytestmark = [
    pytest.mark.promise("lost", "a fault at every AWS and HTTP call of every story"),
    pytest.mark.promise("twice", "a fault at every AWS and HTTP call of every story"),
    # While one function waits, another one may publish its metrics too.
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.timeout(600),
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAILURES, ids=lambda fault: fault.name.lower())
def test_a_failure_of_any_call_changes_no_ending_on_the_table(
    fault: Fault, record_property: Record
) -> None:
    record_property(CASES, tell_with_each_fault(story_of("plain"), "embedded", [fault]))


@pytest.mark.slow
@pytest.mark.promise("hostile", "no secret in any log of any story, whatever fails")
@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_failure_of_any_call_changes_no_ending(story: Story, record_property: Record) -> None:
    # Six failures at each call: the long stories are told with every fourth, or more by
    # `make proof`.
    every = max(1, 4 // scale()) if story in LONG_STORIES else 1
    record_property(CASES, tell_with_each_fault(story, "memory", FAILURES, every=every))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(scaled(12)))
def test_three_faults_in_one_life_change_no_ending(number: int, record_property: Record) -> None:
    rng = random.Random(f"{seed()} {number}")
    record_property(CASES, 20)
    for _ in range(20):
        story = rng.choice(STORIES)
        peaceful = tell(story)
        spread = range(1, len(peaceful.calls) + 1)
        faults = {number: rng.choice(list(Fault)) for number in rng.sample(spread, 3)}
        assert differences(tell(story, faults=faults), peaceful) == [], (story.name, faults)


@pytest.mark.promise("hostile", "no secret in any log of any story, whatever fails")
def test_a_failure_of_some_calls_changes_no_ending(record_property: Record) -> None:
    record_property(CASES, check_quickly(FAILURES))
