"""The provider's tools and credits by HTTP, and jobs that they cannot pay for."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.domain.tools import Account, FactKind, Tool, account_value, tools_value
from shared.usecases.ports import RefreshRequest
from shared.usecases.run_bulk import run_bulk
from tests.api_world import World, world
from tests.builders import SHOP, a_dispatched_job
from tests.fakes.clock import START

__all__ = ["world"]  # a fixture

PHOTO = "https://shop.example/m.jpg"
NEW = {"toolId": "upscale-4x", "inputImageUrl": PHOTO}


def answers(world: World, *, balance: float = 100, price: float = 2) -> None:
    """Let the dispatch lane answer while somebody waits."""

    def deliver() -> None:
        values: dict[FactKind, Any] = {
            FactKind.TOOLS: tools_value(
                {"upscale-4x": Tool(tool_id="upscale-4x", name="Upscale 4x", credits=price)}
            ),
            FactKind.ACCOUNT: account_value(Account(balance=balance, plan="starter")),
        }
        for sent in world.outbox.dispatches:
            if isinstance(sent.request, RefreshRequest):
                kind = sent.request.kind
                world.facts.put_fact("pikcel", kind, values[kind], world.clock.now())
        world.outbox.dispatches.clear()

    world.clock.on_sleep = deliver


def failed(number: int, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "status": JobStatus.FAILED,
        "error_code": "oops",
        "completed_at": START,
        "tool_id": "upscale-4x",
        "attempt": {"provider_job_id": f"f_{number}", "credits": 2},
    }
    return a_dispatched_job(**(values | changes))


# --- tools and credits ------------------------------------------------------------------


def test_the_providers_tools_come_with_what_it_quotes(world: World) -> None:
    answers(world)
    reply = world.get("/api/tools")
    assert reply.json == {
        "success": True,
        "provider": "pikcel",
        "tools": [
            {
                "id": "upscale-4x",
                "name": "Upscale 4x",
                "description": None,
                "category": None,
                "isActive": True,
                "creditsRequired": 2,
                "quotes": {"low": 2, "normal": 2, "high": 3, "urgent": 4},
                "basePrice": None,
                "defaultParameters": {},
            }
        ],
        "fetchedAt": "2026-11-22T12:00:00.400Z",
        "stale": False,
    }
    world.clock.advance(299)
    again = world.get("/api/tools")
    assert again.json == reply.json
    assert world.outbox.dispatches == []


def test_after_five_minutes_it_is_asked_again_and_if_it_is_down_the_last_list_is_told(
    world: World,
) -> None:
    world.provider_said(upscale_4x=2)
    world.clock.advance(301)
    reply = world.get("/api/tools")
    assert (reply.status, reply.json["stale"]) == (200, True)
    assert reply.json["fetchedAt"] == "2026-11-22T12:00:00.000Z"
    assert len(reply.json["tools"]) == 1


def test_while_nobody_knows_it_is_unavailable(world: World) -> None:
    for path in ("/api/tools", "/api/admin/credits"):
        reply = world.get(path)
        assert (reply.status, reply.code) == (503, "unavailable")
        assert "retry-after" in reply.headers


def test_a_provider_that_has_none_is_refused_by_name(world: World) -> None:
    reply = world.get("/api/tools", query={"provider": "worker"})
    assert (reply.status, reply.json["details"][0]["field"]) == (400, "provider")


def test_administrators_see_what_is_left_and_nobody_else(world: World) -> None:
    answers(world, balance=41.5)
    reply = world.get("/api/admin/credits", shop=None)
    assert reply.json["credits"] == {
        "balance": 41.5,
        "plan": "starter",
        "planStatus": None,
        "creditsIncluded": None,
        "renewsAt": None,
    }
    assert reply.json["stale"] is False
    as_user = world.call("GET", "/api/admin/credits", shop=None, key=world.id_token())
    assert as_user.status == 403
    assert world.call("GET", "/api/tools", shop=None, key=world.id_token()).status in (200, 503)


# --- too few credits --------------------------------------------------------------------


def test_a_job_that_cannot_be_paid_is_refused_before_anything_is_spent(world: World) -> None:
    world.provider_said(balance=1, upscale_4x=2)
    reply = world.post("/api/jobs", NEW)
    assert (reply.status, reply.code) == (402, "insufficient_credits")
    assert reply.json["details"] == [
        {"required": 2, "isQuote": True, "asOf": "2026-11-22T12:00:00.000Z"}
    ]
    assert world.get("/api/jobs").json["jobs"] == []
    assert world.outbox.dispatches == []
    # What is left is the account's, which all shops share: it is not told.
    world.provider_said(balance=777, upscale_4x=778)
    assert "777" not in world.post("/api/jobs", NEW).text


def test_the_tools_name_is_on_the_job_from_the_beginning(world: World) -> None:
    assert world.post("/api/jobs", NEW).job["toolName"] is None
    world.provider_said(upscale_4x=2)
    assert world.post("/api/jobs", NEW).job["toolName"] == "Upscale-4X"
    assert world.post("/api/jobs", NEW | {"toolId": "another"}).job["toolName"] is None


def test_nothing_is_refused_by_what_is_old_unknown_for_later_or_done_elsewhere(
    world: World,
) -> None:
    assert world.post("/api/jobs", NEW).status == 202
    world.provider_said(balance=0, upscale_4x=2)
    for body in (
        NEW | {"toolId": "another"},
        NEW | {"scheduledAt": "2026-12-24T12:00:00Z"},
        NEW | {"pikcelJobId": "made-elsewhere"},
        {"type": "pull"},
        {"provider": "worker", "toolId": "upscale-4x"},
    ):
        assert world.post("/api/jobs", body).status == 202, body
    world.clock.advance(61)
    # It cannot be asked (nobody answers): it may have been filled since.
    assert world.post("/api/jobs", NEW).status == 202


def test_an_account_that_was_filled_is_found_out_about(world: World) -> None:
    world.provider_said(balance=0, upscale_4x=2)
    assert world.post("/api/jobs", NEW).status == 402
    world.clock.advance(61)
    answers(world, balance=100)
    assert world.post("/api/jobs", NEW).status == 202


def test_the_same_key_gives_the_job_that_used_the_credits_up(world: World) -> None:
    world.provider_said(balance=2, upscale_4x=2)
    headers = {"idempotency-key": "once"}
    first = world.post("/api/jobs", NEW, headers=headers)
    world.provider_said(balance=0, upscale_4x=2)
    again = world.post("/api/jobs", NEW, headers=headers)
    assert (again.status, again.job["id"]) == (202, first.job["id"])
    assert world.post("/api/jobs", NEW, headers={"idempotency-key": "other"}).status == 402


def test_a_refused_key_may_be_used_again(world: World) -> None:
    world.provider_said(balance=0, upscale_4x=2)
    headers = {"idempotency-key": "once"}
    assert world.post("/api/jobs", NEW, headers=headers).status == 402
    world.provider_said(balance=9, upscale_4x=2)
    assert world.post("/api/jobs", NEW, headers=headers).status == 202


def test_a_batch_is_judged_as_a_whole(world: World) -> None:
    world.provider_said(balance=5, upscale_4x=2)
    batch = {"toolId": "upscale-4x", "images": [{"inputImageUrl": PHOTO}] * 3}
    reply = world.post("/api/batches", batch)
    assert (reply.status, reply.code) == (402, "insufficient_credits")
    assert reply.json["details"][0]["required"] == 6
    assert world.get("/api/batches").json["batches"] == []
    world.provider_said(balance=6, upscale_4x=2)
    reply = world.post("/api/batches", batch)
    assert (reply.status, reply.json["batch"]["toolName"]) == (202, "Upscale-4X")
    run(world)
    made = world.get(f"/api/batches/{reply.json['batch']['id']}").json["batch"]
    assert (made["activeJobs"], made["failedJobs"]) == (3, 0)


def run(world: World) -> None:
    lane = world.bulk_lane()
    while world.outbox.bulks:
        request, _delay = world.outbox.bulks.pop(0)
        run_bulk(lane, request)


def test_credits_that_run_out_while_a_batch_is_made_are_counted(world: World) -> None:
    world.provider_said(balance=6, upscale_4x=2)
    batch = {"toolId": "upscale-4x", "images": [{"inputImageUrl": PHOTO}] * 3}
    made = world.post("/api/batches", batch).json["batch"]
    world.provider_said(balance=4, upscale_4x=2)
    run(world)
    now = world.get(f"/api/batches/{made['id']}").json["batch"]
    assert (now["activeJobs"], now["failedJobs"]) == (2, 1)
    bulk = world.get(f"/api/jobs/{made['id']}").job
    assert bulk["result"]["refused"] == [{"code": "insufficient_credits", "count": 1}]


def test_a_chunk_that_comes_again_refuses_nothing_that_was_made(world: World) -> None:
    world.provider_said(balance=6, upscale_4x=2)
    batch = {"toolId": "upscale-4x", "images": [{"inputImageUrl": PHOTO}] * 3}
    made = world.post("/api/batches", batch).json["batch"]
    lane, (request, _delay) = world.bulk_lane(), world.outbox.bulks[0]
    real = world.store.save

    def die(*args: Any, **more: Any) -> Any:
        raise SystemExit

    world.store.save = die  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        run_bulk(lane, request)  # all were made; that they were is not booked
    world.store.save = real  # type: ignore[method-assign]
    world.provider_said(balance=0, upscale_4x=2)
    run(world)
    now = world.get(f"/api/batches/{made['id']}").json["batch"]
    assert (now["activeJobs"], now["failedJobs"]) == (3, 0)


def test_a_retry_that_cannot_be_paid_is_refused(world: World) -> None:
    job = world.has(failed(1))
    world.provider_said(balance=1, upscale_4x=2)
    reply = world.post("/api/jobs/retry", {"jobId": job.job_id})
    assert (reply.status, reply.code) == (402, "insufficient_credits")
    assert world.job(job.job_id) == job
    again = world.post(f"/api/admin/jobs/{job.job_id}/resubmit")
    assert (again.status, again.code) == (402, "insufficient_credits")
    # What cannot be retried at all is said first.
    done = world.has(failed(2, status=JobStatus.COMPLETED, error_code=None))
    assert world.post("/api/jobs/retry", {"jobId": done.job_id}).code == "wrong_status"


def test_many_retries_are_judged_together_beforehand_and_when_they_are_done(
    world: World,
) -> None:
    jobs = [world.has(failed(n)) for n in range(5)]
    world.provider_said(balance=5, upscale_4x=2)
    body = {"filter": {"status": "failed"}}
    foreseen = world.post("/api/jobs/retry", body | {"dryRun": True}).json
    assert (foreseen["matched"], foreseen["eligible"]) == (5, 2)
    assert foreseen["refused"] == [{"code": "insufficient_credits", "count": 3}]
    bulk = world.post("/api/jobs/retry", body).job
    run(world)
    done = world.get(f"/api/jobs/{bulk['id']}").job
    assert (done["successful"], done["failed"]) == (2, 3)
    assert done["result"]["refused"] == foreseen["refused"]
    assert sum(world.job(job.job_id, SHOP).attempt.number == 2 for job in jobs) == 2


def test_what_failed_for_free_is_priced_as_a_success_would_be(world: World) -> None:
    free = world.has(failed(1, attempt={"credits": 0}, unit_cost_micros=5))

    def foreseen() -> tuple[int, int]:
        told = world.post("/api/jobs/retry", {"jobId": free.job_id, "dryRun": True}).json
        assert told["eligible"] == 1
        return told["credits"], told["costMicros"]

    assert foreseen() == (0, 5)  # nobody knows what its tool costs
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": {"credits": 100}})
    other = world.job(world.post("/api/jobs", NEW).job["id"])
    done = replace(other, status=JobStatus.COMPLETED, completed_at=world.clock.now())
    world.store.save(other, done.with_attempt(replace(other.attempt, credits=3)))
    assert foreseen() == (3, 5)  # what it cost last
    world.provider_said(balance=100, upscale_4x=2)
    world.clock.advance(31)
    assert foreseen() == (2, 5)  # what is asked for it now


def test_the_same_key_gives_the_batch_that_used_the_credits_up(world: World) -> None:
    world.provider_said(balance=6, upscale_4x=2)
    batch = {"toolId": "upscale-4x", "images": [{"inputImageUrl": PHOTO}] * 3}
    real = world.receipts.finish
    world.receipts.finish = lambda *_: None  # type: ignore[method-assign]  # we die before that
    first = world.post("/api/batches", batch, headers={"idempotency-key": "once"})
    world.receipts.finish = real  # type: ignore[method-assign]
    world.clock.advance(61)
    world.provider_said(balance=0, upscale_4x=2)
    again = world.post("/api/batches", batch, headers={"idempotency-key": "once"})
    assert (again.status, again.json["batch"]["id"]) == (202, first.json["batch"]["id"])
    assert world.post("/api/batches", batch).status == 402
