"""Every fault the simulator can be told to have, and the rules that say for which job."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from local.provider_simulator.service import ConnectionDroppedError
from tests.local.pikcel_world import REF, World, a_world, always, small_photo

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def job_count(world: World) -> int:
    return len((await world.look("jobs"))["jobs"])


async def set_config(world: World, **change: Any) -> httpx.Response:
    return await world.client.put("/_simulator/config", json=change)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("rate_limited", 429, "RATE_LIMIT"), ("error_before", 500, "SERVER_ERROR")],
)
async def test_refused_dispatch_creates_and_costs_nothing(
    fault: str, status: int, code: str
) -> None:
    async with a_world(rules=always(create=fault)) as world:
        answer = await world.post_job()
        await world.run_for(60)
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == code
        assert ("retry-after" in answer.headers) == (status == 429)
        assert await job_count(world) == 0
        assert await world.paid() == []
        assert world.received == []


async def test_dropped_dispatch_before_execution_creates_and_costs_nothing() -> None:
    async with a_world(rules=always(create="reset_before")) as world:
        with pytest.raises(ConnectionDroppedError):
            await world.post_job()
        assert await job_count(world) == 0


async def test_server_error_after_execution_leaves_a_job_that_is_paid_and_announced() -> None:
    async with a_world(rules=always(create="error_after", create_status=502)) as world:
        answer = await world.post_job()
        await world.run_for(60)
        assert answer.status_code == 502
        assert await world.paid() == [(REF, 1)]
        assert world.heard == ["job.started", "job.completed"]


async def test_lost_answer_leaves_a_job_that_is_paid_and_listed_with_our_reference() -> None:
    async with a_world(rules=always(create="lost_answer")) as world:
        with pytest.raises(ConnectionDroppedError):
            await world.post_job()
        await world.run_for(60)
        assert await world.paid() == [(REF, 1)]
        listed = (await world.client.get("/api/jobs")).json()["data"]
        assert [job["metadata"]["ref"] for job in listed] == [REF]
        seen = (await world.look("requests"))["requests"][0]
        assert (seen["route"], seen["status"]) == ("dispatch", None)


async def test_second_dispatch_after_a_lost_answer_shows_as_a_second_payment() -> None:
    async with a_world(rules=[{"times": 1, "faults": {"create": "lost_answer"}}]) as world:
        with pytest.raises(ConnectionDroppedError):
            await world.post_job()
        await world.new_job()
        await world.run_for(60)
        assert (await world.look("ledger"))["by_ref"] == {REF: 2}


async def test_late_answer_comes_after_its_delay_and_the_job_has_gone_on() -> None:
    async with a_world(rules=always(create="late_answer", answer_delay_s=45)) as world:
        call = asyncio.create_task(world.post_job())
        await world.run_for(44)
        assert not call.done()
        assert world.heard == ["job.started", "job.completed"]
        await world.run_for(1)
        assert (await call).json()["data"]["status"] == "completed"


async def test_malformed_answer_is_cut_off_json_of_a_job_that_exists() -> None:
    async with a_world(rules=always(create="malformed_json")) as world:
        answer = await world.post_job()
        assert answer.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            answer.json()
        assert await job_count(world) == 1


async def test_failing_once_per_job_lets_every_retry_succeed() -> None:
    fail = {"code": "MODEL_ERROR", "message": "Out of memory"}
    rules = [{"times": 1, "per": "job", "faults": {"fail": fail}}]
    async with a_world(rules=rules) as world:
        seen = []
        for attempt in (1, 2):
            for job in ("J1", "J2"):
                ref = f"a.myshopify.com:{job}:{attempt}:token"
                done = await world.done_job(metadata={"ref": ref})
                seen.append((job, attempt, done["status"]))
        assert seen == [
            ("J1", 1, "failed"),
            ("J2", 1, "failed"),
            ("J1", 2, "completed"),
            ("J2", 2, "completed"),
        ]


async def test_a_failed_job_may_complete_after_all_and_says_so() -> None:
    async with a_world(rules=always(fail={}, completes_after_s=60)) as world:
        job = await world.done_job()
        assert job["status"] == "failed"
        await world.run_for(60)
        after = await world.poll(job["id"])
        assert (after["status"], after.get("error_message")) == ("completed", None)
        assert world.heard == ["job.started", "job.failed", "job.completed"]
        assert await world.paid() == [(REF, 1)]


async def test_dispatch_can_ask_for_its_own_faults() -> None:
    async with a_world() as world:
        asked = {"simulate": {"times": 1, "fail": {"code": "X", "message": "Asked for"}}}
        assert (await world.done_job(parameters=asked))["error_message"] == "Asked for"
        assert (await world.done_job(parameters=asked))["status"] == "completed"


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({}, [True, True, True]),
        ({"nth": 2}, [False, True, False]),
        ({"tool_id": "upscale-4x"}, [False, False, True]),
        ({"url_contains": "second"}, [False, True, False]),
        ({"metadata": {"colour": "red"}}, [True, False, False]),
        ({"metadata": {"ref": ":J3:"}}, [False, False, True]),
        ({"metadata": {"colour": "red"}, "nth": 2}, [False, False, False]),
    ],
)
async def test_rule_is_for_the_dispatches_that_match(
    match: dict[str, Any], hit: list[bool]
) -> None:
    rules = [{"match": match, "faults": {"create": "error_before"}}]
    async with a_world(rules=rules) as world:
        answers = [
            await world.post_job(metadata={"ref": "a:J1:1:t", "colour": "red"}),
            await world.post_job(input_image_url="https://shop.test/second.jpg"),
            await world.post_job(tool_id="upscale-4x", metadata={"ref": "a:J3:1:t"}),
        ]
        assert [answer.status_code == 500 for answer in answers] == hit


async def test_later_rules_win_over_earlier_ones_and_the_dispatch_over_both() -> None:
    rules = [
        {"faults": {"processing_s": 5, "reply": "C"}},
        {"faults": {"processing_s": 6}},
    ]
    async with a_world(rules=rules) as world:
        await world.post_job()
        await world.post_job(parameters={"simulate": {"processing_s": 7}})
        faults = [job["faults"] for job in (await world.look("jobs"))["jobs"]]
        assert [fault["processing_s"] for fault in faults] == [6, 7]
        assert [fault["reply"] for fault in faults] == ["C", "C"]


async def test_slow_job_takes_the_time_it_was_given() -> None:
    async with a_world(rules=always(processing_s=900)) as world:
        job = await world.new_job()
        await world.run_for(900)
        assert (await world.poll(job["id"]))["status"] == "processing"
        await world.run_for(1)
        assert (await world.poll(job["id"]))["processing_time_ms"] == 900_000


async def test_stuck_job_never_ends() -> None:
    async with a_world(rules=always(stuck=True)) as world:
        job = await world.new_job()
        await world.run_for(100_000)
        assert (await world.poll(job["id"]))["status"] == "processing"
        assert world.heard == ["job.started"]


async def test_unknown_status_word_is_shown_for_so_many_polls() -> None:
    faults = {"status_word": "archiving", "status_word_times": 2}
    async with a_world(rules=always(**faults)) as world:
        job = await world.new_job()
        assert job["status"] == "pending"
        await world.run_for(20)
        seen = [(await world.poll(job["id"]))["status"] for _ in range(3)]
        assert seen == ["archiving", "archiving", "completed"]
        assert json.loads(world.received[-1].content)["job"]["status"] == "archiving"


@pytest.mark.parametrize(
    ("fault", "status"), [("error", 500), ("rate_limited", 429), ("not_found", 404)]
)
async def test_poll_can_fail_so_many_times(fault: str, status: int) -> None:
    async with a_world(rules=always(poll=fault, poll_times=2)) as world:
        job = await world.new_job()
        path = f"/api/jobs/{job['id']}"
        seen = [(await world.client.get(path)).status_code for _ in range(3)]
        assert seen == [status, status, 200]


async def test_poll_can_be_cut_off_or_dropped() -> None:
    async with a_world(rules=always(poll="malformed_json")) as world:
        job = await world.new_job()
        answer = await world.client.get(f"/api/jobs/{job['id']}")
        with pytest.raises(json.JSONDecodeError):
            answer.json()
    async with a_world(rules=always(poll="reset")) as world:
        job = await world.new_job()
        with pytest.raises(ConnectionDroppedError):
            await world.client.get(f"/api/jobs/{job['id']}")


async def test_job_can_be_missing_from_listings_for_a_while() -> None:
    async with a_world(rules=always(listed_after_s=30)) as world:
        await world.new_job()
        await world.run_for(29)
        assert (await world.client.get("/api/jobs")).json()["total"] == 0
        await world.run_for(1)
        assert (await world.client.get("/api/jobs")).json()["total"] == 1


@pytest.mark.parametrize("status", [404, 410])
async def test_result_dies_with_its_link_and_a_poll_brings_a_fresh_one(status: int) -> None:
    async with a_world(result_lifetime_s=600, expired_status=status) as world:
        job = await world.done_job()
        await world.run_for(590)
        assert (await world.client.get(job["output_image_url"])).status_code == 200
        await world.run_for(1)
        assert (await world.client.get(job["output_image_url"])).status_code == status
        fresh = await world.poll(job["id"])
        assert fresh["output_image_url"] != job["output_image_url"]
        assert (await world.client.get(fresh["output_image_url"])).status_code == 200
        assert (await world.client.get(job["output_image_url"])).status_code == status


async def test_dead_link_stays_dead_where_links_are_not_renewed() -> None:
    async with a_world(fresh_links=False, result_lifetime_s=1) as world:
        job = await world.done_job()
        await world.run_for(2)
        assert (await world.poll(job["id"]))["output_image_url"] == job["output_image_url"]
        assert (await world.client.get(job["output_image_url"])).status_code == 404


async def test_expired_result_is_dead_when_the_webhook_names_it() -> None:
    async with a_world(rules=always(result="expired")) as world:
        job = await world.new_job()
        await world.run_for(20)
        told = json.loads(world.received[-1].content)["job"]["output_image_url"]
        assert (await world.client.get(told)).status_code == 404
        fresh = (await world.poll(job["id"]))["output_image_url"]
        assert (await world.client.get(fresh)).status_code == 200


async def test_result_can_be_a_web_page() -> None:
    async with a_world(rules=always(result="html")) as world:
        job = await world.done_job()
        answer = await world.client.get(job["output_image_url"])
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")


async def test_result_can_be_a_picture_that_is_too_large() -> None:
    size = 3_000_000
    async with a_world(rules=always(result="too_large", result_bytes=size)) as world:
        job = await world.done_job()
        answer = await world.client.get(job["output_image_url"])
        assert answer.headers["content-length"] == str(size)
        assert len(answer.content) == size
        assert answer.content.startswith(b"\xff\xd8\xff")


async def test_result_can_lead_to_another_host() -> None:
    target = "http://169.254.169.254/latest/meta-data/"
    async with a_world(rules=always(result="redirect", result_redirect_to=target)) as world:
        job = await world.done_job()
        answer = await world.client.get(job["output_image_url"])
        assert (answer.status_code, answer.headers["location"]) == (302, target)


async def test_result_can_fail_so_many_times() -> None:
    async with a_world(rules=always(result="server_error", result_times=1)) as world:
        job = await world.done_job()
        seen = [(await world.client.get(job["output_image_url"])).status_code for _ in range(2)]
        assert seen == [503, 200]


@pytest.mark.parametrize(
    ("vocabulary", "fields"),
    [
        ("B", {"jobId", "status", "estimatedTime", "creditsRequired"}),
        ("D", {"id", "profile_id", "type", "input_url", "output_url", "parameters", "error"}),
    ],
)
async def test_flat_vocabularies_have_no_envelope(vocabulary: str, fields: set[str]) -> None:
    async with a_world(reply=vocabulary) as world:
        body = (await world.post_job()).json()
        assert fields <= body.keys()
        assert not {"success", "data", "job"} & body.keys()


async def test_vocabulary_c_wraps_the_job_and_tells_progress() -> None:
    async with a_world(reply="C") as world:
        body = (await world.post_job()).json()
        assert body.keys() == {"job"}
        await world.run_for(20)
        ended = (await world.client.get(f"/api/jobs/{body['job']['id']}")).json()["job"]
        assert (body["job"]["progress"], ended["progress"]) == (0, 100)
        assert ended["result_url"].startswith("http://pikcel.test/results/")


async def test_vocabulary_b_tells_output_and_credits_once_ended() -> None:
    async with a_world(reply="B") as world:
        job_id = (await world.post_job()).json()["jobId"]
        await world.run_for(20)
        ended = (await world.client.get(f"/api/jobs/{job_id}")).json()
        assert (ended["status"], ended["creditsUsed"]) == ("completed", 1)
        assert ended["outputUrl"].startswith("http://pikcel.test/results/")


async def test_minimal_reply_is_id_and_status() -> None:
    async with a_world(rules=always(reply="minimal")) as world:
        body = (await world.post_job()).json()
        assert body["success"] is True
        assert body["data"].keys() == {"id", "status"}


@pytest.mark.parametrize(
    ("outage", "status"),
    [
        ({"kind": "error", "status": 503}, 503),
        ({"kind": "html", "status": 502}, 502),
        ({"kind": "rate_limited"}, 429),
    ],
)
async def test_outage_hits_its_route_so_many_times(outage: dict[str, Any], status: int) -> None:
    async with a_world(outages=[{"route": "list", "times": 2} | outage]) as world:
        assert (await world.client.get("/api/profiles/me")).status_code == 200
        seen = [(await world.client.get("/api/jobs")).status_code for _ in range(3)]
        assert seen == [status, status, 200]


async def test_outage_can_drop_the_connection() -> None:
    async with a_world(outages=[{"route": "poll", "kind": "reset"}]) as world:
        with pytest.raises(ConnectionDroppedError):
            await world.client.get("/api/jobs/any")


async def test_outage_can_slow_a_route_down() -> None:
    async with a_world(outages=[{"route": "list", "kind": "slow", "delay_s": 9}]) as world:
        call = asyncio.create_task(world.client.get("/api/jobs"))
        await world.run_for(8)
        assert not call.done()
        await world.run_for(1)
        assert (await call).status_code == 200


async def test_configuration_changes_while_it_runs_and_keeps_the_rest() -> None:
    async with a_world(credits_balance=5) as world:
        answer = await set_config(world, rules=always(create="error_before"), reply="C")
        assert answer.status_code == 200
        assert (await world.post_job()).status_code == 500
        shown = await world.look("config")
        assert (shown["credits_balance"], shown["reply"]) == (5, "C")
        await set_config(world, rules=[])
        assert (await world.post_job()).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"no_such_setting": 1},
        {"rules": [{"faults": {"no_such_fault": 1}}]},
        {"rate_limit_per_minute": -1},
        {"webhook_secrets": []},
    ],
)
async def test_bad_configuration_is_refused_and_changes_nothing(change: dict[str, Any]) -> None:
    async with a_world() as world:
        before = await world.look("config")
        assert (await set_config(world, **change)).status_code == 400
        assert await world.look("config") == before


async def test_rules_count_anew_when_they_are_changed() -> None:
    rules = [{"times": 1, "faults": {"create": "error_before"}}]
    async with a_world(rules=rules) as world:
        first = [(await world.post_job()).status_code for _ in range(2)]
        await set_config(world, rules=rules)
        second = [(await world.post_job()).status_code for _ in range(2)]
        assert first == second == [500, 200]


async def test_reset_forgets_everything_and_stops_what_runs() -> None:
    async with a_world(credits_balance=9) as world:
        await set_config(world, reply="C")
        await world.post_job()
        await world.run_for(5)
        assert (await world.client.post("/_simulator/reset")).status_code == 200
        world.received.clear()
        await world.run_for(600)
        assert world.received == []
        assert (await world.look("jobs"))["jobs"] == []
        assert (await world.look("webhooks"))["deliveries"] == []
        assert (await world.look("requests")) == {"counts": {}, "requests": []}
        assert (await world.look("ledger"))["balance"] == 9
        assert (await world.look("config"))["reply"] == "A"


async def test_health_needs_no_key_and_is_not_counted() -> None:
    async with a_world() as world:
        answer = await world.client.get("/_simulator/health", headers={"Authorization": ""})
        assert answer.status_code == 200
        assert (await world.look("requests"))["counts"] == {}


async def test_inner_view_of_a_job_tells_its_faults_and_output() -> None:
    async with a_world(rules=always(webhook_copies=2)) as world:
        await world.done_job()
        (job,) = (await world.look("jobs"))["jobs"]
        assert (job["ref"], job["nth"], job["status"]) == (REF, 1, "completed")
        assert job["faults"] == {"webhook_copies": 2}
        assert 0 < job["output_bytes"] < 10 * len(small_photo())
