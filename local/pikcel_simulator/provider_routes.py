"""The provider's own API: dispatch, poll, list, models, profile, upload, results.

Source: the service's public client, nexobe/pikcel-ai-shopify-app.
Assumptions: codes UNAUTHORIZED, NOT_FOUND and
INSUFFICIENT_CREDITS (only INVALID_PARAMS, RATE_LIMIT and SERVER_ERROR are documented), HTTP
200 on creation, a page of 50 by default and of 100 at most.
"""

import contextlib
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import multipart  # type: ignore[import-untyped]
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route as WebRoute

from local.pikcel_simulator.catalogue import OWNER_ID, TOOLS, Tool, callback_of
from local.pikcel_simulator.config import Config
from local.pikcel_simulator.replies import enveloped, job_in
from local.provider_simulator import service
from local.provider_simulator.dialect import ApiError
from local.provider_simulator.faults import Faults, Route, Vocabulary
from local.provider_simulator.jobs import JobRecord, Upload, iso
from local.provider_simulator.serving import (
    Handler,
    answer_poll,
    invalid,
    route,
    shown_word,
    take_order,
)

_EPOCH = "2025-10-01T00:00:00.000Z"
_UPLOAD_TYPES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif"}
_MAX_UPLOAD_BYTES = 10_485_760

type Simulator = service.Simulator[Config]
type Name = Literal["pending", "processing", "completed", "failed", "cancelled"]


def _web_address(text: str) -> str:
    """Check the text as a web address but keep it as it was sent."""
    HttpUrl(text)
    return text


type WebAddress = Annotated[str, AfterValidator(_web_address)]


class DispatchRequest(BaseModel):
    """Body of POST /api/jobs/dispatch; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    tool_id: str = Field(min_length=1)
    input_image_url: WebAddress
    parameters: dict[str, Any] | None = None
    template_id: str | None = None
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    webhook_url: WebAddress | None = None
    metadata: dict[str, Any] | None = None


def _as_utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


class ListQuery(BaseModel):
    """Query of GET /api/jobs."""

    limit: int = Field(default=50, ge=1, le=100)
    offset: int = Field(default=0, ge=0)
    status: Name | None = None
    tool_id: str | None = None
    from_date: Annotated[datetime, AfterValidator(_as_utc)] | None = None
    to_date: Annotated[datetime, AfterValidator(_as_utc)] | None = None


def routes(simulator: Simulator) -> list[WebRoute]:
    """Return the provider's routes."""

    def at(
        path: str, name: Route, method: str, handler: Handler[Config], *, public: bool = False
    ) -> WebRoute:
        return route(simulator, path, name, method, handler, public=public)

    async def upload(request: Request) -> Response:
        found = _read_upload(simulator, request.path_params["name"])
        return found or PlainTextResponse("Not found", 404)

    return [
        at("/api/jobs/dispatch", "dispatch", "POST", _dispatch),
        at("/api/jobs", "list", "GET", _list_jobs),
        at("/api/jobs/{job_id}", "poll", "GET", _read_job),
        at("/api/ai-models", "models", "GET", _list_models, public=True),
        at("/api/profiles/me", "profile", "GET", _read_profile),
        at("/api/upload", "upload", "POST", _upload),
        WebRoute("/uploads/{name}", upload),
    ]


async def _dispatch(simulator: Simulator, request: Request) -> Response:
    """Create a job, or suffer the faults chosen for this dispatch."""
    try:
        body = DispatchRequest.model_validate_json(await request.body())
    except ValidationError as problem:
        raise invalid(problem, "body") from problem
    if body.tool_id not in TOOLS:
        detail = {"field": "tool_id", "message": "No such tool"}
        raise ApiError(400, "INVALID_PARAMS", "Invalid body", [detail])
    asked = body.model_dump()
    order = asked | {"webhook_url": callback_of(asked)}
    return await take_order(simulator, request, order, lambda job: _job_reply(simulator, job))


def _vocabulary(simulator: Simulator, faults: Faults) -> Vocabulary:
    return faults.reply or simulator.config.reply


def _job_reply(simulator: Simulator, job: JobRecord, status_word: str | None = None) -> Response:
    vocabulary = _vocabulary(simulator, job.faults)
    return JSONResponse(enveloped(job_in(job, vocabulary, status_word), vocabulary))


async def _read_job(simulator: Simulator, request: Request) -> Response:
    """Answer a poll."""
    return answer_poll(
        simulator,
        request.path_params["job_id"],
        lambda job: _job_reply(simulator, job, shown_word(simulator, job)),
    )


async def _list_jobs(simulator: Simulator, request: Request) -> Response:
    """Answer a listing; links are not renewed by it."""
    try:
        query = ListQuery.model_validate(dict(request.query_params))
    except ValidationError as problem:
        raise invalid(problem, "query") from problem
    found = simulator.book.listing(
        simulator.clock.now(),
        status=query.status,
        tool_id=query.tool_id,
        from_date=query.from_date,
        to_date=query.to_date,
    )
    page = found[query.offset : query.offset + query.limit]
    shown = [
        job_in(job, _vocabulary(simulator, job.faults), shown_word(simulator, job)) for job in page
    ]
    return JSONResponse(
        {
            "success": True,
            "data": shown,
            "count": len(shown),
            "total": len(found),
            "has_more": query.offset + len(page) < len(found),
        }
    )


async def _list_models(simulator: Simulator, request: Request) -> Response:
    """Answer the list of tools, which the documents call public."""
    models = [_model(tool) for tool in TOOLS.values()]
    return JSONResponse({"success": True, "data": models, "count": len(models)})


def _model(tool: Tool) -> dict[str, Any]:
    return {
        "id": tool.id,
        "name": tool.name,
        "description": f"{tool.name} for product photographs",
        "category": tool.category,
        "credits_required": tool.credits,
        # The bundled export gives a text here although the type says number.
        "base_price": f"{tool.credits * 0.05:.2f}",
        "default_parameters": {},
        "is_active": True,
        "created_at": _EPOCH,
        "updated_at": _EPOCH,
    }


async def _read_profile(simulator: Simulator, request: Request) -> Response:
    """Answer the key owner's profile with the credits left."""
    completed = sum(job.status == "completed" for job in simulator.book.jobs.values())
    profile = {
        "id": OWNER_ID,
        "email": "owner@example.com",
        "full_name": "Simulated Owner",
        "credits_balance": simulator.book.balance,
        "subscription": {
            "plan": "professional",
            "status": "active",
            "credits_included": simulator.config.credits_balance,
        },
        "total_jobs_processed": completed,
        "created_at": _EPOCH,
        "updated_at": iso(simulator.clock.now()),
    }
    return JSONResponse({"success": True, "data": profile})


@dataclass(frozen=True, slots=True)
class _Form:
    """What an upload brought."""

    data: bytes
    media_type: str
    folder: str


async def _upload(simulator: Simulator, request: Request) -> Response:
    """Keep an uploaded picture and answer its address."""
    form = _upload_form(request.headers.get("content-type", ""), await request.body())
    extension = _UPLOAD_TYPES.get(form.media_type)
    if extension is None or len(form.data) > _MAX_UPLOAD_BYTES:
        raise ApiError(400, "INVALID_PARAMS", "Only pictures of at most 10 MiB are taken")
    name = f"{simulator.book.token(32)}.{extension}"
    simulator.book.uploads[name] = Upload(form.data, form.media_type)
    kept = {
        "url": f"{simulator.base_url(request)}/uploads/{name}",
        "path": f"{form.folder}/{name}",
        "size": len(form.data),
        "mime_type": form.media_type,
        "uploaded_at": iso(simulator.clock.now()),
    }
    return JSONResponse({"success": True, "data": kept})


def _upload_form(content_type: str, body: bytes) -> _Form:
    kind, options = multipart.parse_options_header(content_type)
    if kind != "multipart/form-data" or "boundary" not in options:
        raise ApiError(400, "INVALID_PARAMS", "A multipart form is expected")
    with contextlib.ExitStack() as opened:
        try:
            parts = {}
            for part in multipart.MultipartParser(io.BytesIO(body), options["boundary"]):
                opened.callback(part.close)
                parts[part.name] = part
        except multipart.MultipartError as problem:
            raise ApiError(400, "INVALID_PARAMS", "The form cannot be read") from problem
        if "file" not in parts:
            raise ApiError(400, "INVALID_PARAMS", "The field `file` is missing")
        folder = str(parts["folder"].value) if "folder" in parts else "uploads"
        return _Form(bytes(parts["file"].raw), str(parts["file"].content_type), folder)


def _read_upload(simulator: Simulator, name: str) -> Response | None:
    upload = simulator.book.uploads.get(name)
    return Response(upload.data, media_type=upload.media_type) if upload else None
