"""The provider's own API: dispatch, poll, list, models, profile, upload, results.

Source: the service's public client, nexobe/pikcel-ai-shopify-app.
Assumptions: codes UNAUTHORIZED, NOT_FOUND and
INSUFFICIENT_CREDITS (only INVALID_PARAMS, RATE_LIMIT and SERVER_ERROR are documented), HTTP
200 on creation, a page of 50 by default and of 100 at most.
"""

import contextlib
import io
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Annotated, Any, Literal

import multipart  # type: ignore[import-untyped]
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route as WebRoute

from local.pikcel_simulator.faults import Faults, Outage, Route, Vocabulary
from local.pikcel_simulator.jobs import OWNER_ID, TOOLS, JobRecord, Tool, Upload, iso, price
from local.pikcel_simulator.replies import enveloped, job_in
from local.pikcel_simulator.service import NoAnswer, Simulator

_EPOCH = "2025-10-01T00:00:00.000Z"
_UPLOAD_TYPES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif"}
_MAX_UPLOAD_BYTES = 10_485_760
_HTML = "<!doctype html><title>Please sign in</title><h1>Please sign in</h1>"

type Handler = Callable[[Simulator, Request], Awaitable[Response]]
type Name = Literal["pending", "processing", "completed", "failed", "cancelled"]


class ApiError(Exception):
    """An answer in the documented error body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: object = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Hold what the answer will say."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details, self.headers = details, headers

    def response(self) -> Response:
        """Return the answer."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return JSONResponse({"success": False, "error": error}, self.status, self.headers)


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
    """Return the provider's routes, each counted, guarded and liable to its outages."""

    def route(
        path: str, name: Route, method: str, handler: Handler, *, public: bool = False
    ) -> WebRoute:
        async def endpoint(request: Request) -> Response:
            seen = simulator.note(name, request)
            try:
                response = await _guard(simulator, request, name, public=public)
                if response is None:
                    response = await handler(simulator, request)
            except ApiError as error:
                response = error.response()
            seen.status = None if isinstance(response, NoAnswer) else response.status_code
            return response

        return WebRoute(path, endpoint, methods=[method], name=name)

    return [
        route("/api/jobs/dispatch", "dispatch", "POST", _dispatch),
        route("/api/jobs", "list", "GET", _list_jobs),
        route("/api/jobs/{job_id}", "poll", "GET", _read_job),
        route("/api/ai-models", "models", "GET", _list_models, public=True),
        route("/api/profiles/me", "profile", "GET", _read_profile),
        route("/api/upload", "upload", "POST", _upload),
        route("/results/{name}", "results", "GET", _result, public=True),
        WebRoute("/uploads/{name}", _file_of(simulator, _read_upload)),
        WebRoute("/photos/{name}", _file_of(simulator, _read_photo)),
    ]


async def _guard(
    simulator: Simulator, request: Request, name: Route, *, public: bool
) -> Response | None:
    """Apply outages, the key check and the rate limit; None lets the request pass."""
    for position, outage in enumerate(simulator.config.outages):
        if outage.route == name and simulator.book.faults.may_fire(
            f"outage {position}", outage.times
        ):
            response = await _suffer(simulator, request, outage)
            if response is not None:
                return response
    if name == "results":
        return None
    key = _key_of(request)
    if not public and key not in simulator.config.api_keys:
        raise ApiError(401, "UNAUTHORIZED", "Invalid or missing API key")
    wait_s = simulator.limiter.wait_s(
        key or "anonymous", simulator.config.rate_limit_per_minute, simulator.clock.now()
    )
    if wait_s is not None:
        raise _rate_limited(simulator, wait_s)
    return None


async def _suffer(simulator: Simulator, request: Request, outage: Outage) -> Response | None:
    if outage.delay_s:
        await simulator.hold_answer(request, outage.delay_s)
    match outage.kind:
        case "slow":
            return None
        case "reset":
            return NoAnswer(simulator.dropper)
        case "html":
            return HTMLResponse("<h1>Bad gateway</h1>", outage.status)
        case "rate_limited":
            raise _rate_limited(simulator, outage.retry_after_s)
        case "error":
            raise _server_error(outage.status)


def _key_of(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _rate_limited(simulator: Simulator, wait_s: float) -> ApiError:
    seconds = max(1, math.ceil(wait_s))
    value = str(seconds)
    if simulator.config.retry_after_form == "http-date":
        # Whole seconds only: round up, or the date would allow a request too early.
        at = simulator.clock.now() + timedelta(seconds=seconds)
        if at.microsecond:
            at = at.replace(microsecond=0) + timedelta(seconds=1)
        value = format_datetime(at, usegmt=True)
    return ApiError(429, "RATE_LIMIT", "Rate limit exceeded", headers={"Retry-After": value})


def _server_error(status: int) -> ApiError:
    return ApiError(status, "SERVER_ERROR", "Internal server error")


def _invalid(problem: ValidationError, where: str) -> ApiError:
    details = [
        {"field": ".".join(str(part) for part in error["loc"]) or where, "message": error["msg"]}
        for error in problem.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ApiError(400, "INVALID_PARAMS", f"Invalid {where}", details)


async def _dispatch(simulator: Simulator, request: Request) -> Response:
    """Create a job, or suffer the faults chosen for this dispatch."""
    body = await _dispatch_body(request)
    book = simulator.book
    book.dispatches += 1
    try:
        faults = book.faults.of_dispatch(simulator.config.rules, book.dispatches, body)
    except ValidationError as problem:
        raise _invalid(problem, "parameters.simulate") from problem
    match faults.create:
        case "rate_limited":
            raise _rate_limited(simulator, faults.retry_after_s)
        case "error_before":
            raise _server_error(faults.create_status)
        case "reset_before":
            return NoAnswer(simulator.dropper)
    required = price(body["tool_id"], body.get("priority") or "normal")
    if book.available < required:
        details = {"required": required, "balance": book.available}
        raise ApiError(402, "INSUFFICIENT_CREDITS", "Insufficient credits", details)
    job = book.create(body, faults, simulator.base_url(request), simulator.clock.now())
    life = simulator.background.run(simulator.pipeline.run(job))
    if faults.webhook_before_answer:
        await life
    return await _created(simulator, request, job)


async def _dispatch_body(request: Request) -> dict[str, Any]:
    try:
        body = DispatchRequest.model_validate_json(await request.body())
    except ValidationError as problem:
        raise _invalid(problem, "body") from problem
    if body.tool_id not in TOOLS:
        detail = {"field": "tool_id", "message": "No such tool"}
        raise ApiError(400, "INVALID_PARAMS", "Invalid body", [detail])
    return body.model_dump()


async def _created(simulator: Simulator, request: Request, job: JobRecord) -> Response:
    match job.faults.create:
        case "error_after":
            raise _server_error(job.faults.create_status)
        case "lost_answer":
            return NoAnswer(simulator.dropper)
        case "malformed_json":
            return _cut_off(simulator, job)
        case "late_answer":
            await simulator.hold_answer(request, job.faults.answer_delay_s)
    return _job_reply(simulator, job)


def _vocabulary(simulator: Simulator, faults: Faults) -> Vocabulary:
    return faults.reply or simulator.config.reply


def _job_reply(simulator: Simulator, job: JobRecord, status_word: str | None = None) -> Response:
    vocabulary = _vocabulary(simulator, job.faults)
    return JSONResponse(enveloped(job_in(job, vocabulary, status_word), vocabulary))


def _cut_off(simulator: Simulator, job: JobRecord) -> Response:
    whole = bytes(_job_reply(simulator, job).body)
    return Response(whole[: len(whole) // 2], media_type="application/json")


def _shown_word(simulator: Simulator, job: JobRecord) -> str | None:
    """Return the odd status word if this job still shows one."""
    word, times = job.faults.status_word, job.faults.status_word_times
    if word is None or job.is_active:
        return None
    return word if simulator.book.faults.may_fire(f"word {job.id}", times) else None


async def _read_job(simulator: Simulator, request: Request) -> Response:
    """Answer a poll."""
    job = simulator.book.jobs.get(request.path_params["job_id"])
    if job is None:
        raise ApiError(404, "NOT_FOUND", "Job not found")
    fault = job.faults.poll
    if fault is not None and simulator.book.faults.may_fire(
        f"poll {job.id}", job.faults.poll_times
    ):
        match fault:
            case "error":
                raise _server_error(500)
            case "rate_limited":
                raise _rate_limited(simulator, job.faults.retry_after_s)
            case "not_found":
                raise ApiError(404, "NOT_FOUND", "Job not found")
            case "malformed_json":
                return _cut_off(simulator, job)
            case "reset":
                return NoAnswer(simulator.dropper)
    simulator.book.renew_dead_link(job, simulator.clock.now())
    return _job_reply(simulator, job, _shown_word(simulator, job))


async def _list_jobs(simulator: Simulator, request: Request) -> Response:
    """Answer a listing; links are not renewed by it."""
    try:
        query = ListQuery.model_validate(dict(request.query_params))
    except ValidationError as problem:
        raise _invalid(problem, "query") from problem
    found = simulator.book.listing(
        simulator.clock.now(),
        status=query.status,
        tool_id=query.tool_id,
        from_date=query.from_date,
        to_date=query.to_date,
    )
    page = found[query.offset : query.offset + query.limit]
    shown = [
        job_in(job, _vocabulary(simulator, job.faults), _shown_word(simulator, job)) for job in page
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


async def _result(simulator: Simulator, request: Request) -> Response:
    """Serve a result while its link lives."""
    token = request.path_params["name"].partition(".")[0]
    link = simulator.book.links.get(token)
    if link is None:
        return PlainTextResponse("Not found", 404)
    if link.expires_at <= simulator.clock.now():
        return PlainTextResponse("This link has expired", simulator.config.expired_status)
    job, output = link.job, link.output
    fault, times = job.faults.result, job.faults.result_times
    if fault is not None and simulator.book.faults.may_fire(f"result {job.id}", times):
        match fault:
            case "html":
                return HTMLResponse(_HTML)
            case "too_large":
                return _padded(job, output.data, output.media_type)
            case "redirect":
                return RedirectResponse(job.faults.result_redirect_to, 302)
            case "reset":
                return NoAnswer(simulator.dropper)
            case "server_error":
                return PlainTextResponse("Service unavailable", 503)
    return Response(output.data, media_type=output.media_type)


def _padded(job: JobRecord, data: bytes, media_type: str) -> Response:
    """Serve the picture followed by zeros, up to the size that the fault names."""
    size = max(job.faults.result_bytes, len(data))

    async def chunks() -> AsyncIterator[bytes]:
        yield data
        missing = size - len(data)
        while missing > 0:
            step = min(missing, 65_536)
            yield bytes(step)
            missing -= step

    return StreamingResponse(chunks(), media_type=media_type, headers={"Content-Length": str(size)})


def _file_of(
    simulator: Simulator, read: Callable[[Simulator, str], Response | None]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return read(simulator, request.path_params["name"]) or PlainTextResponse("Not found", 404)

    return endpoint


def _read_upload(simulator: Simulator, name: str) -> Response | None:
    upload = simulator.book.uploads.get(name)
    return Response(upload.data, media_type=upload.media_type) if upload else None


def _read_photo(simulator: Simulator, name: str) -> Response | None:
    """Serve one of the folder's pictures; nothing else that lies there."""
    if simulator.photos is None:
        return None
    for path in simulator.photos.iterdir():
        if path.name == name and path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
            return FileResponse(path)
    return None
