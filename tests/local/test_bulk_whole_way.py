"""Batches, bulk actions, files, and what jobs are made of (products, templates, the provider's
tools and credits) over HTTP, on the laptop's stack, its policies enforced."""

from __future__ import annotations

import csv
import hashlib
import io
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from local.stack import running_stack

pytestmark = pytest.mark.slow

SHOP, STORE = "bulk.myshopify.com", "store.myshopify.com"


class Stack:
    """One running stack, and its API as an administrator acting for a shop."""

    def __init__(self, stack: Any, shop: str = SHOP) -> None:
        self.stack = stack
        self.shop = shop
        info = stack.info
        headers = {"Authorization": f"Bearer {info.admin_key}", "X-Shop": shop}
        self.api = httpx.Client(base_url=info.api_url, headers=headers, timeout=30)
        self.photo = f"{info.pikcel_url}/photos/blue-armchair.jpg"
        self.pikcel = f"{info.pikcel_url}/_simulator"
        self.shopify = info.shopify_url.removesuffix("/{shop}") + "/_simulator"

    def get(self, path: str, **query: str) -> Any:
        return self.api.get(path, params=query).raise_for_status().json()

    def post(self, path: str, body: Any = None) -> Any:
        reply = self.api.post(path, json=body)
        assert reply.status_code < 300, reply.text
        return reply.json()

    @contextmanager
    def without_messages(self) -> Iterator[None]:
        """Lose every message of bulk work that is sent meanwhile."""
        self.stack.set_event_source("bulk", enabled=False)
        yield
        self.stack.client("sqs").purge_queue(QueueUrl=self.stack.info.queues["bulk"])
        self.stack.set_event_source("bulk", enabled=True)

    def pass_time_for(self, job_id: str) -> None:
        """Have a job be due now instead of in two minutes."""
        self.stack.client("dynamodb").update_item(
            TableName=self.stack.info.table_name,
            Key={"pk": {"S": f"SHOP#{SHOP}"}, "sk": {"S": f"JOB#{job_id}"}},
            UpdateExpression="SET due_at = :now",
            ConditionExpression="attribute_exists(due_pk)",
            ExpressionAttributeValues={":now": {"N": str(int(time.time() * 1000))}},
        )

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


@pytest.mark.feature("batches")
def test_a_batch_of_photos_is_processed_and_counted_to_its_end(running: Stack, batch: Any) -> None:
    assert (batch["status"], batch["completedJobs"], batch["progress"]) == ("completed", 3, 100)
    assert batch["totalCreditsUsed"] > 0
    assert batch["startedAt"] < batch["completedAt"]
    assert [one["id"] for one in running.get("/api/batches")["batches"]] == [batch["id"]]
    jobs = running.get("/api/jobs", batchId=batch["id"])["jobs"]
    assert sorted(job["name"] for job in jobs) == ["=photo 0", "=photo 1", "=photo 2"]
    assert running.get("/api/jobs/stats")["stats"]["completed"] == 3


@pytest.mark.feature("CSV")
def test_the_jobs_of_a_batch_come_as_a_csv_file(running: Stack, batch: Any) -> None:
    reply = running.api.get("/api/jobs/export.csv", params={"batchId": batch["id"]})
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    text = reply.content.decode("utf-8-sig")
    names = [row["name"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert sorted(names) == ["'=photo 0", "'=photo 1", "'=photo 2"]


@pytest.mark.feature("export")
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


@pytest.mark.feature("archive of a batch")
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


@pytest.mark.feature("bulk actions", "dry run", "administrators' bulk actions")
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
    (made, *_), (_, cancelled) = (
        running.get(f"/api/jobs/{name}/logs")["logs"][::-1] for name in (bulk["id"], ids[0])
    )
    assert cancelled["actor"] == made["actor"]
    assert made["actor"].startswith("admin:")
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
    name = running.post("/api/jobs", {"type": "lost-message"})["job"]["id"]
    with running.without_messages():
        bulk = running.post("/api/jobs/cancel", {"jobIds": [name]})["job"]
    running.pass_time_for(bulk["id"])
    assert running.get(f"/api/jobs/{bulk['id']}")["job"]["status"] == "pending"
    running.stack.invoke("sweep")
    assert running.ended(bulk["id"])["status"] == "completed"
    assert running.get(f"/api/jobs/{name}")["job"]["status"] == "cancelled"


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


# --- what jobs are made of ----------------------------------------------------------------


@pytest.fixture(scope="module")
def store(running: Stack) -> Iterator[Stack]:
    """The same stack for another shop, installed by the login of its app."""
    made = Stack(running.stack, STORE)
    login = httpx.post(f"{made.shopify}/id-token", json={"shop": STORE}).raise_for_status()
    bearer = {"Authorization": f"Bearer {login.json()['idToken']}"}
    made.api.get("/api/jobs/pending-count", headers=bearer).raise_for_status()
    yield made
    made.api.close()


def of_simulator(method: str, address: str, body: Any = None) -> Any:
    return httpx.request(method, address, json=body, timeout=30).raise_for_status().json()


def balance(running: Stack, credits_: int) -> None:
    """Set what is left of the provider's account."""
    spent = of_simulator("GET", f"{running.pikcel}/ledger")
    taken = sum(charge["credits"] for charge in spent["charges"])
    wanted = {"credits_balance": credits_ + taken}
    of_simulator("PUT", f"{running.pikcel}/config", wanted)


@pytest.mark.feature("products")
def test_the_catalogue_comes_from_shopify_by_the_shops_own_token(store: Stack) -> None:
    for title in ("Oak chair", "Oak table", "Lamp"):
        product = {"shop": STORE, "title": title, "imageUrl": store.photo}
        of_simulator("POST", f"{store.shopify}/products", product)
    first = store.get("/api/products", q="oak", limit="1")
    rest = store.get("/api/products", q="oak", limit="1", cursor=first["nextCursor"])
    products = first["products"] + rest["products"]
    assert [product["title"] for product in products] == ["Oak chair", "Oak table"]
    assert rest["nextCursor"] is None
    picture = httpx.get(products[0]["images"][0]["url"]).raise_for_status()
    assert picture.headers["content-type"].startswith("image/")
    reply = store.api.get("/api/products", headers={"X-Shop": "nobody.myshopify.com"})
    assert (reply.status_code, reply.json()["code"]) == (409, "shop_not_installed")
    dead = {"shop": STORE, "state": "dead"}
    of_simulator("PUT", f"{store.shopify}/tokens", dead)
    reply = store.api.get("/api/products")
    assert (reply.status_code, reply.json()["code"]) == (409, "token_dead")
    assert store.get("/api/shop")["shop"]["token"] == "dead"


@pytest.mark.feature("tools")
def test_the_tools_are_the_providers_and_asked_for_once(store: Stack) -> None:
    before = of_simulator("GET", f"{store.pikcel}/requests")["counts"].get("models", 0)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: store.get("/api/tools"), range(4)))
    assert {reply["stale"] for reply in found} == {False}
    tools = {tool["id"]: tool for tool in found[0]["tools"]}
    assert len(tools) == 10
    assert tools["upscale-4x"]["name"] == "Upscale 4x"
    assert tools["upscale-4x"]["quotes"] == {"low": 2, "normal": 2, "high": 3, "urgent": 4}
    assert len({reply["fetchedAt"] for reply in found}) == 1
    again = store.get("/api/tools")
    assert again["fetchedAt"] == found[0]["fetchedAt"]
    after = of_simulator("GET", f"{store.pikcel}/requests")["counts"]["models"]
    # Not at all, if a test before this one has asked within five minutes.
    assert 1 <= after <= before + 1


@pytest.mark.feature("insufficient credits", "provider's credits left")
def test_jobs_that_cannot_be_paid_are_refused_before_anything_is_spent(store: Stack) -> None:
    store.get("/api/tools")
    balance(store, 3)
    of = store.api.get("/api/admin/credits").raise_for_status().json()
    assert of["credits"]["plan"] == "professional"

    def known() -> bool:
        # What was asked for half a minute ago is shown until then.
        return bool(store.get("/api/admin/credits")["credits"]["balance"] == 3)

    store.stack.wait_until(known, 45, "the new balance")
    spent = of_simulator("GET", f"{store.pikcel}/requests")["counts"].get("dispatch", 0)
    images = [{"inputImageUrl": store.photo}] * 2
    reply = store.api.post("/api/batches", json={"toolId": "upscale-4x", "images": images})
    assert (reply.status_code, reply.json()["code"]) == (402, "insufficient_credits")
    assert reply.json()["details"][0]["required"] == 4
    body = {"toolId": "upscale-4x", "inputImageUrl": store.photo, "priority": "urgent"}
    reply = store.api.post("/api/jobs", json=body)
    assert (reply.status_code, reply.json()["details"][0]["required"]) == (402, 4)
    assert store.get("/api/jobs")["jobs"] == []
    after = of_simulator("GET", f"{store.pikcel}/requests")["counts"].get("dispatch", 0)
    assert after == spent
    # Filled up again: found out about by asking, as soon as what is known is a minute old.
    balance(store, 1_000)

    def paid() -> Any:
        reply = store.api.post("/api/jobs", json=body)
        return reply.json()["job"] if reply.status_code == 202 else None

    job = store.stack.wait_until(paid, 90, "the credits to be seen")
    assert job["toolName"] == "Upscale 4x"


@pytest.mark.feature("templates")
def test_a_job_and_a_batch_are_made_with_a_template(store: Stack) -> None:
    preset = {"name": "White", "toolId": "background-removal", "parameters": {"a": 1, "b": 1}}
    template = store.post("/api/templates", preset)["template"]
    body = {"templateId": template["id"], "inputImageUrl": store.photo, "parameters": {"b": 2}}
    job = store.post("/api/jobs", body)["job"]
    assert (job["toolId"], job["parameters"]) == ("background-removal", {"a": 1, "b": 2})

    def ended() -> Any:
        now = store.get(f"/api/jobs/{job['id']}")["job"]
        return now if now["status"] not in ("pending", "processing") else None

    assert store.stack.wait_until(ended, 60, "the job")["status"] == "completed"
    # The provider never heard of our template.
    seen = of_simulator("GET", f"{store.pikcel}/jobs")["jobs"]
    assert template["id"] not in str(seen)
    asked = {"templateId": template["id"], "images": [{"inputImageUrl": store.photo}]}
    batch = store.post("/api/batches", asked)["batch"]
    assert (batch["toolId"], batch["toolName"]) == ("background-removal", "Background Removal")
    store.api.delete(f"/api/templates/{template['id']}").raise_for_status()
    reply = store.api.post("/api/jobs", json=body)
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert store.get("/api/templates")["templates"] == []


@pytest.mark.feature("bulk jobs")
def test_a_bulk_job_is_seen_cancelled_and_resumed(running: Stack) -> None:
    ids = [running.post("/api/jobs", {"type": "resumed"})["job"]["id"] for _ in range(3)]
    running.stack.set_event_source("bulk", enabled=False)
    bulk_id = running.post("/api/jobs/cancel", {"jobIds": ids})["job"]["id"]
    assert running.get(f"/api/jobs/{bulk_id}")["job"]["status"] == "pending"
    assert running.get("/api/jobs", type="resumed")["runningCount"] is not None
    assert bulk_id in [job["id"] for job in running.get("/api/jobs", type="bulk.cancel")["jobs"]]
    assert bulk_id not in [job["id"] for job in running.get("/api/jobs")["jobs"]]
    stopped = running.post("/api/jobs/cancel", {"jobId": bulk_id})["job"]
    assert stopped["status"] == "cancelled"
    running.stack.set_event_source("bulk", enabled=True)
    running.post("/api/jobs/retry", {"jobId": bulk_id})
    assert running.ended(bulk_id)["successful"] == 3
    assert running.get(f"/api/jobs/{ids[0]}")["job"]["status"] == "cancelled"


@pytest.mark.feature("whole batches")
def test_what_failed_of_a_batch_is_retried_and_a_batch_is_cancelled(running: Stack) -> None:
    def batch(**simulate: Any) -> str:
        images = [{"inputImageUrl": running.photo} for _ in range(2)]
        body = {
            "toolId": "background-removal",
            "parameters": {"simulate": simulate},
            "images": images,
        }
        return str(running.post("/api/batches", body)["batch"]["id"])

    def until(batch_id: str, **wanted: Any) -> Any:
        def look() -> Any:
            now = running.get(f"/api/batches/{batch_id}")["batch"]
            return now if all(now[name] == value for name, value in wanted.items()) else None

        return running.stack.wait_until(look, 60, f"the batch to be {wanted}")

    failing = batch(fail={}, times=1)
    assert until(failing, status="failed")["failedJobs"] == 2
    running.post(f"/api/batches/{failing}/retry")
    assert until(failing, status="completed")["completedJobs"] == 2
    stuck = batch(stuck=True)
    until(stuck, activeJobs=2)
    running.post(f"/api/batches/{stuck}/cancel")
    assert until(stuck, cancelledJobs=2)["activeJobs"] == 0
