"""The web application: the provider's routes beside the control routes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.provider_simulator import control_routes, serving
from local.provider_simulator.config import Config
from local.provider_simulator.dialect import ApiError
from local.provider_simulator.service import Simulator


def application[C: Config](
    simulator: Simulator[C], routes: Callable[[Simulator[C]], list[Route]]
) -> Starlette:
    """Return the application of `simulator`; ending it stops what still runs."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await simulator.close()

    async def http_error(_: Request, problem: Exception) -> Response:
        """Answer an unknown path or method in the provider's own error body."""
        status = problem.status_code if isinstance(problem, HTTPException) else 500
        code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(status, "API_ERROR")
        return simulator.dialect.refusal(ApiError(status, code, "No such endpoint"))

    return Starlette(
        routes=[
            *control_routes.routes(simulator),
            # Before the provider's own: fal's begin with any model's name.
            *serving.file_routes(simulator),
            *routes(simulator),
        ],
        exception_handlers={HTTPException: http_error},
        lifespan=lifespan,
    )
