"""Real processes, killed for real, on the running stack: nothing is lost, nothing happens twice.

What tests/property does in one process for every call, here for a drawn sample of them: between
the functions and AWS, PikcelAI and Shopify lies a proxy that spoils calls by chance, in all the
ways there are, while shops have photos made, other programs report, and shops leave and are
erased. Then it is calm. Whoever was not answered has asked again; the queues deliver again; the
sweep runs. Every job must end as it would have in peace, once.

The calls of several processes come in no order that a seed could hold: it draws the same faults,
not the same run.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest

from local.stack import Stack, running_stack
from tests.local.fault_proxy import FAULTS, FaultProxy, Plan
from tests.local.test_shop_life_over_http import Merchant
from tests.promises import CASES, Record, scaled, seed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.proof,
    pytest.mark.timeout(3600),
    pytest.mark.promise("lost", "killed processes and spoilt calls on the running stack"),
    pytest.mark.promise("twice", "killed processes and spoilt calls on the running stack"),
]

SHARE = 0.12
AGAIN_S = 15
LONGEST_S = 900
TRIES = 60


@pytest.fixture
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        running.set_schedule(enabled=False)
        _come_again_soon(running)
        yield running


def _come_again_soon(stack: Stack) -> None:
    """Have a message whose process died come again after seconds, where AWS takes minutes."""
    queues = stack.client("sqs")
    for name in ("dispatch", "push", "bulk"):
        queues.set_queue_attributes(
            QueueUrl=stack.info.queues[name], Attributes={"VisibilityTimeout": str(AGAIN_S)}
        )


@pytest.fixture
def plan(stack: Stack) -> Iterator[Plan]:
    """Put the proxies between, for all functions."""
    drawn = Plan(seed(), SHARE, left=scaled(30))
    emulator = stack.children[0]
    info = stack.info
    shopify = info.shopify_url.removeprefix("http://").removesuffix("/{shop}")
    with ExitStack() as cleanup:

        def proxy(upstream: str) -> str:
            made = FaultProxy(upstream.removeprefix("http://"), drawn, emulator.pid)
            cleanup.callback(made.close)
            return f"http://{made.address}"

        results = [info.pikcel_url, shopify, proxy(info.pikcel_url)]
        changes = {
            "AWS_ENDPOINT_URL": proxy(info.aws_endpoint),
            "PIKCEL_API_URL": results[-1],
            "SHOPIFY_BASE_URL": proxy(shopify) + "/{shop}",
            "RESULT_HOSTS": ",".join(each.removeprefix("http://") for each in results),
        }
        for name in info.functions:
            stack.set_function_environment(name, **changes)
        yield drawn


class Patient(Merchant):
    """A shop whose callers ask again until they are answered, with the same key."""

    def insist(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        for _ in range(TRIES):
            try:
                answer = self.api.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                continue
            if answer.status_code < 500 and "already" not in answer.text:
                assert answer.status_code < 300, answer.text
                return answer.json()
            time.sleep(1)
        raise AssertionError(f"{method} {path} is not answered")

    def hear(self, topic: str) -> None:
        """Have Shopify tell of the shop until it is acknowledged."""
        told: dict[str, Any] = {}
        for _ in range(TRIES):
            shown = self.control("webhooks", topic=topic, **told)
            if shown["status"] == 200:
                return
            told = {"headers": shown["headers"], "body": shown["body"]}
            time.sleep(1)
        raise AssertionError(f"{topic} is not acknowledged")

    def installed(self) -> None:
        """Log in until the app is installed."""
        self.stack.wait_until(self._has_token, 120, "the installation")

    def _has_token(self) -> bool:
        self.login()
        return bool(self.insist("GET", "/api/shop")["shop"]["token"] == "ok")


def photo_reaches_its_product(shop: Patient) -> Callable[[], None]:
    """Have a photo made for a product; returns what looks at its end."""
    shop.installed()
    product = shop.control("products", title="Armchair")["product"]["id"]
    wish = {
        "toolId": "background-removal",
        "inputImageUrl": f"{shop.stack.info.pikcel_url}/photos/blue-armchair.jpg",
        "productId": product,
        "autoPush": True,
    }
    job_id = shop.insist("POST", "/api/jobs", wish, key="one")["job"]["id"]

    def ended() -> bool:
        job = shop.insist("GET", f"/api/jobs/{job_id}")["job"]
        return bool(job["pushStatus"] == "pushed")

    _wait(shop, ended)

    def look() -> None:
        (job,) = shop.get("/api/jobs")["jobs"]
        assert (job["id"], job["status"], job["attempt"]) == (job_id, "completed", 1)
        (shown,) = httpx.get(f"{shop.shopify}/_simulator/shops/{shop.name}/products").json()[
            "products"
        ]
        assert [media["id"] for media in shown["media"]] == [job["shopifyMediaId"]]
        assert len(shop.files()) == 1
        stats = shop.get("/api/jobs/stats")["stats"]
        assert (stats["total"], stats["completed"]) == (1, 1)
        assert stats["totalCreditsUsed"] == job["creditsUsed"] > 0

    return look


def report_reaches_the_statistics(shop: Patient) -> Callable[[], None]:
    """Have a program report its work until it is done."""
    wish = {"type": "report", "total": 100, "costMicros": 500}
    job_id = shop.insist("POST", "/api/jobs", wish, key="work")["job"]["id"]
    for processed in (10, 60, 100):
        told = {"processed": processed, "successful": processed, "metadata": {"page": processed}}
        shop.insist("PATCH", f"/api/jobs/{job_id}", told)
    shop.insist("PATCH", f"/api/jobs/{job_id}", {"status": "completed", "result": {"pages": 3}})

    def look() -> None:
        (job,) = shop.get("/api/jobs")["jobs"]
        assert (job["status"], job["processed"], job["result"]) == ("completed", 100, {"pages": 3})
        stats = shop.get("/api/jobs/stats")["stats"]
        counted = [stats[name] for name in ("total", "completed", "totalCostMicros")]
        assert counted == [1, 1, 500]

    return look


def leaving_ends_in_erasure(shop: Patient) -> Callable[[], None]:
    """Install, work, uninstall, and be erased."""
    shop.installed()
    for number in range(2):
        shop.insist("POST", "/api/jobs", {"type": "report"}, key=f"left-{number}")
    shop.hear("app/uninstalled")
    shop.hear("shop/redact")

    def erased() -> bool:
        reports = shop.insist("GET", "/api/admin/erasures")["erasures"]
        if reports and reports[0]["status"] == "completed":
            return True
        # The second look comes after five minutes: here as soon as the first is done.
        for job in shop.insist("GET", "/api/jobs?type=bulk.erase")["jobs"]:
            if job["scheduledAt"] is not None:
                # It may have ended, and be gone, since it was listed.
                with suppress(shop.stack.client("dynamodb").exceptions.ClientError):
                    shop.bring_forward(job["id"])
        return False

    _wait(shop, erased)

    def look() -> None:
        (report,) = shop.get("/api/admin/erasures")["erasures"]
        assert report["status"] == "completed"
        assert (shop.items(), shop.files()) == ([], [])

    return look


WAYS = (photo_reaches_its_product, report_reaches_the_statistics, leaving_ends_in_erasure)


def _wait(shop: Patient, is_done: Callable[[], bool]) -> None:
    """Look every second, for as long as the slowest recovery may take."""
    until = time.monotonic() + LONGEST_S
    while not is_done():
        assert time.monotonic() < until, f"{shop.name} does not come to its end"
        time.sleep(1)


@pytest.fixture
def shops(stack: Stack) -> Iterator[list[Patient]]:
    """Open some shops for each way."""
    names = [way.__name__.partition("_")[0] for way in WAYS]
    opened = [Patient(stack, f"{name}-{n}") for n in range(scaled(2)) for name in names]
    yield opened
    for shop in opened:
        shop.api.close()


def test_every_way_ends_as_in_peace_whatever_was_killed_on_it(
    stack: Stack, plan: Plan, shops: list[Patient], record_property: Record
) -> None:
    with ThreadPoolExecutor(len(shops) + 1) as pool:
        ways = [pool.submit(WAYS[number % len(WAYS)], shop) for number, shop in enumerate(shops)]
        while not all(way.done() for way in ways) and not any(map(_has_failed, ways)):
            sweep_soon(stack)
            time.sleep(3)
        looks = [way.result() for way in ways]
    plan.left = 0
    for look in looks:
        look()
    nothing_is_paid_twice(stack)
    assert dead_letters(stack) == {}
    record_property(CASES, plan.struck.total())
    assert plan.struck.total() >= len(FAULTS), plan
    print(f"SEED={seed()}: {plan.seen} calls, {dict(plan.struck)}")  # noqa: T201


def _has_failed(way: Future[Any]) -> bool:
    return way.done() and way.exception() is not None


def sweep_soon(stack: Stack) -> None:
    """Run a sweep; one that is killed is made good by the next."""
    stack.client("lambda").invoke(
        FunctionName=stack.info.functions["sweep"], InvocationType="Event", Payload=b"{}"
    )


def nothing_is_paid_twice(stack: Stack) -> None:
    """No reference of an attempt was charged for twice."""
    charges = httpx.get(f"{stack.info.pikcel_url}/_simulator/ledger").json()["charges"]
    paid = Counter(charge["ref"] for charge in charges if charge["credits"] > 0)
    assert [ref for ref, times in paid.items() if times > 1] == [], json.dumps(charges)


def dead_letters(stack: Stack) -> dict[str, int]:
    """Return how many messages lie in which dead-letter queue."""
    queues = stack.client("sqs")
    found = {}
    for name, url in stack.info.queues.items():
        if name.endswith("-dlq"):
            asked = queues.get_queue_attributes(
                QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
            )
            if count := int(asked["Attributes"]["ApproximateNumberOfMessages"]):
                found[name] = count
    return found
