"""Stories told again and again, each time with something else going wrong."""

from collections.abc import Sequence

from tests.promises import seed
from tests.whole.calls import Fault
from tests.whole.stories import story_of
from tests.whole.story import Story, differences, tell
from tests.whole.world import Engine


def tell_with_each_fault(
    story: Story, engine: Engine, faults: Sequence[Fault], *, every: int = 1
) -> int:
    """Tell a story once in peace, then once for each fault at every n-th call.

    Returns how many faults struck. Raises AssertionError with all endings that differ from the
    peaceful one.
    """
    peaceful = tell(story, engine)
    assert peaceful.wrong == ()
    bad: list[str] = []
    struck = 0
    for number in range(1 + seed() % every, len(peaceful.calls) + 1, every):
        for fault in (each for each in faults if each in peaceful.possible[number - 1]):
            told = tell(story, engine, {number: fault})
            struck += len(told.hits)
            found = differences(told, peaceful)
            if found:
                bad += [f"#{number} {' '.join(told.hits)}", *(f"    {line}" for line in found)]
    assert not bad, "\n".join(bad)
    assert struck > 0, "no fault struck: nothing is proven"
    print(f"{story.name} ({engine}): {len(peaceful.calls)} calls, {struck} faults")  # noqa: T201
    return struck


def check_quickly(faults: Sequence[Fault]) -> int:
    """Tell the plain story with each fault at every fourth call: a second instead of minutes."""
    return tell_with_each_fault(story_of("plain"), "memory", faults, every=4)
