"""Predictions: create (by version, model or deployment), read, list, cancel; the webhooks' secret.

Source: replicate.com/docs/reference/http, replicate-python at 0110c2c (read 2026-11).
Assumptions: 100 predictions a page; a model's version is a digest of its name, so that it needs no
registry.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as WebRoute

from local.provider_simulator import service
from local.provider_simulator.dialect import ApiError, reference_in
from local.provider_simulator.editing import TOOL_IDS
from local.provider_simulator.jobs import JobRecord
from local.provider_simulator.models import REAL_MODELS, work_of
from local.provider_simulator.serving import (
    answer_poll,
    invalid,
    not_found,
    route,
    shown_word,
    take_order,
)
from local.replicate_simulator.config import Config
from local.replicate_simulator.dialect import prediction_of

_PAGE = 100
_LONGEST_WAIT_S = 60.0
_LOOK_EVERY_S = 0.05
# The names that a picture goes by in the inputs of real models.
_IMAGES = ("image", "input_image", "image_url", "img")

type Simulator = service.Simulator[Config]


def _web_address(text: str) -> str:
    HttpUrl(text)
    return text


class PredictionRequest(BaseModel):
    """Body of a create call; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    version: str | None = None
    input: dict[str, Any]
    webhook: Annotated[str, AfterValidator(_web_address)] | None = None
    webhook_events_filter: list[Literal["start", "output", "logs", "completed"]] = Field(
        default=["output", "completed"]
    )


def version_of(model: str) -> str:
    """Return the only version of a model."""
    return hashlib.sha256(model.encode()).hexdigest()


def routes(simulator: Simulator) -> list[WebRoute]:
    """Return the provider's routes."""
    predictions = "/v1/predictions"
    return [
        route(simulator, predictions, "dispatch", "POST", _create_by_version),
        route(simulator, predictions, "list", "GET", _list),
        route(
            simulator,
            "/v1/{kind:str}/{owner:str}/{name:str}/predictions",
            "dispatch",
            "POST",
            _create_by_name,
        ),
        route(simulator, predictions + "/{id}", "poll", "GET", _read),
        route(simulator, predictions + "/{id}/cancel", "cancel", "POST", _cancel),
        route(simulator, "/v1/webhooks/default/secret", "keys", "GET", _secret),
    ]


async def _create_by_version(simulator: Simulator, request: Request) -> Response:
    body = await _body(request)
    said = (body.version or "").rpartition(":")
    model = said[0] or _model_of_version(said[2])
    if model is None or (said[0] and said[2] != version_of(model)):
        raise ApiError(422, "INVALID_VERSION", "Invalid version or not permitted")
    return await _create(simulator, request, body, model)


async def _create_by_name(simulator: Simulator, request: Request) -> Response:
    parts = request.path_params
    if parts["kind"] not in ("models", "deployments"):
        raise not_found()
    return await _create(
        simulator, request, await _body(request), f"{parts['owner']}/{parts['name']}"
    )


async def _body(request: Request) -> PredictionRequest:
    try:
        return PredictionRequest.model_validate_json(await request.body())
    except ValidationError as problem:
        raise invalid(problem, "input") from problem


def _model_of_version(version: str) -> str | None:
    """Return whose version it is, of the models that have a name we know."""
    known = [*REAL_MODELS, *(f"jobtracker/{tool}" for tool in sorted(TOOL_IDS))]
    return next((model for model in known if version_of(model) == version), None)


async def _create(
    simulator: Simulator, request: Request, body: PredictionRequest, model: str
) -> Response:
    work = work_of(model)
    if work is None:
        raise not_found()
    order = {
        "tool_id": work,
        "model": model,
        "input_image_url": _image_in(body.input),
        "parameters": body.input,
        "webhook_url": body.webhook,
        "metadata": {"ref": reference_in(body.webhook)},
        "images": _count(body.input),
        "extra": {"version": version_of(model), "events": tuple(body.webhook_events_filter)},
    }
    answer = await take_order(
        simulator, request, order, lambda job: JSONResponse(prediction_of(job), 201)
    )
    return await _waited(simulator, request, answer)


def _image_in(given: Mapping[str, Any]) -> str:
    for name in _IMAGES:
        if isinstance(given.get(name), str):
            return str(given[name])
    missing = [{"type": "required", "field": "input.image", "description": "image is required"}]
    raise ApiError(422, "INVALID_PARAMS", "- input: image is required\n", missing)


def _count(given: Mapping[str, Any]) -> int:
    count = given.get("num_outputs", 1)
    if isinstance(count, int) and 1 <= count <= 4:
        return count
    raise ApiError(422, "INVALID_PARAMS", "- input.num_outputs: must be from 1 to 4\n")


async def _waited(simulator: Simulator, request: Request, answer: Response) -> Response:
    """Hold the answer until the prediction has ended, where `Prefer: wait[=seconds]` asks so."""
    asked = re.fullmatch(r"wait(?:=(\d{1,2}))?", request.headers.get("prefer", ""))
    if asked is None or answer.status_code != 201:
        return answer
    job = simulator.book.jobs[json.loads(bytes(answer.body))["id"]]
    left = float(asked[1] or _LONGEST_WAIT_S)
    while job.is_active and left > 0:
        await simulator.clock.sleep(_LOOK_EVERY_S)
        await asyncio.sleep(0)
        left -= _LOOK_EVERY_S
    return JSONResponse(prediction_of(job), 201)


async def _read(simulator: Simulator, request: Request) -> Response:
    return answer_poll(
        simulator,
        request.path_params["id"],
        lambda job: JSONResponse(prediction_of(job, shown_word(simulator, job))),
    )


async def _cancel(simulator: Simulator, request: Request) -> Response:
    """Cancel a prediction; of one that has ended, only show it."""
    job = _known(simulator, request)
    if job.is_active:
        simulator.pipeline.cancel(job)
    return JSONResponse(prediction_of(job))


def _known(simulator: Simulator, request: Request) -> JobRecord:
    job = simulator.book.jobs.get(request.path_params["id"])
    if job is None:
        raise not_found()
    return job


async def _list(simulator: Simulator, request: Request) -> Response:
    """List predictions, the newest first; `cursor` is where the page begins."""
    cursor = request.query_params.get("cursor", "0")
    start = int(cursor) if re.fullmatch("[0-9]{1,9}", cursor, re.ASCII) else 0
    found = simulator.book.listing(
        simulator.clock.now(), status=None, tool_id=None, from_date=None, to_date=None
    )
    place = f"{simulator.base_url(request)}/v1/predictions?cursor="
    after, before = start + _PAGE, max(0, start - _PAGE)
    return JSONResponse(
        {
            "previous": f"{place}{before}" if start else None,
            "next": f"{place}{after}" if after < len(found) else None,
            "results": [prediction_of(job) for job in found[start:after]],
        }
    )


async def _secret(simulator: Simulator, request: Request) -> Response:
    return JSONResponse({"key": simulator.config.webhook_secrets[0]})
