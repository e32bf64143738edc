"""The web application: the provider's routes beside the control routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from local.pikcel_simulator import control_routes, provider_routes
from local.pikcel_simulator.provider_routes import ApiError
from local.pikcel_simulator.service import Simulator


def create_app(simulator: Simulator) -> Starlette:
    """Return the application of `simulator`; ending it stops what still runs."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await simulator.close()

    return Starlette(
        routes=[*control_routes.routes(simulator), *provider_routes.routes(simulator)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


async def _http_error(_: Request, problem: Exception) -> Response:
    """Answer an unknown path or method in the documented error body."""
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(status, "API_ERROR")
    return ApiError(status, code, "No such endpoint").response()
