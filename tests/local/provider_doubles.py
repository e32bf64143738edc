"""Small doubles of RunPod, Black Forest Labs and OpenAI, of the simulators' own pieces.

Each speaks what our adapter needs of its provider (create, poll, cancel where there is one, the
webhook and how that is signed), by the providers' documents (facts of 2026-11), no more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.provider_simulator import config, standard
from local.provider_simulator.app import application
from local.provider_simulator.dialect import (
    ApiError,
    Dialect,
    Envelope,
    Forgery,
    Letter,
    reference_in,
)
from local.provider_simulator.faults import Event
from local.provider_simulator.jobs import JobRecord
from local.provider_simulator.models import work_of
from local.provider_simulator.service import Simulator
from local.provider_simulator.serving import answer_poll, not_found, route, take_order

ENDS = ("job.completed", "job.failed", "job.cancelled")


class Config(config.Config):
    """webhook_url: of the account, for a provider that is not told one by each request."""

    webhook_secrets: list[str] = Field(default=["whsec_dG9vIHNob3J0IHRvIGJlIGd1ZXNzZWQ="])
    webhook_url: str | None = None


type Double = Simulator[Config]


class _Double(Dialect[Config]):
    """What the three have in common."""

    def price(self, tool_id: str, priority: str) -> int:
        return 1

    def forged(self, letter: Letter, now: datetime, forgery: Forgery) -> Envelope:
        return self.envelope(letter, now, again=False)

    def refusal(self, problem: ApiError) -> Response:
        return JSONResponse({"error": {"message": problem.message}}, problem.status)


def _order(request_body: dict[str, Any], model: str, image: str, **more: Any) -> dict[str, Any]:
    work = work_of(model)
    if work is None:
        raise not_found()
    return {"tool_id": work, "input_image_url": image, "parameters": request_body, **more}


async def _cancelled(double: Double, request: Request) -> JobRecord:
    job = double.book.jobs.get(request.path_params["id"])
    if job is None:
        raise not_found()
    if job.is_active:
        double.pipeline.cancel(job)
    return job


# ---- RunPod: no signature, one webhook, the same JSON as /status -------------------------------

_RUNPOD = {
    "pending": "IN_QUEUE",
    "processing": "IN_PROGRESS",
    "completed": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
}


def _runpod_job(job: JobRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": job.id, "status": _RUNPOD[job.status], "delayTime": 5}
    if job.status == "completed":
        output = {"image_url": job.output_image_url}
        shown |= {"output": output, "executionTime": job.processing_time_ms}
    return shown | ({"error": job.error_message} if job.status == "failed" else {})


class RunpodDialect(_Double):
    name = "RunPod"

    def new_id(self, token: Callable[[int], str], now: datetime) -> str:
        return f"{token(32)}-u1"

    def body_of(self, event: Event, job: JobRecord, config: Config, at: datetime) -> bytes | None:
        return json.dumps(_runpod_job(job)).encode() if event in ENDS else None

    def envelope(self, letter: Letter, now: datetime, *, again: bool) -> Envelope:
        return Envelope(letter.body, {}, None)


def _runpod_routes(double: Double) -> list[Route]:
    def shown(job: JobRecord) -> Response:
        return JSONResponse(_runpod_job(job))

    async def run(_: Double, request: Request) -> Response:
        body = await request.json()
        order = _order(
            body["input"],
            request.path_params["endpoint"],
            body["input"]["image_url"],
            webhook_url=body["webhook"],
            metadata={"ref": reference_in(body["webhook"])},
        )
        return await take_order(double, request, order, shown)

    async def status(_: Double, request: Request) -> Response:
        return answer_poll(double, request.path_params["id"], shown)

    async def cancel(_: Double, request: Request) -> Response:
        return shown(await _cancelled(double, request))

    place = "/v2/{endpoint}"
    return [
        route(double, f"{place}/run", "dispatch", "POST", run),
        route(double, f"{place}/status/{{id}}", "poll", "GET", status),
        route(double, f"{place}/cancel/{{id}}", "cancel", "POST", cancel),
    ]


# ---- Black Forest Labs: the request's own secret, over the body alone --------------------------

_BFL = {"pending": "Pending", "processing": "Pending", "completed": "Ready", "failed": "Error"}


def _bfl_task(job: JobRecord) -> dict[str, Any]:
    result = {"sample": job.output_image_url, "seed": 2**60} if job.output_image_url else None
    return {"id": job.id, "status": _BFL[job.status], "result": result, "error": job.error_message}


class BflDialect(_Double):
    name = "Black Forest Labs"

    def new_id(self, token: Callable[[int], str], now: datetime) -> str:
        return token(32)

    def key_of(self, request: Request) -> str | None:
        return request.headers.get("x-key")

    def secret_of(self, job: JobRecord, config: Config) -> str:
        return str(job.extra["secret"])

    def body_of(self, event: Event, job: JobRecord, config: Config, at: datetime) -> bytes | None:
        return json.dumps(_bfl_task(job)).encode() if event in ENDS else None

    def envelope(self, letter: Letter, now: datetime, *, again: bool) -> Envelope:
        digest = hmac.new(letter.secret.encode(), letter.body, hashlib.sha256).hexdigest()
        return Envelope(letter.body, {"X-BFL-Signature": f"sha256={digest}"}, digest)


def _bfl_routes(double: Double) -> list[Route]:
    def queued(job: JobRecord) -> Response:
        polling_url = f"{job.base_url}/v1/get_result?id={job.id}"
        return JSONResponse({"id": job.id, "polling_url": polling_url})

    async def create(_: Double, request: Request) -> Response:
        body = await request.json()
        order = _order(
            body,
            request.path_params["model"],
            body["input_image"],
            webhook_url=body["webhook_url"],
            metadata={"ref": reference_in(body["webhook_url"])},
            extra={"secret": body["webhook_secret"]},
        )
        return await take_order(double, request, order, queued)

    async def result(_: Double, request: Request) -> Response:
        job_id = request.query_params.get("id", "")
        return answer_poll(double, job_id, lambda job: JSONResponse(_bfl_task(job)))

    return [
        route(double, "/v1/get_result", "poll", "GET", result),
        route(double, "/v1/{model}", "dispatch", "POST", create),
    ]


# ---- OpenAI: a thin event to the account's own address, the image in the answer ----------------

_OPENAI = {"pending": "queued", "processing": "in_progress"}


def _openai_response(job: JobRecord) -> dict[str, Any]:
    output = []
    if job.output is not None:
        image = base64.b64encode(job.output.data).decode()
        kind = {"jpg": "jpeg"}.get(job.output.extension, job.output.extension)
        output.append({"type": "image_generation_call", "result": image, "output_format": kind})
    return {
        "id": job.id,
        "object": "response",
        "status": _OPENAI.get(job.status, job.status),
        "model": job.tool_id,
        "metadata": job.metadata,
        "output": output,
        "error": {"code": "server_error", "message": job.error_message}
        if job.error_message
        else None,
    }


class OpenaiDialect(_Double):
    name = "OpenAI"

    def new_id(self, token: Callable[[int], str], now: datetime) -> str:
        return f"resp_{token(48)}"

    def body_of(self, event: Event, job: JobRecord, config: Config, at: datetime) -> bytes | None:
        if event not in ENDS:
            return None
        said = {
            "id": f"evt_{job.id}",
            "object": "event",
            "created_at": int(at.timestamp()),
            "type": f"response.{job.status}",
            "data": {"id": job.id},
        }
        return json.dumps(said).encode()

    def envelope(self, letter: Letter, now: datetime, *, again: bool) -> Envelope:
        return standard.seal(letter, now)


def _openai_routes(double: Double) -> list[Route]:
    def shown(job: JobRecord) -> Response:
        return JSONResponse(_openai_response(job))

    async def create(_: Double, request: Request) -> Response:
        body = await request.json()
        (message,) = body["input"]
        (image,) = [part for part in message["content"] if part["type"] == "input_image"]
        order = _order(
            {},
            body["model"],
            image["image_url"],
            webhook_url=double.config.webhook_url,
            metadata=body["metadata"],
        )
        return await take_order(double, request, order, shown)

    async def read(_: Double, request: Request) -> Response:
        return answer_poll(double, request.path_params["id"], shown)

    async def cancel(_: Double, request: Request) -> Response:
        return shown(await _cancelled(double, request))

    return [
        route(double, "/v1/responses", "dispatch", "POST", create),
        route(double, "/v1/responses/{id}", "poll", "GET", read),
        route(double, "/v1/responses/{id}/cancel", "cancel", "POST", cancel),
    ]


DOUBLES: dict[str, tuple[Dialect[Config], Callable[[Double], list[Route]]]] = {
    "runpod": (RunpodDialect(), _runpod_routes),
    "bfl": (BflDialect(), _bfl_routes),
    "openai": (OpenaiDialect(), _openai_routes),
}


def a_double(name: str) -> tuple[Double, Callable[[Any], Any]]:
    """Return a provider's double and what makes an application of it."""
    dialect, routes = DOUBLES[name]
    return Simulator(Config(), dialect), lambda simulator: application(simulator, routes)
