"""Acting on many jobs, batches and the CSV file, by HTTP."""

import csv
import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.errors import StoreUnavailableError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.shop import Shop
from shared.domain.status import JobStatus
from shared.usecases.ports import BulkRequest
from shared.usecases.run_bulk import Bulk, run_bulk
from tests.api_world import World, world
from tests.builders import (
    OTHER_SHOP,
    SHOP,
    a_dispatched_job,
    a_job,
    a_kept_job,
    a_kept_output,
    a_worker_job,
)
from tests.fakes.clock import START

__all__ = ["world"]  # a fixture

START_TEXT = "2026-11-22T12:00:00.000Z"
ACTIONS = ("sync", "retry", "cancel", "push-to-shopify", "undo-push", "delete")


def run(world: World, limit: int = 100) -> None:
    """Do what is in the bulk queue, as functions/bulk does."""
    lane = world.bulk_lane()
    for _ in range(limit):
        if not world.outbox.bulks:
            return
        request, _delay = world.outbox.bulks.pop(0)
        run_bulk(lane, request)


def failed(number: int, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "status": JobStatus.FAILED,
        "error_code": "provider_failed",
        "completed_at": START,
        "attempt": {"provider_job_id": f"f_{number}", "credits": 2, "cost_micros": 7},
    }
    return a_dispatched_job(**(values | changes))


def images(number: int) -> list[dict[str, Any]]:
    return [{"inputImageUrl": f"https://shop.example/{n}.jpg"} for n in range(number)]


# --- many jobs --------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_many_ids_make_a_bulk_job_that_is_read_like_any_other(world: World, action: str) -> None:
    job = world.has(failed(1))
    reply = world.post(f"/api/jobs/{action}", {"jobIds": [job.job_id, job.job_id]})
    assert reply.status == 202
    name = {"push-to-shopify": "push"}.get(action, action)
    assert (reply.job["type"], reply.job["status"]) == (f"bulk.{name}", "pending")
    assert (reply.job["total"], reply.job["processed"]) == (1, 0)
    assert reply.headers["location"] == f"/api/jobs/{reply.job['id']}"
    run(world)
    done = world.get(f"/api/jobs/{reply.job['id']}").job
    assert done["status"] == ("completed" if action in ("retry", "delete") else "failed")
    assert done["processed"] == done["total"] == 1


def test_retry_all_failed_by_filter_and_see_them_go_out_again(world: World) -> None:
    jobs = [world.has(failed(n)) for n in range(3)]
    world.has(failed(8, shop=OTHER_SHOP))
    world.has(failed(9, tool_id="another"))
    body = {"filter": {"status": "failed", "toolId": jobs[0].tool_id}}
    foreseen = world.post("/api/jobs/retry", body | {"dryRun": True})
    assert foreseen.status == 200
    assert foreseen.json == {
        "success": True,
        "matched": 3,
        "eligible": 3,
        "refused": [],
        "credits": 6,
        "costMicros": 21,
        "complete": True,
    }
    assert world.outbox.bulks == []
    bulk = world.post("/api/jobs/retry", body).job
    run(world)
    assert world.get(f"/api/jobs/{bulk['id']}").job["successful"] == 3
    assert {world.job(job.job_id).attempt.number for job in jobs} == {2}
    assert set(world.outbox.dispatched_refs) == {job.ref for job in jobs}
    assert world.job(world.has(failed(10, shop=OTHER_SHOP)).job_id, OTHER_SHOP).attempt.number == 1


@pytest.mark.parametrize(("limits", "eligible"), [({"credits": 7}, 2), ({"costMicros": 9}, 3)])
def test_a_dry_run_of_retries_knows_the_budget(
    world: World, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], eligible: int
) -> None:
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": {"credits": 100}})
    # A first job tells what the tool costs, and takes its part of the budget.
    first = world.post("/api/jobs", {"toolId": "t", "inputImageUrl": "https://a.example/x"}).job
    job = world.job(first["id"])
    attempt = replace(job.attempt, credits=2, cost_micros=0)
    done = replace(job, status=JobStatus.COMPLETED, completed_at=world.clock.now())
    world.store.save(job, done.with_attempt(attempt))
    for number in range(4):
        world.has(failed(number, tool_id="t", unit_cost_micros=3))
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": limits})
    body = {"filter": {"status": "failed"}}
    asked: list[str] = []
    get_shop = world.shops.get_shop

    def counted(name: str) -> Shop | None:
        asked.append(name)
        return get_shop(name)

    with monkeypatch.context() as patched:
        patched.setattr(world.shops, "get_shop", counted)
        foreseen = world.post("/api/jobs/retry", body | {"dryRun": True}).json
    assert asked == [SHOP]  # once, not for each job
    assert foreseen["eligible"] == eligible
    assert foreseen["refused"] == [{"code": "budget_exceeded", "count": 4 - eligible}]
    assert foreseen["credits"] == 2 * eligible
    bulk = world.post("/api/jobs/retry", body).job
    run(world)
    done_job = world.get(f"/api/jobs/{bulk['id']}").job
    assert (done_job["successful"], done_job["result"]) == (
        eligible,
        {"refused": foreseen["refused"]},
    )


def test_a_dry_run_of_one_job_tells_and_does_nothing(world: World) -> None:
    job = world.has(a_job())
    reply = world.post("/api/jobs/retry", {"jobId": job.job_id, "dryRun": True})
    assert reply.json["refused"] == [{"code": "wrong_status", "count": 1}]
    assert world.job(job.job_id) == job


def test_a_dry_run_may_be_asked_for_with_form_data(world: World) -> None:
    job = world.has(failed(1))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for word, status in (("true", 200), ("maybe", 400)):
        body = f"jobId={job.job_id}&dryRun={word}"
        reply = world.call("POST", "/api/jobs/retry", body=body, headers=headers)
        assert reply.status == status, reply.text
    assert world.job(job.job_id) == job


def test_one_job_is_deleted_at_once(world: World) -> None:
    job = world.has(a_kept_job())
    assert world.post("/api/jobs/delete", {"jobId": job.job_id}).json == {"success": True}
    assert world.get(f"/api/jobs/{job.job_id}").status == 404


def test_a_bulk_job_is_cancelled_like_any_other(world: World) -> None:
    bulk = world.post("/api/jobs/retry", {"filter": {}}).job
    assert world.post("/api/jobs/cancel", {"jobId": bulk["id"]}).job["status"] == "cancelled"
    run(world)
    assert world.job(bulk["id"]).status is JobStatus.CANCELLED


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"jobIds": []}, "jobIds"),
        ({"jobIds": ["x"] * 1001}, "jobIds"),
        ({"jobIds": ["x"], "filter": {}}, "filter"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"filter": {"status": "exploded"}}, "filter.status"),
        ({"filter": {"shop": OTHER_SHOP}}, "filter.shop"),
        ({"dryRun": True}, "jobId"),
    ],
)
def test_what_is_not_one_clear_choice_of_jobs_is_refused_by_name(
    world: World, body: dict[str, Any], field: str
) -> None:
    reply = world.post("/api/jobs/retry", body)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert [detail["field"] for detail in reply.json["details"]] == [field]


def test_what_is_wrong_is_said_in_words_of_json(world: World) -> None:
    reply = world.post("/api/jobs/retry", {"jobId": 5, "jobIds": "x", "filter": 5})
    told = {detail["field"]: detail["message"] for detail in reply.json["details"]}
    assert told == {
        "jobId": "must be a text",
        "jobIds": "must be a list",
        "filter": "must be an object",  # not "an instance of JobConditions"
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [([], "must have at least 1 item"), (["x"] * 1001, "must have at most 1000 items")],
)
def test_a_list_of_the_wrong_length_is_told_without_the_checkers_own_words(
    world: World, names: list[str], message: str
) -> None:
    reply = world.post("/api/jobs/retry", {"jobIds": names})
    assert reply.json["details"] == [{"field": "jobIds", "message": message}]


def test_the_same_key_makes_one_bulk_job(world: World) -> None:
    body, headers = {"filter": {"status": "failed"}}, {"idempotency-key": "once"}
    first = world.post("/api/jobs/retry", body, headers=headers)
    again = world.post("/api/jobs/retry", body, headers=headers)
    assert first.job["id"] == again.job["id"]
    assert len(world.outbox.bulks) == 1


class DiedError(Exception):
    """The function ended in the middle: whatever came next did not happen."""


def die(*_arguments: object) -> None:
    raise DiedError


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/jobs/retry", {"filter": {"status": "failed"}}),
        ("/api/batches", {"toolId": "t", "images": [{"inputImageUrl": "https://a.example/1"}]}),
        (
            "/api/admin/parked/adopt",
            {"provider": "pikcel", "providerJobId": "pk_lost", "shop": SHOP, "toolId": "t"},
        ),
    ],
)
def test_a_call_that_died_before_its_answer_was_kept_makes_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    headers = {"idempotency-key": "once"}
    with monkeypatch.context() as patched:
        patched.setattr(world.receipts, "finish", die)
        assert world.post(path, body, headers=headers).status == 500
    (made,) = world.store.list_day(f"{START:%Y-%m-%d}", limit=10).jobs
    assert world.post(path, body, headers=headers).code == "already_running"
    world.clock.advance(61)
    again = world.post(path, body, headers=headers)
    assert again.status == 202
    assert (again.json.get("job") or again.json["batch"])["id"] == made.job_id
    assert len(world.store.list_day(f"{START:%Y-%m-%d}", limit=10).jobs) == 1


def test_a_call_that_could_not_be_answered_makes_nothing_twice_when_it_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_arguments: object) -> None:
        raise StoreUnavailableError("The table is out.")

    headers, body = {"idempotency-key": "once"}, {"toolId": "t", "images": images(2)}
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "batch_sums", unavailable)
        assert world.post("/api/batches", body, headers=headers).status == 503
    batch = world.post("/api/batches", body, headers=headers).json["batch"]
    run(world)
    assert [found["id"] for found in world.get("/api/batches").json["batches"]] == [batch["id"]]
    assert len(jobs_of(world, batch)) == world.get("/api/jobs").json["total"] == 2


@pytest.mark.parametrize("path", ["/api/jobs/retry", "/api/admin/jobs/{id}/resubmit"])
def test_a_retry_that_died_before_its_answer_was_kept_begins_no_third_attempt(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    job = world.has(a_job(status=JobStatus.FAILED, completed_at=START))
    headers = {"idempotency-key": "once"}
    path, body = path.format(id=job.job_id), {"jobId": job.job_id} if "{" not in path else None
    with monkeypatch.context() as patched:
        patched.setattr(world.receipts, "finish", die)
        assert world.post(path, body, headers=headers).status == 500
    end(world, world.job(job.job_id), JobStatus.FAILED)
    world.clock.advance(61)
    again = world.post(path, body, headers=headers)
    assert (again.status, again.job["status"], again.job["attempt"]) == (200, "failed", 2)
    assert world.post(path, body, headers={"idempotency-key": "another"}).job["attempt"] == 3


# --- batches ----------------------------------------------------------------------------


def make(world: World, number: int, **more: Any) -> dict[str, Any]:
    body = {"toolId": "background-removal", "images": images(number), "name": "Mugs"} | more
    reply = world.post("/api/batches", body)
    assert reply.status == 202, reply.text
    batch: dict[str, Any] = reply.json["batch"]
    return batch


def test_a_page_of_huge_batches_is_shorter_than_asked_for(world: World) -> None:
    for _ in range(60):
        make(world, 1, parameters={"x": '"' * 30_000})
    first = world.get("/api/batches", query={"limit": "60"})
    assert first.sent_bytes < 6_291_556
    cursor = {"limit": "60", "cursor": first.json["nextCursor"]}
    second = world.get("/api/batches", query=cursor)
    seen = [batch["id"] for batch in (*first.json["batches"], *second.json["batches"])]
    assert (len(seen), len(set(seen)), second.json["nextCursor"]) == (60, 60, None)


def jobs_of(world: World, batch: dict[str, Any]) -> list[Job]:
    found = world.get("/api/jobs", query={"batchId": batch["id"], "limit": "100"}).json["jobs"]
    return [world.job(job["id"]) for job in reversed(found)]


def end(world: World, job: Job, status: JobStatus) -> None:
    now = world.clock.now()
    if status is JobStatus.FAILED:
        after = lifecycle.fail_dispatch(job, "refused", "No.", now)
    elif status is JobStatus.CANCELLED:
        after = lifecycle.cancel(job, now)
    else:
        attempt = replace(job.attempt, credits=2)
        after = replace(job, status=status, completed_at=now).with_attempt(attempt)
    world.store.save(job, after)


def test_a_batch_makes_a_job_for_each_image_in_order(world: World) -> None:
    batch = make(world, 3, parameters={"colour": "white"}, autoPush=True)
    assert (batch["status"], batch["totalJobs"], batch["startedAt"]) == ("pending", 3, None)
    run(world)
    jobs = jobs_of(world, batch)
    assert [job.input_image_url for job in jobs] == [i["inputImageUrl"] for i in images(3)]
    assert {(job.tool_id, job.batch_id, job.auto_push) for job in jobs} == {
        ("background-removal", batch["id"], True)
    }
    assert jobs[0].parameters == {"colour": "white"}
    assert len(world.outbox.dispatched_refs) == 3
    now = world.get(f"/api/batches/{batch['id']}").json["batch"]
    assert (now["status"], now["activeJobs"], now["completedAt"]) == ("processing", 3, None)
    # The bulk job that made them is no job of the shop's.
    assert world.get("/api/jobs/stats").json["stats"]["total"] == 3


def test_a_thousand_images_with_all_that_a_shop_tells_of_them_are_one_batch(world: World) -> None:
    images = [
        {
            "inputImageUrl": f"https://cdn.shopify.com/s/files/1/0555/1234/5678/files/{n}.jpg?v={n}",
            "productId": f"gid://shopify/Product/{8_000_000_000_000 + n}",
            "productTitle": f"Hand-made mug of stoneware, 300 ml, colour {n}",
            "variantId": f"gid://shopify/ProductVariant/{44_000_000_000_000 + n}",
            "imageId": f"gid://shopify/ProductImage/{33_000_000_000_000 + n}",
            "altText": f"A hand-made mug of stoneware on a white background, colour {n}",
        }
        for n in range(1000)
    ]
    body = {"toolId": "remove-background", "images": images}
    assert len(json.dumps(body)) > 400_000
    reply = world.post("/api/batches", body)
    assert reply.status == 202, reply.text
    assert reply.json["batch"]["totalJobs"] == 1000


def test_a_batch_of_more_than_two_mib_is_too_large(world: World) -> None:
    reply = world.call("POST", "/api/batches", body="x" * (2 * 1024 * 1024 + 1))
    assert (reply.status, reply.code) == (413, "too_large")


def test_the_jobs_of_a_batch_start_when_it_says(world: World) -> None:
    batch = make(world, 2, scheduledAt="2027-01-02T09:30:00+02:00")
    run(world)
    at = datetime(2027, 1, 2, 7, 30, tzinfo=UTC)
    assert [job.scheduled_at for job in jobs_of(world, batch)] == [at, at]
    assert batch["status"] == "pending"


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (("completed", "completed"), "completed"),
        (("completed", "failed"), "partial"),
        (("failed", "failed"), "failed"),
        (("cancelled", "cancelled"), "cancelled"),
        (("completed", "cancelled"), "cancelled"),
        (("failed", "cancelled"), "failed"),
    ],
)
def test_a_batch_says_how_it_ended(world: World, ends: tuple[str, str], status: str) -> None:
    batch = make(world, 2)
    run(world)
    for job, word in zip(jobs_of(world, batch), ends, strict=True):
        world.clock.advance(5)
        end(world, job, JobStatus(word))
    now = world.get(f"/api/batches/{batch['id']}").json["batch"]
    assert (now["status"], now["progress"], now["activeJobs"]) == (status, 100, 0)
    assert now["completedJobs"] == ends.count("completed")
    assert now["failedJobs"] == ends.count("failed")
    assert now["cancelledJobs"] == ends.count("cancelled")
    assert now["totalCreditsUsed"] == 2 * ends.count("completed")
    finished = ends.count("completed") + ends.count("failed")
    assert now["successRate"] == (100 * ends.count("completed") / finished if finished else 0)
    assert world.get("/api/batches", query={"status": status}).json["batches"] == [now]
    assert world.get("/api/batches", query={"status": "pending"}).json["batches"] == []
    assert now["completedAt"] == now["updatedAt"] == "2026-11-22T12:00:10.000Z"


def read_batch(world: World, batch: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = world.get(f"/api/batches/{batch['id']}").json["batch"]
    return found


@pytest.mark.parametrize(
    ("broken_off", "status", "failed_jobs", "cancelled_jobs"),
    [(True, "partial", 50, 0), (False, "cancelled", 0, 50)],
)
def test_images_that_will_never_be_made_into_jobs_are_counted(
    world: World, broken_off: bool, status: str, failed_jobs: int, cancelled_jobs: int
) -> None:
    batch = make(world, 150)
    run(world, limit=1)
    for job in jobs_of(world, batch):
        end(world, job, JobStatus.COMPLETED)
    if broken_off:
        making = world.job(batch["id"])
        stuck = lifecycle.fail_dispatch(making, "bulk_stuck", "Stuck.", world.clock.now())
        world.store.save(making, stuck)
    else:
        world.post(f"/api/admin/jobs/{batch['id']}/complete", {"result": {}})
    now = read_batch(world, batch)
    assert (now["status"], now["completedJobs"]) == (status, 100)
    assert (now["failedJobs"], now["cancelledJobs"]) == (failed_jobs, cancelled_jobs)


def test_a_batch_stays_what_it_was_when_the_bulk_job_that_made_it_is_deleted(
    world: World,
) -> None:
    batch = make(world, 2)
    run(world)
    for job in jobs_of(world, batch):
        end(world, job, JobStatus.COMPLETED)
    before = read_batch(world, batch)
    assert world.call("DELETE", f"/api/jobs/{batch['id']}").status == 200
    now = read_batch(world, batch)
    assert before["status"] == now["status"] == "completed"


def test_a_chunk_delivered_again_makes_no_job_twice(world: World) -> None:
    batch = make(world, 120)
    lane = world.bulk_lane()
    request = BulkRequest(ref=JobRef(SHOP, batch["id"]))
    before = world.job(batch["id"])
    assert run_bulk(lane, request) is Bulk.GOES_ON
    # As if it had died before it said how far it was.
    world.store.save(world.job(batch["id"]), replace(before, version=0))
    assert run_bulk(lane, request) is Bulk.GOES_ON
    assert run_bulk(lane, request) is Bulk.DONE
    now = world.get(f"/api/batches/{batch['id']}").json["batch"]
    assert (now["totalJobs"], now["activeJobs"]) == (120, 120)
    counts = world.job(batch["id"]).counts
    assert (counts.total, counts.successful, counts.failed) == (120, 120, 0)


def test_a_batch_whose_taker_died_is_there_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"toolId": "t", "name": "Mugs", "images": images(2), "parameters": {"colour": "red"}}
    with monkeypatch.context() as patched:
        patched.setattr(world.works, "put_batch", die)
        assert world.post("/api/batches", body).status == 500
    assert world.get("/api/batches").json["batches"] == []
    run(world)
    (batch,) = world.get("/api/batches").json["batches"]
    assert (batch["name"], batch["toolId"], batch["totalJobs"]) == ("Mugs", "t", 2)
    assert (batch["parameters"], batch["createdAt"]) == ({"colour": "red"}, START_TEXT)
    assert {job.batch_id for job in jobs_of(world, batch)} == {batch["id"]}


def test_a_cancelled_batch_makes_no_more_jobs_and_cancels_those_there(world: World) -> None:
    batch = make(world, 150)
    run(world, limit=1)
    reply = world.post(f"/api/batches/{batch['id']}/cancel")
    assert (reply.status, reply.job["type"]) == (202, "bulk.cancel")
    run(world)
    now = world.get(f"/api/batches/{batch['id']}").json["batch"]
    assert (now["status"], now["cancelledJobs"], now["activeJobs"]) == ("cancelled", 150, 0)
    assert world.post(f"/api/batches/{batch['id']}/cancel").code == "wrong_status"


def test_what_a_chunk_made_while_its_batch_was_cancelled_is_cancelled_too(world: World) -> None:
    batch = make(world, 3)
    create, calls = world.store.create, 0

    def create_slowly(job: Job, **more: Any) -> Job:
        nonlocal calls
        calls += 1
        if calls == 2:
            world.post(f"/api/batches/{batch['id']}/cancel")
        return create(job, **more)

    world.store.create = create_slowly  # type: ignore[method-assign]
    run(world)
    assert {job.status for job in jobs_of(world, batch)} == {JobStatus.CANCELLED}
    assert world.get(f"/api/batches/{batch['id']}").json["batch"]["status"] == "cancelled"


def test_a_batch_cancelled_after_a_chunk_broke_off_counts_every_image_once(world: World) -> None:
    batch = make(world, 5)
    create, calls = world.store.create, 0

    def break_off(job: Job, **more: Any) -> Job:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreUnavailableError("The table is out.")
        return create(job, **more)

    world.store.create = break_off  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        run(world)
    world.store.create = create  # type: ignore[method-assign]
    world.post(f"/api/batches/{batch['id']}/cancel")
    run(world)
    now = world.get(f"/api/batches/{batch['id']}").json["batch"]
    assert (now["cancelledJobs"], now["totalJobs"], now["status"]) == (5, 5, "cancelled")


def test_the_failed_jobs_of_a_batch_are_retried(world: World) -> None:
    batch = make(world, 2)
    assert world.post(f"/api/batches/{batch['id']}/retry").code == "wrong_status"
    run(world)
    good, bad = jobs_of(world, batch)
    end(world, good, JobStatus.COMPLETED)
    end(world, bad, JobStatus.FAILED)
    assert world.post(f"/api/batches/{batch['id']}/retry").status == 202
    run(world)
    assert [job.attempt.number for job in jobs_of(world, batch)] == [1, 2]
    now = world.get(f"/api/batches/{batch['id']}").json["batch"]
    assert (now["status"], now["failedJobs"], now["completedAt"]) == ("processing", 0, None)


def test_a_batchs_retry_that_died_before_its_answer_was_kept_is_found_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make(world, 1)
    run(world)
    (job,) = jobs_of(world, batch)
    end(world, job, JobStatus.FAILED)
    path, headers = f"/api/batches/{batch['id']}/retry", {"idempotency-key": "once"}
    with monkeypatch.context() as patched:
        patched.setattr(world.receipts, "finish", die)
        assert world.post(path, headers=headers).status == 500
    run(world)
    world.clock.advance(61)
    again = world.post(path, headers=headers)  # nothing of the batch is failed by now
    assert (again.status, again.job["type"], again.job["status"]) == (
        202,
        "bulk.retry",
        "completed",
    )


def test_a_retry_of_its_making_that_died_before_its_answer_was_kept_is_found_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make(world, 1)
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": {"credits": 0}})
    run(world)
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": None})
    path, headers = f"/api/batches/{batch['id']}/retry", {"idempotency-key": "once"}
    with monkeypatch.context() as patched:
        patched.setattr(world.receipts, "finish", die)
        assert world.post(path, headers=headers).status == 500
    run(world)
    world.clock.advance(61)
    again = world.post(path, headers=headers)
    assert (again.status, again.job["id"], again.job["attempt"]) == (202, batch["id"], 2)


def test_images_that_could_not_be_made_into_jobs_are_not_passed_over_in_silence(
    world: World,
) -> None:
    batch = make(world, 3)
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": {"credits": 1}})
    run(world)
    assert read_batch(world, batch)["failedJobs"] == 2
    reply = world.post(f"/api/batches/{batch['id']}/retry")
    assert (reply.code, "could not be made" in reply.json["error"]) == ("wrong_status", True)
    told = world.get(f"/api/jobs/{batch['id']}").job["result"]
    assert told == {"refused": [{"code": "budget_exceeded", "count": 2}]}


def test_a_batch_whose_jobs_could_not_be_made_at_all_is_made_by_a_retry(world: World) -> None:
    batch = make(world, 3)
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": {"credits": 0}})
    run(world)
    assert (read_batch(world, batch)["status"], jobs_of(world, batch)) == ("failed", [])
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": None})
    reply = world.post(f"/api/batches/{batch['id']}/retry")
    assert (reply.status, reply.job["id"], reply.job["attempt"]) == (202, batch["id"], 2)
    run(world)
    now = read_batch(world, batch)
    assert (now["status"], now["activeJobs"], now["failedJobs"]) == ("processing", 3, 0)


def test_batches_are_listed_newest_first_by_pages_and_are_one_shops(world: World) -> None:
    names = []
    for number in range(3):
        world.clock.advance(1)
        names.append(make(world, 1, name=f"b{number}")["id"])
    first = world.get("/api/batches", query={"limit": "2"}).json
    rest = world.get("/api/batches", query={"limit": "2", "cursor": first["nextCursor"]}).json
    assert [b["id"] for b in first["batches"] + rest["batches"]] == names[::-1]
    assert rest["nextCursor"] is None
    filtered = {"status": "pending", "limit": "2", "cursor": first["nextCursor"]}
    assert world.get("/api/batches", query=filtered).status == 400
    assert world.get("/api/batches", query={"status": "odd"}).status == 400
    assert world.get("/api/batches", shop=OTHER_SHOP).json["batches"] == []
    assert world.get(f"/api/batches/{names[0]}", shop=OTHER_SHOP).status == 404
    stolen = {"cursor": first["nextCursor"]}
    assert world.get("/api/batches", query=stolen, shop=OTHER_SHOP).status == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"images": images(1)}, "toolId"),
        ({"toolId": "t", "images": []}, "images"),
        ({"toolId": "t", "images": images(1001)}, "images"),
        ({"toolId": "t", "images": [{}]}, "images.0.inputImageUrl"),
        ({"toolId": "t", "images": images(1), "provider": "nobody"}, "provider"),
        (
            {"toolId": "t", "images": [{"inputImageUrl": "http://10.0.0.1/x"}]},
            "images.0.inputImageUrl",
        ),
    ],
)
def test_a_batch_that_cannot_work_is_refused_by_name(
    world: World, body: dict[str, Any], field: str
) -> None:
    reply = world.post("/api/batches", body)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert [detail["field"] for detail in reply.json["details"]] == [field]


# --- CSV --------------------------------------------------------------------------------


def rows(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


@pytest.mark.promise("hostile", "formulas in spreadsheets")
def test_jobs_come_as_csv_that_no_spreadsheet_runs(world: World) -> None:
    nasty = '=HYPERLINK("http://evil","x"), "quoted"\nline'
    world.has(a_worker_job(name=nasty), a_worker_job(name="  +1"), a_worker_job(name="-5"))
    world.has(a_job(shop=OTHER_SHOP, name="theirs"))
    reply = world.get("/api/jobs/export.csv")
    assert reply.status == 200
    assert "x-next-cursor" not in reply.headers
    assert {row["name"] for row in rows(reply.text)} == {"'" + nasty, "'  +1", "'-5"}
    assert reply.text.endswith("\r\n")


@pytest.mark.parametrize(
    "text", ["\uff1d1+1", "\u00a0=1+1", "\u200b@SUM(1)", "\ufeff=1", "\x00=1", "\n=1", " \t-1"]
)
@pytest.mark.promise("hostile", "formulas in spreadsheets")
def test_no_blank_and_no_width_hides_a_formula(world: World, text: str) -> None:
    world.has(a_worker_job(name=text), a_worker_job(name="Blue mug = -5 @ home"))
    names = {row["name"] for row in rows(world.get("/api/jobs/export.csv").text)}
    assert names == {"'" + text, "Blue mug = -5 @ home"}


@pytest.mark.parametrize("text", ["Ошибка\n", '"Lỗi"', "\U0001f4a5"])
def test_an_export_of_long_texts_fits_into_an_answer_and_goes_on(world: World, text: str) -> None:
    ended = {"status": JobStatus.FAILED, "completed_at": START, "error_code": "worker_failed"}
    world.has(*(a_worker_job(**ended, error_message=(text * 5000)[:5000]) for _ in range(700)))
    seen: list[str] = []
    query: dict[str, str] = {}
    while True:
        reply = world.get("/api/jobs/export.csv", query=query)
        # As Lambda sends it: at most 6 MB, whatever the language.
        assert len(json.dumps({"body": reply.text}, ensure_ascii=False).encode()) < 6_000_000
        seen += [row["id"] for row in rows(reply.text)]
        if "x-next-cursor" not in reply.headers:
            break
        query = {"cursor": reply.headers["x-next-cursor"]}
    assert len(seen) == len(set(seen)) == 700


def test_a_long_export_goes_on_where_it_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.usecases.export_jobs.MAX_ROWS", 3)
    world.has(*(a_job(project_id="p") for _ in range(7)), a_job())
    seen: list[str] = []
    query = {"projectId": "p"}
    for _ in range(3):
        reply = world.get("/api/jobs/export.csv", query=query)
        seen += [row["id"] for row in rows(reply.text)]
        if "x-next-cursor" not in reply.headers:
            break
        query = {"projectId": "p", "cursor": reply.headers["x-next-cursor"]}
    assert len(seen) == len(set(seen)) == 7
    other = query | {"projectId": "q"}
    assert world.get("/api/jobs/export.csv", query=other).status == 400


# --- big parameters ----------------------------------------------------------------------


def test_the_big_parameters_of_a_batch_lie_in_the_bucket_until_its_jobs_are_deleted(
    world: World,
) -> None:
    big = {"prompts": ["a mug on a shelf"] * 200}
    batch = make(world, 3, parameters=big)
    run(world)
    jobs = jobs_of(world, batch)
    assert {job.documents_key for job in jobs} == world.files.stored.keys()
    assert [(job.parameters, job.batch_id) for job in jobs] == [({}, batch["id"])] * 3
    shown = world.get("/api/jobs", query={"batchId": batch["id"]}).json["jobs"]
    assert [job["parameters"] for job in shown] == [big] * 3
    for job in jobs:
        end(world, job, JobStatus.CANCELLED)
    world.post("/api/jobs/delete", {"jobIds": [job.job_id for job in jobs]})
    run(world)
    assert jobs_of(world, batch) == []
    assert world.files.stored == {}


# --- files ------------------------------------------------------------------------------


def file_of(world: World, url: str) -> bytes:
    """Follow a link of the bucket in memory."""
    key = url.removeprefix("https://bucket.example/").partition("?")[0]
    return world.files.get(key)


def test_an_export_is_a_bulk_job_whose_result_is_a_link(world: World) -> None:
    jobs = [world.has(failed(n)) for n in range(3)]
    world.has(a_job())
    world.has(failed(8, shop=OTHER_SHOP))
    reply = world.post("/api/jobs/export", {"filter": {"status": "failed"}, "format": "csv"})
    assert (reply.status, reply.job["type"], reply.job["total"]) == (202, "bulk.export", 3)
    assert reply.job["result"] is None
    run(world)
    done = world.get(f"/api/jobs/{reply.job['id']}").job
    assert (done["status"], done["progress"], done["outputImageUrl"]) == ("completed", 100, None)
    assert done["result"]["rows"] == 3
    assert "expires=7200" in done["result"]["url"]
    text = file_of(world, done["result"]["url"]).decode("utf-8-sig")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    assert {row["id"] for row in rows} == {job.job_id for job in jobs}


def test_without_a_choice_every_job_is_exported(world: World) -> None:
    world.has(a_job())
    world.has(a_kept_job())
    bulk = world.post("/api/jobs/export", {}).job
    run(world)
    assert world.get(f"/api/jobs/{bulk['id']}").job["result"]["rows"] == 2


def test_named_jobs_are_exported(world: World) -> None:
    job = world.has(a_job())
    body = {"jobIds": [job.job_id.upper(), job.job_id, "nonsense"]}
    bulk = world.post("/api/jobs/export", body).job
    run(world)
    done = world.get(f"/api/jobs/{bulk['id']}").job
    assert (done["successful"], done["failed"], done["result"]["rows"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"jobIds": ["x"], "filter": {}}, "filter"),
        ({"format": "xlsx"}, "format"),
        ({"jobIds": []}, "jobIds"),
        ({"jobId": "x"}, "jobId"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(
    world: World, body: dict[str, Any], field: str
) -> None:
    reply = world.post("/api/jobs/export", body)
    assert (reply.status, [each["field"] for each in reply.json["details"]]) == (400, [field])


def test_a_link_is_no_part_of_the_etag_and_is_gone_when_the_file_is(world: World) -> None:
    world.has(a_job())
    bulk = world.post("/api/jobs/export", {}).job
    run(world)
    path = f"/api/jobs/{bulk['id']}"
    first, second = world.get(path), world.get(path)
    assert first.headers["etag"] == second.headers["etag"]
    assert first.job["result"]["url"] != second.job["result"]["url"]
    assert world.get(path, headers={"if-none-match": first.headers["etag"]}).status == 304
    world.clock.advance(7 * 86_400)
    later = world.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (later.status, later.job["result"]["url"]) == (200, None)
    assert later.job["result"]["expiresAt"] == first.job["result"]["expiresAt"]


def test_the_same_key_writes_one_file(world: World) -> None:
    headers = {"idempotency-key": "once"}
    made = [world.post("/api/jobs/export", {}, headers=headers).job["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert len(world.outbox.bulks) == 1


def finish_batch(world: World, batch_id: str, completed: int) -> None:
    """End a batch's jobs: so many completed, with an image each, the others failed."""
    jobs = world.get("/api/jobs", query={"batchId": batch_id, "limit": "100"}).json["jobs"]
    for number, each in enumerate(jobs):
        before = world.job(each["id"])
        is_done = number < completed
        key = f"shops/{SHOP}/jobs/{before.job_id}/1-0.png"
        done = a_kept_job(
            job_id=before.job_id,
            batch_id=batch_id,
            attempts=before.attempts,
            product_title="Mug",
            outputs=(a_kept_output(key=key),) if is_done else (),
            status=JobStatus.COMPLETED if is_done else JobStatus.FAILED,
            error_code=None if is_done else "oops",
        )
        world.files.put(key, number.to_bytes(1), "image/png")
        world.store.save(before, replace(done, version=before.version))


def test_the_results_of_a_batch_come_as_one_archive(world: World) -> None:
    batch = make(world, 3)
    run(world)
    path = f"/api/batches/{batch['id']}/archive"
    too_early = world.post(path)
    assert (too_early.status, too_early.code) == (409, "wrong_status")
    finish_batch(world, batch["id"], completed=2)
    reply = world.post(path)
    assert (reply.status, reply.job["type"], reply.job["total"]) == (202, "bulk.archive", 3)
    run(world)
    done = world.get(f"/api/jobs/{reply.job['id']}").job
    assert done["result"]["refused"] == [{"code": "no_output", "count": 1}]
    assert (done["result"]["files"], done["result"]["fileName"]) == (2, "mugs-2026-11-22.zip")
    with zipfile.ZipFile(io.BytesIO(file_of(world, done["result"]["url"]))) as archive:
        names = archive.namelist()
        assert [name.partition("-")[0] for name in names] == ["mug", "mug", "manifest.csv"]
        assert sorted(archive.read(name) for name in names[:2]) == [b"\x00", b"\x01"]


def test_another_shops_batch_is_no_batch(world: World) -> None:
    batch = make(world, 1)
    run(world)
    finish_batch(world, batch["id"], completed=1)
    path = f"/api/batches/{batch['id']}/archive"
    assert world.post(path, shop=OTHER_SHOP).status == 404
    assert world.post("/api/batches/nonsense/archive").status == 404


def test_nobody_else_gets_a_link_to_the_file(world: World) -> None:
    world.has(a_job())
    bulk = world.post("/api/jobs/export", {}).job
    run(world)
    assert world.get(f"/api/jobs/{bulk['id']}", shop=OTHER_SHOP).status == 404
    assert world.get("/api/jobs", query={"type": "bulk.export"}, shop=OTHER_SHOP).json["jobs"] == []


def test_nothing_that_a_program_reports_becomes_a_link(world: World) -> None:
    """The file's place follows from the bulk job; a worker's result is only what it says."""
    job = world.has(a_worker_job())
    path = f"/api/jobs/{job.job_id}"
    report = {"status": "completed", "result": {"expiresAt": "2999", "url": "x", "key": "y"}}
    assert world.call("PATCH", path, json_body=report).job["result"] == report["result"]
    bulk = world.post("/api/jobs/export", {}).job
    assert world.call("PATCH", f"/api/jobs/{bulk['id']}", json_body=report).status == 409
