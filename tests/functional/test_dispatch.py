"""functions/dispatch, from an SQS batch to its partial batch response."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.dispatch.app import handler
from shared import wiring
from shared.domain.errors import ProviderUnknownOutcomeError, StoreUnavailableError
from shared.domain.ids import JobRef
from shared.domain.status import JobStatus, PushStatus
from shared.gateways.queues import read_dispatch
from shared.providers.pikcel import PikcelAdapter
from shared.usecases.documents import shelve
from tests.builders import (
    RESULT_URL,
    SHOP,
    a_completed_job,
    a_dispatched_job,
    a_job,
)
from tests.fakes.provider_api import Fault, a_refusal
from tests.unit.usecases.lane_world import LaneWorld
from tests.unit.usecases.openai_world import OpenaiWorld

EVENTS = Path(__file__).parents[2] / "events"
JOB_IDS = [f"019aab7c-5e00-7000-8000-00000000000{number}" for number in (1, 2, 3)]
REF = JobRef(SHOP, JOB_IDS[0])
DONE: dict[str, list[Any]] = {"batchItemFailures": []}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> LaneWorld:
    world = LaneWorld()
    app = wiring.DispatchApp(lane=world.lane, read=read_dispatch)
    monkeypatch.setattr(wiring, "dispatch_app", lambda: app)
    return world


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"dispatch_{name}.json").read_text())
    return event


def metrics_of(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Sum what the handler printed in CloudWatch's embedded metric format."""
    found: dict[str, float] = {}
    for line in capsys.readouterr().out.splitlines():
        told = json.loads(line)
        for group in told.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in group["Metrics"]:
                name = metric["Name"]
                found[name] = found.get(name, 0) + sum(told[name])
    return found


def completions_of(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, float, float]]:
    """Return what is told per provider of each completion: provider, share in percent, lead."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [line for line in lines if "provider" in line and "_aws" in line]
    for line in told:
        [group] = line["_aws"]["CloudWatchMetrics"]
        assert group["Namespace"] == "JobTracker"
        assert group["Dimensions"] == [["provider", "service"]]
        assert [each["Name"] for each in group["Metrics"]] == ["LearntByPoll", "PollLead"]
    return [(line["provider"], *line["LearntByPoll"], *line["PollLead"]) for line in told]


def test_a_message_creates_its_job(world: LaneWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world.has(a_job(job_id=REF.job_id))
    assert handler(sample("job"), None) == DONE
    assert world.job(REF).provider_job_id == "pk_1"
    assert metrics_of(capsys) == {"JobCreatedAtProvider": 1}


def test_a_repeated_message_does_nothing(world: LaneWorld) -> None:
    world.has(a_job(job_id=REF.job_id))
    for _ in range(3):
        assert handler(sample("job"), None) == DONE
    assert len(world.api.created) == 1


def test_a_message_about_no_job_is_done(world: LaneWorld) -> None:
    assert handler(sample("job"), None) == DONE


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_poll_that_learns_a_completion_is_counted(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has(a_dispatched_job(job_id=REF.job_id))
    world.api.has("pk_1", "completed", output_image_url=RESULT_URL)
    assert handler(sample("poll"), None) == DONE
    counted = {"CompletedByPoll": 1, "LearntByPoll": 100, "PollLead": 1}
    assert metrics_of(capsys) == {"Polled": 1, **counted}


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
@pytest.mark.parametrize(
    "changes",
    [
        # Its webhook told us to ask, or somebody who waits did.
        {"poll_wanted": True},
        # It was registered: whoever made it had it call back where they wanted.
        {"attempt": {"intent_at": None}},
        {"status": JobStatus.COMPLETED},
    ],
    ids=["asked-for", "made-elsewhere", "known-already"],
)
def test_a_completion_that_no_webhook_of_ours_was_to_tell_is_no_silence(
    world: LaneWorld, capsys: pytest.CaptureFixture[str], changes: dict[str, Any]
) -> None:
    world.has(a_dispatched_job(job_id=REF.job_id, **changes))
    world.api.has("pk_1", "completed", output_image_url=RESULT_URL)
    assert handler(sample("poll"), None) == DONE
    assert metrics_of(capsys) == {"Polled": 1}


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_provider_that_never_calls_back_is_not_silent(
    world: LaneWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PikcelAdapter, "calls_back", False)
    world.has(a_dispatched_job(job_id=REF.job_id))
    world.api.has("pk_1", "completed", output_image_url=RESULT_URL)
    assert handler(sample("poll"), None) == DONE
    assert metrics_of(capsys) == {"Polled": 1}


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_silent_completion_is_counted_for_its_provider(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has(a_dispatched_job(job_id=REF.job_id))
    world.api.has("pk_1", "completed", output_image_url=RESULT_URL)
    handler(sample("poll"), None)
    assert completions_of(capsys) == [("pikcel", 100, 1)]


def test_one_message_polls_many(world: LaneWorld, capsys: pytest.CaptureFixture[str]) -> None:
    for number, job_id in enumerate(JOB_IDS):
        world.has(a_dispatched_job(job_id=job_id, attempt={"provider_job_id": f"pk_{number}"}))
        world.api.has(f"pk_{number}", "completed", output_image_url=RESULT_URL)
    world.at(60)
    assert handler(sample("poll_many"), None) == DONE
    assert len(world.api.calls) == 1
    counted = {"CompletedByPoll": 3, "LearntByPoll": 300, "PollLead": 3}
    assert metrics_of(capsys) == {"Polled": 3, **counted}


def test_a_completed_job_is_kept_and_its_push_queued(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has(a_completed_job(job_id=REF.job_id, auto_push=True))
    world.link_works(RESULT_URL)
    assert handler(sample("job"), None) == DONE
    assert world.job(REF).push.status is PushStatus.QUEUED
    assert metrics_of(capsys) == {"OutputKept": 1}


def test_limits_never_use_up_receives(world: LaneWorld) -> None:
    world.has(a_job(job_id=REF.job_id))
    world.use_up_the_limit()
    assert handler(sample("job"), None) == DONE
    assert world.job(REF).due_at is not None


def test_a_lost_answer_never_uses_up_receives(world: LaneWorld) -> None:
    world.has(a_job(job_id=REF.job_id))
    world.api.faults.append(Fault(error=ProviderUnknownOutcomeError("lost")))
    assert handler(sample("job"), None) == DONE


def test_a_malformed_message_is_returned_for_the_dead_letter_queue(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    event = sample("malformed")
    failed = [{"itemIdentifier": event["Records"][0]["messageId"]}]
    assert handler(event, None) == {"batchItemFailures": failed}
    assert metrics_of(capsys) == {"DispatchMalformed": 1}


def test_only_the_failing_message_of_a_batch_comes_again(world: LaneWorld) -> None:
    world.has(a_job(job_id=REF.job_id))
    bad, good = sample("malformed")["Records"][0], sample("job")["Records"][0]
    event = {"Records": [dict(bad, messageId="bad"), dict(good, messageId="good")]}
    assert handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert world.job(REF).provider_job_id == "pk_1"


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_missing_secret_raises_an_alarm_and_the_message_comes_again(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has(a_job(job_id=REF.job_id))
    world.secrets.broken = True
    assert len(handler(sample("job"), None)["batchItemFailures"]) == 1
    assert metrics_of(capsys) == {"SecretUnavailable": 1}
    world.secrets.broken = False
    assert handler(sample("job"), None) == DONE
    assert world.job(REF).provider_job_id == "pk_1"


def test_a_table_that_is_out_has_the_message_come_again(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out(_: JobRef) -> None:
        raise StoreUnavailableError("The table is out.")

    monkeypatch.setattr(world.store, "get", out)
    assert len(handler(sample("job"), None)["batchItemFailures"]) == 1


def test_parameters_that_are_lost_are_an_error_of_ours(
    world: LaneWorld, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.has(shelve(world.files, a_job(job_id=REF.job_id, metadata={"x": "y" * 2_000})))
    world.files.stored.clear()
    assert handler(sample("job"), None) == DONE
    assert metrics_of(capsys)["DocumentsLost"] == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_bucket_that_is_out_has_the_message_come_again(world: LaneWorld) -> None:
    world.has(shelve(world.files, a_job(job_id=REF.job_id, metadata={"x": "y" * 2_000})))
    world.files.broken = True
    event = sample("job")
    failed = [{"itemIdentifier": event["Records"][0]["messageId"]}]
    assert handler(event, None) == {"batchItemFailures": failed}


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_key_that_the_provider_refuses_is_an_error_of_ours(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has(a_job(job_id=REF.job_id))
    world.api.faults.append(Fault(reply=a_refusal(401, "UNAUTHORIZED", "Bad key")))
    assert handler(sample("job"), None) == DONE
    assert metrics_of(capsys) == {"ProviderUnauthorized": 1}
    assert world.job(REF).status is JobStatus.PENDING


# Powertools warns that a crashed run has no metrics; the crash itself is what counts.
@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_bug_is_not_swallowed(world: LaneWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_: JobRef) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(world.store, "get", bug)
    with pytest.raises(RuntimeError):
        handler(sample("job"), None)


def test_the_provider_is_asked_for_its_tools(
    world: LaneWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handler(sample("refresh"), None) == DONE
    assert metrics_of(capsys) == {"ProviderRefreshed": 1}
    assert [call.path for call in world.api.calls] == ["/api/ai-models"]


def test_a_provider_is_asked_whose_a_parked_delivery_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = OpenaiWorld()
    app = wiring.DispatchApp(lane=world.lane, read=read_dispatch)
    monkeypatch.setattr(wiring, "dispatch_app", lambda: app)
    ref = world.has_unanswered()
    world.api.end("resp_1")
    world.deliver()
    assert handler(sample("find_owner"), None) == DONE
    assert world.job(ref).status is JobStatus.COMPLETED
    assert handler(sample("find_owner"), None) == DONE
    assert metrics_of(capsys) == {"AnswerFound": 1, "DispatchNothing": 1}


def test_what_is_nobodys_here_is_no_trouble(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = OpenaiWorld()
    app = wiring.DispatchApp(lane=world.lane, read=read_dispatch)
    monkeypatch.setattr(wiring, "dispatch_app", lambda: app)
    assert handler(sample("find_owner"), None) == DONE
    assert metrics_of(capsys) == {"DispatchNothing": 1}
