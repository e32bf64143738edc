"""Serve a Simulator with Starlette; the only asynchronous code, and a thin one."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .messages import ConnectionDroppedError, Request
from .simulator import Simulator

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def create_app(simulator: Simulator) -> ASGIApp:
    """Wrap the simulator; a ConnectionDroppedError closes the client's socket without an answer."""

    async def serve(http: HttpRequest) -> HttpResponse:
        request = Request(
            http.method,
            http.url.path,
            dict(http.query_params),
            dict(http.headers.items()),
            await http.body(),
        )
        answer = await run_in_threadpool(simulator.handle, request)
        if answer.delay_s > 0:
            await asyncio.sleep(answer.delay_s)
        return HttpResponse(answer.body, answer.status, answer.headers)

    starlette = Starlette(routes=[Route("/{path:path}", serve, methods=_METHODS)])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await starlette(scope, receive, send)
            return
        held: list[MutableMapping[str, Any]] = []

        async def hold(message: MutableMapping[str, Any]) -> None:
            held.append(message)

        try:
            await starlette(scope, receive, hold)
        except ConnectionDroppedError:
            await _abort(send)
            return
        for message in held:
            await send(message)

    return app


async def _abort(send: Send) -> None:
    """Close the socket under uvicorn's request cycle (``send`` is a method of it)."""
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise ConnectionDroppedError("the connection was cut")
    transport.abort()
    # The loop tells uvicorn of the loss in its next rounds; until then it would try to answer.
    for _ in range(3):
        await asyncio.sleep(0)
