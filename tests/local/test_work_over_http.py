"""Work that other programs do, over HTTP on the laptop's stack, as the README shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from shared.client import JobTracker

pytestmark = pytest.mark.slow

README = Path(__file__).parents[2] / "README.md"
SHOP = "workers.myshopify.com"


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    return shared_stack


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {stack.info.admin_key}", "X-Shop": SHOP}
    with httpx.Client(base_url=stack.info.api_url, headers=headers, timeout=30) as client:
        yield client


def data(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


@pytest.mark.feature("Python client", "reports", "progress")
def test_the_example_of_the_readme_does_what_it_says(stack: Stack, api: httpx.Client) -> None:
    section = README.read_text().partition("## Jobs that your own programs do")[2]
    example = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert example is not None
    names = {"api_url": stack.info.api_url, "api_key": stack.info.admin_key, "shop": SHOP}
    exec(example[1], names)  # noqa: S102 - our own README
    (job,) = api.get("/api/jobs", params={"type": "CATALOG_PULL"}).json()["jobs"]
    assert (job["status"], job["progress"], job["name"]) == ("completed", 100, "Nightly pull")
    counts = [job[name] for name in ("total", "processed", "successful", "updated", "skipped")]
    assert counts == [120, 120, 108, 108, 12]
    assert (job["metadata"], job["result"]) == ({"page": 3}, {"pages": 3})
    assert job["durationMs"] > 0


@pytest.mark.feature("cancelled workers")
def test_a_cancel_over_http_ends_a_clients_block(stack: Stack, api: httpx.Client) -> None:
    tracker = JobTracker(stack.info.api_url, key=stack.info.admin_key, shop=SHOP)
    turns = 0
    with tracker, tracker.job(type="CANCEL_ME", total=9, every_items=1) as job:
        for _ in range(9):
            turns += 1
            if turns == 2:
                api.post("/api/jobs/cancel", json={"jobId": job.id}).raise_for_status()
            job.advance()
    assert (turns, job.is_cancelled) == (2, True)


@pytest.mark.feature("sync app's API", "sync app's export and log", "exclusive jobs")
def test_the_sync_apps_front_end_is_served_in_its_own_shapes(api: httpx.Client) -> None:
    wanted = {"type": "PRODUCT_SYNC", "total": 10, "exclusive": True}
    job = data(api.post("/api/sync/job-progress", json=wanted))
    assert job["status"] == "RUNNING"
    refused = api.post("/api/sync/job-progress", json=wanted)
    assert (refused.status_code, refused.json()["runningJobId"]) == (409, job["id"])
    half = {"jobId": job["id"], "processed": 5, "successful": 4, "failed": 1}
    assert data(api.patch("/api/sync/job-progress", json=half))["progress"] == 50
    one = {"jobId": job["id"]}
    assert data(api.get("/api/sync/job-progress", params=one))["successful"] == 4
    latest = data(api.get("/api/sync/job-progress", params={"type": "PRODUCT_SYNC"}))
    assert (latest["latestJob"]["id"], latest["hasRunningJob"]) == (job["id"], True)
    end = {"jobId": job["id"], "status": "FAILED", "error": "ERR_429"}
    data(api.patch("/api/sync/job-progress", json=end))
    page = data(api.get("/api/sync/job-progress", params={"all": "true", "limit": 1}))
    assert page["totalCount"] >= 1
    assert {"type": "PRODUCT_SYNC", "_count": {"id": 1}} in page["stats"]
    rows = api.get("/api/export/jobs", params={"filter": "PRODUCT_SYNC"}).json()
    assert (rows["total"], rows["data"][0]["Error"]) == (1, "ERR_429")
    logs = data(api.get("/api/logs", params={"level": "error", "source": "PRODUCT_SYNC"}))
    assert logs["logs"][0]["message"] == "PRODUCT_SYNC: FAILED (5/10)"


@pytest.mark.feature("status by id", "edit")
def test_a_status_is_cheap_to_poll(api: httpx.Client) -> None:
    job = api.post("/api/jobs", json={"type": "POLLED"}).raise_for_status().json()["job"]
    edited = api.patch(f"/api/jobs/{job['id']}", json={"name": "New", "priority": "high"})
    assert edited.json()["job"]["name"] == "New"
    first = api.get(f"/api/jobs/{job['id']}")
    again = api.get(f"/api/jobs/{job['id']}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert api.patch(f"/api/jobs/{job['id']}", json={"status": "running"}).status_code == 200
    changed = api.get(f"/api/jobs/{job['id']}", headers={"If-None-Match": first.headers["etag"]})
    assert changed.json()["job"]["status"] == "processing"
    assert api.patch(f"/api/jobs/{job['id']}", json={"name": "Newer"}).status_code == 409
    many = api.get("/api/jobs", params={"ids": job["id"]}).json()["jobs"]
    assert [found["id"] for found in many] == [job["id"]]
    assert api.get("/api/jobs/pending-count").json()["processing"] >= 1


@pytest.mark.feature("heartbeat")
def test_a_silent_worker_is_timed_out_until_it_speaks_again(
    stack: Stack, api: httpx.Client
) -> None:
    job_id = api.post("/api/jobs", json={"type": "SILENT"}).json()["job"]["id"]
    api.patch(f"/api/jobs/{job_id}", json={"status": "running"}).raise_for_status()
    stack.invoke("sweep")
    assert api.get(f"/api/jobs/{job_id}").json()["job"]["status"] == "processing"
    let_pass(stack, job_id, seconds=301)
    stack.invoke("sweep")
    silent = api.get(f"/api/jobs/{job_id}").json()["job"]
    assert (silent["status"], silent["errorCode"]) == ("failed", "timed_out")
    end = api.patch(f"/api/jobs/{job_id}", json={"status": "completed"}).json()["job"]
    assert (end["status"], end["errorCode"], end["progress"]) == ("completed", None, 100)


def let_pass(stack: Stack, job_id: str, seconds: int) -> None:
    """Move what a job remembers of the time so far into the past: nobody waits here."""
    update: dict[str, Any] = {
        "TableName": stack.info.table_name,
        "Key": {"pk": {"S": f"SHOP#{SHOP}"}, "sk": {"S": f"JOB#{job_id}"}},
        "UpdateExpression": "ADD started_at :us, reported_at :us, due_at :ms",
        "ExpressionAttributeValues": {
            ":us": {"N": str(-seconds * 1_000_000)},
            ":ms": {"N": str(-seconds * 1_000)},
        },
    }
    stack.client("dynamodb").update_item(**update)


@pytest.mark.feature("validated transitions")
def test_an_ended_job_moves_only_as_the_table_allows(api: httpx.Client) -> None:
    job_id = api.post("/api/jobs", json={"type": "MOVED"}).json()["job"]["id"]

    def report(status: str) -> str:
        answer = api.patch(f"/api/jobs/{job_id}", json={"status": status}).raise_for_status()
        return str(answer.json()["job"]["status"])

    assert [report(word) for word in ("running", "SUCCEEDED")] == ["processing", "completed"]
    assert [report(word) for word in ("running", "failed", "cancelled")] == ["completed"] * 3
    assert api.patch(f"/api/jobs/{job_id}", json={"status": "odd"}).status_code == 400
    logs = api.get(f"/api/jobs/{job_id}/logs").json()["logs"]
    outcomes = [entry["outcome"] for entry in reversed(logs)]
    assert outcomes == ["applied", "applied", "applied", "late", "late"]


@pytest.mark.feature("scheduled jobs")
def test_a_scheduled_job_is_held_and_starts_by_itself(stack: Stack, api: httpx.Client) -> None:
    def create(starts_in: timedelta, **wish: Any) -> Any:
        at = (datetime.now(UTC) + starts_in).isoformat()
        return (
            api.post("/api/jobs", json={"scheduledAt": at, **wish}).raise_for_status().json()["job"]
        )

    def job(held: Any) -> Any:
        return api.get(f"/api/jobs/{held['id']}").raise_for_status().json()["job"]

    photo = {
        "toolId": "background-removal",
        "inputImageUrl": f"{stack.info.pikcel_url}/photos/blue-armchair.jpg",
    }
    tomorrow, soon = timedelta(days=1), timedelta(seconds=3)
    later, dropped, started = (create(tomorrow, **photo) for _ in range(3))
    image, task = create(soon, **photo), create(soon, type="SCHEDULED")
    now = datetime.now(UTC).isoformat()
    ready = api.get("/api/jobs", params={"scheduledBefore": now, "status": "pending"}).json()[
        "jobs"
    ]
    assert later["id"] not in {each["id"] for each in ready}
    api.post("/api/jobs/cancel", json={"jobId": dropped["id"]}).raise_for_status()
    api.patch(f"/api/jobs/{started['id']}", json={"scheduledAt": None}).raise_for_status()
    stack.wait_until(lambda: job(started)["status"] == "completed", 60, "the job started by hand")
    assert job(image)["providerJobId"] is None  # nobody has swept

    def swept() -> bool:
        stack.invoke("sweep")
        return bool(job(image)["status"] == "completed")

    # That the schedule itself sweeps is shown by the demo, and by tests/local/test_stack.py.
    stack.wait_until(swept, 120, "the scheduled job")
    assert job(image)["startedAt"] >= image["scheduledAt"]
    lines = api.get(f"/api/jobs/{task['id']}/logs").json()["logs"]
    assert (lines[0]["source"], lines[0]["to"]) == ("sweep", "pending")
    states = [(job(each)["status"], job(each)["providerJobId"]) for each in (later, dropped)]
    assert states == [("pending", None), ("cancelled", None)]
