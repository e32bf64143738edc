"""The simulator's webhooks as its public client reads them, and all that can befall them."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, Literal

import httpx
import pytest

from local.pikcel_simulator.config import DEVELOPMENT_SECRET
from local.pikcel_simulator.dialect import sign
from tests.local.pikcel_world import HOOK, REF, World, a_world, always

pytestmark = pytest.mark.anyio

STARTED, COMPLETED, FAILED = "job.started", "job.completed", "job.failed"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def is_signed(
    request: httpx.Request, header: str = "X-Pikcel-Signature", secret: str = DEVELOPMENT_SECRET
) -> bool:
    """Check a delivery the way a receiver does, by means of its own."""
    good = hmac.new(secret.encode(), request.content, hashlib.sha256).hexdigest()
    return bool(request.headers.get(header) == good)


async def deliveries(world: World) -> list[tuple[str, str, int | None]]:
    """Return event, kind and answered status of each attempt in the log."""
    log = (await world.look("webhooks"))["deliveries"]
    return [(line["event"], line["kind"], line["status"]) for line in log]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"event":"job.completed","job_id":"123"}',
            "e6ccbbbfa02f787e99117e3cf8e2c9070fc846f563aedabe1fdbcd7ea23fc0fb",
        ),
        (
            b'{"event":"job.completed"}',
            "4be1814b539340beff5a8a3c2b56efbedc2fef1517adacfd578238e84a3a2231",
        ),
    ],
)
async def test_signature_matches_the_vectors_of_the_facts_sheet(body: bytes, expected: str) -> None:
    assert sign("test-secret", body) == expected


async def test_started_and_completed_are_sent_signed_in_form_1() -> None:
    async with a_world() as world:
        job = await world.done_job()
        assert world.heard == [STARTED, COMPLETED]
        assert all(is_signed(request) for request in world.received)
        assert [str(request.url) for request in world.received] == [HOOK, HOOK]
        first, last = [json.loads(request.content) for request in world.received]
        assert first.keys() == {"event", "job_id", "job", "timestamp", "signature"}
        assert first["job"]["status"] == "processing"
        assert first["timestamp"] == "2026-11-22T12:00:01.000Z"
        assert last["job"] == job
        assert last["job_id"] == job["id"]
        assert last["timestamp"] == "2026-11-22T12:00:11.000Z"
        assert last["job"]["metadata"]["ref"] == REF


async def test_signature_in_the_body_is_not_the_signature_of_the_body() -> None:
    async with a_world() as world:
        await world.done_job()
        for request in world.received:
            inside = json.loads(request.content)["signature"]
            assert inside != request.headers["X-Pikcel-Signature"]


async def test_failure_is_announced_with_its_reason() -> None:
    fail = {"code": "MODERATED", "message": "Refused by moderation"}
    async with a_world(rules=always(fail=fail)) as world:
        await world.done_job()
        assert world.heard == [STARTED, FAILED]
        told = json.loads(world.received[-1].content)["job"]
        assert (told["status"], told["error_message"]) == ("failed", "Refused by moderation")
        assert "output_image_url" not in told
        assert await world.paid() == []


async def test_cancelled_job_is_announced_by_nothing() -> None:
    async with a_world(rules=always(cancelled=True)) as world:
        job = await world.done_job()
        assert job["status"] == "cancelled"
        assert world.heard == [STARTED]


async def test_form_2_has_its_own_header_and_body() -> None:
    async with a_world(webhook_form=2) as world:
        parameters = {"shopify_product_id": "gid://shopify/Product/1", "shopify_shop": "a"}
        job = await world.done_job(parameters=parameters)
        assert all(is_signed(request, "X-PikcelAI-Signature") for request in world.received)
        assert not any("X-Pikcel-Signature" in request.headers for request in world.received)
        first, last = [json.loads(request.content) for request in world.received]
        assert last.keys() == {
            "jobId",
            "status",
            "outputUrl",
            "metadata",
            "processingTime",
            "creditsUsed",
            "aiModel",
        }
        assert (first["status"], last["status"]) == ("processing", "completed")
        assert last["metadata"]["ref"] == REF
        assert last["metadata"]["shopify_product_id"] == "gid://shopify/Product/1"
        assert last["outputUrl"] == job["output_image_url"]
        assert (last["processingTime"], last["creditsUsed"]) == (10_000, 1)


async def test_callback_url_in_the_parameters_is_used_when_there_is_no_webhook_url() -> None:
    async with a_world() as world:
        url = "https://receiver.test/callback"
        await world.done_job(webhook_url=None, parameters={"callback_url": url})
        assert [str(request.url) for request in world.received] == [url, url]


async def test_job_without_an_address_sends_nothing() -> None:
    async with a_world() as world:
        await world.done_job(webhook_url=None)
        assert await deliveries(world) == []


async def test_first_of_several_secrets_signs() -> None:
    async with a_world(webhook_secrets=["new-secret", "old-secret"]) as world:
        await world.done_job()
        assert all(is_signed(request, secret="new-secret") for request in world.received)


async def test_secret_can_change_while_it_runs() -> None:
    async with a_world() as world:
        await world.client.put("/_simulator/config", json={"webhook_secrets": ["rotated"]})
        await world.done_job()
        assert all(is_signed(request, secret="rotated") for request in world.received)


@pytest.mark.parametrize("answer", [500, 404, 301, httpx.ReadTimeout("slow")])
async def test_delivery_that_is_not_accepted_is_repeated_byte_for_byte(
    answer: int | Exception,
) -> None:
    async with a_world(webhook_retry_delays_s=[1, 5, 30]) as world:
        world.receiver_answers = [200, answer, answer]
        await world.new_job()
        await world.run_for(11)
        assert world.heard == [STARTED, COMPLETED]
        await world.run_for(1)
        assert world.heard == [STARTED, COMPLETED, COMPLETED]
        await world.run_for(4)
        assert len(world.received) == 3
        await world.run_for(1)
        assert len(world.received) == 4
        await world.run_for(60)
        assert len(world.received) == 4
        assert len({request.content for request in world.received[1:]}) == 1


async def test_delivery_is_given_up_at_the_end_of_the_schedule() -> None:
    async with a_world(webhook_retry_delays_s=[1, 2]) as world:
        world.receiver_answers = [200, 503, 503, 503]
        await world.new_job()
        await world.run_for(600)
        assert (await deliveries(world))[1:] == [
            (COMPLETED, "genuine", 503),
            (COMPLETED, "retry", 503),
            (COMPLETED, "retry", 503),
        ]


@pytest.mark.parametrize("form", [1, 2])
async def test_restamped_retry_is_signed_anew(form: int) -> None:
    async with a_world(webhook_restamp=True, webhook_form=form) as world:
        world.receiver_answers = [200, 503]
        await world.new_job()
        await world.run_for(60)
        header = {1: "X-Pikcel-Signature", 2: "X-PikcelAI-Signature"}[form]
        assert all(is_signed(request, header) for request in world.received)
        if form == 1:
            stamps = [json.loads(request.content)["timestamp"] for request in world.received]
            assert stamps[1:] == ["2026-11-22T12:00:11.000Z", "2026-11-22T12:00:12.000Z"]


@pytest.mark.parametrize(
    ("lost", "heard"), [("all", []), ([COMPLETED], [STARTED]), ([STARTED], [COMPLETED])]
)
async def test_lost_webhook_never_comes_but_is_in_the_log(
    lost: Literal["all"] | Sequence[str], heard: list[str]
) -> None:
    async with a_world(rules=always(webhook_lost=lost)) as world:
        job = await world.done_job()
        await world.run_for(600)
        assert job["status"] == "completed"
        assert world.heard == heard
        log = await deliveries(world)
        assert [event for event, _, _ in log] == [STARTED, COMPLETED]
        assert [event for event, kind, _ in log if kind != "lost"] == heard


async def test_late_webhook_comes_after_its_delay() -> None:
    async with a_world(rules=always(webhook_delay_s=120)) as world:
        job = await world.new_job()
        await world.run_for(120)
        assert (await world.poll(job["id"]))["status"] == "completed"
        assert world.heard == []
        await world.run_for(1)
        assert world.heard == [STARTED]
        await world.run_for(10)
        assert world.heard == [STARTED, COMPLETED]


async def test_duplicates_are_the_same_bytes_with_the_same_signature() -> None:
    async with a_world(rules=always(webhook_copies=3)) as world:
        await world.done_job()
        assert world.heard == [STARTED] * 3 + [COMPLETED] * 3
        assert len({request.content for request in world.received}) == 2
        assert all(is_signed(request) for request in world.received)


@pytest.mark.parametrize("forgery", ["wrong_secret", "missing", "malformed"])
async def test_forged_webhook_comes_beside_the_genuine_one(forgery: str) -> None:
    async with a_world(rules=always(webhook_forged="also", webhook_forgery=forgery)) as world:
        await world.done_job()
        assert world.heard == [STARTED, STARTED, COMPLETED, COMPLETED]
        assert [is_signed(request) for request in world.received] == [False, True, False, True]
        kinds = [kind for _, kind, _ in await deliveries(world)]
        assert kinds == ["forged", "genuine", "forged", "genuine"]


async def test_forged_webhook_instead_of_the_genuine_one_is_not_repeated() -> None:
    async with a_world(rules=always(webhook_forged="instead")) as world:
        world.receiver_answers = [401, 401]
        await world.new_job()
        await world.run_for(600)
        assert [is_signed(request) for request in world.received] == [False, False]


async def test_completed_can_come_before_started() -> None:
    async with a_world(rules=always(webhook_out_of_order=True)) as world:
        await world.done_job()
        assert world.heard == [COMPLETED, STARTED]
        late = json.loads(world.received[1].content)
        assert late["job"]["status"] == "processing"
        assert late["timestamp"] == "2026-11-22T12:00:01.000Z"


async def test_webhooks_can_come_before_the_answer_to_the_dispatch() -> None:
    faults = {"webhook_before_answer": True, "pending_s": 0, "processing_s": 0}
    async with a_world(rules=always(**faults)) as world:
        job = await world.new_job()
        assert world.heard == [STARTED, COMPLETED]
        assert job["status"] == "completed"


async def test_timestamp_can_lie_outside_a_receivers_window() -> None:
    async with a_world(rules=always(webhook_timestamp_shift_s=-301)) as world:
        await world.done_job()
        assert json.loads(world.received[0].content)["timestamp"] == "2026-11-22T11:55:00.000Z"
        assert all(is_signed(request) for request in world.received)


async def test_log_tells_where_what_was_sent_and_what_was_answered() -> None:
    async with a_world() as world:
        world.receiver_answers = [204, 500]
        job = await world.done_job()
        line = (await world.look("webhooks"))["deliveries"][1]
        expected: dict[str, Any] = {
            "job_id": job["id"],
            "event": COMPLETED,
            "url": HOOK,
            "kind": "genuine",
            "attempt": 1,
            "status": 500,
            "error": None,
            "at": "2026-11-22T12:00:11.000Z",
        }
        assert expected.items() <= line.items()
        assert line["body"].encode() == world.received[1].content
        assert line["signature"] == world.received[1].headers["X-Pikcel-Signature"]
