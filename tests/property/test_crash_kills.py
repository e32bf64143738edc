"""A process may be killed at any moment: nothing is lost and nothing happens twice.

Every story is told once in peace, with each AWS call, each HTTP call and the moment of each
answer counted. Then it is told again for every one of them, with the process killed just before
the call, and once more with it killed just after, its answer unheard. Whoever was not answered
tries again: the provider sends its webhook again, the caller its request, SQS the message; and
the sweep runs. Every ending must equal the one in peace.

PikcelAI lists its jobs, so that a create call without an answer is always found out about: no
ending here is `dispatch_unknown`.
"""

import pytest

from tests.promises import CASES, Record, scale
from tests.whole.calls import KILLS
from tests.whole.stories import LONG_STORIES, STORIES, story_of
from tests.whole.story import Story, tell
from tests.whole.tellings import check_quickly, tell_with_each_fault
from tests.whole.world import Engine

pytestmark = [
    pytest.mark.promise("lost", "a fault at every AWS and HTTP call of every story"),
    pytest.mark.promise("twice", "a fault at every AWS and HTTP call of every story"),
    # While one function waits, another one may publish its metrics too.
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.timeout(600),
]

# A process killed after a call makes no next one: before and after every second call is every
# moment there is. The long stories are told no more often than that.
EVERY_MOMENT = 2

# Those in which another kind of write to the table comes up, and at every how manieth call; the
# others run in memory, which passes the same contract and takes a tenth of the time.
ON_THE_TABLE = {
    "plain": EVERY_MOMENT,
    "retried": 3,
    "registered": 3,
    "undone": 3,
    "batch_cancelled": 3,
    "sync_app": 3,
    "reassigned": 3,
    "furnished": 3,
    "cancelled_in_a_budget": 3,
    "within_a_budget": 9,
    "refreshed": 3,
    "erased": 9,
}


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_in_peace_every_story_ends_well(story: Story) -> None:
    ending = tell(story)
    assert ending.wrong == ()
    status, push_status, images = story.ends
    for job in ending.state.get("jobs", ()):
        assert (job["status"], job["push"][0]) == (status, push_status)
    assert len(ending.state["on the product"]) == images


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_THE_TABLE)
def test_a_kill_at_any_call_changes_no_ending_on_the_table(
    name: str, record_property: Record
) -> None:
    engine: Engine = "table" if name == "plain" else "embedded"
    every = max(1, ON_THE_TABLE[name] // scale())
    record_property(CASES, tell_with_each_fault(story_of(name), engine, KILLS, every=every))


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_kill_at_any_call_changes_no_ending(story: Story, record_property: Record) -> None:
    every = EVERY_MOMENT if story in LONG_STORIES else 1
    record_property(CASES, tell_with_each_fault(story, "memory", KILLS, every=every))


def test_a_kill_at_some_calls_changes_no_ending(record_property: Record) -> None:
    record_property(CASES, check_quickly(KILLS))
