"""Batches and bulk actions over HTTP, on the laptop's stack, its policies enforced."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack import running_stack

pytestmark = pytest.mark.slow

SHOP = "bulk.myshopify.com"


class Stack:
    """One running stack, and its API as an administrator acting for SHOP."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        info = stack.info
        headers = {"Authorization": f"Bearer {info.admin_key}", "X-Shop": SHOP}
        self.api = httpx.Client(base_url=info.api_url, headers=headers, timeout=30)
        self.photo = f"{info.pikcel_url}/photos/blue-armchair.jpg"

    def get(self, path: str, **query: str) -> Any:
        return self.api.get(path, params=query).raise_for_status().json()

    def post(self, path: str, body: Any = None) -> Any:
        reply = self.api.post(path, json=body)
        assert reply.status_code < 300, reply.text
        return reply.json()

    def ended(self, job_id: str) -> Any:
        """Wait for a bulk job."""

        def look() -> Any:
            job = self.get(f"/api/jobs/{job_id}")["job"]
            return job if job["status"] not in ("pending", "processing") else None

        return self.stack.wait_until(look, 60, "the bulk job")


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    with running_stack(auth=True) as stack:
        stack.set_schedule(enabled=False)
        made = Stack(stack)
        yield made
        made.api.close()
        refusals = [
            line
            for name in stack.info.functions
            for line in stack.function_logs(name)
            if "AccessDenied" in line
        ]
        assert refusals == []


@pytest.fixture(scope="module")
def batch(running: Stack) -> Any:
    """A batch of three photos, processed to its end by the simulator of PikcelAI."""
    images = [{"inputImageUrl": running.photo, "name": f"=photo {n}"} for n in range(3)]
    body = {"name": "Chairs", "toolId": "background-removal", "images": images}
    made = running.post("/api/batches", body)["batch"]
    assert (made["status"], made["totalJobs"]) == ("pending", 3)

    def look() -> Any:
        now = running.get(f"/api/batches/{made['id']}")["batch"]
        return now if now["status"] not in ("pending", "processing") else None

    return running.stack.wait_until(look, 60, "the batch")


def test_a_batch_of_photos_is_processed_and_counted_to_its_end(running: Stack, batch: Any) -> None:
    assert (batch["status"], batch["completedJobs"], batch["progress"]) == ("completed", 3, 100)
    assert batch["totalCreditsUsed"] > 0
    assert batch["startedAt"] < batch["completedAt"]
    assert [one["id"] for one in running.get("/api/batches")["batches"]] == [batch["id"]]
    jobs = running.get("/api/jobs", batchId=batch["id"])["jobs"]
    assert sorted(job["name"] for job in jobs) == ["=photo 0", "=photo 1", "=photo 2"]
    assert running.get("/api/jobs/stats")["stats"]["completed"] == 3


def test_the_jobs_of_a_batch_come_as_a_csv_file(running: Stack, batch: Any) -> None:
    reply = running.api.get("/api/jobs/export.csv", params={"batchId": batch["id"]})
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    text = reply.content.decode("utf-8-sig")
    names = [row["name"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert sorted(names) == ["'=photo 0", "'=photo 1", "'=photo 2"]


def test_an_export_becomes_a_file_behind_a_link(running: Stack, batch: Any) -> None:
    """Over several chunks, so that the draft is put down and taken up again."""
    for number in range(103):
        running.post("/api/jobs", {"type": "exported", "name": f"@row {number}"})
    asked = running.post("/api/jobs/export", {"filter": {"type": "exported"}, "format": "csv"})
    done = running.ended(asked["job"]["id"])
    assert (done["status"], done["successful"], done["result"]["rows"]) == ("completed", 103, 103)
    reply = httpx.get(done["result"]["url"]).raise_for_status()
    assert reply.headers["content-type"].startswith("text/csv")
    assert "attachment" in reply.headers["content-disposition"]
    assert len(reply.content) == done["result"]["bytes"]
    rows = csv.DictReader(io.StringIO(reply.content.decode("utf-8-sig"), newline=""))
    assert sorted(row["name"] for row in rows) == sorted(f"'@row {n}" for n in range(103))
    whole = running.api.get("/api/jobs/export.csv", params={"type": "exported"})
    assert reply.content == whole.content
    removed = running.post("/api/jobs/delete", {"jobId": asked["job"]["id"]})
    assert removed == {"success": True}
    assert httpx.get(done["result"]["url"]).status_code == 404


def test_the_results_of_a_batch_come_as_one_archive(running: Stack, batch: Any) -> None:
    asked = running.post(f"/api/batches/{batch['id']}/archive")["job"]
    done = running.ended(asked["id"])
    assert (done["status"], done["successful"], done["result"]["files"]) == ("completed", 3, 3)
    with zipfile.ZipFile(io.BytesIO(httpx.get(done["result"]["url"]).content)) as archive:
        assert archive.testzip() is None
        names = [name for name in archive.namelist() if name != "manifest.csv"]
        table = archive.read("manifest.csv").decode("utf-8-sig")
        sums = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}
    assert all(name.startswith("photo-") for name in names)
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert {row["file"]: row["sha256"] for row in rows} == sums
    jobs = running.get("/api/jobs", batchId=batch["id"])["jobs"]
    assert {row["jobId"] for row in rows} == {job["id"] for job in jobs}


def test_many_jobs_are_cancelled_retried_and_deleted_by_bulk_jobs(running: Stack) -> None:
    body = {"type": "report", "name": "bulk me"}
    ids = [running.post("/api/jobs", body)["job"]["id"] for _ in range(30)]
    wanted = {"filter": {"type": "report"}}
    foreseen = running.post("/api/jobs/cancel", wanted | {"dryRun": True})
    assert (foreseen["matched"], foreseen["eligible"]) == (30, 30)
    bulk = running.post("/api/jobs/cancel", wanted)["job"]
    assert bulk["type"] == "bulk.cancel"
    done = running.ended(bulk["id"])
    assert (done["status"], done["successful"], done["failed"]) == ("completed", 30, 0)
    retried = running.ended(running.post("/api/jobs/retry", {"jobIds": ids[:10]})["job"]["id"])
    assert retried["successful"] == 10
    deleted = running.ended(running.post("/api/jobs/delete", wanted)["job"]["id"])
    assert (deleted["successful"], deleted["failed"]) == (20, 10)
    assert deleted["result"] == {"refused": [{"code": "job_active", "count": 10}]}
    left = running.get("/api/jobs", type="report", limit="100")["jobs"]
    assert sorted(job["id"] for job in left) == sorted(ids[:10])
    again = running.ended(running.post("/api/jobs/cancel", {"jobIds": ids[:10]})["job"]["id"])
    assert again["successful"] == 10


def test_a_bulk_job_without_its_message_is_resumed_by_the_sweep(running: Stack) -> None:
    done = running.post("/api/jobs/sync", {"filter": {"status": "processing"}})["job"]
    assert running.ended(done["id"])["status"] == "completed"
    running.stack.invoke("sweep")


def test_a_batch_with_an_idempotency_key_is_taken_once(running: Stack) -> None:
    body = {"toolId": "background-removal", "images": [{"inputImageUrl": running.photo}]}
    headers = {"Idempotency-Key": "batch-once"}
    taken = [running.api.post("/api/batches", json=body, headers=headers) for _ in range(2)]
    assert [reply.status_code for reply in taken] == [202, 202]
    assert taken[0].json() == taken[1].json()
    other = body | {"toolId": "upscale"}
    assert running.api.post("/api/batches", json=other, headers=headers).status_code == 422
    refused = running.api.post("/api/batches", json=body | {"provider": "nobody"})
    assert (refused.status_code, refused.json()["details"][0]["field"]) == (400, "provider")
    assert running.api.get("/api/batches/" + "x" * 1100).status_code == 404


def test_what_a_dry_run_says_of_a_deletion_is_what_is_done(running: Stack) -> None:
    ids = [running.post("/api/jobs", {"type": "draft"})["job"]["id"] for _ in range(3)]
    running.ended(running.post("/api/jobs/cancel", {"jobIds": ids[:2]})["job"]["id"])
    wanted = {"jobIds": [*ids, "00000000-0000-7000-8000-000000000000", "nonsense"]}
    foreseen = running.post("/api/jobs/delete", wanted | {"dryRun": True})
    done = running.ended(running.post("/api/jobs/delete", wanted)["job"]["id"])
    assert (foreseen["eligible"], done["successful"]) == (2, 2)
    assert foreseen["refused"] == done["result"]["refused"]
    assert foreseen["refused"] == [
        {"code": "job_active", "count": 1},
        {"code": "not_found", "count": 2},
    ]
