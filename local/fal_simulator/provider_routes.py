"""The queue: submit, status, result, cancel; the public keys.

Source: docs.fal.ai/model-endpoints/queue, the Python client 1.0.3 (read 2026-11). Assumptions:
that a result which is not there yet is refused with 400, and that cancelling takes effect at once.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import HttpUrl, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as WebRoute

from local.fal_simulator.config import Config
from local.fal_simulator.dialect import (
    gateway_id_of,
    public_key_of,
    result_of,
    status_of,
    trouble_of,
)
from local.provider_simulator import service
from local.provider_simulator.dialect import ApiError, reference_in
from local.provider_simulator.jobs import JobRecord
from local.provider_simulator.models import work_of
from local.provider_simulator.serving import (
    answer_poll,
    invalid,
    not_found,
    route,
    shown_word,
    take_order,
)

# Apps of these have three parts. Source: the client's APP_NAMESPACES.
_NAMESPACES = ("workflows", "comfy")
_WORDS = {"pending": "IN_QUEUE", "processing": "IN_PROGRESS"}
_OBJECT = TypeAdapter(dict[str, Any])
_ADDRESS = TypeAdapter(HttpUrl)

type Simulator = service.Simulator[Config]


def routes(simulator: Simulator) -> list[WebRoute]:
    """Return the provider's routes; a model's name is a path of any depth."""
    request = "/{app:path}/requests/{id:str}"
    return [
        route(simulator, "/.well-known/jwks.json", "keys", "GET", _keys, public=True),
        route(simulator, request + "/status", "poll", "GET", _status),
        route(simulator, request + "/cancel", "cancel", "PUT", _cancel),
        route(simulator, request, "result", "GET", _result),
        route(simulator, "/{model:path}", "dispatch", "POST", _submit),
    ]


async def _submit(simulator: Simulator, request: Request) -> Response:
    model = request.path_params["model"]
    work = work_of(model)
    if work is None:
        raise ApiError(404, "NOT_FOUND", "Application not found")
    try:
        given = _OBJECT.validate_json(await request.body())
    except ValidationError as problem:
        raise invalid(problem, "body") from problem
    webhook = request.query_params.get("fal_webhook")
    order = {
        "tool_id": work,
        "model": model,
        "input_image_url": _image_in(given),
        "parameters": given,
        "webhook_url": webhook,
        "metadata": {"ref": reference_in(webhook)},
        "images": _count(given),
    }
    return await take_order(simulator, request, order, lambda job: JSONResponse(_queued(job)))


def _image_in(given: Mapping[str, Any]) -> str:
    url = given.get("image_url")
    try:
        _ADDRESS.validate_python(url)
    except ValidationError as problem:
        fault = {"loc": ["body", "image_url"], "msg": "Field required", "type": "missing"}
        raise ApiError(422, "INVALID_PARAMS", "Invalid body", [fault]) from problem
    return str(url)


def _count(given: Mapping[str, Any]) -> int:
    count = given.get("num_images", 1)
    if isinstance(count, int) and 1 <= count <= 4:
        return count
    fault = {"loc": ["body", "num_images"], "msg": "Must be from 1 to 4", "type": "value_error"}
    raise ApiError(422, "INVALID_PARAMS", "Invalid body", [fault])


def _place(job: JobRecord) -> str:
    """Return where a request's calls are: below its app, without the path inside it."""
    parts = job.model.split("/")
    app = "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])
    return f"{job.base_url}/{app}/requests/{job.id}"


def _queued(job: JobRecord) -> dict[str, Any]:
    place = _place(job)
    return {
        "status": "IN_QUEUE",
        "request_id": job.id,
        "gateway_request_id": gateway_id_of(job),
        "response_url": place,
        "status_url": f"{place}/status",
        "cancel_url": f"{place}/cancel",
        "logs": None,
        "metrics": {},
        "queue_position": 0,
    }


async def _status(simulator: Simulator, request: Request) -> Response:
    return answer_poll(simulator, request.path_params["id"], lambda job: _shown(simulator, job))


def _shown(simulator: Simulator, job: JobRecord) -> Response:
    place = _place(job)
    word = shown_word(simulator, job) or _WORDS.get(job.status, "COMPLETED")
    shown: dict[str, Any] = {
        "status": word,
        "request_id": job.id,
        "response_url": place,
        "status_url": f"{place}/status",
        "cancel_url": f"{place}/cancel",
        "logs": None,
        "metrics": {},
    }
    if job.is_active:
        # 202 says: not yet.
        return JSONResponse(shown | {"queue_position": 0}, 202)
    if job.processing_time_ms is not None:
        shown["metrics"] = {"inference_time": job.processing_time_ms / 1000}
    if job.status != "completed":
        shown["error"] = job.error_message or trouble_of(job)
        shown["error_type"] = (job.error_code or "request_cancelled").lower()
    return JSONResponse(shown)


async def _result(simulator: Simulator, request: Request) -> Response:
    return answer_poll(simulator, request.path_params["id"], _made)


def _made(job: JobRecord) -> Response:
    if job.is_active:
        return JSONResponse({"detail": "Request is still in progress"}, 400)
    if job.status == "completed":
        return JSONResponse(result_of(job))
    return JSONResponse({"detail": trouble_of(job)}, status_of(job))


async def _cancel(simulator: Simulator, request: Request) -> Response:
    job = simulator.book.jobs.get(request.path_params["id"])
    if job is None:
        raise not_found()
    if not job.is_active:
        return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
    simulator.pipeline.cancel(job)
    return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)


async def _keys(simulator: Simulator, request: Request) -> Response:
    keys = [public_key_of(seed) for seed in simulator.config.webhook_secrets]
    return JSONResponse({"keys": keys})
