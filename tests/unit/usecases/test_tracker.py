"""Read, decide, write: the one way to change a job."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from shared.domain.errors import NotFoundError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.usecases.tracker import Note
from tests.builders import a_job
from tests.unit.usecases.lane_world import LaneWorld


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


@pytest.fixture
def seen(world: LaneWorld) -> Job:
    return world.job(world.has(a_job()))


def renaming(name: str) -> Callable[[Job, datetime], tuple[Job, Note | None]]:
    """Decide that the job has a name more."""
    return lambda job, _: (replace(job, name=f"{job.name or ''}{name}"), None)


def reads(world: LaneWorld, monkeypatch: pytest.MonkeyPatch) -> list[JobRef]:
    """Note which jobs are read from now on."""
    found: list[JobRef] = []
    get = world.store.get

    def noting(ref: JobRef) -> Job:
        found.append(ref)
        return get(ref)

    monkeypatch.setattr(world.store, "get", noting)
    return found


def test_a_job_that_was_just_read_is_not_read_again(
    world: LaneWorld, seen: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reads(world, monkeypatch)
    world.tracker.change(seen.ref, renaming("a"), seen=seen)
    assert read == []
    assert world.job(seen.ref).name == "a"


def test_one_that_was_changed_since_is_read_and_decided_on_again(
    world: LaneWorld, seen: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tracker.change(seen.ref, renaming("a"))
    read = reads(world, monkeypatch)
    world.tracker.change(seen.ref, renaming("b"), seen=seen)
    assert read == [seen.ref]
    assert world.job(seen.ref).name == "ab"


def test_one_that_was_deleted_since_is_not_found(world: LaneWorld, seen: Job) -> None:
    world.store.erase(seen.ref)
    with pytest.raises(NotFoundError):
        world.tracker.change(seen.ref, renaming("a"), seen=seen)
