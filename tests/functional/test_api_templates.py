"""Templates by HTTP, and jobs and batches that are made with them."""

from typing import Any

import pytest

from shared.domain.job import Priority
from shared.providers.base import Callback
from shared.providers.pikcel import PikcelAdapter
from shared.usecases.run_bulk import run_bulk
from tests.api_world import World, world
from tests.builders import OTHER_SHOP

__all__ = ["world"]  # a fixture

PHOTO = "https://shop.example/m.jpg"
PRESETS = {
    "name": "White background",
    "description": "For the front page",
    "toolId": "background-removal",
    "parameters": {"colour": "white", "margin": 5},
    "priority": "high",
    "autoPush": True,
    "altText": "A mug",
    "projectId": "spring",
    "mode": "fine",
}


def make(world: World, **changes: Any) -> dict[str, Any]:
    reply = world.post("/api/templates", PRESETS | changes)
    assert reply.status == 201, reply.text
    template: dict[str, Any] = reply.json["template"]
    return template


def test_a_template_is_made_read_listed_changed_and_deleted(world: World) -> None:
    made = make(world)
    path = f"/api/templates/{made['id']}"
    assert {name: made[name] for name in PRESETS} == PRESETS
    assert (made["provider"], made["type"]) == (None, None)
    assert world.get(path).json["template"] == made
    assert world.get("/api/templates").json["templates"] == [made]
    world.clock.advance(1)
    change = {"altText": None, "parameters": {"colour": "grey"}, "name": None}
    changed = world.call("PATCH", path, json_body=change).json["template"]
    expected = {"altText": None, "parameters": {"colour": "grey"}}
    assert changed == made | expected | {"updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > made["updatedAt"]
    assert world.call("PATCH", path, json_body=change).json["template"] == changed
    assert world.call("DELETE", path).json == {"success": True}
    assert world.get(path).status == 404
    assert world.call("DELETE", path).status == 404
    assert world.call("PATCH", path, json_body={"mode": "x"}).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x", "priority": "soon"}, "priority"),
        ({"name": "x", "parameters": {"x": "y" * 17_000}}, "parameters"),
        ({"name": "x", "inputImageUrl": PHOTO}, "inputImageUrl"),
        ({"name": "x", "autoPush": "yes"}, "autoPush"),
    ],
)
def test_what_is_no_template_is_refused_by_name(
    world: World, body: dict[str, Any], field: str
) -> None:
    reply = world.post("/api/templates", body)
    assert (reply.status, [each["field"] for each in reply.json["details"]]) == (400, [field])


@pytest.mark.parametrize(
    ("field", "value"), [("provider", "nobody"), ("provider", "Pikcel"), ("type", "bulk.retry")]
)
def test_a_template_that_no_job_could_be_made_with_is_refused(
    world: World, field: str, value: str
) -> None:
    refused = world.post("/api/templates", PRESETS | {field: value})
    assert (refused.status, refused.json["details"][0]["field"]) == (400, field)
    path = f"/api/templates/{make(world, provider='replicate')['id']}"
    refused = world.call("PATCH", path, json_body={field: value})
    assert (refused.status, refused.json["details"][0]["field"]) == (400, field)
    assert world.call("PATCH", path, json_body={field: None}).json["template"][field] is None


def test_a_template_is_its_shops_alone(world: World) -> None:
    made = make(world)
    path = f"/api/templates/{made['id']}"
    assert world.get("/api/templates", shop=OTHER_SHOP).json["templates"] == []
    for method, body in (("GET", None), ("PATCH", {"mode": "x"}), ("DELETE", None)):
        assert world.call(method, path, shop=OTHER_SHOP, json_body=body).status == 404
    body = {"templateId": made["id"], "inputImageUrl": PHOTO}
    assert world.post("/api/jobs", body, shop=OTHER_SHOP).status == 404
    assert world.get(path).json["template"] == made


def test_a_job_has_what_its_template_presets(world: World) -> None:
    made = make(world)
    body = {"templateId": made["id"].upper(), "inputImageUrl": PHOTO}
    reply = world.post("/api/jobs", body)
    assert reply.status == 202, reply.text
    kept = ("toolId", "parameters", "priority", "autoPush", "altText", "projectId", "mode")
    assert {name: reply.job[name] for name in kept} == {name: PRESETS[name] for name in kept}
    # Its own name and description are the template's, not the job's.
    assert (reply.job["name"], reply.job["description"]) == (None, None)
    assert reply.job["templateId"] == made["id"]


def test_what_is_said_wins_and_parameters_are_merged(world: World) -> None:
    made = make(world)
    body = {
        "templateId": made["id"],
        "inputImageUrl": PHOTO,
        "toolId": "upscale-4x",
        "parameters": {"margin": 0, "shadow": True},
        "priority": "low",
        "autoPush": False,
        "altText": "Another",
    }
    job = world.post("/api/jobs", body).job
    assert {name: job[name] for name in body if name != "parameters"} == {
        name: body[name] for name in body if name != "parameters"
    }
    assert job["parameters"] == {"colour": "white", "margin": 0, "shadow": True}


def test_jobs_stay_as_they_were_made_whatever_becomes_of_the_template(world: World) -> None:
    made = make(world)
    path = f"/api/templates/{made['id']}"
    job = world.post("/api/jobs", {"templateId": made["id"], "inputImageUrl": PHOTO}).job
    world.call("PATCH", path, json_body={"toolId": "upscale-4x"})
    world.call("DELETE", path)
    assert world.get(f"/api/jobs/{job['id']}").job == job


def test_a_deleted_template_is_said_to_be_gone(world: World) -> None:
    made = make(world)
    world.call("DELETE", f"/api/templates/{made['id']}")
    body = {"templateId": made["id"], "inputImageUrl": PHOTO, "toolId": "background-removal"}
    for path, asked in (("/api/jobs", body), ("/api/batches", batch_of(made["id"], 1))):
        reply = world.post(path, asked)
        assert (reply.status, reply.code) == (404, "not_found")
        assert reply.json["details"][0]["field"] == "templateId"
    assert world.get("/api/jobs").json["jobs"] == []


def test_a_template_whose_answer_was_lost_is_found_again(world: World) -> None:
    body, again = {"name": "white", "mode": "x"}, {"headers": {"idempotency-key": "k"}}
    made = world.post("/api/templates", body, **again).json["template"]
    path = f"/api/templates/{made['id']}"
    changed = world.call("PATCH", path, json_body={"altText": "A mug"}).json["template"]
    world.lose_answers()
    assert world.post("/api/templates", body, **again).json["template"] == changed
    assert world.get("/api/templates").json["templates"] == [changed]
    world.call("DELETE", path)
    world.lose_answers()
    assert world.post("/api/templates", body, **again).status == 409


def test_the_same_key_gives_the_same_job_though_its_template_is_gone(world: World) -> None:
    made = make(world)
    body, headers = {"templateId": made["id"], "inputImageUrl": PHOTO}, {"idempotency-key": "k"}
    first = world.post("/api/jobs", body, headers=headers)
    world.call("DELETE", f"/api/templates/{made['id']}")
    again = world.post("/api/jobs", body, headers=headers)
    assert (again.status, again.job) == (202, first.job)
    assert world.post("/api/jobs", body | {"mode": "x"}, headers=headers).status == 422


def test_a_template_of_the_providers_goes_to_the_provider_and_ours_does_not(world: World) -> None:
    ours = make(world)
    body = {"inputImageUrl": PHOTO, "toolId": "background-removal"}
    sent = []
    for template_id in (ours["id"], "tpl_ghost", "5f0e2a52-7d2c-4b41-9d4d-0f3a2d4c1b11"):
        job = world.post("/api/jobs", body | {"templateId": template_id}).job
        stored = world.job(job["id"])
        assert stored.template_id == template_id
        callback = Callback(url="https://x", reference="ref", secret="s")
        request = PikcelAdapter().create_request(stored, callback)
        sent.append((request.body or {}).get("template_id"))
    assert sent == [None, "tpl_ghost", "5f0e2a52-7d2c-4b41-9d4d-0f3a2d4c1b11"]


def test_merged_parameters_may_be_no_larger_than_any(world: World) -> None:
    made = make(world, parameters={"a": "x" * 15_000})
    body = {"templateId": made["id"], "inputImageUrl": PHOTO, "parameters": {"b": "y" * 60_000}}
    reply = world.post("/api/jobs", body)
    assert (reply.status, reply.json["details"][0]["field"]) == (400, "parameters")


def test_a_worker_job_can_have_a_template(world: World) -> None:
    reply = world.post("/api/templates", {"name": "Pull", "type": "pull", "parameters": {"n": 1}})
    job = world.post("/api/jobs", {"templateId": reply.json["template"]["id"]}).job
    assert (job["provider"], job["type"], job["parameters"]) == ("worker", "pull", {"n": 1})


def batch_of(template_id: str, number: int, **more: Any) -> dict[str, Any]:
    images = [{"inputImageUrl": PHOTO} for _ in range(number)]
    return {"templateId": template_id, "images": images} | more


def run(world: World) -> None:
    lane = world.bulk_lane()
    while world.outbox.bulks:
        request, _delay = world.outbox.bulks.pop(0)
        run_bulk(lane, request)


def test_a_batch_has_its_template_as_it_was_when_the_batch_was_taken(world: World) -> None:
    made = make(world)
    asked = batch_of(made["id"], 2, parameters={"margin": 1})
    asked["images"][1]["altText"] = "Its own"
    reply = world.post("/api/batches", asked)
    assert reply.status == 202, reply.text
    batch = reply.json["batch"]
    merged = {"colour": "white", "margin": 1}
    assert (batch["toolId"], batch["parameters"]) == ("background-removal", merged)
    world.call("DELETE", f"/api/templates/{made['id']}")
    run(world)
    jobs = world.get("/api/jobs", query={"batchId": batch["id"]}).json["jobs"]
    assert [job["parameters"] for job in jobs] == [merged, merged]
    assert {job["templateId"] for job in jobs} == {made["id"]}
    assert sorted(job["altText"] for job in jobs) == ["A mug", "Its own"]
    assert {world.job(job["id"]).priority for job in jobs} == {Priority.HIGH}


def test_a_batch_needs_a_tool_from_somewhere(world: World) -> None:
    made = make(world, toolId=None)
    reply = world.post("/api/batches", batch_of(made["id"], 1))
    assert (reply.status, reply.json["details"][0]["field"]) == (400, "toolId")
    reply = world.post("/api/batches", batch_of(made["id"], 1, toolId="upscale-4x"))
    assert reply.json["batch"]["toolId"] == "upscale-4x"
