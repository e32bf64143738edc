"""functions/sweep, from the schedule's event to messages, summary and metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.sweep.app import handler
from shared import wiring
from shared.domain.job import Push
from shared.domain.status import PushStatus
from tests.builders import a_completed_job, a_dispatched_job, a_job, a_kept_job
from tests.fakes.memory_endpoints import InMemoryEndpointStore
from tests.functional.test_dispatch import metrics_of
from tests.unit.usecases.lane_world import LaneWorld

EVENT: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "events" / "sweep.json").read_text()
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> LaneWorld:
    world = LaneWorld()
    app = wiring.SweepApp(
        tracker=world.tracker, endpoints=InMemoryEndpointStore(world.tracker.clock)
    )
    monkeypatch.setattr(wiring, "sweep_app", lambda: app)
    return world


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_an_idle_run_still_shows_that_it_lives(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handler(EVENT, None) == {}
    assert metrics_of(capsys)["DueBacklogAge"] == 0


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_everything_due_gets_its_message(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    create = world.has(a_job())
    poll = world.has(a_dispatched_job())
    keep = world.has(a_completed_job(attempt={"provider_job_id": "pk_2"}))
    push = world.has(
        a_kept_job(
            attempt={"provider_job_id": "pk_3"}, push=Push(status=PushStatus.QUEUED, number=1)
        )
    )
    world.at(150)
    assert handler(EVENT, None) == {"create": 1, "keep": 1, "poll": 1, "push": 1}
    assert set(world.outbox.dispatched_refs) == {create, poll, keep}
    assert [request.ref for request in world.outbox.pushes] == [push]
    told = metrics_of(capsys)
    assert (told["Swept"], told["DueBacklogAge"]) == (4, 105)


def test_a_run_that_could_not_send_says_so(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has(a_job())
    world.at(120)
    world.outbox.broken = True
    handler(EVENT, None)
    assert metrics_of(capsys)["SweepFailures"] == 1
