"""functions/bulk, from the queue's event to the partial answer, log and metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.bulk.app import handler
from shared import wiring
from shared.domain.bulk import BulkAction
from shared.domain.errors import StoreUnavailableError
from shared.domain.events import Source
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import JobStatus, Outcome
from shared.gateways.queues import read_bulk, write_bulk
from shared.usecases.audit_job import AuditLane
from shared.usecases.ports import BulkRequest
from shared.usecases.tracker import Note
from tests.builders import a_job, a_worker_job
from tests.fakes.memory_samples import InMemorySamples
from tests.functional.test_dispatch import metrics_of
from tests.unit.usecases.test_run_bulk import World

EVENTS = Path(__file__).parents[2] / "events"


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def event_of(ref: JobRef) -> dict[str, Any]:
    event = sample("bulk_chunk")
    event["Records"][0]["body"] = write_bulk(BulkRequest(ref=ref))
    return event


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    audit = AuditLane(
        tracker=world.bulk.tracker,
        samples=InMemorySamples(world.bulk.tracker.store),
        files=world.bulk.files,
    )
    app = wiring.BulkApp(lane=world.bulk, audit=audit, read=read_bulk)
    monkeypatch.setattr(wiring, "bulk_app", lambda: app)
    return world


def test_a_chunk_is_done_and_counted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    refs = [world.has(a_job()) for _ in range(101)]
    bulk = world.start(BulkAction.CANCEL, *refs)
    assert handler(event_of(bulk), None) == {"batchItemFailures": []}
    assert metrics_of(capsys)["BulkChunk"] == 1
    assert handler(event_of(bulk), None) == {"batchItemFailures": []}
    assert metrics_of(capsys)["BulkDone"] == 1
    assert world.job(bulk).status is JobStatus.COMPLETED
    assert handler(event_of(bulk), None) == {"batchItemFailures": []}
    assert metrics_of(capsys)["BulkNothing"] == 1


def test_the_sample_of_a_deleted_bulk_job_is_no_failure(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handler(sample("bulk_chunk"), None) == {"batchItemFailures": []}
    assert metrics_of(capsys)["BulkNothing"] == 1


def test_what_none_of_our_functions_sends_goes_to_the_dead_letters(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    event = sample("bulk_malformed")
    failed = [{"itemIdentifier": event["Records"][0]["messageId"]}]
    assert handler(event, None) == {"batchItemFailures": failed}
    assert metrics_of(capsys)["BulkMalformed"] == 1


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_while_the_table_is_out_the_message_comes_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    bulk = world.start(BulkAction.CANCEL, world.has(a_job()))

    def out(ref: JobRef) -> Job:
        raise StoreUnavailableError("The table is out.")

    world.store.get = out  # type: ignore[method-assign]
    event = event_of(bulk)
    failed = [{"itemIdentifier": event["Records"][0]["messageId"]}]
    assert handler(event, None) == {"batchItemFailures": failed}
    assert metrics_of(capsys)["BulkUnavailable"] == 1


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_on_schedule_it_audits_and_tells_that_it_lives(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    job = a_worker_job()
    note = Note(source=Source.USER, outcome=Outcome.APPLIED, message="Created.")
    world.store.create(job, entry=world.bulk.tracker.entry(note, None, job, job.created_at))
    world.clock.advance(3600)
    assert handler(sample("audit"), None) == {"jobs": 1, "shops": 1, "differences": 0}
    assert metrics_of(capsys)["AuditDifferences"] == 0
    world.has(a_worker_job())  # and nothing on its timeline says where it came from
    assert handler(sample("audit"), None) == {"jobs": 2, "shops": 1, "differences": 1}
    told = metrics_of(capsys)
    assert (told["AuditDifferences"], told["AuditedJobs"]) == (1, 2)


def test_an_audit_without_a_table_says_nothing_of_differences(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def out(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError("The table is out.")

    monkeypatch.setattr(InMemorySamples, "draw", out)
    assert handler(sample("audit"), None) == {}
    told = metrics_of(capsys)
    assert told["AuditUnavailable"] == 1
    assert "AuditDifferences" not in told
