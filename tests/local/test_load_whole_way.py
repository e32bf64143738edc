"""As many jobs and webhooks as the running stack takes, with a disturbance in the middle:
afterwards all of it is accounted for.

Clients create a job, and the next as soon as they are answered. Most jobs are a program's own,
which tells of them by signed webhooks, each sent twice; every eighth is a photo for a product.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

from local.stack import Stack, running_stack
from local.stack.deploying import deploy
from shared.domain.standard_webhooks import signed_headers
from tests.local.fault_proxy import FaultProxy, Plan
from tests.local.test_kills_whole_way import dead_letters, nothing_is_paid_twice, sweep_soon
from tests.promises import CASES, Record, scaled, seed
from tests.whole.calls import Fault

pytestmark = [
    pytest.mark.slow,
    pytest.mark.proof,
    pytest.mark.timeout(3600),
    pytest.mark.promise("lost", "load on the running stack, disturbed, all accounted for"),
    pytest.mark.promise("drift", "load on the running stack, disturbed, all accounted for"),
]

CLIENTS = 4
SECONDS = 30
DISTURBED_S = 6
LONGEST_S = 900
PHOTO_EVERY = 8
SHOPS = ("load-one.myshopify.com", "load-two.myshopify.com")
COST = 250


@pytest.fixture
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        running.set_schedule(enabled=False)
        yield running


@dataclass(slots=True)
class Load:
    """What the clients do, and what they were told. made: shop → ids; photos: shop → id → product.

    answers: how often which status was answered.
    """

    stack: Stack
    made: dict[str, set[str]] = field(default_factory=lambda: {shop: set() for shop in SHOPS})
    photos: dict[str, dict[str, str]] = field(default_factory=lambda: {shop: {} for shop in SHOPS})
    answers: Counter[int] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wake(self) -> None:
        """Have as many processes begin as will be needed, before it counts."""
        with ThreadPoolExecutor(2 * CLIENTS) as pool:
            for _ in range(CLIENTS):
                pool.submit(self._ask, SHOPS[0], "/api/shop")
                url = f"{self.stack.info.api_url}/webhooks/worker"
                pool.submit(httpx.post, url, content=b"{}", timeout=40)

    def work_until(self, ends_at: float) -> None:
        """Be one client."""
        with httpx.Client(base_url=self.stack.info.api_url, timeout=40) as api:
            while time.monotonic() < ends_at:
                with self.lock:
                    number = next(self.numbers)
                shop = SHOPS[number % len(SHOPS)]
                if number % PHOTO_EVERY == 0:
                    self._photo(api, shop, number)
                else:
                    self._work(api, shop, number)

    def _photo(self, api: httpx.Client, shop: str, number: int) -> None:
        made = httpx.post(
            f"{self._shopify}/_simulator/products", json={"shop": shop, "title": f"{number}"}
        )
        product = made.raise_for_status().json()["product"]["id"]
        wish = {
            "toolId": "background-removal",
            "inputImageUrl": f"{self.stack.info.pikcel_url}/photos/blue-armchair.jpg",
            "productId": product,
            "autoPush": True,
        }
        job_id = self._create(api, shop, wish, number)
        with self.lock:
            self.photos[shop][job_id] = product

    def _work(self, api: httpx.Client, shop: str, number: int) -> None:
        job_id = self._create(api, shop, {"type": "load", "costMicros": COST}, number)
        for kind, told in (
            ("job.progress", {"total": 10, "processed": 4}),
            ("job.completed", {"processed": 10, "result": {"number": number}}),
        ):
            for _ in range(2):
                self._hear(api, kind, {"jobId": job_id} | told, f"msg_{kind[4:]}_{number}")

    def _create(self, api: httpx.Client, shop: str, wish: dict[str, Any], number: int) -> str:
        headers = {
            "Authorization": f"Bearer {self.stack.info.admin_key}",
            "X-Shop": shop,
            "Idempotency-Key": f"load-{number}",
        }
        answer = self._insist(lambda: api.post("/api/jobs", json=wish, headers=headers))
        job_id: str = answer.json()["job"]["id"]
        with self.lock:
            assert job_id not in self.made[shop]
            self.made[shop].add(job_id)
        return job_id

    def _hear(self, api: httpx.Client, kind: str, data: dict[str, Any], name: str) -> None:
        body = json.dumps({"type": kind, "data": data}).encode()
        secret = self.stack.info.secrets["WORKER_WEBHOOK_SECRET"]

        def send() -> httpx.Response:
            headers = signed_headers([secret], name, datetime.now(UTC), body)
            return api.post("/webhooks/worker", content=body, headers=headers)

        self._insist(send)

    def _insist(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        """Call until it is answered, and note with what."""

        def noting() -> httpx.Response:
            answer = call()
            with self.lock:
                self.answers[answer.status_code] += 1
            return answer

        return patiently(noting)

    @property
    def _shopify(self) -> str:
        return self.stack.info.shopify_url.removesuffix("/{shop}")

    # --- afterwards ----------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until every job has ended and every photo is where it belongs."""
        until = time.monotonic() + LONGEST_S
        while unfinished := self._unfinished():
            assert time.monotonic() < until, f"never finished: {unfinished}"
            sweep_soon(self.stack)
            time.sleep(3)

    def _unfinished(self) -> list[str]:
        found = []
        for shop in SHOPS:
            for job in self._jobs(shop):
                is_photo = job["id"] in self.photos[shop]
                ends = ("completed", "pushed" if is_photo else "none")
                if (job["status"], job["pushStatus"]) != ends:
                    found.append(f"{job['id']} {job['status']} {job['pushStatus']}")
        return found

    def _ask(self, shop: str, path: str, **query: str) -> Any:
        headers = {"Authorization": f"Bearer {self.stack.info.admin_key}", "X-Shop": shop}
        url = f"{self.stack.info.api_url}{path}"
        return patiently(lambda: httpx.get(url, params=query, headers=headers, timeout=40)).json()

    def _jobs(self, shop: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            page = self._ask(shop, "/api/jobs", limit="100", **more)
            found += page["jobs"]
            if page["nextCursor"] is None:
                return found
            more = {"cursor": page["nextCursor"]}

    def account(self) -> None:
        """What was acknowledged is there, once, and every sum is that of its parts."""
        for shop in SHOPS:
            jobs = self._jobs(shop)
            assert {job["id"] for job in jobs} == self.made[shop]
            stats = self._ask(shop, "/api/jobs/stats")["stats"]
            assert stats["total"] == stats["completed"] == len(jobs)
            photos = self.photos[shop]
            assert stats["totalCostMicros"] == COST * (len(jobs) - len(photos))
            assert stats["totalCreditsUsed"] == sum(job["creditsUsed"] for job in jobs)
            listed = httpx.get(f"{self._shopify}/_simulator/shops/{shop}/products").json()
            shown = {each["id"]: [m["id"] for m in each["media"]] for each in listed["products"]}
            pushed = {
                photos[job["id"]]: [job["shopifyMediaId"]] for job in jobs if job["id"] in photos
            }
            assert shown == pushed
        nothing_is_paid_twice(self.stack)
        assert dead_letters(self.stack) == {}

    @property
    def count(self) -> int:
        """How many jobs were made."""
        return sum(map(len, self.made.values()))


def patiently(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Call until it is answered, as everybody does who gets a 5xx."""
    for _ in range(200):
        try:
            answer = call()
        except httpx.TransportError:
            continue
        if answer.status_code < 500 and "already_running" not in answer.text:
            assert answer.status_code < 300, answer.text
            return answer
        time.sleep(0.5)
    raise AssertionError("nobody answers")


# --- what is done in the middle -------------------------------------------------------------


def redeploy(stack: Stack, _plan: Plan) -> None:
    """Update the stack, so that every function begins anew with another setting."""
    changed = dict(stack.deployment.settings)
    changed["RESULT_HOSTS"] += ",later.example"
    deploy(stack.deployment.template, endpoint=stack.deployment.endpoint, settings=changed)


def pause_the_consumers(stack: Stack, _plan: Plan) -> None:
    """Have nobody receive for a while: messages stay in their queues."""
    for enabled in (False, True):
        for name in ("dispatch", "push", "bulk"):
            stack.set_event_source(name, enabled=enabled)
        if not enabled:
            time.sleep(DISTURBED_S)


def throttle_the_table(_stack: Stack, plan: Plan) -> None:
    """Refuse half of all calls to the table for a while."""
    plan.left = 1_000_000
    time.sleep(DISTURBED_S)
    plan.left = 0


@pytest.mark.parametrize("disturb", [redeploy, pause_the_consumers, throttle_the_table])
def test_under_load_everything_acknowledged_is_accounted_for(
    stack: Stack, disturb: Callable[[Stack, Plan], None], record_property: Record
) -> None:
    plan = Plan(seed(), 0.5, left=0, faults=(Fault.REFUSED,), target="DynamoDB")
    with ExitStack() as cleanup:
        if disturb is throttle_the_table:
            upstream = stack.info.aws_endpoint.removeprefix("http://")
            proxy = FaultProxy(upstream, plan, stack.children[0].pid)
            cleanup.callback(proxy.close)
            for name in stack.info.functions:
                stack.set_function_environment(name, AWS_ENDPOINT_URL=f"http://{proxy.address}")
        load = Load(stack)
        install(stack)
        load.wake()
        began = time.monotonic()
        seconds = scaled(SECONDS)
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(load.work_until, began + seconds) for _ in range(CLIENTS)]
            time.sleep(seconds / 3)
            disturb(stack, plan)
            for client in clients:
                client.result()
        load.settle()
        load.account()
    record_property(CASES, load.count)
    print(f"{disturb.__name__}: {load.count} jobs in {seconds} s, {dict(load.answers)}")  # noqa: T201
    assert load.count >= CLIENTS
    assert any(load.photos.values())


def install(stack: Stack) -> None:
    """Have both shops log in."""
    shopify = stack.info.shopify_url.removesuffix("/{shop}")
    for shop in SHOPS:
        token = httpx.post(f"{shopify}/_simulator/id-token", json={"shop": shop}).json()["idToken"]
        assert patiently(partial(_shop_of, stack, token)).json()["shop"]["token"] == "ok"


def _shop_of(stack: Stack, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{stack.info.api_url}/api/shop", headers=headers, timeout=40)
