"""Two agents of one shop: neither sees, changes or learns anything of the other's work."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import wiring
from shared.bodies.contract import ROUTES
from shared.domain.filters import JobFilter
from shared.domain.job import Job
from tests.api_world import World, path_of
from tests.builders import SHOP, a_kept_job, a_worker_job
from tests.promises import scaled

pytestmark = pytest.mark.promise("tenants", "every route in another agent's hands")

MARK = "of-the-other"


class Agents:
    """A world where one agent has jobs, the shop has others, and another agent comes asking."""

    def __init__(self, world: World) -> None:
        self.world = world
        one, self.two = (
            world.post("/api/admin/agents", {"name": name}).json for name in ("one", "two")
        )
        mark: dict[str, Any] = {"name": MARK, "project_id": MARK, "type": MARK, "batch_id": MARK}
        self.jobs = [
            a_worker_job(**mark, agent_id=one["agent"]["id"]),
            a_worker_job(**mark),
            a_kept_job(**mark, attempt={"provider_job_id": "pk_x"}),
        ]
        world.has(*self.jobs)
        for job in self.jobs:
            world.post(f"/api/jobs/{job.job_id}/logs", {"message": MARK, "requestPayload": MARK})
        self.keys = {"idempotency-key": "same"}
        world.post("/api/jobs", mark_body(), shop=None, key=one["secret"], headers=self.keys)
        self.state = self.snapshot()

    def snapshot(self) -> Any:
        """Return everything that is not the other agent's."""
        mine = self.two["agent"]["id"]
        page = self.world.store.list_jobs(JobFilter(shop=SHOP), limit=100)
        found = [job for job in page.jobs if job.agent_id != mine]
        logs = [self.world.store.log(job.ref, limit=50).entries for job in self.jobs]
        shop = self.world.shops.get_shop(SHOP), self.world.keys.shop_keys(SHOP)
        return found, logs, shop, self.world.keys.agents(SHOP)


def mark_body() -> dict[str, Any]:
    return {"name": MARK, "projectId": MARK}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make() -> Agents:
        world = World()
        monkeypatch.setattr(wiring, "api_app", world.app)
        return Agents(world)

    return make


@settings(
    max_examples=scaled(250),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_an_agent_gets_nothing_of_another_by_any_route(fresh: Any, data: st.DataObject) -> None:
    agents: Agents = fresh()
    world = agents.world
    route = data.draw(st.sampled_from([route for route in ROUTES if not route.is_open]))
    job = data.draw(st.sampled_from(agents.jobs))
    query: dict[str, str] = {}
    if route.query is not None and data.draw(st.booleans()):
        names = {field.alias or name for name, field in route.query.model_fields.items()}
        wanted = {
            "ids": ",".join(job.job_id for job in agents.jobs),
            "projectId": MARK,
            "batchId": MARK,
            "q": MARK,
            "agentId": agents.two["agent"]["id"],
        }
        query = {name: value for name, value in wanted.items() if name in names}
    body = None
    if route.body is not None:
        body = {"jobId": job.job_id} if route.path != "/api/jobs" else {"name": "own"}
        if route.name == "appendLog":
            body = {"message": "mine now"}
    reply = world.call(
        route.method,
        path_of(route, job.job_id, logId=_entry_of(world, job)),
        shop=None,
        key=agents.two["secret"],
        query=query,
        json_body=body,
        headers=agents.keys if data.draw(st.booleans()) else {},
    )
    assert MARK not in json.dumps(reply.json)
    assert job.job_id not in json.dumps(reply.json)
    if not route.for_agents:
        assert reply.status in (400, 403)
    assert agents.snapshot() == agents.state
    assert world.outbox.dispatches == []
    assert world.outbox.pushes == []


def _entry_of(world: World, job: Job) -> str:
    (entry,) = world.store.log(job.ref, limit=1).entries
    return entry.entry_id


def test_every_route_that_agents_may_call_is_about_their_own_jobs() -> None:
    """A new one is a decision: whoever adds it here has made its action see to it."""
    assert {f"{route.method} {route.path}" for route in ROUTES if route.for_agents} <= {
        "POST /api/jobs",
        "GET /api/jobs",
        "GET /api/jobs/{jobId}",
        "PATCH /api/jobs/{jobId}",
        "GET /api/jobs/{jobId}/logs",
        "POST /api/jobs/{jobId}/logs",
        "GET /api/jobs/{jobId}/logs/{logId}",
        "GET /api/jobs/{jobId}/output",
        "GET /api/sync/job-progress",
        "POST /api/sync/job-progress",
        "PATCH /api/sync/job-progress",
    }
