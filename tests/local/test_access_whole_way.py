"""Who may do what, over HTTP: shop keys, settings, budgets, agents, administrators, and calls
that are done once. On the real local stack, with the template's policies enforced."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from local.pikcel_simulator.delivery import sign
from local.stack import Stack

pytestmark = pytest.mark.slow

SHOP, OTHER_SHOP = "first.myshopify.com", "second.myshopify.com"


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    return shared_stack


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {stack.info.admin_key}"}
    with httpx.Client(base_url=stack.info.api_url, headers=headers, timeout=30) as client:
        yield client


def calls(stack: Stack, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=stack.info.api_url, headers=headers, timeout=30)


def sent(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def key_of(admin: httpx.Client, shop: str) -> Any:
    return sent(admin.post("/api/shop/keys?shop=" + shop, json={"name": "program"}), 201)


@pytest.mark.feature("shop keys")
def test_a_shops_key_acts_for_its_shop_until_it_is_revoked(
    stack: Stack, admin: httpx.Client
) -> None:
    made = key_of(admin, SHOP)
    with calls(stack, made["secret"]) as program:
        job = sent(program.post("/api/jobs", json={"name": "pull", "type": "pull"}), 202)["job"]
        assert job["shop"] == SHOP
        assert program.get("/api/admin/jobs").status_code == 403
        assert program.get("/api/jobs", headers={"X-Shop": OTHER_SHOP}).status_code == 403
        (listed,) = sent(program.get("/api/shop/keys"))["keys"]
        assert listed["lastUsedAt"] is not None
        assert made["secret"] not in str(listed)
        other = key_of(admin, OTHER_SHOP)
        with calls(stack, other["secret"]) as stranger:
            assert stranger.get(f"/api/jobs/{job['id']}").status_code == 404
            path = f"/api/shop/keys/{made['key']['id']}"
            assert stranger.delete(path).status_code == 404
        sent(program.delete(f"/api/shop/keys/{made['key']['id']}"))

        def refused() -> bool:
            return program.get("/api/jobs").status_code == 401

        stack.wait_until(refused, 45, "the key to be forgotten everywhere")


@pytest.mark.feature("monthly budget", "shop settings")
def test_a_budget_holds_however_many_calls_come_at_once(stack: Stack, admin: httpx.Client) -> None:
    shop = "saver.myshopify.com"
    admin.headers["X-Shop"] = shop
    limits = {"monthlyBudget": {"costMicros": 1_000}, "autoPush": True, "retentionDays": 30}
    shown = sent(admin.put("/api/shop", json=limits))["shop"]
    assert shown["monthlyBudget"] == {"credits": None, "costMicros": 1_000}
    assert (shown["autoPush"], shown["retentionDays"], shown["token"]) == (True, 30, "missing")

    def create(number: int) -> int:
        body = {"name": f"task {number}", "costMicros": 300}
        with calls(stack, stack.info.admin_key) as client:
            return client.post("/api/jobs", json=body, headers={"X-Shop": shop}).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(create, range(6)))
    assert answers == [202, 202, 202, 402, 402, 402]
    assert sent(admin.get("/api/shop"))["shop"]["spent"]["costMicros"] == 900


@pytest.mark.feature("agents", "agent tasks", "administrators", "administrators' actions")
def test_an_agent_works_on_its_own_jobs_and_administrators_on_all(
    stack: Stack, admin: httpx.Client
) -> None:
    shop = {"shop": "agents.myshopify.com"}
    one, two = (
        sent(admin.post("/api/admin/agents", json={"name": name}, params=shop), 201)
        for name in ("one", "two")
    )
    with calls(stack, one["secret"]) as first, calls(stack, two["secret"]) as second:
        job_id = sent(first.post("/api/jobs", json={"name": "Write a text"}), 202)["job"]["id"]
        path = f"/api/admin/jobs/{job_id}"
        assert second.get(f"/api/jobs/{job_id}").status_code == 404
        assert second.post(f"{path}/resubmit").status_code == 403
        body = {"agentId": two["agent"]["id"]}
        given = sent(admin.post(f"{path}/reassign", json=body))["job"]
        assert (given["agentId"], given["nativeStatus"]) == (two["agent"]["id"], "assigned")
        assert first.get(f"/api/jobs/{job_id}").status_code == 404
        assert len(sent(second.get("/api/jobs"))["jobs"]) == 1
        failed = {"status": "resubmission_required", "error": "too short"}
        reported = sent(second.patch(f"/api/jobs/{job_id}", json=failed))["job"]
        assert (reported["status"], reported["nativeStatus"]) == (
            "failed",
            "resubmission_required",
        )
        assert sent(admin.post(f"{path}/resubmit"))["job"]["attempt"] == 2
        done = sent(admin.post(f"{path}/complete", json={"result": {"text": "Long"}}))["job"]
        assert (done["status"], done["result"]) == ("completed", {"text": "Long"})
        assert admin.post(f"{path}/complete", json={"result": {}}).status_code == 409
        lines = sent(second.get(f"/api/jobs/{job_id}/logs"))["logs"]
        actors = [line["actor"].partition(":")[0] for line in reversed(lines)]
        assert actors == ["agent", "admin", "agent", "admin", "admin"]
        today = sent(admin.get("/api/admin/jobs"))
        assert job_id in {job["id"] for job in today["jobs"]}
        sent(admin.delete(f"/api/admin/agents/{two['agent']['id']}", params=shop))

        def refused() -> bool:
            return second.get("/api/jobs").status_code == 401

        stack.wait_until(refused, 45, "the agent's key to be forgotten everywhere")


@pytest.mark.feature("payloads")
def test_what_an_agent_got_and_gave_is_read_entry_by_entry(
    stack: Stack, admin: httpx.Client
) -> None:
    admin.headers["X-Shop"] = "payloads.myshopify.com"
    made = sent(admin.post("/api/admin/agents", json={"name": "writer"}), 201)
    with calls(stack, made["secret"]) as agent:
        job_id = sent(agent.post("/api/jobs", json={"name": "Write a text"}), 202)["job"]["id"]
        path = f"/api/jobs/{job_id}"
        prompt = {"prompt": "Write about mugs.", "seed": 2**60}
        small = sent(agent.post(f"{path}/logs", json={"requestPayload": prompt}), 201)["log"]
        big = [random.Random(1).randbytes(30_000).hex()]
        report = {"status": "completed", "log": {"responsePayload": big, "message": "Done."}}
        sent(agent.patch(path, json=report))
        own = sent(agent.get(f"{path}/logs", params={"actor": made["agent"]["id"]}))["logs"]
        assert [log["hasPayload"] for log in own] == [True, True, False]
        assert "Done." in own[0]["message"]
        found = sent(agent.get(f"{path}/logs/{own[0]['id']}"))
        assert (found["request"], found["response"], found["body"]) == (None, big, None)
    read = sent(admin.get(f"{path}/logs/{small['id']}"))
    assert read["request"] == {"prompt": "Write about mugs.", "seed": str(2**60)}
    assert sent(admin.get(f"{path}/logs", params={"source": "sweep"}))["logs"] == []
    folder = f"shops/payloads.myshopify.com/jobs/{job_id}/"
    assert stored(stack, folder) == [f"{folder}logs/{own[0]['id']}.json"]
    sent(admin.delete(path))
    assert admin.get(f"{path}/logs/{small['id']}").status_code == 404
    assert stored(stack, folder) == []


def stored(stack: Stack, prefix: str) -> list[str]:
    """Return what lies under a prefix, in whichever bucket."""
    s3 = stack.client("s3")
    found = (
        s3.list_objects_v2(Bucket=bucket["Name"], Prefix=prefix).get("Contents", [])
        for bucket in s3.list_buckets()["Buckets"]
    )
    return [each["Key"] for contents in found for each in contents]


@pytest.mark.feature("Idempotency-Key")
def test_the_same_call_is_done_once(stack: Stack, admin: httpx.Client) -> None:
    admin.headers["X-Shop"] = "once.myshopify.com"
    job_id = sent(admin.post("/api/jobs", json={"name": "x"}), 202)["job"]["id"]
    sent(admin.post("/api/jobs/cancel", json={"jobId": job_id}))
    key = {"Idempotency-Key": "retry-1"}

    def retry(_number: int) -> httpx.Response:
        with calls(stack, stack.info.admin_key) as client:
            headers = {**key, "X-Shop": "once.myshopify.com"}
            return client.post("/api/jobs/retry", json={"jobId": job_id}, headers=headers)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(retry, range(4)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    again = sent(retry(0))
    assert again["job"]["attempt"] == 2
    assert all(answer.json() == again for answer in answers if answer.status_code == 200)
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"already_running"}
    other = {"jobId": "0" * 8 + job_id[8:]}
    assert admin.post("/api/jobs/retry", json=other, headers=key).status_code == 422
    named: dict[str, Any] = {"json": {"name": "k"}, "headers": {"Idempotency-Key": "key-1"}}
    issued = [sent(admin.post("/api/shop/keys", **named), 201) for _ in range(2)]
    assert issued[0] == issued[1]
    assert len(sent(admin.get("/api/shop/keys"))["keys"]) == 1


@pytest.mark.feature("parked deliveries")
def test_a_delivery_without_a_job_is_adopted(stack: Stack, admin: httpx.Client) -> None:
    lost = {"jobId": "pk_lost", "status": "failed", "error": "No face", "creditsUsed": 3}
    body = json.dumps(lost).encode()
    secret = stack.info.secrets["PIKCEL_WEBHOOK_SECRET"].split(",")[0]
    headers = {"X-Pikcel-Signature": sign(secret, body), "Content-Type": "application/json"}
    sent(admin.post("/webhooks/pikcel", content=body, headers=headers))
    parked = sent(admin.get("/api/admin/parked"))["parked"]
    assert "pk_lost" in {event["providerJobId"] for event in parked}
    wish = {"provider": "pikcel", "providerJobId": "pk_lost", "shop": SHOP, "toolId": "t"}
    job = sent(admin.post("/api/admin/parked/adopt", json=wish), 202)["job"]
    assert (job["shop"], job["status"], job["creditsUsed"]) == (SHOP, "failed", 3)
    assert admin.post("/api/admin/parked/adopt", json=wish).status_code == 409
    parked = sent(admin.get("/api/admin/parked"))["parked"]
    assert "pk_lost" not in {event["providerJobId"] for event in parked}
