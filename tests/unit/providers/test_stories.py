"""Every provider's stories come to the end that they tell of."""

import pytest

from shared.providers.registry import ADAPTERS
from tests.unit.providers.stories import FIXTURES, NAMES, play, read_story

STORIES = [
    (folder.name, path.stem)
    for folder in sorted(FIXTURES.iterdir())
    if folder.is_dir()
    for path in sorted(folder.glob("*.json"))
]


@pytest.mark.parametrize("provider", ADAPTERS)
def test_a_provider_is_told_of_in_all_that_can_happen(provider: str) -> None:
    told = {name for folder, name in STORIES if folder == provider}
    assert set(NAMES) <= told


@pytest.mark.parametrize(("provider", "name"), STORIES)
def test_a_story_comes_to_its_end(provider: str, name: str) -> None:
    story = read_story(provider, name)
    world = play(provider, story)
    shown = world.shown()
    shown["kept"] = sum(output["kept"] for output in shown["outputs"])
    shown["asked"] = world.asked
    assert {key: shown[key] for key in story["expect"]} == story["expect"]
