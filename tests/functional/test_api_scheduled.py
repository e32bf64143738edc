"""functions/api: jobs that wait for their time, and tasks that are given to agents."""

from datetime import timedelta
from typing import Any

import pytest

from shared.usecases.ports import DispatchRequest
from shared.usecases.sweep_due_jobs import sweep_due_jobs
from tests.api_world import Reply, World, world
from tests.builders import OTHER_SHOP, a_dispatched_job, a_job, a_worker_job
from tests.fakes.clock import START

__all__ = ["world"]

IMAGE = {"toolId": "background-removal", "inputImageUrl": "https://a.example/x.png"}
TOMORROW = "2026-11-23T00:00:00.000Z"


def patch(world: World, job_id: str, /, **said: Any) -> Reply:
    return world.call("PATCH", f"/api/jobs/{job_id}", json_body=said)


def scheduled(world: World, **wish: Any) -> str:
    job = world.post("/api/jobs", IMAGE | {"scheduledAt": TOMORROW} | wish).job
    assert (job["status"], job["scheduledAt"]) == ("pending", TOMORROW)
    assert world.outbox.dispatches == []
    return str(job["id"])


def dispatched(world: World) -> list[str]:
    requests = [sent.request for sent in world.outbox.dispatches]
    return [request.ref.job_id for request in requests if isinstance(request, DispatchRequest)]


def sweep_at(world: World, day: int, seconds: float = 0) -> None:
    """Sweep at midnight of that day in November, or some seconds from it."""
    at = START.replace(day=day, hour=0, minute=0, second=0) + timedelta(seconds=seconds)
    world.clock.advance((at - world.clock.now()).total_seconds())
    sweep_due_jobs(world.tracker)


def agent(world: World, **more: Any) -> Any:
    return world.post("/api/admin/agents", {"name": "robot"}, **more).json


def test_a_job_starts_at_its_time_and_not_before(world: World) -> None:
    job_id = scheduled(world)
    sweep_at(world, 23, -1)
    assert dispatched(world) == []
    sweep_at(world, 23)
    assert dispatched(world) == [job_id]


def test_a_job_that_is_brought_to_now_is_dispatched_at_once(world: World) -> None:
    job_id = scheduled(world)
    edited = patch(world, job_id, scheduledAt=None).job
    assert edited["scheduledAt"] is not None
    assert dispatched(world) == [job_id]
    logs = world.get(f"/api/jobs/{job_id}/logs").json["logs"]
    assert logs[0]["message"] == "Edited: scheduled at."


def test_a_job_is_put_off_before_it_starts(world: World) -> None:
    job_id = scheduled(world)
    assert patch(world, job_id, scheduledAt="2026-11-24").job["scheduledAt"][:10] == "2026-11-24"
    sweep_at(world, 23)
    assert dispatched(world) == []
    sweep_at(world, 24)
    assert dispatched(world) == [job_id]


def test_what_waits_is_reserved_of_the_budget_until_it_is_cancelled(world: World) -> None:
    world.call("PUT", "/api/shop", json_body={"monthlyBudget": {"credits": 1}})
    job_id = scheduled(world)
    assert world.get("/api/shop").json["shop"]["spent"]["credits"] == 1
    assert world.post("/api/jobs", IMAGE).status == 402
    assert world.post("/api/jobs/cancel", {"jobId": job_id}).job["status"] == "cancelled"
    assert world.get("/api/shop").json["shop"]["spent"]["credits"] == 0
    sweep_at(world, 23)
    assert dispatched(world) == []


def test_the_time_of_what_was_sent_or_has_begun_is_fixed(world: World) -> None:
    for job in (
        a_job(attempt={"provider_job_id": "pk_9"}),
        a_dispatched_job(attempt={"provider_job_id": "pk_8"}),
    ):
        world.has(job)
        reply = patch(world, job.job_id, scheduledAt=TOMORROW)
        assert (reply.status, reply.code) == (409, "wrong_status")


@pytest.mark.parametrize("at", ["tomorrow", 1, "2300-01-01", "2026-02-30"])
def test_a_time_that_is_none_is_refused(world: World, at: Any) -> None:
    job = world.has(a_worker_job())
    assert patch(world, job.job_id, scheduledAt=at).status == 400


# --- agents --------------------------------------------------------------------------------


def test_an_owner_gives_a_task_to_an_agent_and_takes_it_back(world: World) -> None:
    made = agent(world)
    mine: dict[str, Any] = {"key": made["secret"], "shop": None}
    job = world.has(a_worker_job())
    assert world.get(f"/api/jobs/{job.job_id}", **mine).status == 404
    given = patch(world, job.job_id, agentId=made["agent"]["id"]).job
    assert (given["nativeStatus"], given["status"]) == ("assigned", "pending")
    assert world.get(f"/api/jobs/{job.job_id}", **mine).status == 200
    (log,) = world.get(f"/api/jobs/{job.job_id}/logs").json["logs"]
    assert (log["message"], log["nativeStatus"]) == ("Edited: agent id.", "assigned")
    assert patch(world, job.job_id, agentId=None).job["nativeStatus"] is None
    assert world.get(f"/api/jobs/{job.job_id}", **mine).status == 404


def test_a_task_made_for_an_agent_is_assigned(world: World) -> None:
    made = agent(world)
    job = world.post("/api/jobs", {"name": "x", "agentId": made["agent"]["id"]}).job
    assert job["nativeStatus"] == "assigned"
    own = world.post("/api/jobs", {"name": "y"}, key=made["secret"], shop=None).job
    assert own["nativeStatus"] == "assigned"
    assert world.post("/api/jobs", {"name": "z"}).job["nativeStatus"] is None


def test_only_an_active_agent_of_the_shop_is_given_a_task(world: World) -> None:
    job = world.has(a_worker_job())
    theirs = agent(world, shop=OTHER_SHOP)["agent"]["id"]
    assert patch(world, job.job_id, agentId=theirs).status == 404
    idle = agent(world)["agent"]["id"]
    world.call("DELETE", f"/api/admin/agents/{idle}")
    reply = patch(world, job.job_id, agentId=idle)
    assert (reply.status, reply.code) == (409, "wrong_status")
    assert world.job(job.job_id) == job


def test_a_task_is_made_for_an_active_agent_of_the_shop_only(world: World) -> None:
    """One that nobody has would wait for ever."""
    theirs = agent(world, shop=OTHER_SHOP)["agent"]["id"]
    for unknown in (theirs, "a-typing-error"):
        reply = world.post("/api/jobs", {"name": "x", "agentId": unknown})
        assert (reply.status, reply.code) == (404, "not_found")
    mine = agent(world)["agent"]["id"]
    body, headers = {"name": "x", "agentId": mine}, {"idempotency-key": "once"}
    made = world.post("/api/jobs", body, headers=headers).job
    world.call("DELETE", f"/api/admin/agents/{mine}")
    reply = world.post("/api/jobs", body)
    assert (reply.status, reply.code) == (409, "wrong_status")
    assert world.post("/api/jobs", body, headers=headers).job["id"] == made["id"]


def test_a_providers_job_is_no_agents(world: World) -> None:
    job = world.has(a_job())
    reply = patch(world, job.job_id, agentId=agent(world)["agent"]["id"])
    assert (reply.status, reply.code) == (409, "not_a_worker_job")


def test_an_agent_neither_plans_nor_gives_away(world: World) -> None:
    made = agent(world)
    mine: dict[str, Any] = {"key": made["secret"], "shop": None}
    job_id = world.post("/api/jobs", {"name": "x"}, **mine).job["id"]
    for said in ({"scheduledAt": TOMORROW}, {"agentId": made["agent"]["id"]}):
        reply = world.call("PATCH", f"/api/jobs/{job_id}", json_body=said, **mine)
        assert (reply.status, reply.code) == (403, "forbidden")
