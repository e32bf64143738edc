"""Every provider over HTTP, on the laptop's stack, its policies enforced.

Create, webhooks in any order and twice, all of them lost, a forged one, a dead link, cancel, retry:
the image is on the product once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack import Stack, running_stack
from local.stack.processes import free_ports
from tests.local.provider_world import NAMES, TOOLS, ProviderJob, Providers, running_providers
from tests.unit.providers.senders import sign_standard

pytestmark = pytest.mark.slow

SHOP = "providers.myshopify.com"


@dataclass
class World:
    """One stack, and the providers beside it."""

    stack: Stack
    providers: Providers
    api: httpx.Client

    def product(self) -> str:
        shopify = self.stack.info.shopify_url.removesuffix("/{shop}")
        wanted = {"shop": SHOP, "title": "Mug"}
        made = httpx.post(f"{shopify}/_simulator/products", json=wanted, timeout=30)
        found: str = made.raise_for_status().json()["product"]["id"]
        return found

    def shown(self, product: str) -> list[str]:
        """Return the media on a product."""
        shopify = self.stack.info.shopify_url.removesuffix("/{shop}")
        listed = httpx.get(f"{shopify}/_simulator/shops/{SHOP}/products", timeout=30).json()
        return [
            media["id"]
            for each in listed["products"]
            if each["id"] == product
            for media in each["media"]
        ]

    def create(self, provider: str, **more: Any) -> dict[str, Any]:
        body = {
            "provider": provider,
            "toolId": TOOLS[provider],
            "inputImageUrl": "https://shop.example/mug.jpg",
            "parameters": {"prompt": "On white"},
            **more,
        }
        return self._sent(self.api.post("/api/jobs", json=body))

    def job(self, job_id: str) -> dict[str, Any]:
        return self._sent(self.api.get(f"/api/jobs/{job_id}"))

    def act(self, action: str, job_id: str) -> dict[str, Any]:
        return self._sent(self.api.post(f"/api/jobs/{action}", json={"jobId": job_id}))

    def at_provider(self, job: dict[str, Any]) -> ProviderJob:
        """Wait until the provider has the job."""

        def look() -> str | None:
            found: str | None = self.job(job["id"])["providerJobId"]
            return found

        return self.providers.jobs[self.stack.wait_until(look, 60, "the create call") or ""]

    def until(self, job: dict[str, Any], field: str, value: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            now = self.job(job["id"])
            assert now["pushStatus"] != "failed", now
            return now if now[field] == value else None

        found = self.stack.wait_until(look, 90, f"{field} {value}")
        assert found is not None
        return found

    def deliver(self, job: ProviderJob, *, forged: bool = False) -> httpx.Response:
        info = self.stack.info
        return self.providers.deliver(job, info.api_url, info.secrets, forged=forged)

    @staticmethod
    def _sent(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()["job"]
        return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    (port,) = free_ports(1)
    with (
        running_providers(port) as providers,
        running_stack(auth=True, settings=providers.settings()) as stack,
    ):
        stack.set_schedule(enabled=False)
        info = stack.info
        shopify = info.shopify_url.removesuffix("/{shop}")
        headers = {"Authorization": f"Bearer {info.admin_key}", "X-Shop": SHOP}
        with httpx.Client(base_url=info.api_url, headers=headers, timeout=30) as api:
            # The first call with an ID token installs the shop.
            login = httpx.post(f"{shopify}/_simulator/id-token", json={"shop": SHOP}, timeout=30)
            bearer = {"Authorization": f"Bearer {login.raise_for_status().json()['idToken']}"}
            api.get("/api/jobs/pending-count", headers=bearer).raise_for_status()
            yield World(stack, providers, api)
        refusals = [
            line
            for name in info.functions
            for line in stack.function_logs(name)
            if "AccessDenied" in line
        ]
        assert refusals == []
        assert providers.refused == []


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.feature("providers")
def test_webhooks_in_every_order_and_twice_bring_the_image_once(
    world: World, provider: str
) -> None:
    product = world.product()
    job = world.create(provider, productId=product, autoPush=True)
    there = _done(world.at_provider(job))
    assert world.deliver(there, forged=True).status_code == 401
    for _ in range(2):
        assert world.deliver(there).status_code == 200
    if provider in ("replicate", "runpod"):
        there.state = "running"
        assert world.deliver(there).status_code == 200  # the start, after the end
        there.state = "done"
    done = world.until(job, "pushStatus", "pushed")
    assert (done["status"], done["attempt"]) == ("completed", 1)
    assert world.deliver(there).status_code == 200
    assert world.shown(product) == [done["shopifyMediaId"]]
    kept = httpx.get(done["outputImageUrl"], timeout=30)
    assert kept.content == world.providers.picture
    logs = world.api.get(f"/api/jobs/{job['id']}/logs").json()["logs"]
    proofs = {entry["proof"] for entry in logs if entry["source"] == "webhook"}
    assert proofs == {{"runpod": "none", "bfl": "body"}.get(provider, "body+time")}


@pytest.mark.feature("several results")
def test_of_several_results_all_are_kept_and_the_chosen_one_is_pushed(world: World) -> None:
    product = world.product()
    asked = {"prompt": "On white", "num_outputs": 3}
    job = world.create(
        "replicate", productId=product, autoPush=True, parameters=asked, pushOutputs=[1]
    )
    world.deliver(_done(world.at_provider(job)))
    outputs = world.until(job, "pushStatus", "pushed")["outputs"]
    assert [output["kept"] for output in outputs] == [True, True, True]
    assert [output["pushStatus"] for output in outputs] == ["none", "pushed", "none"]
    assert world.shown(product) == [outputs[1]["mediaId"]]


@pytest.mark.feature("learnt ETA")
def test_a_job_without_progress_is_expected_when_others_of_its_tool_were_done(world: World) -> None:
    first = world.create("replicate")
    world.deliver(_done(world.at_provider(first)))
    world.until(first, "status", "completed")
    next_one = world.create("replicate")
    world.deliver(world.at_provider(next_one))
    world.until(next_one, "status", "processing")

    def look() -> bool:
        return world.job(next_one["id"])["etaSeconds"] is not None

    world.stack.wait_until(look, 60, "the first job's time, learnt")
    # It runs down by itself, and a reader who has the job as it is need not read it again.
    path = f"/api/jobs/{next_one['id']}"
    seen = world.api.get(path)
    time.sleep(1.1)
    again = world.api.get(path, headers={"If-None-Match": seen.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("provider", NAMES)
def test_without_any_webhook_the_provider_is_asked(world: World, provider: str) -> None:
    product = world.product()
    job = world.create(provider, productId=product, autoPush=True)
    there = _done(world.at_provider(job))
    assert world.act("sync", job["id"])["status"] in ("processing", "completed", "pending")
    done = world.until(job, "pushStatus", "pushed")
    assert there.polls >= 1
    assert world.shown(product) == [done["shopifyMediaId"]]


@pytest.mark.parametrize("provider", sorted(set(NAMES) - {"openai"}))
def test_a_dead_link_is_asked_for_once_more_and_then_said(world: World, provider: str) -> None:
    job = world.create(provider)
    there = _done(world.at_provider(job))
    world.providers.dead_links.add(there.job_id)
    world.deliver(there)
    done = world.until(job, "errorCode", "output_expired")
    assert done["status"] == "completed"


@pytest.mark.parametrize("provider", NAMES)
def test_a_cancelled_job_is_stopped_where_it_can_be(world: World, provider: str) -> None:
    job = world.create(provider)
    there = world.at_provider(job)
    answer = world.api.post("/api/jobs/cancel", json={"jobId": job["id"]}).json()
    assert answer["job"]["status"] == "cancelled"
    if provider == "bfl":
        assert there.state == "running"
        return
    world.stack.wait_until(lambda: there.state == "stopped", 60, "the stop")


@pytest.mark.parametrize("provider", NAMES)
def test_a_failed_job_is_retried_under_a_new_id(world: World, provider: str) -> None:
    job = world.create(provider)
    there = world.at_provider(job)
    there.state = "failed"
    world.deliver(there)
    world.until(job, "status", "failed")
    world.act("retry", job["id"])

    def second() -> ProviderJob | None:
        now = world.job(job["id"])["providerJobId"]
        return world.providers.jobs[now] if now not in (None, there.job_id) else None

    again = world.stack.wait_until(second, 60, "the second attempt")
    assert again is not None
    world.deliver(_done(again))
    assert world.until(job, "status", "completed")["retryCount"] == 1
    # What comes of the first attempt now moves nothing.
    assert world.deliver(_done(there)).status_code == 200
    assert world.job(job["id"])["attempt"] == 2


@pytest.mark.feature("reports by webhook")
def test_a_program_reports_by_webhook(world: World) -> None:
    made = world.api.post("/api/jobs", json={"type": "catalogue", "total": 10})
    job = World._sent(made)
    secret = world.stack.info.secrets["WORKER_WEBHOOK_SECRET"]

    def say(kind: str, key: str = secret, **data: Any) -> httpx.Response:
        body = json.dumps({"type": kind, "data": {"jobId": job["id"], **data}}).encode()
        headers = sign_standard(body, "msg_1", int(time.time()), key)
        return httpx.post(
            f"{world.stack.info.api_url}/webhooks/worker", content=body, headers=headers, timeout=30
        )

    assert say("job.progress", key="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").status_code == 401
    assert say("job.progress", processed=4).json()["outcome"] == "applied"
    assert world.job(job["id"])["progress"] == 40
    assert say("job.completed", result={"pages": 3, "notes": "x" * 3000}).status_code == 200
    done = world.job(job["id"])
    assert (done["status"], done["result"]["pages"]) == ("completed", 3)
    assert say("job.progress", processed=5).json()["outcome"] == "late"


def _done(job: ProviderJob) -> ProviderJob:
    job.state = "done"
    return job
