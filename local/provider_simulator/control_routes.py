"""`/_simulator/*`: what tests and the demo use to look inside and to make things go wrong.

GET  /_simulator/health    200 once it serves
GET  /_simulator/config    everything that is set
PUT  /_simulator/config    changes the fields given, the others stay
POST /_simulator/reset     forgets jobs, logs, credits and changes of the configuration
GET  /_simulator/jobs      every job with its faults
GET  /_simulator/requests  counts per route, and the latest requests
GET  /_simulator/webhooks  every delivery attempt
GET  /_simulator/ledger    what was paid
POST /_simulator/expire    kills every link to a result
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.provider_simulator.jobs import inner_view
from local.provider_simulator.service import Simulator

type Handler = Callable[[Simulator[Any], Request], Awaitable[Response]]

_OBJECT = TypeAdapter(dict[str, object])


def routes(simulator: Simulator[Any]) -> list[Route]:
    """Return the control routes."""

    def route(path: str, method: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            return await handler(simulator, request)

        return Route(f"/_simulator/{path}", endpoint, methods=[method])

    return [
        route("health", "GET", _health),
        route("config", "GET", _read_config),
        route("config", "PUT", _change_config),
        route("reset", "POST", _reset),
        route("jobs", "GET", _jobs),
        route("requests", "GET", _requests),
        route("webhooks", "GET", _webhooks),
        route("ledger", "GET", _ledger),
        route("expire", "POST", _expire),
    ]


async def _health(simulator: Simulator[Any], request: Request) -> Response:
    return JSONResponse({"ok": True})


async def _read_config(simulator: Simulator[Any], request: Request) -> Response:
    return JSONResponse(simulator.config.model_dump())


async def _change_config(simulator: Simulator[Any], request: Request) -> Response:
    try:
        simulator.configure(_OBJECT.validate_json(await request.body()))
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_context=False, include_input=False)
        return JSONResponse({"errors": errors}, 400)
    return JSONResponse(simulator.config.model_dump())


async def _reset(simulator: Simulator[Any], request: Request) -> Response:
    await simulator.reset()
    return JSONResponse({"ok": True})


async def _jobs(simulator: Simulator[Any], request: Request) -> Response:
    return JSONResponse({"jobs": [inner_view(job) for job in simulator.book.jobs.values()]})


async def _requests(simulator: Simulator[Any], request: Request) -> Response:
    latest = [seen.view() for seen in simulator.requests]
    return JSONResponse({"counts": dict(simulator.counts), "requests": latest})


async def _webhooks(simulator: Simulator[Any], request: Request) -> Response:
    return JSONResponse({"deliveries": [line.view() for line in simulator.courier.log]})


async def _ledger(simulator: Simulator[Any], request: Request) -> Response:
    ledger = simulator.book.ledger
    per_ref: Counter[str] = Counter()
    for charge in ledger:
        per_ref[charge.ref or charge.job_id] += charge.credits
    return JSONResponse(
        {
            "charges": [asdict(charge) for charge in ledger],
            "by_ref": dict(per_ref),
            "total": sum(charge.credits for charge in ledger),
            "balance": simulator.book.balance,
        }
    )


async def _expire(simulator: Simulator[Any], request: Request) -> Response:
    simulator.book.expire_links(simulator.clock.now())
    return JSONResponse({"ok": True})
