"""The simulator's API against what its public client shows."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from tests.local.pikcel_world import INPUT, REF, START, a_world, small_photo

pytestmark = pytest.mark.anyio

JOB_FIELDS = {
    "id",
    "user_id",
    "tool_id",
    "tool_name",
    "status",
    "priority",
    "input_image_url",
    "parameters",
    "credits_used",
    "created_at",
    "updated_at",
    "metadata",
}
ENDED_FIELDS = {"output_image_url", "processing_time_ms", "started_at", "completed_at"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_dispatch_answers_a_pending_job_in_the_success_envelope() -> None:
    async with a_world() as world:
        answer = await world.post_job(parameters={"strength": 3})
        assert answer.status_code == 200
        assert answer.json().keys() == {"success", "data"}
        job = answer.json()["data"]
        assert job.keys() == JOB_FIELDS
        assert (job["status"], job["priority"], job["credits_used"]) == ("pending", "normal", 0)
        assert (job["input_image_url"], job["parameters"]) == (INPUT, {"strength": 3})
        assert job["metadata"]["ref"] == REF
        assert job["created_at"] == "2026-11-22T12:00:00.000Z"


async def test_job_moves_from_pending_through_processing_to_completed() -> None:
    async with a_world() as world:
        job = await world.new_job()
        seen = [job["status"]]
        for seconds in (1, 10):
            await world.run_for(seconds)
            seen.append((await world.poll(job["id"]))["status"])
        assert seen == ["pending", "processing", "completed"]
        ended = await world.poll(job["id"])
        assert ended.keys() == JOB_FIELDS | ENDED_FIELDS
        assert ended["processing_time_ms"] == 10_000
        assert ended["started_at"] == "2026-11-22T12:00:01.000Z"
        assert ended["completed_at"] == "2026-11-22T12:00:11.000Z"


async def test_result_is_an_edited_picture_at_an_unguessable_address() -> None:
    async with a_world() as world:
        job = await world.done_job()
        token = job["output_image_url"].rpartition("/")[2].partition(".")[0]
        assert len(token) == 40
        result = await world.client.get(job["output_image_url"], headers={"Authorization": ""})
        assert result.headers["content-type"] == "image/jpeg"
        assert result.content.startswith(b"\xff\xd8\xff")
        assert result.content != small_photo()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tool_id": None}, "tool_id"),
        ({"tool_id": ""}, "tool_id"),
        ({"tool_id": "no-such-tool"}, "tool_id"),
        ({"input_image_url": None}, "input_image_url"),
        ({"input_image_url": "not a web address"}, "input_image_url"),
        ({"input_image_url": "ftp://shop.test/a.jpg"}, "input_image_url"),
        ({"priority": "at once"}, "priority"),
        ({"parameters": [1]}, "parameters"),
        ({"metadata": "text"}, "metadata"),
        ({"webhook_url": "/relative"}, "webhook_url"),
        ({"parameters": {"simulate": {"no_such_fault": 1}}}, "faults.no_such_fault"),
    ],
)
async def test_bad_dispatch_is_refused_with_the_documented_body(
    change: dict[str, Any], field: str
) -> None:
    async with a_world() as world:
        answer = await world.post_job(**change)
        assert answer.status_code == 400
        body = answer.json()
        assert body.keys() == {"success", "error"}
        assert body["success"] is False
        assert body["error"].keys() == {"code", "message", "details"}
        assert body["error"]["code"] == "INVALID_PARAMS"
        assert [detail["field"] for detail in body["error"]["details"]] == [field]
        assert (await world.look("jobs"))["jobs"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'"text"', b"null"])
async def test_dispatch_that_is_no_object_is_refused(body: bytes) -> None:
    async with a_world() as world:
        answer = await world.client.post("/api/jobs/dispatch", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "INVALID_PARAMS"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic c2tfdGVzdA=="])
@pytest.mark.parametrize("path", ["/api/jobs", "/api/jobs/x", "/api/profiles/me"])
async def test_wrong_key_is_401_in_the_documented_body(path: str, header: str) -> None:
    async with a_world() as world:
        answer = await world.client.get(path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "UNAUTHORIZED"


async def test_each_configured_key_is_accepted() -> None:
    async with a_world(api_keys=["sk_live_one", "sk_live_two"]) as world:
        for key in ("sk_live_one", "sk_live_two"):
            answer = await world.client.get("/api/jobs", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 200


async def test_unknown_job_and_unknown_path_are_404_in_the_documented_body() -> None:
    async with a_world() as world:
        for path in ("/api/jobs/none", "/api/enterprise/bulk/dispatch", "/nothing"):
            answer = await world.client.get(path)
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "NOT_FOUND"


async def test_hundred_and_first_request_of_a_minute_is_429() -> None:
    async with a_world(api_keys=["one", "two"]) as world:

        async def status(key: str) -> int:
            headers = {"Authorization": f"Bearer {key}"}
            return (await world.client.get("/api/jobs", headers=headers)).status_code

        assert {await status("one") for _ in range(100)} == {200}
        assert await status("one") == 429
        assert await status("two") == 200
        await world.run_for(59)
        assert await status("one") == 429
        await world.run_for(1)
        assert await status("one") == 200


@pytest.mark.parametrize("form", ["seconds", "http-date"])
async def test_retry_after_says_when_the_next_request_passes(form: str) -> None:
    async with a_world(rate_limit_per_minute=1, retry_after_form=form) as world:
        await world.client.get("/api/jobs")
        await world.run_for(20.5)
        refused = await world.client.get("/api/jobs")
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "RATE_LIMIT"
        value = refused.headers["retry-after"]
        wait_s = (
            float(value)
            if form == "seconds"
            else (parsedate_to_datetime(value) - world.clock.now()).total_seconds()
        )
        assert 39.5 <= wait_s <= 41
        await world.run_for(wait_s)
        assert (await world.client.get("/api/jobs")).status_code == 200


@pytest.mark.parametrize(
    ("priority", "cost"), [("low", 3), ("normal", 3), ("high", 5), ("urgent", 6)]
)
async def test_credits_follow_the_priority_rounded_up(priority: str, cost: int) -> None:
    async with a_world() as world:
        job = await world.done_job(tool_id="gemini-batch-enhancement", priority=priority)
        assert job["credits_used"] == cost
        assert await world.paid() == [(REF, cost)]


async def test_credits_are_charged_when_the_job_completes() -> None:
    async with a_world() as world:
        await world.new_job()
        await world.run_for(10)
        assert await world.paid() == []
        await world.run_for(1)
        assert await world.paid() == [(REF, 1)]


async def test_credits_charged_on_dispatch_are_given_back_when_the_job_fails() -> None:
    async with a_world(charge="on_dispatch") as world:
        await world.new_job(parameters={"simulate": {"fail": {}}})
        assert await world.paid() == [(REF, 1)]
        await world.run_for(20)
        assert await world.paid() == [(REF, 1), (REF, -1)]
        assert (await world.look("ledger"))["balance"] == 1_000


async def test_too_few_credits_is_402_and_counts_what_active_jobs_will_cost() -> None:
    async with a_world(credits_balance=3) as world:
        await world.new_job(tool_id="upscale-4x")
        answer = await world.post_job(tool_id="upscale-4x")
        assert answer.status_code == 402
        error = answer.json()["error"]
        assert error["code"] == "INSUFFICIENT_CREDITS"
        assert error["details"] == {"required": 2, "balance": 1}
        assert (await world.post_job(tool_id="image-enhancement")).status_code == 200


async def test_profile_tells_the_balance_after_what_was_paid() -> None:
    async with a_world(credits_balance=50) as world:
        await world.done_job(tool_id="upscale-4x")
        profile = (await world.client.get("/api/profiles/me")).json()["data"]
        assert profile["credits_balance"] == 48
        assert profile["total_jobs_processed"] == 1
        assert profile["subscription"].keys() >= {"plan", "status", "credits_included"}


async def test_models_are_public_and_name_every_documented_tool() -> None:
    async with a_world() as world:
        answer = await world.client.get("/api/ai-models", headers={"Authorization": ""})
        body = answer.json()
        assert body["count"] == len(body["data"])
        assert {model["id"] for model in body["data"]} >= {
            "background-removal",
            "image-enhancement",
            "color-correction",
            "ghost-mannequin",
            "photo-retouching",
            "upscale-4x",
            "background-replacement",
            "gemini-background-removal",
            "gemini-background-replacement",
            "gemini-batch-enhancement",
        }
        assert body["data"][0].keys() >= {"credits_required", "base_price", "is_active"}


async def test_listing_is_newest_first_and_tells_whether_more_follow() -> None:
    async with a_world() as world:
        ids = []
        for _ in range(5):
            ids.append((await world.new_job())["id"])
            await world.run_for(1)
        first = (await world.client.get("/api/jobs?limit=2")).json()
        last = (await world.client.get("/api/jobs?limit=2&offset=4")).json()
        assert [job["id"] for job in first["data"]] == [ids[4], ids[3]]
        assert (first["count"], first["total"], first["has_more"]) == (2, 5, True)
        assert [job["id"] for job in last["data"]] == [ids[0]]
        assert (last["count"], last["total"], last["has_more"]) == (1, 5, False)


async def test_listing_filters_by_status_tool_and_dates() -> None:
    async with a_world() as world:
        old = await world.done_job(tool_id="upscale-4x")
        middle = await world.done_job(tool_id="image-enhancement")
        new = await world.new_job(tool_id="upscale-4x")

        async def found(**query: str) -> list[str]:
            answer = (await world.client.get("/api/jobs", params=query)).json()
            assert answer["total"] == len(answer["data"])
            return [job["id"] for job in answer["data"]]

        at = middle["created_at"]
        assert await found(status="completed") == [middle["id"], old["id"]]
        assert await found(tool_id="upscale-4x") == [new["id"], old["id"]]
        assert await found(status="completed", tool_id="upscale-4x") == [old["id"]]
        assert await found(from_date=at) == [new["id"], middle["id"]]
        assert await found(to_date=at) == [middle["id"], old["id"]]
        assert await found(from_date=at, to_date=at) == [middle["id"]]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "offset=-1", "status=undefined", "from_date=yesterday"]
)
async def test_bad_listing_query_is_refused(query: str) -> None:
    async with a_world() as world:
        answer = await world.client.get(f"/api/jobs?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "INVALID_PARAMS"


async def test_upload_is_kept_and_can_be_the_input_of_a_job() -> None:
    async with a_world() as world:
        files = {"file": ("upload.jpg", small_photo(), "image/jpeg")}
        answer = await world.client.post("/api/upload", files=files, data={"folder": "products"})
        kept = answer.json()["data"]
        assert kept.keys() == {"url", "path", "size", "mime_type", "uploaded_at"}
        assert kept["path"].startswith("products/")
        assert (kept["size"], kept["mime_type"]) == (len(small_photo()), "image/jpeg")
        assert (await world.client.get(kept["url"])).content == small_photo()


async def test_upload_of_anything_but_a_small_picture_is_refused() -> None:
    async with a_world() as world:
        for name, data, kind in (
            ("a.pdf", b"%PDF", "application/pdf"),
            ("big.png", bytes(10_485_761), "image/png"),
        ):
            answer = await world.client.post("/api/upload", files={"file": (name, data, kind)})
            assert answer.status_code == 400, name
        answer = await world.client.post("/api/upload", content=b"not a form")
        assert answer.status_code == 400


async def test_input_that_cannot_be_fetched_or_read_fails_the_job_without_payment() -> None:
    async with a_world() as world:
        world.inputs = {
            "https://shop.test/gone.jpg": httpx.Response(404),
            "https://shop.test/page.jpg": httpx.Response(200, content=b"<html>"),
        }
        gone = await world.done_job(input_image_url="https://shop.test/gone.jpg")
        page = await world.done_job(input_image_url="https://shop.test/page.jpg")
        assert (gone["status"], page["status"]) == ("failed", "failed")
        assert gone["error_message"] == "The input image answered 404"
        assert page["error_message"] == "The input is not an image that can be read"
        assert await world.paid() == []


async def test_requests_are_counted_per_route_with_what_was_answered() -> None:
    async with a_world() as world:
        job = await world.new_job()
        await world.poll(job["id"])
        await world.client.get("/api/jobs/none")
        seen = await world.look("requests")
        assert seen["counts"] == {"dispatch": 1, "poll": 2}
        assert [line["status"] for line in seen["requests"]] == [200, 200, 404]


async def test_equal_seeds_and_clocks_make_equal_answers() -> None:
    async with a_world() as one, a_world() as other:
        assert await one.done_job() == await other.done_job()


async def test_time_of_a_new_world_stands_still() -> None:
    async with a_world() as world:
        await world.new_job()
        assert world.clock.now() == START
        await world.run_for(3)
        assert world.clock.now() == datetime(2026, 11, 22, 12, 0, tzinfo=UTC) + timedelta(seconds=3)
