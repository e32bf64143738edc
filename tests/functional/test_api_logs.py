"""functions/api: entries that people and programs put on a timeline, and what lies beside them."""

import base64
import random
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.errors import VersionConflictError
from shared.domain.events import LogEntry, Source
from shared.domain.job import Job
from shared.domain.status import JobStatus, Outcome
from shared.usecases.delete_job import delete_job
from tests.api_world import ADMIN, Reply, World, digest, world
from tests.builders import OTHER_SHOP, SHOP, a_completed_job, a_dispatched_job, a_job, a_worker_job
from tests.fakes.clock import START

__all__ = ["world"]

# Chance does not pack: big also when it is gzipped.
BIG = [base64.b64encode(random.Random(7).randbytes(3_000)).decode()]


class Agent:
    """An agent of SHOP, and what it calls with."""

    def __init__(self, world: World, name: str = "one") -> None:
        made = world.post("/api/admin/agents", {"name": name}).json
        self.world, self.agent_id, self.key = world, made["agent"]["id"], made["secret"]

    def call(self, method: str, path: str, **more: Any) -> Reply:
        return self.world.call(method, path, key=self.key, shop=None, **more)

    def job(self) -> str:
        made = self.call("POST", "/api/jobs", json_body={"name": "Write a text"})
        return str(made.job["id"])


def append(world: World, job_id: str, /, **said: Any) -> Any:
    reply = world.post(f"/api/jobs/{job_id}/logs", said)
    assert reply.status == 201, reply.text
    return reply.json["log"]


def read(world: World, job_id: str, log_id: str, **more: Any) -> Any:
    reply = world.get(f"/api/jobs/{job_id}/logs/{log_id}", **more)
    assert reply.status == 200, reply.text
    return reply.json


def logs(world: World, job_id: str, **query: str) -> list[Any]:
    found: list[Any] = world.get(f"/api/jobs/{job_id}/logs", query=query).json["logs"]
    return found


def at_work() -> Job:
    return a_worker_job(status=JobStatus.PROCESSING, started_at=START, reported_at=START)


def payload_files(world: World) -> list[str]:
    return [key for key in world.files.stored if "/logs/" in key]


# --- appending -------------------------------------------------------------------------


def test_an_entry_tells_who_what_and_holds_what_was_got_and_given(world: World) -> None:
    job = world.has(a_worker_job())
    log = append(
        world,
        job.job_id,
        message="No agent fits.",
        nativeStatus="MATCHING_FAILED",
        requestPayload={"candidates": [1, 2]},
        responsePayload="none",
    )
    assert (log["message"], log["nativeStatus"]) == ("No agent fits.", "MATCHING_FAILED")
    assert (log["source"], log["actor"]) == ("admin", f"admin:{digest(ADMIN)[:8]}")
    assert (log["from"], log["to"], log["outcome"]) == ("pending", "pending", "noted")
    assert (log["hasPayload"], log["hasBody"]) == (True, False)
    assert logs(world, job.job_id) == [log]
    assert read(world, job.job_id, log["id"]) == {
        "success": True,
        "log": log,
        "request": {"candidates": [1, 2]},
        "response": "none",
        "body": None,
        "bodyEncoding": None,
    }
    assert world.job(job.job_id) == job
    assert payload_files(world) == []


@pytest.mark.parametrize("value", [False, 0, "", [], {}, "text", [1, {"a": None}], 1.5])
def test_any_json_is_a_payload(world: World, value: Any) -> None:
    job = world.has(a_worker_job())
    log = append(world, job.job_id, message="x", requestPayload=value)
    assert read(world, job.job_id, log["id"])["request"] == value


def test_numbers_that_javascript_would_round_are_strings(world: World) -> None:
    job = world.has(a_worker_job())
    log = append(world, job.job_id, responsePayload={"id": 2**60})
    assert read(world, job.job_id, log["id"])["response"] == {"id": str(2**60)}


def test_a_null_is_no_payload(world: World) -> None:
    job = world.has(a_worker_job())
    log = append(world, job.job_id, message="x", requestPayload=None)
    assert log["hasPayload"] is False


def test_big_payloads_lie_in_the_jobs_folder(world: World) -> None:
    job = world.has(a_worker_job())
    log = append(world, job.job_id, requestPayload=BIG, responsePayload={"ok": True})
    key = f"shops/{SHOP}/jobs/{job.job_id}/logs/{log['id']}.json"
    assert payload_files(world) == [key]
    found = read(world, job.job_id, log["id"])
    assert (found["request"], found["response"]) == (BIG, {"ok": True})
    assert world.store.payload(job.ref, log["id"]) is None


def test_a_payload_whose_file_is_lost_is_shown_as_none(world: World) -> None:
    job = world.has(a_worker_job())
    log = append(world, job.job_id, requestPayload=BIG)
    world.files.stored.clear()
    assert read(world, job.job_id, log["id"])["request"] is None


def test_an_entry_may_be_added_at_any_time_and_changes_nothing(world: World) -> None:
    for job in (a_completed_job(), a_dispatched_job(attempt={"provider_job_id": "pk_2"})):
        world.has(job)
        append(world, job.job_id, message="Looked at it.")
        assert world.job(job.job_id) == job


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": ""},
        {"message": "  "},
        {"requestPayload": None},
        {"nativeStatus": "x" * 61},
        {"nativeStatus": "two\nlines"},
        {"message": 1},
        {"odd": 1},
    ],
)
def test_an_entry_that_says_nothing_or_nonsense_is_refused(
    world: World, body: dict[str, Any]
) -> None:
    job = world.has(a_worker_job())
    reply = world.post(f"/api/jobs/{job.job_id}/logs", body)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert logs(world, job.job_id) == []


def test_a_payload_over_the_bodys_limit_is_too_large(world: World) -> None:
    job = world.has(a_worker_job())
    body = {"requestPayload": "x" * 256 * 1024}
    reply = world.post(f"/api/jobs/{job.job_id}/logs", body)
    assert (reply.status, reply.code) == (413, "too_large")


def test_a_payload_as_large_as_the_body_may_be_is_kept(world: World) -> None:
    job = world.has(a_worker_job())
    text = "x" * 250_000
    log = append(world, job.job_id, requestPayload=text)
    assert read(world, job.job_id, log["id"])["request"] == text


def test_our_own_bulk_jobs_are_not_written_on(world: World) -> None:
    job = world.has(a_worker_job(type="bulk.cancel"))
    reply = world.post(f"/api/jobs/{job.job_id}/logs", {"message": "x"})
    assert (reply.status, reply.code) == (409, "not_a_worker_job")


def test_the_same_call_adds_one_entry(world: World) -> None:
    job = world.has(a_worker_job())
    headers = {"idempotency-key": "k1"}
    path = f"/api/jobs/{job.job_id}/logs"
    first, second = (world.post(path, {"message": "x"}, headers=headers) for _ in range(2))
    assert first.json == second.json
    assert len(logs(world, job.job_id)) == 1


class DiedError(Exception):
    """The function ended in the middle: whatever came next did not happen."""


CALLS = [("files", "put"), ("store", "note"), ("receipts", "finish")]


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("port", "name"), CALLS, ids=[name for _, name in CALLS])
def test_an_entry_whose_call_died_is_made_once(
    world: World, monkeypatch: pytest.MonkeyPatch, port: str, name: str, is_done: bool
) -> None:
    job = world.has(a_worker_job())
    call = getattr(getattr(world, port), name)

    def dying(*arguments: Any) -> None:
        if is_done:
            call(*arguments)
        raise DiedError

    path, body = f"/api/jobs/{job.job_id}/logs", {"message": "x", "requestPayload": BIG}
    headers = {"idempotency-key": "once"}
    with monkeypatch.context() as patched:
        patched.setattr(getattr(world, port), name, dying)
        assert world.post(path, body, headers=headers).status == 500
    assert all(read(world, job.job_id, log["id"])["request"] for log in logs(world, job.job_id))
    world.clock.advance(61)
    again = world.post(path, body, headers=headers)
    assert again.status == 201
    (log,) = logs(world, job.job_id)
    assert log == again.json["log"]
    assert read(world, job.job_id, log["id"])["request"] == BIG
    assert log["hasPayload"] is True
    other = world.post(path, {"message": "x"}, headers={"idempotency-key": "another"})
    assert len(logs(world, job.job_id)) == 2
    assert other.json["log"]["id"] != log["id"]


def test_a_full_timeline_says_so_and_leaves_no_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.memory.MAX_LOG_ENTRIES", 1)
    job = world.has(a_worker_job())
    append(world, job.job_id, message="first")
    reply = world.post(f"/api/jobs/{job.job_id}/logs", {"requestPayload": BIG})
    assert (reply.status, reply.code) == (409, "wrong_status")
    assert payload_files(world) == []
    assert world.get(f"/api/jobs/{job.job_id}/logs").json["dropped"] == 1


def test_without_the_bucket_nothing_is_noted(world: World) -> None:
    job = world.has(a_worker_job())
    world.files.broken = True
    assert world.post(f"/api/jobs/{job.job_id}/logs", {"requestPayload": BIG}).status == 503
    assert logs(world, job.job_id) == []


def test_an_entry_for_a_job_that_goes_meanwhile_leaves_no_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.has(a_completed_job())
    put = world.files.put

    def put_and_delete(key: str, body: bytes, content_type: str) -> None:
        put(key, body, content_type)
        world.store.delete(job)

    monkeypatch.setattr(world.files, "put", put_and_delete)
    assert world.post(f"/api/jobs/{job.job_id}/logs", {"requestPayload": BIG}).status == 404
    assert payload_files(world) == []


# --- with a report -----------------------------------------------------------------------


def test_a_report_carries_its_payloads(world: World) -> None:
    job = world.has(at_work())
    body = {
        "status": "completed",
        "log": {"message": "Judged good.", "requestPayload": {"q": 1}, "responsePayload": BIG},
    }
    assert world.call("PATCH", f"/api/jobs/{job.job_id}", json_body=body).status == 200
    (log,) = logs(world, job.job_id)
    assert (log["from"], log["to"], log["outcome"]) == ("processing", "completed", "applied")
    assert log["message"] == "The worker says completed. Judged good."
    assert (log["nativeStatus"], log["source"]) == ("completed", "worker")
    found = read(world, job.job_id, log["id"])
    assert (found["request"], found["response"]) == ({"q": 1}, BIG)


def test_a_report_with_documents_carries_them_too(world: World) -> None:
    job = world.has(at_work())
    body = {"result": {"text": BIG}, "metadata": {"a": 1}, "log": {"requestPayload": BIG}}
    reply = world.call("PATCH", f"/api/jobs/{job.job_id}", json_body=body)
    assert reply.job["result"] == {"text": BIG}
    (log,) = logs(world, job.job_id)
    assert read(world, job.job_id, log["id"])["request"] == BIG


def test_a_heartbeat_with_a_log_is_on_the_timeline(world: World) -> None:
    job = world.has(at_work())
    body = {"log": {"nativeStatus": "THINKING"}}
    world.clock.advance(1)
    assert world.call("PATCH", f"/api/jobs/{job.job_id}", json_body=body).status == 200
    (log,) = logs(world, job.job_id)
    assert (log["nativeStatus"], log["outcome"], log["message"]) == ("THINKING", "duplicate", "")
    assert world.job(job.job_id).reported_at == world.clock.now()


def test_a_report_that_is_refused_leaves_no_file(world: World) -> None:
    job = world.has(a_dispatched_job())
    body = {"status": "completed", "log": {"requestPayload": BIG}}
    reply = world.call("PATCH", f"/api/jobs/{job.job_id}", json_body=body)
    assert (reply.status, reply.code) == (409, "not_a_worker_job")
    assert payload_files(world) == []


def test_a_report_that_others_overtake_leaves_one_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.has(at_work())
    save, tries = world.store.save, 0

    def save_at_second_try(*args: Any, **more: Any) -> Job:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise VersionConflictError("The job was changed meanwhile.")
        return save(*args, **more)

    monkeypatch.setattr(world.store, "save", save_at_second_try)
    body = {"status": "completed", "log": {"requestPayload": BIG}}
    assert world.call("PATCH", f"/api/jobs/{job.job_id}", json_body=body).status == 200
    (log,) = logs(world, job.job_id)
    assert payload_files(world) == [f"shops/{SHOP}/jobs/{job.job_id}/logs/{log['id']}.json"]


def test_a_report_beyond_the_timelines_cap_is_taken_and_leaves_no_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.memory.MAX_LOG_ENTRIES", 0)
    job = world.has(at_work())
    body = {"status": "completed", "log": {"requestPayload": BIG}}
    reply = world.call("PATCH", f"/api/jobs/{job.job_id}", json_body=body)
    assert reply.job["status"] == "completed"
    assert payload_files(world) == []


# --- reading -----------------------------------------------------------------------------


def delivered(world: World, job: Job, body: bytes) -> str:
    """Put a webhook's entry on the timeline, as the webhook function does; return its id."""
    at = world.clock.now()
    entry = LogEntry(
        entry_id=world.tracker.new_id(at),
        at=at,
        source=Source.WEBHOOK,
        outcome=Outcome.APPLIED,
        message="The provider says completed.",
        body=body,
        body_sha256="ab" * 32,
    )
    assert world.store.note(job.ref, entry)
    return entry.entry_id


def test_a_raw_delivery_is_shown_as_data_for_thirty_days(world: World) -> None:
    job = world.has(a_job())
    html = b"<script>alert(1)</script>"
    log_id = delivered(world, job, html)
    reply = world.get(f"/api/jobs/{job.job_id}/logs/{log_id}")
    assert (reply.json["body"], reply.json["bodyEncoding"]) == (html.decode(), "text")
    assert reply.json["log"]["hasBody"] is True
    assert reply.headers["content-type"].startswith("application/json")
    world.clock.advance(timedelta(days=30).total_seconds())
    later = read(world, job.job_id, log_id)
    assert (later["body"], later["bodyEncoding"], later["log"]["hasBody"]) == (None, None, False)


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"\x01" * 1_000_000])
def test_what_is_no_text_is_shown_in_base64(world: World, body: bytes) -> None:
    job = world.has(a_job())
    found = read(world, job.job_id, delivered(world, job, body))
    assert found["bodyEncoding"] == "base64"
    assert base64.b64decode(found["body"]) == body


def test_an_entry_that_is_not_there_is_not_found(world: World) -> None:
    job = world.has(a_job())
    other = world.has(a_job())
    log_id = delivered(world, other, b"x")
    for name in (log_id, f"BODY%23{log_id}", f"BODY#{log_id}", "x", "stats"):
        assert world.get(f"/api/jobs/{job.job_id}/logs/{name}").status == 404
    assert world.get(f"/api/jobs/{other.job_id}/logs/{log_id}", shop=OTHER_SHOP).status == 404


def test_the_timeline_is_filtered_by_source_and_actor(world: World) -> None:
    job = world.has(a_worker_job())
    delivered(world, job, b"x")
    for number in range(3):
        world.clock.advance(1)
        append(world, job.job_id, message=str(number))
    actor = f"admin:{digest(ADMIN)[:8]}"
    assert [log["message"] for log in logs(world, job.job_id, source="admin")] == ["2", "1", "0"]
    assert len(logs(world, job.job_id, actor=actor)) == 3
    assert len(logs(world, job.job_id, actor=actor.partition(":")[2])) == 3
    assert logs(world, job.job_id, source="webhook", actor=actor) == []
    page = world.get(f"/api/jobs/{job.job_id}/logs", query={"source": "admin", "limit": "2"}).json
    rest = {"source": "admin", "limit": "2", "cursor": page["nextCursor"]}
    assert [log["message"] for log in logs(world, job.job_id, **rest)] == ["0"]
    stray = world.get(f"/api/jobs/{job.job_id}/logs", query={"cursor": page["nextCursor"]})
    assert stray.status == 400
    assert world.get(f"/api/jobs/{job.job_id}/logs", query={"source": "moon"}).status == 400


# --- agents, and the end ------------------------------------------------------------------


def test_an_agent_writes_on_and_reads_its_own_jobs_only(world: World) -> None:
    one, two = Agent(world), Agent(world, "two")
    job_id = one.job()
    path = f"/api/jobs/{job_id}/logs"
    made = one.call("POST", path, json_body={"requestPayload": {"prompt": "Write"}})
    log = made.json["log"]
    assert (made.status, log["source"], log["actor"]) == (201, "worker", f"agent:{one.agent_id}")
    assert one.call("GET", f"{path}/{log['id']}").json["request"] == {"prompt": "Write"}
    assert two.call("POST", path, json_body={"message": "x"}).status == 404
    assert two.call("GET", f"{path}/{log['id']}").status == 404
    assert len(logs(world, job_id, actor=one.agent_id)) == 2


def test_an_agent_gets_no_raw_delivery(world: World) -> None:
    agent = Agent(world)
    job = world.job(agent.job())
    log_id = delivered(world, job, b"from the provider")
    found = agent.call("GET", f"/api/jobs/{job.job_id}/logs/{log_id}").json
    assert (found["body"], found["log"]["hasBody"]) == (None, False)
    listed = agent.call("GET", f"/api/jobs/{job.job_id}/logs").json["logs"]
    assert not any(log["hasBody"] for log in listed)
    assert read(world, job.job_id, log_id)["body"] == "from the provider"


def test_payloads_go_with_the_job(world: World) -> None:
    job = world.has(a_completed_job())
    append(world, job.job_id, requestPayload=BIG)
    small = append(world, job.job_id, requestPayload=1)
    assert world.call("DELETE", f"/api/jobs/{job.job_id}").status == 200
    assert payload_files(world) == []
    assert world.store.payload(job.ref, small["id"]) is None


def test_a_payload_that_comes_while_its_job_goes_is_removed_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.has(a_completed_job())
    delete = world.store.delete

    def append_and_delete(job: Job) -> list[str]:
        append(world, job.job_id, requestPayload=BIG)
        return delete(job)

    monkeypatch.setattr(world.store, "delete", append_and_delete)
    delete_job(world.tracker, world.files, job.ref)
    assert payload_files(world) == []
