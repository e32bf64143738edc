"""What every provider's routes have in common: guards, faults, result files."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route as WebRoute

from local.provider_simulator.config import Config
from local.provider_simulator.dialect import ApiError
from local.provider_simulator.faults import Outage, Route
from local.provider_simulator.jobs import JobRecord
from local.provider_simulator.service import NoAnswer, Simulator

_HTML = "<!doctype html><title>Please sign in</title><h1>Please sign in</h1>"

type Handler[C: Config] = Callable[[Simulator[C], Request], Awaitable[Response]]
type Reply = Callable[[JobRecord], Response]


def route[C: Config](
    simulator: Simulator[C],
    path: str,
    name: Route,
    method: str,
    handler: Handler[C],
    *,
    public: bool = False,
) -> WebRoute:
    """Return a route of the provider: counted, guarded and liable to its outages."""

    async def endpoint(request: Request) -> Response:
        seen = simulator.note(name, request)
        try:
            response = await _guard(simulator, request, name, public=public)
            if response is None:
                response = await handler(simulator, request)
        except ApiError as error:
            response = simulator.dialect.refusal(error)
        seen.status = None if isinstance(response, NoAnswer) else response.status_code
        return response

    return WebRoute(path, endpoint, methods=[method], name=name)


def file_routes[C: Config](simulator: Simulator[C]) -> list[WebRoute]:
    """Return where results are served while their links live, and photos always."""

    async def photo(request: Request) -> Response:
        found = _read_photo(simulator, request.path_params["name"])
        return found or PlainTextResponse("Not found", 404)

    return [
        route(simulator, "/results/{name}", "results", "GET", _result, public=True),
        WebRoute("/photos/{name}", photo),
    ]


async def take_order[C: Config](
    simulator: Simulator[C], request: Request, order: Mapping[str, Any], reply: Reply
) -> Response:
    """Create a job, or suffer the faults chosen for this dispatch.

    Shape of an order: tool_id, input_image_url, parameters, and where there are any priority,
    webhook_url, metadata (whose `ref` is our reference), model (the provider's name of the tool).
    """
    book = simulator.book
    book.dispatches += 1
    try:
        faults = book.faults.of_dispatch(simulator.config.rules, book.dispatches, order)
    except ValidationError as problem:
        raise invalid(problem, "parameters.simulate") from problem
    match faults.create:
        case "rate_limited":
            raise rate_limited(simulator, faults.retry_after_s)
        case "error_before":
            raise server_error(faults.create_status)
        case "reset_before":
            return NoAnswer(simulator.dropper)
    required = simulator.dialect.price(order["tool_id"], order.get("priority") or "normal")
    if book.available < required:
        details = {"required": required, "balance": book.available}
        raise ApiError(402, "INSUFFICIENT_CREDITS", "Insufficient credits", details)
    job = book.create(order, faults, simulator.base_url(request), simulator.clock.now())
    life = simulator.background.run(simulator.pipeline.run(job))
    if faults.webhook_before_answer:
        await life
    return await _created(simulator, request, job, reply)


async def _created[C: Config](
    simulator: Simulator[C], request: Request, job: JobRecord, reply: Reply
) -> Response:
    match job.faults.create:
        case "error_after":
            raise server_error(job.faults.create_status)
        case "lost_answer":
            return NoAnswer(simulator.dropper)
        case "malformed_json":
            return cut_off(reply(job))
        case "late_answer":
            await simulator.hold_answer(request, job.faults.answer_delay_s)
    return reply(job)


def answer_poll[C: Config](
    simulator: Simulator[C], job_id: str, reply: Reply, *, renew: bool = True
) -> Response:
    """Answer a question about a job, or suffer the fault chosen for it."""
    job = simulator.book.jobs.get(job_id)
    if job is None:
        raise not_found()
    fault = job.faults.poll
    if fault is not None and simulator.book.faults.may_fire(
        f"poll {job.id}", job.faults.poll_times
    ):
        match fault:
            case "error":
                raise server_error(500)
            case "rate_limited":
                raise rate_limited(simulator, job.faults.retry_after_s)
            case "not_found":
                raise not_found()
            case "malformed_json":
                return cut_off(reply(job))
            case "reset":
                return NoAnswer(simulator.dropper)
    if renew:
        simulator.book.renew_dead_link(job, simulator.clock.now())
    return reply(job)


def shown_word[C: Config](simulator: Simulator[C], job: JobRecord) -> str | None:
    """Return the odd status word if this job still shows one."""
    word, times = job.faults.status_word, job.faults.status_word_times
    if word is None or job.is_active:
        return None
    return word if simulator.book.faults.may_fire(f"word {job.id}", times) else None


def cut_off(whole: Response) -> Response:
    """Return an answer that breaks off half-way."""
    body = bytes(whole.body)
    return Response(body[: len(body) // 2], whole.status_code, media_type="application/json")


def not_found() -> ApiError:
    """Return the refusal of a job that there is not."""
    return ApiError(404, "NOT_FOUND", "Job not found")


def server_error(status: int) -> ApiError:
    """Return the refusal of a service in trouble."""
    return ApiError(status, "SERVER_ERROR", "Internal server error")


def rate_limited[C: Config](simulator: Simulator[C], wait_s: float) -> ApiError:
    """Return the refusal of one call too many, saying when to come again."""
    seconds = max(1, math.ceil(wait_s))
    value = str(seconds)
    if simulator.config.retry_after_form == "http-date":
        # Whole seconds only: round up, or the date would allow a request too early.
        at = simulator.clock.now() + timedelta(seconds=seconds)
        if at.microsecond:
            at = at.replace(microsecond=0) + timedelta(seconds=1)
        value = format_datetime(at, usegmt=True)
    return ApiError(429, "RATE_LIMIT", "Rate limit exceeded", headers={"Retry-After": value})


def invalid(problem: ValidationError, where: str) -> ApiError:
    """Return the refusal of input that cannot be understood, field by field."""
    details = [
        {"field": ".".join(str(part) for part in error["loc"]) or where, "message": error["msg"]}
        for error in problem.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ApiError(400, "INVALID_PARAMS", f"Invalid {where}", details)


async def _guard[C: Config](
    simulator: Simulator[C], request: Request, name: Route, *, public: bool
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
    key = simulator.dialect.key_of(request)
    if not public and key not in simulator.config.api_keys:
        raise ApiError(401, "UNAUTHORIZED", "Invalid or missing API key")
    wait_s = simulator.limiter.wait_s(
        key or "anonymous", simulator.config.rate_limit_per_minute, simulator.clock.now()
    )
    if wait_s is not None:
        raise rate_limited(simulator, wait_s)
    return None


async def _suffer[C: Config](
    simulator: Simulator[C], request: Request, outage: Outage
) -> Response | None:
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
            raise rate_limited(simulator, outage.retry_after_s)
        case "error":
            raise server_error(outage.status)


async def _result[C: Config](simulator: Simulator[C], request: Request) -> Response:
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


def _read_photo[C: Config](simulator: Simulator[C], name: str) -> Response | None:
    """Serve one of the folder's pictures; nothing else that lies there."""
    if simulator.photos is None:
        return None
    for path in simulator.photos.iterdir():
        if path.name == name and path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
            return FileResponse(path)
    return None
