"""The same story with every provider, over HTTP on the laptop's stack, its policies enforced.

For each of them four photos, all at once: webhooks in the wrong order and twice; every webhook
lost; a failure that is retried; a cancel. Nothing is pushed until every link to a result is dead:
what is on the products afterwards was kept in time. PikcelAI, Replicate and fal are the stack's own
simulators, the others small doubles of the same pieces; a worker tells by itself, and has no image.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import pytest

from local.provider_simulator.standard import sign
from local.stack import Stack, running_stack
from local.stack.processes import free_ports
from tests.local.provider_doubles import DOUBLES, a_double
from tests.local.simulator_servers import PHOTO, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SHOP = "every-provider.myshopify.com"
WORK = "image-enhancement"
TOOLS = {
    "pikcel": WORK,
    "replicate": f"acme/{WORK}",
    "fal": f"acme/{WORK}",
    "runpod": WORK,
    "bfl": WORK,
    "openai": WORK,
}
# What each of the four suffers; told apart by the photo's address.
CASES: dict[str, dict[str, Any]] = {
    "shuffled": {"faults": {"webhook_out_of_order": True, "webhook_copies": 2}},
    "lost": {"faults": {"webhook_lost": "all"}},
    "retried": {"times": 1, "per": "job", "faults": {"fail": {}, "webhook_copies": 2}},
    "cancelled": {"faults": {"stuck": True}},
}
PUSHED = [case for case in CASES if case != "cancelled"]
# Those that stop a job when they are asked to, by their own documents.
STOPPING = ("replicate", "fal", "runpod", "openai")
# How many different webhooks a job has that goes well.
WEBHOOKS = {"pikcel": 2, "replicate": 2}
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Photo:
    """One photo of the story: whose it is, what it suffers, its product and its job."""

    provider: str
    case: str
    product: str
    job_id: str


class Tale:
    """The running stack, everybody in it, and what was sent."""

    def __init__(self, stack: Stack, doubles: dict[str, str]) -> None:
        self.stack = stack
        info = stack.info
        self.inside = {
            "pikcel": info.pikcel_url,
            "replicate": info.replicate_url,
            "fal": info.fal_url,
            **doubles,
        }
        self.shopify = info.shopify_url.removesuffix("/{shop}")
        headers = {"Authorization": f"Bearer {info.admin_key}", "X-Shop": SHOP}
        self.api = httpx.Client(base_url=info.api_url, headers=headers, timeout=60)
        self.photos: list[Photo] = []

    def set_the_scene(self, doubles: dict[str, str]) -> None:
        """Let the doubles know our secrets, everybody their faults, and install the shop."""
        secrets = self.stack.info.secrets
        for name in doubles:
            told: dict[str, Any] = {"api_keys": [secrets[f"{name.upper()}_API_KEY"]]}
            if name == "openai":
                told["webhook_secrets"] = [secrets["OPENAI_WEBHOOK_SECRET"]]
                told["webhook_url"] = f"{self.stack.info.api_url}/webhooks/openai"
            self.configure(name, **told)
        rules = [
            {"match": {"url_contains": f"case={case}"}, **rule} for case, rule in CASES.items()
        ]
        for name in self.inside:
            self.configure(name, rules=rules, webhook_timeout_s=90.0)
        login = self.post(f"{self.shopify}/_simulator/id-token", {"shop": SHOP})["idToken"]
        bearer = {"Authorization": f"Bearer {login}"}
        self.api.get("/api/jobs/pending-count", headers=bearer).raise_for_status()

    def configure(self, name: str, **changes: Any) -> None:
        url = f"{self.inside[name]}/_simulator/config"
        httpx.put(url, json=changes, timeout=30).raise_for_status()

    def post(self, url: str, body: Any = None) -> Any:
        answer = httpx.post(url, json=body, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def look_inside(self, name: str, what: str) -> list[dict[str, Any]]:
        found = httpx.get(f"{self.inside[name]}/_simulator/{what}", timeout=30).json()
        rows: list[dict[str, Any]] = found["deliveries" if what == "webhooks" else what]
        return rows

    def send(self, provider: str, case: str) -> None:
        """Create a product, and a job for its photo."""
        wanted = {"shop": SHOP, "title": f"{provider}, {case}"}
        product = self.post(f"{self.shopify}/_simulator/products", wanted)["product"]["id"]
        wish = {
            "toolId": TOOLS[provider],
            "provider": provider,
            "inputImageUrl": f"{self.inside[provider]}/photos/{PHOTO}?case={case}",
            "productId": product,
            "autoPush": True,
        }
        answer = self.api.post("/api/jobs", json=wish)
        assert answer.status_code < 300, answer.text
        self.photos.append(Photo(provider, case, product, answer.json()["job"]["id"]))

    def jobs(self) -> dict[str, dict[str, Any]]:
        found = self.api.get("/api/jobs", params={"limit": 100}).raise_for_status().json()["jobs"]
        return {job["id"]: job for job in found}

    def act(self, what: str, photo: Photo) -> None:
        answer = self.api.post(f"/api/jobs/{what}", json={"jobId": photo.job_id})
        assert answer.status_code == 200, answer.text

    def cancel_and_retry(self) -> bool:
        """Press what the page would: true when both was done for every provider."""
        jobs, owed = self.jobs(), 0
        for photo in self.photos:
            job = jobs[photo.job_id]
            if photo.case == "cancelled" and job["status"] != "cancelled":
                owed += 1
                if job["providerJobId"] is not None:
                    self.act("cancel", photo)
            if photo.case == "retried" and job["attempt"] == 1:
                owed += 1
                if job["status"] == "failed":
                    self.act("retry", photo)
        return owed == 0

    def are_kept(self) -> bool:
        """Sweep, as every minute; true when every result that is to be kept is."""
        self.stack.invoke("sweep")
        jobs = self.jobs()
        return all(
            jobs[photo.job_id]["status"] == "completed"
            and jobs[photo.job_id]["outputs"]
            and jobs[photo.job_id]["outputs"][0]["kept"]
            for photo in self.photos
            if photo.case in PUSHED
        )

    def are_pushed(self) -> bool:
        jobs = self.jobs()
        states = [jobs[each.job_id]["pushStatus"] for each in self.photos if each.case in PUSHED]
        assert "failed" not in states
        return set(states) == {"pushed"}

    def tell(self) -> None:
        """Everything, from the first product to the last push."""
        # Nothing is pushed until the links are dead.
        self.stack.set_event_source("push", enabled=False)
        for case in ("lost", "retried", "cancelled", "shuffled"):
            for provider in TOOLS:
                self.send(provider, case)
        self.until(self.cancel_and_retry, "cancels and retries")
        self.until(self.are_kept, "the results")
        for url in self.inside.values():
            self.post(f"{url}/_simulator/expire")
        self.stack.set_event_source("push", enabled=True)
        self.until(self.are_pushed, "the pushes")

    def until(self, look: Any, what: str) -> None:
        def patiently() -> bool:
            if look():
                return True
            time.sleep(1.0)
            return False

        try:
            self.stack.wait_until(patiently, PATIENCE_S, what)
        except TimeoutError as error:
            jobs = self.jobs()
            states = [(each.provider, each.case, jobs[each.job_id]) for each in self.photos]
            raise AssertionError(f"{what}: {states}") from error

    @cached_property
    def media(self) -> dict[str, list[dict[str, Any]]]:
        """What is on the products when everything is over."""
        url = f"{self.shopify}/_simulator/shops/{SHOP}/products"
        products = httpx.get(url, timeout=30).raise_for_status().json()["products"]
        return {product["id"]: product["media"] for product in products}

    def photo(self, provider: str, case: str) -> tuple[Photo, dict[str, Any]]:
        """Return a photo and its job as it now is."""
        (found,) = [e for e in self.photos if (e.provider, e.case) == (provider, case)]
        job = self.api.get(f"/api/jobs/{found.job_id}").raise_for_status().json()["job"]
        return found, job

    def timeline(self, photo: Photo) -> list[dict[str, Any]]:
        url = f"/api/jobs/{photo.job_id}/logs?limit=100"
        return list(reversed(self.api.get(url).raise_for_status().json()["logs"]))

    def at_provider(self, photo: Photo) -> list[dict[str, Any]]:
        """Return the provider's own jobs for a photo, in their order."""
        ours = f"{SHOP}:{photo.job_id}:"
        found = self.look_inside(photo.provider, "jobs")
        return [each for each in found if (each["ref"] or "").startswith(ours)]

    def deliveries(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the webhooks of a job's attempt, in the order in which they were sent."""
        found = self.look_inside(job["provider"], "webhooks")
        return [each for each in found if each["job_id"] == job["providerJobId"]]


@pytest.fixture(scope="module")
def tale() -> Iterator[Tale]:
    ports = dict(zip(DOUBLES, free_ports(len(DOUBLES)), strict=True))
    doubles = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    settings = {f"{name.upper()}_API_URL": url for name, url in doubles.items()}
    settings["RESULT_HOSTS"] = ",".join(f"127.0.0.1:{port}" for port in ports.values())
    with ExitStack() as cleanup:
        for name, port in ports.items():
            cleanup.enter_context(served(*a_double(name), port))
        stack = cleanup.enter_context(running_stack(auth=True, settings=settings))
        # The sweep runs one at a time; here it runs when the story says so.
        stack.set_schedule(enabled=False)
        told = Tale(stack, doubles)
        cleanup.callback(told.api.close)
        told.set_the_scene(doubles)
        told.tell()
        yield told
        refusals = [
            line
            for name in stack.info.functions
            for line in stack.function_logs(name)
            if "AccessDenied" in line
        ]
        assert refusals == []


@pytest.mark.parametrize("case", PUSHED)
@pytest.mark.parametrize("provider", TOOLS)
def test_the_image_ends_on_the_product_once(tale: Tale, provider: str, case: str) -> None:
    photo, job = tale.photo(provider, case)
    assert (job["status"], job["pushStatus"]) == ("completed", "pushed")
    assert [each["id"] for each in tale.media[photo.product]] == [job["shopifyMediaId"]]
    kept = httpx.get(job["outputImageUrl"], timeout=30)
    assert (kept.status_code, kept.headers["content-type"]) == (200, "image/jpeg")


@pytest.mark.parametrize("provider", [name for name in TOOLS if name != "openai"])
def test_what_was_pushed_had_been_kept_before_its_link_died(tale: Tale, provider: str) -> None:
    photo, job = tale.photo(provider, "shuffled")
    (there,) = tale.at_provider(photo)
    assert httpx.get(there["output_image_url"], timeout=30).status_code == 404
    assert httpx.get(job["outputImageUrl"], timeout=30).status_code == 200


@pytest.mark.parametrize("provider", TOOLS)
def test_webhooks_in_the_wrong_order_and_twice_move_the_job_once(tale: Tale, provider: str) -> None:
    photo, job = tale.photo(provider, "shuffled")
    came = tale.deliveries(job)
    answers = [each["status"] for each in came if each["status"] is not None]
    assert set(answers) == {200}
    assert len(answers) >= 2 * WEBHOOKS.get(provider, 1)
    # On a busy machine our answer may come too late: then there is a retry more.
    late = [each["error"] for each in came if each["status"] is None]
    assert [error for error in late if not error.startswith("ReadTimeout")] == []
    assert came[0]["event"] == "job.completed"
    ends = [e for e in tale.timeline(photo) if e["to"] == "completed" != e["from"]]
    assert len(ends) == 1
    assert len(tale.at_provider(photo)) == 1


@pytest.mark.parametrize("provider", TOOLS)
def test_a_poll_finds_what_no_webhook_told(tale: Tale, provider: str) -> None:
    photo, job = tale.photo(provider, "lost")
    came = tale.deliveries(job)
    assert {each["kind"] for each in came} == {"lost"}
    lines = tale.timeline(photo)
    assert "webhook" not in {line["source"] for line in lines}
    assert [e["source"] for e in lines if e["to"] == "completed" != e["from"]] == ["poll"]


@pytest.mark.parametrize("provider", TOOLS)
def test_a_retry_is_another_attempt_and_only_that_is_paid(tale: Tale, provider: str) -> None:
    photo, job = tale.photo(provider, "retried")
    assert (job["attempt"], job["retryCount"]) == (2, 1)
    first, second = tale.at_provider(photo)
    assert (first["status"], second["status"]) == ("failed", "completed")
    assert second["id"] == job["providerJobId"]
    ledger = httpx.get(f"{tale.inside[provider]}/_simulator/ledger", timeout=30).json()["charges"]
    assert [e["job_id"] for e in ledger if e["job_id"] in (first["id"], second["id"])] == [
        second["id"]
    ]


@pytest.mark.parametrize("provider", TOOLS)
def test_a_cancel_ends_the_job_here_and_there_where_it_can(tale: Tale, provider: str) -> None:
    photo, job = tale.photo(provider, "cancelled")
    assert (job["status"], job["pushStatus"]) == ("cancelled", "none")
    (there,) = tale.at_provider(photo)
    assert there["status"] == ("cancelled" if provider in STOPPING else "processing")
    assert tale.media[photo.product] == []


# ---- a worker: it is never called, and tells by signed webhooks ---------------------------------


class Worker:
    """A program of the user's own, with a job that it was given."""

    def __init__(self, tale: Tale, name: str) -> None:
        self.tale = tale
        answer = tale.api.post("/api/jobs", json={"type": "RENDER", "name": name})
        assert answer.status_code < 300, answer.text
        self.job_id = answer.json()["job"]["id"]

    def say(self, kind: str, key: str, **data: Any) -> int:
        """Send a signed report; returns the answer's status."""
        body = json.dumps({"type": kind, "data": {"jobId": self.job_id, **data}}).encode()
        seconds = int(time.time())
        secret = self.tale.stack.info.secrets["WORKER_WEBHOOK_SECRET"]
        headers = {
            "webhook-id": f"{self.job_id}-{key}",
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(secret, f"{self.job_id}-{key}", seconds, body),
        }
        url = f"{self.tale.stack.info.api_url}/webhooks/worker"
        return httpx.post(url, content=body, headers=headers, timeout=30).status_code

    @property
    def job(self) -> dict[str, Any]:
        found = self.tale.api.get(f"/api/jobs/{self.job_id}").raise_for_status().json()["job"]
        return dict(found)


def test_a_workers_reports_in_any_order_and_twice_end_its_job_once(tale: Tale) -> None:
    worker = Worker(tale, "shuffled")
    for _ in range(2):
        assert worker.say("job.completed", "end", result={"pages": 3}) == 200
        assert worker.say("job.progress", "half", total=6, processed=3) == 200
    assert (worker.job["status"], worker.job["progress"]) == ("completed", 100)
    photo = Photo("worker", "shuffled", "", worker.job_id)
    ends = [e for e in tale.timeline(photo) if e["to"] == "completed" != e["from"]]
    assert len(ends) == 1


def test_a_worker_whose_webhooks_are_lost_ends_its_job_by_a_call(tale: Tale) -> None:
    worker = Worker(tale, "lost")
    told = tale.api.patch(f"/api/jobs/{worker.job_id}", json={"status": "completed"})
    assert told.status_code == 200, told.text
    assert worker.job["status"] == "completed"


def test_a_workers_job_is_retried_and_cancelled(tale: Tale) -> None:
    worker = Worker(tale, "retried")
    assert worker.say("job.failed", "1", error="No more paper") == 200
    assert (worker.job["status"], worker.job["errorMessage"]) == ("failed", "No more paper")
    tale.act("retry", Photo("worker", "retried", "", worker.job_id))
    assert (worker.job["status"], worker.job["attempt"]) == ("pending", 2)
    assert worker.say("job.progress", "2", total=2, processed=1) == 200
    tale.act("cancel", Photo("worker", "retried", "", worker.job_id))
    assert worker.say("job.completed", "3") == 200
    assert worker.job["status"] == "cancelled"
