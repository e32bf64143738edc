"""functions/api: work that other programs do, by our own routes and by the sync app's."""

from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.job import TIMED_OUT, Job
from shared.domain.status import JobStatus
from shared.usecases.sweep_due_jobs import sweep_due_jobs
from tests.api_world import Reply, World, world
from tests.builders import OTHER_SHOP, SHOP, a_completed_job, a_dispatched_job, a_job, a_worker_job

__all__ = ["world"]

SYNC = "/api/sync/job-progress"


def patch(world: World, job_id: str, /, **report: Any) -> Reply:
    return world.call("PATCH", f"/api/jobs/{job_id}", json_body=report)


def start(world: World, **more: Any) -> dict[str, Any]:
    reply = world.post(SYNC, {"type": "PRODUCT_SYNC", "total": 200, **more})
    assert reply.status == 200, reply.text
    found: dict[str, Any] = reply.json["data"]
    return found


def sync_patch(world: World, job_id: str, /, **report: Any) -> Reply:
    return world.call("PATCH", SYNC, json_body={"jobId": job_id, **report})


# --- PATCH /api/jobs/{id} ------------------------------------------------------------


def test_a_worker_reports_from_start_to_end(world: World) -> None:
    body = {"type": "catalog_pull", "total": 200, "name": "Nightly pull"}
    job_id = world.post("/api/jobs", body).job["id"]
    assert patch(world, job_id, status="RUNNING").job["nativeStatus"] == "RUNNING"
    world.clock.advance(10)
    shown = patch(
        world,
        job_id,
        processed=50,
        successful=40,
        failed=4,
        created=30,
        updated=10,
        skipped=6,
        message="page 5",
        metadata={"page": 5},
    ).job
    assert (shown["progress"], shown["speed"], shown["etaSeconds"]) == (25, 5.0, 30)
    assert [shown[n] for n in ("successful", "failed", "created", "updated", "skipped")] == [
        40,
        4,
        30,
        10,
        6,
    ]
    assert (shown["message"], shown["metadata"]) == ("page 5", {"page": 5})
    world.clock.advance(30)
    done = patch(world, job_id, status="succeeded", processed=200, result={"pages": 20}).job
    assert (done["status"], done["progress"], done["result"]) == ("completed", 100, {"pages": 20})
    assert (done["durationMs"], done["speed"], done["etaSeconds"]) == (40_000, 5.0, None)
    stats = world.get("/api/jobs/stats").json["stats"]
    assert (stats["completed"], stats["averageProcessingTime"]) == (1, 40_000)
    log = world.get(f"/api/jobs/{job_id}/logs").json["logs"]
    assert [(line["source"], line["to"]) for line in log] == [
        ("worker", "completed"),
        ("worker", "processing"),
        ("admin", "pending"),
    ]


def test_an_empty_report_is_a_heartbeat(world: World) -> None:
    job_id = start(world)["id"]
    for _ in range(5):
        world.clock.advance(200)
        assert patch(world, job_id).status == 200
        sweep_due_jobs(world.tracker)
    assert world.job(job_id).status is JobStatus.PROCESSING
    world.clock.advance(301)
    sweep_due_jobs(world.tracker)
    shown = world.get(f"/api/jobs/{job_id}").job
    assert (shown["status"], shown["errorCode"]) == ("failed", TIMED_OUT)
    assert patch(world, job_id, status="completed").job["status"] == "completed"


def test_a_cancel_reaches_the_worker_with_the_answer_to_its_next_report(world: World) -> None:
    job_id = start(world)["id"]
    assert patch(world, job_id, processed=3).job["cancelRequested"] is False
    world.post("/api/jobs/cancel", {"jobId": job_id})
    before = world.job(job_id)
    for report in ({"processed": 9}, {}, {"status": "completed"}):
        reply = patch(world, job_id, **report)
        assert (reply.status, reply.job["cancelRequested"]) == (200, True)
        assert (reply.job["status"], reply.job["processed"]) == ("cancelled", 3)
    assert world.job(job_id) == before


@pytest.mark.parametrize("job", [a_job(), a_dispatched_job(), a_worker_job(type="bulk.retry")])
def test_nobody_reports_on_what_no_program_of_theirs_does(world: World, job: Job) -> None:
    world.has(job)
    for reply in (patch(world, job.job_id, processed=1), sync_patch(world, job.job_id)):
        assert (reply.status, reply.code) == (409, "not_a_worker_job")


@pytest.mark.parametrize(
    "report",
    [
        {"processed": -1},
        {"processed": 1.5},
        {"processed": "1"},
        {"processed": True},
        {"total": 2**53 + 1},
        {"status": "exploded"},
        {"status": None, "nonsense": 1},
        {"metadata": [1]},
        {"attempt": 0},
        {"progress": "50"},
        {"priority": "asap"},
    ],
)
def test_a_wrong_report_is_refused_and_named(world: World, report: dict[str, Any]) -> None:
    job = world.has(a_worker_job())
    reply = patch(world, job.job_id, **report)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert world.job(job.job_id) == job


def test_a_long_stack_trace_does_not_keep_a_job_from_ending(world: World) -> None:
    job_id = start(world)["id"]
    failed = patch(world, job_id, status="failed", error="\x1b[31m" + "x" * 50_000).job
    assert failed["status"] == "failed"
    assert len(failed["errorMessage"]) == 5000
    assert "\x1b" not in failed["errorMessage"]


def test_metadata_cannot_grow_beyond_what_a_job_may_hold(world: World) -> None:
    job_id = start(world, metadata={"a": "x" * 40_000})["id"]
    reply = patch(world, job_id, metadata={"b": "x" * 40_000})
    assert (reply.status, reply.code) == (413, "too_large")
    assert patch(world, job_id, metadata={"a": "x" * 60_000}).status == 200


def test_an_owner_edits_a_pending_job_only(world: World) -> None:
    job = world.has(a_worker_job(description="Old"))
    edited = patch(
        world, job.job_id, name="New", description=None, acceptanceCriteria="Neat", priority="high"
    ).job
    assert (edited["name"], edited["description"], edited["priority"]) == ("New", None, "high")
    assert edited["acceptanceCriteria"] == "Neat"
    assert edited["status"] == "pending"
    patch(world, job.job_id, processed=1)
    reply = patch(world, job.job_id, name="Newer")
    assert (reply.status, reply.code) == (409, "wrong_status")
    log = world.get(f"/api/jobs/{job.job_id}/logs").json["logs"]
    assert log[-1]["message"] == "Edited: acceptance criteria, description, name, priority."


def test_an_edit_and_a_report_in_one_call_are_both_on_the_timeline(world: World) -> None:
    job = world.has(a_worker_job())
    patch(world, job.job_id, name="New", status="running")
    newest = world.get(f"/api/jobs/{job.job_id}/logs").json["logs"][0]
    assert newest["message"] == "Edited: name. The worker says running."


def test_an_edit_that_says_nothing_is_no_report(world: World) -> None:
    mine, theirs = world.has(a_worker_job()), world.has(a_job())
    for job in (mine, theirs):
        assert patch(world, job.job_id, priority=None).status == 200
        assert world.job(job.job_id) == job


# --- the sync app's API --------------------------------------------------------------


def test_a_sync_job_lives_in_its_own_words(world: World) -> None:
    job = start(world, metadata={"syncMode": "full"})
    assert (job["status"], job["total"], job["processed"]) == ("RUNNING", 200, 0)
    assert job["startedAt"] == job["createdAt"]
    assert (job["metadata"], job["storeId"], job["error"]) == ({"syncMode": "full"}, SHOP, None)
    world.clock.advance(10)
    reported = sync_patch(world, job["id"], processed=50, successful=48, failed=2, error="")
    data = reported.json["data"]
    assert (data["progress"], data["speed"], data["etaSeconds"]) == (25, 5.0, 30)
    assert (data["status"], data["completedAt"], data["error"]) == ("RUNNING", None, None)
    ended = sync_patch(world, job["id"], status="FAILED", error="ERR_429").json["data"]
    assert (ended["status"], ended["error"]) == ("FAILED", "ERR_429")
    assert ended["completedAt"] is not None
    assert world.get(SYNC, query={"jobId": job["id"]}).json["data"] == ended


def test_a_second_job_of_a_type_does_not_cancel_the_first(world: World) -> None:
    first, second = start(world), start(world)
    assert world.job(first["id"]).status is JobStatus.PROCESSING
    assert world.get(SYNC, query={"type": "PRODUCT_SYNC"}).json["data"] == {
        "latestJob": second,
        "hasRunningJob": True,
    }


def test_an_exclusive_job_that_nobody_began_gives_way_to_the_next(world: World) -> None:
    """Its program died between making it and its first report: no heartbeat ends it."""
    body = {"type": "PRODUCT_SYNC", "exclusive": True}
    dead = world.post("/api/jobs", body).job
    world.clock.advance(299)
    assert world.post("/api/jobs", body).code == "already_running"
    assert world.job(dead["id"]).status is JobStatus.PENDING
    world.clock.advance(1)
    made = world.post("/api/jobs", body).job
    assert made["status"] == "pending"
    assert (world.job(dead["id"]).status, world.job(dead["id"]).error_code) == (
        JobStatus.FAILED,
        "timed_out",
    )
    assert world.post("/api/jobs", body).code == "already_running"


@pytest.mark.parametrize("waits", ["for its time", "for its agent", "beside others", "heard of"])
def test_a_job_that_waits_or_is_begun_gives_way_to_none(world: World, waits: str) -> None:
    body: dict[str, Any] = {"type": "PRODUCT_SYNC", "exclusive": True}
    agent = world.post("/api/admin/agents", {"name": "robot"}).json["agent"]["id"]
    more = {
        "for its time": {"scheduledAt": "2026-11-22T14:00:00Z"},
        "for its agent": {"agentId": agent},
        "beside others": {"exclusive": False},
        "heard of": {},
    }
    job = world.post("/api/jobs", body | more[waits]).job
    world.clock.advance(3600)
    if waits == "heard of":
        world.call("PATCH", f"/api/jobs/{job['id']}", json_body={"status": "queued"})
    assert world.post("/api/jobs", body).code == "already_running"
    assert world.job(job["id"]).status.is_active


def test_an_exclusive_job_waits_for_the_running_one_and_is_told_which(world: World) -> None:
    running = start(world)
    for path in (SYNC, "/api/jobs"):
        body = {"type": "PRODUCT_SYNC", "total": 1, "exclusive": True}
        reply = world.post(path, body)
        assert (reply.status, reply.code) == (409, "already_running")
        assert reply.json["runningJobId"] == running["id"]
        assert reply.json["details"] == [{"runningJobId": running["id"]}]
    sync_patch(world, running["id"], status="COMPLETED")
    assert start(world, exclusive=True)["status"] == "RUNNING"


def test_a_repeated_creation_with_a_key_makes_one_job(world: World) -> None:
    body = {"type": "PRODUCT_SYNC", "total": 1}
    made = [world.post(SYNC, body, headers={"idempotency-key": "k"}) for _ in range(2)]
    assert made[0].json == made[1].json
    other = world.post(SYNC, {**body, "total": 2}, headers={"idempotency-key": "k"})
    assert (other.status, other.code) == (422, "idempotency_key_reused")


def test_the_latest_of_a_type_may_have_ended_while_an_older_one_runs(world: World) -> None:
    old = start(world)
    world.clock.advance(1)
    new = start(world)
    sync_patch(world, new["id"], status="COMPLETED")
    data = world.get(SYNC, query={"type": "PRODUCT_SYNC"}).json["data"]
    assert (data["latestJob"]["id"], data["hasRunningJob"]) == (new["id"], True)
    sync_patch(world, old["id"], status="COMPLETED")
    assert world.get(SYNC, query={"type": "PRODUCT_SYNC"}).json["data"]["hasRunningJob"] is False
    nothing = {"latestJob": None, "hasRunningJob": False}
    assert world.get(SYNC, query={"type": "OTHER"}).json["data"] == nothing


def test_a_page_has_exact_totals_and_the_last_days_types(world: World) -> None:
    start(world, type="OLD")
    world.clock.advance(25 * 3600)
    ids = []
    for number in range(7):
        world.clock.advance(1)
        ids.append(start(world, type="A" if number % 2 else "B")["id"])
    sync_patch(world, ids[0], status="COMPLETED")
    data = world.get(SYNC, query={"all": "true", "limit": "3", "page": "2"}).json["data"]
    assert [job["id"] for job in data["jobs"]] == ids[1:4][::-1]
    assert (data["totalCount"], data["runningCount"]) == (8, 7)
    assert (data["currentPage"], data["totalPages"]) == (2, 3)
    assert data["stats"] == [
        {"type": "A", "_count": {"id": 3}},
        {"type": "B", "_count": {"id": 4}},
    ]
    beyond = world.get(SYNC, query={"all": "true", "page": "9"}).json["data"]
    assert (beyond["jobs"], beyond["totalCount"]) == ([], 8)


@pytest.mark.parametrize(
    "query", [{}, {"all": "false"}, {"all": "true", "page": "21"}, {"all": "yes"}, {"limit": "0"}]
)
def test_a_question_that_means_nothing_is_refused(world: World, query: dict[str, str]) -> None:
    reply = world.get(SYNC, query=query)
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize("body", [{"type": "X"}, {"total": 3}, {"type": "bulk.retry", "total": 1}])
def test_a_creation_without_type_or_total_is_refused(world: World, body: dict[str, Any]) -> None:
    assert world.post(SYNC, body).status == 400


def test_an_unknown_job_is_not_found(world: World) -> None:
    job = world.has(a_worker_job(shop=OTHER_SHOP))
    assert world.get(SYNC, query={"jobId": job.job_id}).status == 404
    assert sync_patch(world, job.job_id, processed=1).status == 404
    assert sync_patch(world, "nonsense").status == 404
    assert world.call("PATCH", SYNC, json_body={"processed": 1}).status == 400


def test_rows_have_the_titles_and_numbers_of_the_export(world: World) -> None:
    job = start(world, type="PULL_NHANH_PRODUCTS", total=4)
    world.clock.advance(8)
    sync_patch(world, job["id"], status="COMPLETED", processed=4, successful=4)
    reply = world.get("/api/export/jobs").json
    assert reply["total"] == 1
    assert reply["data"] == [
        {
            "Job ID": job["id"],
            "Type": "PULL NHANH PRODUCTS",
            "Status": "COMPLETED",
            "Total": 4,
            "Processed": 4,
            "Successful": 4,
            "Failed": 0,
            "Progress %": 100,
            "Duration (seconds)": 8,
            "Speed": 0.5,
            "Started At": job["startedAt"],
            "Completed At": reply["data"][0]["Completed At"],
            "Error": None,
        }
    ]


def test_export_filters_come_before_the_limit(world: World) -> None:
    wanted = start(world, type="A")["id"]
    for _ in range(3):
        world.clock.advance(1)
        sync_patch(world, start(world, type="B")["id"], status="COMPLETED")

    def rows(name: str, limit: str = "2") -> tuple[list[str], int | None]:
        reply = world.get("/api/export/jobs", query={"filter": name, "limit": limit}).json
        return [row["Job ID"] for row in reply["data"]], reply["total"]

    assert rows("running") == ([wanted], 1)
    assert rows("A") == ([wanted], 1)
    assert len(rows("completed")[0]) == 2
    assert (rows("completed")[1], rows("all")[1]) == (3, 4)
    # All of one type are counted nowhere.
    assert rows("B")[1] is None
    assert rows("B", "3")[1] == 3
    assert rows("failed") == ([], 0)


def test_logs_are_filtered_before_the_limit(world: World) -> None:
    bad = start(world, type="A", metadata={"tier": 1})["id"]
    sync_patch(world, bad, status="FAILED", error="No stock", processed=3)
    for _ in range(5):
        world.clock.advance(1)
        sync_patch(world, start(world, type="B")["id"], status="COMPLETED")
    start(world, type="B")

    def logs(**query: str) -> tuple[list[dict[str, Any]], int | None]:
        data = world.get("/api/logs", query=query).json["data"]
        return data["logs"], data["total"]

    (line,), total = logs(level="error", limit="1")
    assert (line["id"], line["message"], line["source"], total) == (
        bad,
        "A: FAILED (3/200)",
        "A",
        1,
    )
    assert (line["metadata"], line["error"]) == ({"tier": 1}, "No stock")
    assert [line["id"] for line in logs(search="no STOCK", limit="1")[0]] == [bad]
    assert [line["id"] for line in logs(source="A", limit="1")[0]] == [bad]
    assert (len(logs(level="info", limit="2")[0]), logs(level="info", limit="2")[1]) == (2, 5)
    assert [line["level"] for line in logs(level="debug")[0]] == ["debug"]
    assert logs(level="warn") == ([], 0)
    assert (len(logs()[0]), logs()[1]) == (7, 7)


def test_image_jobs_are_told_in_the_same_words(world: World) -> None:
    job = world.has(a_completed_job())
    data = world.get(SYNC, query={"jobId": job.job_id}).json["data"]
    assert (data["status"], data["type"], data["progress"]) == ("COMPLETED", "image", 100)


def test_a_job_that_was_cancelled_by_hand_shows_it_in_the_sync_api(world: World) -> None:
    job = world.has(lifecycle.cancel(a_worker_job(), world.clock.now()))
    data = sync_patch(world, job.job_id, processed=1).json["data"]
    assert (data["status"], data["cancelRequested"]) == ("CANCELLED", True)
