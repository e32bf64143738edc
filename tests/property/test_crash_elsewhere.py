"""At the other providers, too, any call may fail or be its process's last: nothing is lost, and
nothing is paid twice.

None of them proves that an unanswered create call was not executed. So there is one more ending:
a process that died between its intent and the answer may leave a job `dispatch_unknown`. Then
nothing was sent again, and, where a webhook would have told us, nothing was sent at all.
"""

from collections import Counter

import pytest

from shared.providers.registry import ADAPTERS
from tests.promises import CASES, Record, scale, seed
from tests.whole.elsewhere import TOOLS
from tests.whole.elsewhere_stories import ELSEWHERE_STORIES
from tests.whole.story import Ending, Story, differences, tell

pytestmark = [
    pytest.mark.promise("lost", "a fault at the calls of stories at the other providers"),
    pytest.mark.promise("twice", "a fault at the calls of stories at the other providers"),
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.timeout(600),
]

# When there are no webhooks.
UNTOLD = "silent"
# A prime: the numbers of the calls that are tried differ from story to story, and by the seed.
EVERY = 13


@pytest.mark.parametrize("story", ELSEWHERE_STORIES, ids=str)
def test_in_peace_every_story_elsewhere_ends_well(story: Story) -> None:
    ending = tell(story)
    assert ending.wrong == ()
    status, push_status, images = story.ends
    (job,) = ending.state["jobs"]
    assert (job["status"], job["push"][0]) == (status, push_status)
    assert len(ending.state["on the product"]) == images
    provider, name = story.name.split(" ")
    is_stopped = name == "stopped" and ADAPTERS[provider].can_cancel
    is_paid = [paid for _, paid in ending.state["charges"]] == [1]
    assert is_paid is not is_stopped


@pytest.mark.slow
@pytest.mark.parametrize("story", ELSEWHERE_STORIES, ids=str)
def test_a_fault_at_any_call_elsewhere_changes_no_ending(
    story: Story, record_property: Record
) -> None:
    peaceful = tell(story)
    every = max(1, EVERY // scale())
    struck: Counter[bool] = Counter()
    bad: list[str] = []
    # Whoever cancels a job whose provider's id nobody knows cannot have it stopped there.
    left_out = _around_the_create_call(peaceful) if story.name.endswith("stopped") else []
    for number in range(1 + seed() % every, len(peaceful.calls) + 1, every):
        if number in left_out:
            continue
        for fault in sorted(peaceful.possible[number - 1]):
            told = tell(story, faults={number: fault})
            struck[bool(told.hits)] += 1
            if found := _what_is_wrong(story, told, peaceful, number):
                bad += [f"#{number} {' '.join(told.hits)}", *(f"    {line}" for line in found)]
    assert not bad, "\n".join(bad)
    assert struck[True] > 0, "no fault struck: nothing is proven"
    record_property(CASES, struck[True])


@pytest.mark.slow
@pytest.mark.parametrize("provider", TOOLS)
def test_whoever_dies_around_the_create_call_sends_and_pays_nothing_twice(
    provider: str, record_property: Record
) -> None:
    """Every fault at every call from the intent to the answer."""
    story = next(each for each in ELSEWHERE_STORIES if each.name == f"{provider} plain")
    peaceful = tell(story)
    numbers = _around_the_create_call(peaceful)
    assert len(numbers) >= 3
    unknown = 0
    for number in numbers:
        for fault in sorted(peaceful.possible[number - 1]):
            told = tell(story, faults={number: fault})
            assert _what_is_wrong(story, told, peaceful, number) == [], (number, fault)
            unknown += _is_unknown(told)
    # A process that dies between its intent and its call leaves nothing that could be found.
    assert unknown > 0
    record_property(CASES, sum(len(peaceful.possible[number - 1]) for number in numbers))


def _what_is_wrong(story: Story, told: Ending, peaceful: Ending, number: int) -> list[str]:
    found = differences(told, peaceful)
    if not found or not _is_unknown(told):
        return found
    if number not in _around_the_create_call(peaceful):
        return [f"unknown, and not for {told.hits}", *found]
    is_sent = told.state["charges"] != []
    if is_sent and UNTOLD not in story.name:
        return ["unknown, although its webhook told", *found]
    return []


def _is_unknown(told: Ending) -> bool:
    """Whether a telling ended soundly with nobody knowing what became of the create call."""
    (job,) = told.state["jobs"]
    ended = (job["status"], job["error"][0], job["push"][0])
    is_so = ended == ("failed", "dispatch_unknown", "none")
    return is_so and not told.wrong and told.state["on the product"] == []


def _around_the_create_call(ending: Ending) -> list[int]:
    """Return the numbers of the calls of those runs of dispatch that had a provider begin."""
    found: list[int] = []
    run: list[int] = []
    for number, call in enumerate(ending.calls, 1):
        if call.startswith("dispatch: "):
            run.append(number)
            if call.endswith("(its own answer)"):
                found += run if any(_begins(ending.calls[each - 1]) for each in run) else []
                run = []
    return found


def _begins(call: str) -> bool:
    return " POST " in call and "cancel" not in call
