"""The same story with every provider, over HTTP on the laptop's stack, its policies enforced.

For each of them photos in every trouble, all at once: webhooks in the wrong order and twice; every
webhook lost, until the sweep asks or somebody does; a failure that is retried, and one that the
provider takes back after the retry; a link that is dead at once; a cancel. Nothing is pushed until
every link to a result is dead: what is on the products afterwards was kept in time. PikcelAI,
Replicate and fal are the stack's own simulators, the others small doubles of the same pieces; a
worker tells by itself, and has no image.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from local.provider_simulator.standard import sign
from local.stack import Stack, running_stack
from local.stack.processes import free_ports
from shared.domain.ids import JobRef
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.system import SystemClock, SystemRandomness
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
# What each photo suffers; told apart by its address. Sent in this order: first what takes long.
CASES: dict[str, dict[str, Any]] = {
    "revived": {"times": 1, "per": "job", "faults": {"fail": {}, "completes_after_s": 30.0}},
    "lost": {"faults": {"webhook_lost": "all"}},
    "asked": {"faults": {"webhook_lost": "all"}},
    "retried": {"times": 1, "per": "job", "faults": {"fail": {}, "webhook_copies": 2}},
    "dead": {"faults": {"result": "expired"}},
    "cancelled": {"faults": {"stuck": True}},
    "shuffled": {"faults": {"webhook_out_of_order": True, "webhook_copies": 2}},
}
# Of photos that are sent after the story.
LATER_CASES: dict[str, dict[str, Any]] = {
    "unanswered": {"times": 1, "per": "job", "faults": {"create": "lost_answer"}},
}
PUSHED = [case for case in CASES if case not in ("cancelled", "dead")]
# PikcelAI gives a fresh link for a dead one, OpenAI has no links.
DYING = ("replicate", "fal", "runpod", "bfl")
PROOFS = {"pikcel": "body", "runpod": "none", "bfl": "body"}
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
            {"match": {"url_contains": f"case={case}"}, **rule}
            for case, rule in (CASES | LATER_CASES).items()
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

    def send(self, provider: str, case: str, **more: Any) -> Photo:
        """Create a product, and a job for its photo."""
        wanted = {"shop": SHOP, "title": f"{provider}, {case}"}
        product = self.post(f"{self.shopify}/_simulator/products", wanted)["product"]["id"]
        wish = {
            "toolId": TOOLS[provider],
            "provider": provider,
            "inputImageUrl": f"{self.inside[provider]}/photos/{PHOTO}?case={case}",
            "productId": product,
            "autoPush": True,
            **more,
        }
        answer = self.api.post("/api/jobs", json=wish)
        assert answer.status_code < 300, answer.text
        return Photo(provider, case, product, answer.json()["job"]["id"])

    def job(self, photo: Photo) -> dict[str, Any]:
        found = self.api.get(f"/api/jobs/{photo.job_id}").raise_for_status().json()["job"]
        return dict(found)

    def jobs(self) -> dict[str, dict[str, Any]]:
        found = self.api.get("/api/jobs", params={"limit": 100}).raise_for_status().json()["jobs"]
        return {job["id"]: job for job in found}

    def act(self, what: str, photo: Photo) -> None:
        answer = self.api.post(f"/api/jobs/{what}", json={"jobId": photo.job_id})
        assert answer.status_code == 200, answer.text

    def of(self, *cases: str) -> list[Photo]:
        return [photo for photo in self.photos if photo.case in cases]

    def are_at_providers(self) -> bool:
        jobs = self.jobs()
        return all(jobs[photo.job_id]["providerJobId"] for photo in self.photos)

    def is_all_pressed(self) -> bool:
        """Press what the page would: true when nothing is left to be pressed."""
        jobs = self.jobs()
        owed = [
            self.press(photo, jobs[photo.job_id])
            for photo in self.of("cancelled", "retried", "revived", "asked")
        ]
        return not any(owed)

    def press(self, photo: Photo, job: dict[str, Any]) -> bool:
        """Press a photo's button if its time has come; true while something is owed."""
        match photo.case:
            case "cancelled":
                owed, can, what = job["status"] != "cancelled", job["providerJobId"], "cancel"
            case "asked":
                # Nobody has swept yet: it is this that finds the result.
                owed, can, what = job["status"] != "completed", self.is_done(photo), "sync"
            case _:
                owed, can, what = job["attempt"] == 1, job["status"] == "failed", "retry"
        if owed and can:
            self.act(what, photo)
        return bool(owed)

    def are_told(self) -> bool:
        jobs = self.jobs()
        told = [photo for photo in self.photos if photo.case not in ("lost", "cancelled")]
        return {jobs[photo.job_id]["status"] for photo in told} == {"completed"}

    def is_done(self, photo: Photo) -> bool:
        return [each["status"] for each in self.at_provider(photo)] == ["completed"]

    def let_a_minute_pass(self, photo: Photo) -> None:
        """Have the provider taken the job a minute earlier: nobody waits here for a poll."""
        client = self.stack.client("dynamodb")
        store = DynamoJobStore(
            client, self.stack.info.table_name, clock=SystemClock(), random=SystemRandomness()
        )
        job = store.get(JobRef(SHOP, photo.job_id))
        assert job.attempt.linked_at is not None
        assert job.due_at is not None
        minute = timedelta(seconds=60)
        earlier = replace(job.attempt, linked_at=job.attempt.linked_at - minute)
        store.save(job, replace(job.with_attempt(earlier), due_at=job.due_at - minute))

    def are_kept(self) -> bool:
        """Sweep, as every minute; true when every result that is to be kept is."""
        self.stack.invoke("sweep")
        jobs = self.jobs()
        return all(
            jobs[photo.job_id]["status"] == "completed"
            and jobs[photo.job_id]["outputs"]
            and jobs[photo.job_id]["outputs"][0]["kept"]
            for photo in self.of(*PUSHED)
        )

    def is_all_told(self) -> bool:
        """Whether what is said of attempts that are over, and of dead links, has come."""
        jobs = self.jobs()
        has_failed = all(jobs[each.job_id]["errorCode"] is not None for each in self.of("dead"))
        return has_failed and all(
            any(each["event"] == "job.completed" and each["status"] for each in deliveries)
            for photo in self.of("revived")
            for deliveries in [self.deliveries_of(photo.provider, self.at_provider(photo)[0]["id"])]
        )

    def are_pushed(self) -> bool:
        jobs = self.jobs()
        states = [jobs[each.job_id]["pushStatus"] for each in self.of(*PUSHED)]
        assert "failed" not in states
        return set(states) == {"pushed"}

    def tell(self) -> None:
        """Everything, from the first product to the last push."""
        # Nothing is pushed until the links are dead.
        self.stack.set_event_source("push", enabled=False)
        for case in CASES:
            for provider in DYING if case == "dead" else TOOLS:
                self.photos.append(self.send(provider, case))
            # Each call in progress has a process of its own on the emulator: not all at once.
            self.until(self.are_at_providers, f"the create calls of {case}")
            self.until(self.is_all_pressed, f"what is pressed of {case}")
        # Nobody has swept so far: what ends until here ends without a poll, or by one asked for.
        self.until(self.are_told, "the ends that are told")
        self.until(lambda: all(self.is_done(each) for each in self.of("lost")), "the silent ends")
        for photo in self.of("lost"):
            self.let_a_minute_pass(photo)
        self.until(self.are_kept, "the results")
        self.until(self.is_all_told, "what comes late")
        self.originals = {photo.job_id: self.original(photo) for photo in self.of(*PUSHED)}
        for url in self.inside.values():
            self.post(f"{url}/_simulator/expire")
        self.stack.set_event_source("push", enabled=True)
        self.until(self.are_pushed, "the pushes")

    def original(self, photo: Photo) -> bytes:
        """Return the result as the provider itself has it."""
        there = self.at_provider(photo)[-1]
        if photo.provider != "openai":
            return httpx.get(there["output_image_url"], timeout=30).raise_for_status().content
        key = self.stack.info.secrets["OPENAI_API_KEY"]
        shown = httpx.get(
            f"{self.inside['openai']}/v1/responses/{there['id']}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
        return base64.b64decode(shown.raise_for_status().json()["output"][0]["result"])

    def until(self, look: Any, what: str) -> None:
        try:
            self.stack.wait_until(look, PATIENCE_S, what)
        except TimeoutError as error:
            jobs = self.jobs()
            states = [(each.provider, each.case, jobs[each.job_id]) for each in self.photos]
            raise AssertionError(f"{what}: {states}") from error

    def media(self, photo: Photo) -> list[str]:
        """Return what is on a photo's product."""
        url = f"{self.shopify}/_simulator/shops/{SHOP}/products"
        products = httpx.get(url, timeout=30).raise_for_status().json()["products"]
        (shown,) = [each["media"] for each in products if each["id"] == photo.product]
        return [media["id"] for media in shown]

    def photo(self, provider: str, case: str) -> tuple[Photo, dict[str, Any]]:
        """Return a photo and its job as it now is."""
        (found,) = [photo for photo in self.of(case) if photo.provider == provider]
        return found, self.job(found)

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
        return self.deliveries_of(job["provider"], job["providerJobId"])

    def deliveries_of(self, provider: str, job_id: str) -> list[dict[str, Any]]:
        found = self.look_inside(provider, "webhooks")
        return [each for each in found if each["job_id"] == job_id]

    def told_of(self, function: str, metric: str) -> dict[str, list[float]]:
        """Return what a function told of a metric, by provider."""
        told: dict[str, list[float]] = {}
        for line in self.stack.function_logs(function):
            if line.startswith("{") and f'"{metric}"' in line:
                said = json.loads(line)
                told.setdefault(said["provider"], []).extend(said[metric])
        return told


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
    assert tale.media(photo) == [job["shopifyMediaId"]]
    kept = httpx.get(job["outputImageUrl"], timeout=30)
    assert (kept.status_code, kept.headers["content-type"]) == (200, "image/jpeg")
    assert kept.content == tale.originals[photo.job_id]


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
    lines = tale.timeline(photo)
    assert len([e for e in lines if e["to"] == "completed" != e["from"]]) == 1
    proofs = {line["proof"] for line in lines if line["source"] == "webhook"}
    assert proofs == {PROOFS.get(provider, "body+time")}
    assert (len(tale.at_provider(photo)), job["attempt"]) == (1, 1)


@pytest.mark.parametrize("provider", TOOLS)
@pytest.mark.feature("providers")
def test_what_is_delivered_after_the_push_changes_nothing_and_a_forged_one_is_refused(
    tale: Tale, provider: str
) -> None:
    photo, job = tale.photo(provider, "shuffled")
    sent = next(each for each in tale.deliveries(job) if each["event"] == "job.completed")

    def deliver(body: str = sent["body"], url: str = sent["url"]) -> int:
        headers = {"content-type": "application/json", **sent["headers"]}
        return httpx.post(url, content=body.encode(), headers=headers, timeout=30).status_code

    assert deliver() == 200
    if provider == "runpod":
        # It signs nothing: who does not know the attempt's address is nobody.
        assert deliver(url=sent["url"].partition("ref=")[0] + "ref=forged") == 401
        start = json.dumps({"id": job["providerJobId"], "status": "IN_PROGRESS"})
        assert deliver(start) == 200  # the start, after the end
    else:
        assert deliver(sent["body"] + " ") == 401
    assert tale.job(photo)["updatedAt"] == job["updatedAt"]
    assert tale.media(photo) == [job["shopifyMediaId"]]


@pytest.mark.parametrize("provider", TOOLS)
def test_a_poll_finds_what_no_webhook_told(tale: Tale, provider: str) -> None:
    for case in ("lost", "asked"):
        photo, job = tale.photo(provider, case)
        came = tale.deliveries(job)
        assert {each["kind"] for each in came} == {"lost"}
        lines = tale.timeline(photo)
        assert "webhook" not in {line["source"] for line in lines}
        assert [e["source"] for e in lines if e["to"] == "completed" != e["from"]] == ["poll"]


def test_each_completion_is_told_of_its_provider_by_how_it_was_learnt(tale: Tale) -> None:
    """What somebody had us ask for is no silence: of each provider one photo was that."""
    assert tale.told_of("dispatch", "PollLead") == {provider: [1] for provider in TOOLS}
    told = tale.told_of("webhook", "PollLead")
    assert set(told) == set(TOOLS)
    assert {lead for leads in told.values() for lead in leads} == {-1}


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
def test_what_comes_of_an_earlier_attempt_moves_nothing(tale: Tale, provider: str) -> None:
    photo, job = tale.photo(provider, "revived")
    first, second = tale.at_provider(photo)
    assert (first["status"], second["status"]) == ("completed", "completed")
    came = tale.deliveries_of(provider, first["id"])
    assert {each["status"] for each in came if each["event"] == "job.completed"} == {200}
    assert (job["attempt"], job["providerJobId"]) == (2, second["id"])
    lines = tale.timeline(photo)
    assert [e["attempt"] for e in lines if e["to"] == "completed" != e["from"]] == [2]
    assert [e["attempt"] for e in lines if e["outcome"] == "stale"] == [1]


@pytest.mark.parametrize("provider", DYING)
def test_a_dead_link_is_asked_for_once_more_and_then_said(tale: Tale, provider: str) -> None:
    _, job = tale.photo(provider, "dead")
    assert (job["status"], job["errorCode"]) == ("completed", "output_expired")


@pytest.mark.parametrize("provider", TOOLS)
def test_a_cancel_ends_the_job_here_and_there_where_it_can(tale: Tale, provider: str) -> None:
    photo, job = tale.photo(provider, "cancelled")
    assert (job["status"], job["pushStatus"]) == ("cancelled", "none")
    (there,) = tale.at_provider(photo)
    assert there["status"] == ("cancelled" if provider in STOPPING else "processing")
    assert tale.media(photo) == []


def test_openai_is_asked_whose_a_response_is_when_the_answer_to_a_create_call_was_lost(
    tale: Tale,
) -> None:
    """Its webhook does not say; nobody sweeps, and nobody adopts it."""
    photo = tale.send("openai", "unanswered")
    tale.stack.wait_until(lambda: tale.job(photo)["pushStatus"] == "pushed", 150, "the push")
    job, (there,) = tale.job(photo), tale.at_provider(photo)
    assert (job["providerJobId"], job["attempt"]) == (there["id"], 1)
    assert tale.media(photo) == [job["shopifyMediaId"]]
    lines = tale.timeline(photo)
    assert [line["source"] for line in lines if line["to"] == "completed" != line["from"]] == [
        "poll"
    ]
    assert "webhook" in {line["source"] for line in lines}  # what was parked
    ledger = httpx.get(f"{tale.inside['openai']}/_simulator/ledger", timeout=30).json()["charges"]
    assert len([each for each in ledger if each["job_id"] == there["id"]]) == 1


@pytest.mark.feature("several results")
def test_of_several_results_all_are_kept_and_the_chosen_one_is_pushed(tale: Tale) -> None:
    wish = {"parameters": {"num_outputs": 3}, "pushOutputs": [1]}
    photo = tale.send("replicate", "several", **wish)
    tale.stack.wait_until(lambda: tale.job(photo)["pushStatus"] == "pushed", 90, "the push")
    outputs = tale.job(photo)["outputs"]
    assert [output["kept"] for output in outputs] == [True, True, True]
    assert [output["pushStatus"] for output in outputs] == ["none", "pushed", "none"]
    assert tale.media(photo) == [outputs[1]["mediaId"]]


@pytest.mark.feature("learnt ETA")
def test_a_job_without_progress_is_expected_when_others_of_its_tool_were_done(tale: Tale) -> None:
    photo = tale.send("replicate", "cancelled")
    tale.stack.wait_until(lambda: tale.job(photo)["status"] == "processing", 60, "its start")
    assert tale.job(photo)["etaSeconds"] is not None
    # It runs down by itself, and a reader who has the job as it is need not read it again.
    path = f"/api/jobs/{photo.job_id}"
    seen = tale.api.get(path)
    time.sleep(1.1)
    again = tale.api.get(path, headers={"If-None-Match": seen.headers["etag"]})
    assert again.status_code == 304
    tale.act("cancel", photo)


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
        return self.send(kind, key, self.tale.stack.info.secrets["WORKER_WEBHOOK_SECRET"], data)[0]

    def send(self, kind: str, key: str, secret: str, data: dict[str, Any]) -> tuple[int, Any]:
        body = json.dumps({"type": kind, "data": {"jobId": self.job_id, **data}}).encode()
        seconds = int(time.time())
        headers = {
            "webhook-id": f"{self.job_id}-{key}",
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(secret, f"{self.job_id}-{key}", seconds, body),
        }
        url = f"{self.tale.stack.info.api_url}/webhooks/worker"
        answer = httpx.post(url, content=body, headers=headers, timeout=30)
        return answer.status_code, answer.json()

    @property
    def job(self) -> dict[str, Any]:
        found = self.tale.api.get(f"/api/jobs/{self.job_id}").raise_for_status().json()["job"]
        return dict(found)


@pytest.mark.feature("reports by webhook")
def test_a_program_reports_by_webhook(tale: Tale) -> None:
    worker = Worker(tale, "told")
    secret = tale.stack.info.secrets["WORKER_WEBHOOK_SECRET"]
    half = {"total": 10, "processed": 4}
    forged = worker.send("job.progress", "1", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", half)
    assert forged[0] == 401
    assert worker.send("job.progress", "2", secret, half)[1]["outcome"] == "applied"
    assert worker.job["progress"] == 40
    # More than an item holds: the result lies in the bucket.
    assert worker.say("job.completed", "3", result={"pages": 3, "notes": "x" * 3000}) == 200
    assert (worker.job["status"], worker.job["result"]["pages"]) == ("completed", 3)
    assert worker.send("job.progress", "4", secret, {"processed": 5})[1]["outcome"] == "late"


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
