"""A shop's life on the running stack: installed, uninstalled, back again, erased; retention."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.system import SystemClock, SystemRandomness
from tests.builders import a_kept_job, a_kept_output, a_worker_job

if TYPE_CHECKING:
    from local.stack import Stack

pytestmark = pytest.mark.slow


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    return shared_stack


class Merchant:
    """One shop: its owner at Shopify, and an administrator of ours who acts for it."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.name = f"{name}.myshopify.com"
        info = stack.info
        self.shopify = info.shopify_url.removesuffix("/{shop}")
        headers = {"Authorization": f"Bearer {info.admin_key}", "X-Shop": self.name}
        self.api = httpx.Client(base_url=info.api_url, headers=headers, timeout=30)

    def control(self, path: str, **told: Any) -> Any:
        body = {"shop": self.name} | told
        answer = httpx.post(f"{self.shopify}/_simulator/{path}", json=body, timeout=30)
        return answer.raise_for_status().json()

    def login(self, path: str = "/api/shop") -> httpx.Response:
        """Open the app in Shopify's admin."""
        token = self.control("id-token")["idToken"]
        return self.api.get(path, headers={"Authorization": f"Bearer {token}", "X-Shop": self.name})

    def notify(self, topic: str, **more: Any) -> tuple[int, Any, Any]:
        """Have Shopify tell the app; returns status, answer and the delivery itself."""
        shown = self.control("webhooks", topic=topic, **more)
        delivery = {"headers": shown["headers"], "body": shown["body"]}
        return shown["status"], json.loads(shown["answer"]), delivery

    def get(self, path: str, **query: str) -> Any:
        return self.api.get(path, params=query).raise_for_status().json()

    def post(self, path: str, body: Any = None) -> Any:
        reply = self.api.post(path, json=body)
        assert reply.status_code < 300, reply.text
        return reply.json()

    @property
    def shop(self) -> Any:
        return self.get("/api/shop")["shop"]

    def job(self, job_id: str) -> Any:
        return self.get(f"/api/jobs/{job_id}")["job"]

    def wait(self, job_id: str, status: str) -> Any:
        def look() -> Any:
            job = self.job(job_id)
            return job if job["status"] == status else None

        return self.stack.wait_until(look, 60, f"{status} job")

    def bulk_job(self, kind: str) -> Any:
        (found,) = self.get("/api/jobs", type=f"bulk.{kind}")["jobs"]
        return found

    # --- what no caller can do ------------------------------------------------------------

    def make_due(self, job_id: str) -> None:
        """Let the time come that one of our own bulk jobs waits for, and sweep."""
        self.bring_forward(job_id)
        self.stack.invoke("sweep")

    def bring_forward(self, job_id: str) -> None:
        """Let the time have come that one of our own bulk jobs waits for."""
        self.stack.client("dynamodb").update_item(
            TableName=self.stack.info.table_name,
            Key={"pk": {"S": f"SHOP#{self.name}"}, "sk": {"S": f"JOB#{job_id}"}},
            UpdateExpression="SET scheduled_at = :past, due_at = :past",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )

    def resume_pushes(self) -> None:
        """Let the half minute pass that a new token is given."""

        def owed() -> list[str]:
            jobs = self.get("/api/jobs", type="bulk.resume")["jobs"]
            return [job["id"] for job in jobs if job["status"] != "completed"]

        for job_id in owed():
            self.make_due(job_id)
        self.stack.wait_until(lambda: not owed(), 60, "the pushes to be resumed")

    def store(self) -> DynamoJobStore:
        table = self.stack.info.table_name
        client = self.stack.client("dynamodb")
        return DynamoJobStore(client, table, clock=SystemClock(), random=SystemRandomness())

    def items(self) -> list[str]:
        """Return every item of the table that names the shop."""
        pages = self.stack.client("dynamodb").get_paginator("scan")
        found = pages.paginate(TableName=self.stack.info.table_name, ConsistentRead=True)
        lines = [json.dumps(item, default=str) for page in found for item in page["Items"]]
        return [line for line in lines if self.name in line]

    @property
    def bucket(self) -> str:
        return str(self.stack.deployment.physical_ids["OutputBucket"])

    def files(self) -> list[str]:
        listed = self.stack.client("s3").list_objects_v2(Bucket=self.bucket)
        return [each["Key"] for each in listed.get("Contents", ()) if self.name in each["Key"]]


@pytest.fixture
def merchant_of(stack: Stack) -> Iterator[Callable[[str], Merchant]]:
    """Open shops, and close them after the test."""
    with ExitStack() as cleanup:

        def open_shop(name: str) -> Merchant:
            merchant = Merchant(stack, name)
            cleanup.callback(merchant.api.close)
            return merchant

        yield open_shop


type Open = Callable[[str], Merchant]


def furnish(merchant: Merchant) -> dict[str, Any]:
    """Install the app and leave something of everything."""
    merchant.login().raise_for_status()
    assert merchant.shop["token"] == "ok"
    photo = f"{merchant.stack.info.pikcel_url}/photos/blue-armchair.jpg"
    wish = {"toolId": "background-removal", "inputImageUrl": photo}
    image = merchant.post("/api/jobs", wish)["job"]["id"]
    merchant.post("/api/batches", {"toolId": wish["toolId"], "images": [{"inputImageUrl": photo}]})
    active = merchant.post("/api/jobs", {"name": "Pull", "type": "pull", "exclusive": True})["job"]
    gone = merchant.post("/api/jobs", {"provider": "pikcel", "providerJobId": merchant.name})["job"]
    key = merchant.post("/api/shop/keys", {"name": "program"})["secret"]
    merchant.post("/api/admin/agents", {"name": "robot"})
    merchant.api.put("/api/shop", json={"retentionDays": 365}).raise_for_status()
    merchant.stack.wait_until(lambda: len(merchant.files()) == 2, 60, "both results")
    merchant.wait(gone["id"], "failed")  # nobody at PikcelAI knows it
    merchant.api.delete(f"/api/jobs/{gone['id']}").raise_for_status()
    merchant.resume_pushes()
    return {"active": active["id"], "image": image, "key": key}


@pytest.mark.feature("offline tokens", "erasure of a shop")
def test_from_installation_to_erasure_and_back(stack: Stack, merchant_of: Open) -> None:
    merchant, other = merchant_of("leaver"), merchant_of("stayer")
    made, theirs = furnish(merchant), furnish(other)
    left_to_others = sorted(other.items())

    # Uninstalled: the token is gone, what was under way is cancelled, once.
    status, answer, first = merchant.notify("app/uninstalled")
    assert (status, answer["outcome"]) == (200, "uninstalled")
    assert merchant.notify("app/uninstalled", **first)[1]["outcome"] == "duplicate"
    merchant.wait(made["active"], "cancelled")
    line = merchant.get(f"/api/jobs/{made['active']}/logs")["logs"][0]
    assert line["message"] == "Cancelled: the app was uninstalled from the shop."
    gone = merchant.shop
    assert (gone["token"], gone["installed"], gone["scopes"]) == ("missing", False, [])
    assert gone["uninstalledAt"] is not None
    assert merchant.job(made["image"])["status"] == "completed"

    # Installed again: late news of the first time changes nothing.
    def back() -> bool:
        merchant.login().raise_for_status()
        return bool(merchant.shop["token"] == "ok")

    stack.wait_until(back, 90, "the process that remembers the shop")
    assert merchant.notify("app/uninstalled", **first)[1]["outcome"] == "outdated"
    assert merchant.shop["token"] == "ok"
    status, answer, _ = merchant.notify("app/scopes_update", body={"current": ["read_products"]})
    assert (status, answer["outcome"]) == (200, "scopes_stored")
    assert merchant.shop["scopes"] == ["read_products"]
    status, answer, early = merchant.notify("shop/redact")
    assert (status, answer["outcome"]) == (200, "outdated")

    # Uninstalled for good, and erased.
    assert merchant.notify("app/uninstalled")[1]["outcome"] == "uninstalled"
    status, answer, redact = merchant.notify("shop/redact")
    assert (status, answer["outcome"]) == (200, "erasure_owed")
    assert merchant.notify("shop/redact", **redact)[1]["outcome"] == "duplicate"
    duty = merchant.bulk_job("erase")["id"]

    def resting() -> bool:
        return merchant.files() == [] and merchant.job(duty)["scheduledAt"] is not None

    stack.wait_until(resting, 60, "the first look")
    refused = merchant.api.post("/api/jobs", json={"name": "new"})
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert merchant.api.post("/api/jobs/cancel", json={"jobId": duty}).status_code == 409
    (running,) = merchant.get("/api/admin/erasures")["erasures"]
    assert running["status"] == "running"
    merchant.make_due(duty)

    def erased() -> Any:
        (report,) = merchant.get("/api/admin/erasures")["erasures"]
        return report if report["status"] == "completed" else None

    report = stack.wait_until(erased, 60, "the last look")
    assert report["deleted"]["files"] == 2
    assert report["deleted"]["keys"] == 2
    assert report["deleted"]["jobs"] >= 4
    assert report["deleted"]["tombstones"] == 1
    assert {"backups of the table", "logs", "queues"} <= {r["where"] for r in report["remains"]}
    assert (merchant.items(), merchant.files()) == ([], [])
    bearer = {"Authorization": f"Bearer {made['key']}"}

    def forgotten() -> bool:
        headers = bearer | {"X-Shop": merchant.name}
        return merchant.api.get("/api/jobs", headers=headers).status_code == 401

    stack.wait_until(forgotten, 45, "the key to be forgotten everywhere")

    # Whatever comes late brings nothing back; the other shop has all of its own.
    assert merchant.notify("shop/redact", **redact)[1]["outcome"] == "duplicate"
    assert merchant.notify("app/uninstalled", **first)[1]["outcome"] == "outdated"
    assert merchant.items() == []
    assert sorted(other.items()) == left_to_others
    assert other.job(theirs["image"])["status"] == "completed"
    assert other.get("/api/admin/erasures")["erasures"] == []

    # A new life begins from nothing.
    stack.wait_until(back, 90, "the process that remembers the shop")
    assert merchant.get("/api/jobs")["jobs"] == []
    assert merchant.get("/api/jobs/stats")["stats"]["total"] == 0
    assert merchant.shop["retentionDays"] is None
    assert merchant.notify("shop/redact", **early)[1]["outcome"] == "outdated"


def test_requests_about_customers_are_acknowledged_and_nothing_is_kept(
    stack: Stack, merchant_of: Open
) -> None:
    merchant = merchant_of("careful")
    for topic in ("customers/data_request", "customers/redact"):
        status, answer, _ = merchant.notify(topic)
        assert (status, answer) == (200, {"success": True, "outcome": "acknowledged"})
    assert merchant.items() == []
    lines = [line for line in stack.function_logs("webhook") if merchant.name in line]
    assert len(lines) == 2
    assert not any("john@example.com" in line or "191167" in line for line in lines)


@pytest.mark.feature("Shopify's webhooks")
def test_only_shopify_is_believed_and_only_about_the_shop_it_signed_for(
    stack: Stack, merchant_of: Open
) -> None:
    merchant, victim = merchant_of("speaker"), merchant_of("victim")
    victim.login().raise_for_status()
    for wrong in (
        {"secret": "a-forger"},
        {"headers": {"X-Shopify-Hmac-Sha256": None}},
        {"headers": {"X-Shopify-Hmac-Sha256": "nonsense"}},
    ):
        for topic in ("app/uninstalled", "shop/redact", "customers/redact"):
            status, answer, _ = merchant.notify(topic, **wrong)
            assert (status, answer["error"]) == (401, "The signature is missing or wrong.")
    for topic in ("app/uninstalled", "shop/redact"):
        status, answer, _ = merchant.notify(topic, headers={"X-Shopify-Shop-Domain": victim.name})
        assert (status, answer["code"]) == (400, "invalid_request")
    assert victim.shop["token"] == "ok"
    assert merchant.notify("orders/create")[1]["outcome"] == "unknown_topic"
    url = f"{stack.info.api_url}/webhooks/shopify"
    assert httpx.get(url).status_code == 404
    assert httpx.put(url, content=b"{}").status_code == 404
    assert httpx.post(url, content=b"\xff\xfe").status_code == 401


@pytest.mark.feature("offline tokens")
def test_a_push_that_waits_for_a_token_goes_out_after_the_next_login(
    stack: Stack, merchant_of: Open
) -> None:
    merchant = merchant_of("sleeper")
    merchant.login().raise_for_status()
    dead = {"shop": merchant.name, "state": "dead"}
    httpx.put(f"{merchant.shopify}/_simulator/tokens", json=dead).raise_for_status()
    product = merchant.control("products", title="Armchair")["product"]["id"]
    wish = {
        "toolId": "background-removal",
        "inputImageUrl": f"{stack.info.pikcel_url}/photos/blue-armchair.jpg",
        "productId": product,
        "autoPush": True,
    }
    job_id = merchant.post("/api/jobs", wish)["job"]["id"]

    def pushed(status: str) -> Callable[[], bool]:
        return lambda: bool(merchant.job(job_id)["pushStatus"] == status)

    stack.wait_until(pushed("failed"), 60, "the push to fail")
    assert merchant.shop["token"] == "dead"

    def revived() -> bool:
        merchant.login().raise_for_status()
        return bool(merchant.shop["token"] == "ok")

    stack.wait_until(revived, 90, "the process that remembers the shop")
    merchant.resume_pushes()
    stack.wait_until(pushed("pushed"), 60, "the push")
    (shown,) = httpx.get(f"{merchant.shopify}/_simulator/shops/{merchant.name}/products").json()[
        "products"
    ]
    assert [media["id"] for media in shown["media"]] == [merchant.job(job_id)["shopifyMediaId"]]


@pytest.mark.feature("retention")
def test_ended_jobs_go_when_the_shop_wants_them_no_longer(stack: Stack, merchant_of: Open) -> None:
    merchant = merchant_of("tidy")
    store = merchant.store()
    now = datetime.now(UTC)
    old, key = now - timedelta(days=40), f"shops/{merchant.name}/jobs/x/1-0.png"
    ended: dict[str, Any] = {
        "shop": merchant.name,
        "created_at": old,
        "completed_at": old,
        "due_at": None,
        "attempt": {"provider_job_id": merchant.name, "credits": 2},
        "outputs": (a_kept_output(key=key),),
    }
    goes = store.create(a_kept_job(**ended))
    stays = store.create(a_worker_job(shop=merchant.name, created_at=old, due_at=None))
    young = merchant.post("/api/jobs", {"name": "young"})["job"]["id"]
    merchant.post("/api/jobs/cancel", {"jobId": young})
    merchant.stack.client("s3").put_object(Bucket=merchant.bucket, Key=key, Body=b"png")
    assert merchant.get("/api/jobs/stats")["stats"]["total"] == 3
    shown = merchant.api.put("/api/shop", json={"retentionDays": 30}).json()["shop"]
    assert shown["retentionDays"] == 30
    duty = merchant.bulk_job("retain")
    assert duty["status"] == "pending"
    begins = datetime.fromisoformat(duty["scheduledAt"]) - now
    assert timedelta(hours=23) < begins < timedelta(hours=25)
    merchant.make_due(duty["id"])

    def gone() -> bool:
        return merchant.api.get(f"/api/jobs/{goes.job_id}").status_code == 404

    stack.wait_until(gone, 60, "the walk")
    assert {merchant.job(each)["id"] for each in (stays.job_id, young)} == {stays.job_id, young}
    assert merchant.files() == []
    assert merchant.get("/api/jobs/stats")["stats"]["total"] == 2

    def rests() -> Any:
        job = merchant.bulk_job("retain")
        return job if job["status"] == "pending" else None

    rested = stack.wait_until(rests, 30, "the end of the walk")
    assert (rested["id"], rested["result"]) == (duty["id"], {"done": {"jobs": 1}})
    assert datetime.fromisoformat(rested["scheduledAt"]) > now + timedelta(hours=23)
    merchant.api.put("/api/shop", json={"retentionDays": None}).raise_for_status()
    merchant.make_due(duty["id"])

    def dismissed() -> bool:
        return bool(merchant.get("/api/jobs", type="bulk.retain")["jobs"] == [])

    stack.wait_until(dismissed, 60, "the job to remove itself")
