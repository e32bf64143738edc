"""Two shops, one service: neither sees, changes or learns anything of the other's."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import wiring
from shared.bodies.bulk import ActionBody
from shared.bodies.contract import ROUTES
from shared.usecases.run_bulk import run_bulk
from tests.api_world import World, path_of
from tests.builders import (
    OTHER_SHOP,
    SHOP,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_kept_job,
    a_kept_output,
)
from tests.promises import scaled

pytestmark = pytest.mark.promise("tenants", "every route in another shop's hands")

# Found in no answer to the other shop: everything of ours carries it.
MARK = "ours-alone"
DOCUMENTS = json.dumps({"parameters": {"x": MARK}, "metadata": {}, "result": None}).encode()


def our_jobs() -> list[Any]:
    mark: dict[str, Any] = {
        "product_title": MARK,
        "project_id": MARK,
        "batch_id": MARK,
        "agent_id": MARK,
        "tool_id": MARK,
        "type": MARK,
        "name": MARK,
    }
    key = f"shops/{SHOP}/jobs/{MARK}/documents-{MARK}.json"
    return [
        a_job(**mark, documents_key=key, parameters={}),
        a_dispatched_job(**mark, attempt={"provider_job_id": f"{MARK}-1"}),
        a_completed_job(**mark, attempt={"provider_job_id": f"{MARK}-2", "credits": 77}),
        a_kept_job(
            **mark,
            attempt={"provider_job_id": f"{MARK}-3"},
            outputs=(a_kept_output(key=f"shops/{SHOP}/{MARK}.png", media_id=f"gid://{MARK}"),),
        ),
    ]


class Tenants:
    """A world where SHOP has jobs, pages, and a timeline, and OTHER_SHOP comes asking."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.jobs = our_jobs()
        world.has(*self.jobs)
        world.has(*(a_job(shop=OTHER_SHOP) for _ in range(3)))
        presets = {"name": MARK, "toolId": MARK, "altText": MARK}
        self.template_id = world.post("/api/templates", presets).json["template"]["id"]
        for job in self.jobs:
            if job.outputs and job.outputs[0].key:
                world.files.put(job.outputs[0].key, b"x", "image/png")
            if job.documents_key:
                world.files.put(job.documents_key, DOCUMENTS, "application/json")
        cursors = [
            world.get("/api/jobs", query=query).json["nextCursor"]
            for query in ({"limit": "1"}, {"limit": "1", "toolId": MARK})
        ]
        job_id = self.jobs[0].job_id
        for message in ("a", "b"):
            note = _note(world, message)
            world.store.note(self.jobs[0].ref, note)
            self.log_id = note.entry_id
        log = world.get(f"/api/jobs/{job_id}/logs", query={"limit": "1"}).json["nextCursor"]
        self.cursors = [cursor for cursor in (*cursors, log) if cursor]
        assert len(self.cursors) == 3
        self.endpoint, self.delivery = self._webhook()
        self.state = self.snapshot()

    def _webhook(self) -> tuple[str, str]:
        """Give SHOP an endpoint with a delivery; returns their ids."""
        wish = {"url": f"https://{MARK}.example/", "description": MARK}
        made = self.world.post("/api/shop/webhooks", wish).json["endpoint"]["id"]
        sent = self.world.post(f"/api/shop/webhooks/{made}/test").json["delivery"]["id"]
        self.world.outbox.delivers.clear()
        return made, sent

    def path(self, route: Any, job_id: str) -> str:
        """Name something of SHOP's in a path."""
        if "{endpointId}" not in route.path:
            return path_of(route, job_id, logId=self.log_id)
        path: str = route.path.replace("{endpointId}", self.endpoint)
        return path.replace("{deliveryId}", self.delivery)

    def snapshot(self) -> Any:
        """Return everything of SHOP's."""
        return (
            [self.world.store.get(job.ref) for job in self.jobs],
            [self.world.store.log(job.ref, limit=50).entries for job in self.jobs],
            sorted(self.world.files.stored),
            self.world.endpoints.endpoints(SHOP),
            self.world.endpoints.deliveries(SHOP, self.endpoint, limit=9),
            self.world.get("/api/jobs/stats").json,
            self.world.get("/api/templates").json,
        )


def _note(world: World, message: str) -> Any:
    from shared.domain.events import LogEntry, Source
    from shared.domain.status import Outcome

    at = world.clock.now()
    return LogEntry(
        entry_id=world.tracker.new_id(at),
        at=at,
        source=Source.USER,
        outcome=Outcome.NOTED,
        message=f"{MARK} {message}",
        payload=json.dumps({"request": MARK}).encode(),
    )


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make() -> Tenants:
        world = World()
        monkeypatch.setattr(wiring, "api_app", world.app)
        return Tenants(world)

    return make


FILTERS = st.dictionaries(
    st.sampled_from(["status", "pushStatus", "type", "toolId", "productId", "batchId"])
    | st.sampled_from(["projectId", "agentId", "q", "limit", "sort", "groupBy", "days"]),
    st.sampled_from(
        [MARK, "completed", "pending", "none", "1", "3", "createdAt", "project", "tool", "type"]
    ),
    max_size=3,
)


@settings(
    max_examples=scaled(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_the_other_shop_gets_nothing_by_any_route(fresh: Any, data: st.DataObject) -> None:
    tenants: Tenants = fresh()
    world = tenants.world
    for _ in range(data.draw(st.integers(1, 3))):
        route = data.draw(st.sampled_from([route for route in ROUTES if not route.is_open]))
        job = data.draw(st.sampled_from(tenants.jobs))
        query = dict(data.draw(FILTERS))
        if data.draw(st.booleans()):
            query["cursor"] = data.draw(st.sampled_from(tenants.cursors))
        if data.draw(st.booleans()):
            query["ids"] = ",".join(job.job_id for job in tenants.jobs)
        if data.draw(st.booleans()):
            # Half of the questions are well-formed, or most would end at their parameters.
            query = _understood(route, query)
        body = _said(data, tenants, route, job) if route.body is not None else None
        as_user = data.draw(st.booleans())
        reply = world.call(
            route.method,
            tenants.path(route, job.job_id),
            shop=None if as_user else OTHER_SHOP,
            key=world.id_token(shop=OTHER_SHOP) if as_user else "admin-key-1",
            query=query,
            json_body=body,
        )
        _knows_nothing(reply, route, job, is_bulk="jobId" not in (body or {}))
    _run_bulk_jobs(world)
    assert tenants.snapshot() == tenants.state
    assert all(request.ref.shop != SHOP for request in world.outbox.pushes)
    assert world.outbox.delivers == []
    assert SHOP not in str(world.outbox.dispatches)


def _said(data: st.DataObject, tenants: Tenants, route: Any, job: Any) -> dict[str, Any]:
    """Return a body that names what is ours, or that fits the route at least."""
    body = {"jobId": job.job_id}
    if route.path == "/api/jobs":
        number = data.draw(st.integers(1, 3))
        body = {"pikcelJobId": f"{MARK}-{number}"}
        if data.draw(st.booleans()):
            body["templateId"] = tenants.template_id
    if route.body is ActionBody and data.draw(st.booleans()):
        body = data.draw(st.sampled_from(_many(tenants)))
    if route.name == "appendLog":
        body = {"message": "theirs", "requestPayload": [1]}
    if route.method == "PATCH" and data.draw(st.booleans()):
        body = {"processed": 1} | (body if "{jobId}" not in route.path else {})
    return body


def _many(tenants: Tenants) -> list[dict[str, Any]]:
    """Ask for many jobs: by our ids, and by filters that fit ours."""
    ids: dict[str, Any] = {"jobIds": [job.job_id for job in tenants.jobs]}
    bodies: list[dict[str, Any]] = [
        ids,
        {"filter": {}},
        {"filter": {"batchId": MARK}},
        {"filter": {"q": MARK}},
    ]
    return [*bodies, *(body | {"dryRun": True} for body in bodies)]


def _run_bulk_jobs(world: World) -> None:
    lane = world.bulk_lane()
    while world.outbox.bulks:
        request, _delay = world.outbox.bulks.pop(0)
        assert request.ref.shop != SHOP
        run_bulk(lane, request)


def _understood(route: Any, query: dict[str, str]) -> dict[str, str]:
    names = {field.alias or name for name, field in route.query.model_fields.items()}
    return {name: value for name, value in query.items() if name in names}


def _knows_nothing(reply: Any, route: Any, job: Any, *, is_bulk: bool) -> None:
    if route.body is ActionBody and is_bulk:
        assert reply.status in (200, 202, 400)
        if reply.status == 200:
            # Three jobs of their own at most, whatever was asked for.
            assert reply.json["eligible"] <= 3
    elif "{endpointId}" in route.path:
        assert reply.status in (400, 404)
    elif "{jobId}" in route.path or (route.body is not None and route.path != "/api/jobs"):
        assert reply.status in ((403,) if route.for_admins else ()) + (400, 404)
    if route.path == "/api/jobs" and route.method == "POST":
        assert reply.status in (400, 404, 409)
    text = reply.text + json.dumps(reply.json) + str(reply.headers)
    # What the caller said themselves may be told back (a wrong value is never).
    assert MARK not in text
    assert SHOP not in text
    assert job.job_id not in text
    if reply.status == 200 and "stats" in (reply.json or {}):
        assert reply.json["stats"]["total"] == 3
        assert reply.json["stats"]["totalCreditsUsed"] == 0
    if reply.status == 200 and "jobs" in (reply.json or {}):
        assert {found["shop"] for found in reply.json["jobs"]} <= {OTHER_SHOP}


def test_the_other_shop_learns_nothing_through_the_sync_apps_api(fresh: Any) -> None:
    tenants: Tenants = fresh()
    world, job = tenants.world, tenants.jobs[0]
    for path, query in (
        ("/api/sync/job-progress", {"all": "true"}),
        ("/api/sync/job-progress", {"jobId": job.job_id}),
        ("/api/sync/job-progress", {"type": MARK}),
        ("/api/export/jobs", {}),
        ("/api/export/jobs", {"filter": MARK}),
        ("/api/logs", {}),
        ("/api/logs", {"source": MARK}),
        ("/api/logs", {"search": MARK}),
    ):
        reply = world.get(path, query=query, shop=OTHER_SHOP)
        assert reply.status == (404 if "jobId" in query else 200)
        assert MARK not in reply.text
        assert job.job_id not in reply.text
    page = world.get("/api/sync/job-progress", query={"all": "true"}, shop=OTHER_SHOP).json["data"]
    assert (page["totalCount"], page["runningCount"]) == (3, 0)
    assert page["stats"] == [{"type": "image", "_count": {"id": 3}}]
    assert tenants.snapshot() == tenants.state
