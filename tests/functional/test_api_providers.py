"""POST /api/jobs for every provider: what each needs, and which results go to the product."""

from typing import Any

import pytest

from shared.domain.job import Output
from shared.domain.status import JobStatus
from shared.providers.registry import ADAPTERS
from tests.api_world import World, world
from tests.builders import a_job
from tests.unit.providers.stories import TOOLS

__all__ = ["world"]

IMAGE = "https://shop.example/m.jpg"


@pytest.mark.parametrize("provider", ADAPTERS)
def test_every_provider_is_accepted(world: World, provider: str) -> None:
    body = {"provider": provider, "toolId": TOOLS[provider], "inputImageUrl": IMAGE}
    reply = world.post("/api/jobs", body)
    assert reply.status == 202
    assert (reply.job["provider"], reply.job["toolId"]) == (provider, TOOLS[provider])
    assert reply.job["type"] == "image"
    assert len(world.outbox.dispatches) == 1


@pytest.mark.parametrize(
    ("body", "provider"),
    [
        ({"toolId": "background-removal", "inputImageUrl": IMAGE}, "pikcel"),
        ({}, "worker"),
        ({"type": "catalogue"}, "worker"),
        ({"provider": "worker", "toolId": "anything"}, "worker"),
    ],
)
def test_the_provider_is_pikcel_for_a_tool_and_the_worker_for_none(
    world: World, body: dict[str, Any], provider: str
) -> None:
    assert world.post("/api/jobs", body).job["provider"] == provider


@pytest.mark.parametrize("name", [".", ".."])
@pytest.mark.parametrize("provider", ADAPTERS)
def test_an_id_that_would_lead_to_another_address_of_the_provider_is_refused(
    world: World, provider: str, name: str
) -> None:
    # GET /v1/predictions/. is the list of everybody's, asked with our key.
    body = {"provider": provider, "providerJobId": name, "toolId": TOOLS[provider]}
    reply = world.post("/api/jobs", body)
    assert (reply.status, reply.json["details"][0]["field"]) == (400, "providerJobId")


@pytest.mark.parametrize("provider", sorted(set(ADAPTERS) - {"pikcel"}))
def test_an_image_is_needed_only_where_the_provider_needs_one(world: World, provider: str) -> None:
    body = {"provider": provider, "toolId": TOOLS[provider], "parameters": {"prompt": "a mug"}}
    assert world.post("/api/jobs", body).status == 202
    refused = world.post("/api/jobs", {"toolId": "background-removal"})
    assert refused.json["details"][0]["field"] == "inputImageUrl"


@pytest.mark.parametrize(
    ("provider", "tool_id"),
    [
        ("replicate", "a-model"),
        ("replicate", "../../account"),
        ("fal", "flux"),
        ("runpod", "a/b"),
        ("bfl", "../x"),
        ("openai", "gpt 5"),
        ("replicate", None),
        ("openai", None),
    ],
)
def test_a_tool_that_could_not_be_called_is_refused_before_a_job_is_made(
    world: World, provider: str, tool_id: str | None
) -> None:
    body = {"provider": provider, "toolId": tool_id, "inputImageUrl": IMAGE}
    given = {name: value for name, value in body.items() if value is not None}
    reply = world.post("/api/jobs", given)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert [each["field"] for each in reply.json["details"]] == ["toolId"]


def test_an_unknown_provider_is_refused_with_those_that_there_are(world: World) -> None:
    reply = world.post("/api/jobs", {"provider": "acme", "toolId": "x"})
    assert reply.status == 400
    for name in (*ADAPTERS, "worker"):
        assert name in reply.json["error"]


@pytest.mark.parametrize("provider", ["fal", "runpod"])
def test_a_job_made_elsewhere_needs_the_tool_where_its_provider_is_asked_by_it(
    world: World, provider: str
) -> None:
    body = {"provider": provider, "providerJobId": "j-1"}
    assert world.post("/api/jobs", body).status == 400
    body["toolId"] = TOOLS[provider]
    assert world.post("/api/jobs", body).status == 202


@pytest.mark.parametrize("provider", ["replicate", "bfl", "openai", "pikcel"])
def test_elsewhere_its_id_is_enough(world: World, provider: str) -> None:
    body = {"provider": provider, "providerJobId": "j-1"}
    assert world.post("/api/jobs", body).status == 202


def test_a_job_without_an_image_can_be_retried_where_none_is_needed(world: World) -> None:
    ended = {"status": JobStatus.FAILED, "error_code": "x", "input_image_url": None}
    job = world.has(a_job(provider="bfl", tool_id="flux-pro-1.1", **ended))
    assert world.post("/api/jobs/retry", {"jobId": job.job_id}).status == 200
    other = world.has(a_job(**ended))
    assert world.post("/api/jobs/retry", {"jobId": other.job_id}).status == 409


# --- several results -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, "all"),
        ("all", "all"),
        ("first", "first"),
        ([0], "first"),
        ([2, 0, 2], [0, 2]),
        ([19], [19]),
    ],
)
def test_which_results_are_pushed_is_the_jobs_choice(
    world: World, given: object, shown: object
) -> None:
    body: dict[str, Any] = {"toolId": "background-removal", "inputImageUrl": IMAGE}
    if given is not None:
        body["pushOutputs"] = given
    reply = world.post("/api/jobs", body)
    assert reply.job["pushOutputs"] == shown
    assert world.get(f"/api/jobs/{reply.job['id']}").job["pushOutputs"] == shown


@pytest.mark.parametrize("given", ["last", [], [20], [-1], [True], ["0"], [0.5], {}, 0, [0] * 21])
def test_a_choice_that_is_none_is_refused(world: World, given: object) -> None:
    body = {"toolId": "background-removal", "inputImageUrl": IMAGE, "pushOutputs": given}
    reply = world.post("/api/jobs", body)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert "pushOutputs" in reply.json["details"][0]["field"]


def test_an_output_without_a_link_is_shown_without_one(world: World) -> None:
    job = world.has(
        a_job(
            provider="openai",
            tool_id="gpt-5",
            status=JobStatus.COMPLETED,
            outputs=(Output(index=0, attempt=1),),
        )
    )
    shown = world.get(f"/api/jobs/{job.job_id}").job
    assert shown["outputImageUrl"] is None
    assert world.get(f"/api/jobs/{job.job_id}/output").status == 404
