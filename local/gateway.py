"""A short public address for the API: ``http://127.0.0.1:8787`` instead of ministack's long one.

``python -m local.gateway --port PORT --upstream URL`` passes every request on to ``URL`` (the
deployed API's address at the emulator) unchanged, and closes the gaps between ministack and a
real HTTP API in front of the function:

=============================  =================================  ===========================
gap in ministack 1.5.33        what AWS does                      here
=============================  =================================  ===========================
no ``x-forwarded-*`` headers   for, port and proto are there      added
any size of body is accepted   over 10 MB → 413                   413, nothing passed on
a function's failure is 502    500 ``Internal Server Error``      500, the text is not shown
with the error's text
a throttled function is 429    503 ``Service Unavailable``        503
=============================  =================================  ===========================

Left as it is: a body that is not UTF-8 although its content type says text (``text/*``, JSON,
XML, JavaScript) reaches the function with U+FFFD in place of the wrong bytes. Only a broken or
hostile sender does that, and its signature cannot match either way. Bodies of every other type,
forms included, arrive byte for byte in base64, as on AWS.

Source: API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs",
"Quotas for configuring and running an HTTP API" and "HTTP API troubleshooting", read 2026-11-22.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

LARGEST_BODY_BYTES = 10 * 1024 * 1024
"""API Gateway's limit on a request's payload."""

_ANSWER_WITHIN_S = 30.0
"""An HTTP API gives up on its integration after 30 s."""

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

_OF_ONE_CONNECTION = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
"""Headers that belong to one connection (RFC 9110, 7.6.1) and are never passed on."""

_WRITTEN_BY_GATEWAY = {
    b"content-length",
    b"x-forwarded-for",
    b"x-forwarded-port",
    b"x-forwarded-proto",
}
"""Headers of a request that say what the gateway itself saw."""

_OF_THE_SERVER = {b"date", b"server", b"content-length"}
"""Headers of an answer that our own server writes."""


class _AnyPath(PathConvertor):
    """Starlette's own `path`, but with line breaks: `%0A` is a character like others."""

    regex = "(?s:.*)"


register_url_convertor("any_path", _AnyPath())


def create_app(upstream: str, transport: httpx.AsyncBaseTransport | None = None) -> Starlette:
    """Return the application that passes requests on to ``upstream``.

    ``transport``: what answers instead of the network, in tests.
    """

    @asynccontextmanager
    async def with_client(app: Starlette) -> AsyncIterator[None]:
        timeout = httpx.Timeout(_ANSWER_WITHIN_S, connect=5.0)
        limits = httpx.Limits(max_connections=None)
        # trust_env: a developer's proxy settings are not for the loopback.
        async with httpx.AsyncClient(
            timeout=timeout, limits=limits, trust_env=False, transport=transport
        ) as client:
            app.state.client = client
            yield

    async def pass_on(request: Request) -> Response:
        body = await _read(request)
        if body is None:
            return _message(413, "Request Entity Too Large")
        try:
            url = _upstream_url(upstream, request)
        except httpx.InvalidURL:
            # A fragment, for one: no client sends it, whatever a scanner does.
            return _message(400, "Bad Request")
        client: httpx.AsyncClient = request.app.state.client
        # A Request of its own: the client would add its own user-agent and accept headers.
        outgoing = httpx.Request(
            request.method,
            url,
            headers=_request_headers(request, len(body)),
            content=body,
            extensions={"timeout": client.timeout.as_dict()},
        )
        try:
            answer = await client.send(outgoing, stream=True)
            # Raw: what the function compressed stays compressed.
            content = b"".join([chunk async for chunk in answer.aiter_raw()])
        except httpx.TransportError:
            return _message(503, "Service Unavailable")
        if _is_failed_invocation(answer, content):
            # ministack puts it nowhere else; on AWS it is in the function's log.
            print(f"{request.method} {request.url.path} failed: {content.decode()}", flush=True)
            return _message(500, "Internal Server Error")
        return _as_api_gateway(answer, content)

    route = Route("/{path:any_path}", pass_on, methods=_METHODS)
    return Starlette(routes=[route], lifespan=with_client)


async def _read(request: Request) -> bytes | None:
    """Return the whole body, or None as soon as it is known to be too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY_BYTES:
            return None
    return bytes(body)


def _upstream_url(upstream: str, request: Request) -> httpx.URL:
    """Return the upstream's URL with the request's path and query, byte for byte."""
    base = httpx.URL(upstream)
    target: bytes = request.scope["raw_path"]
    if query := request.scope["query_string"]:
        target += b"?" + query
    return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + target)


def _request_headers(request: Request, body_size: int) -> list[tuple[bytes, bytes]]:
    replaced = _OF_ONE_CONNECTION | _WRITTEN_BY_GATEWAY
    headers = [(name, value) for name, value in request.headers.raw if name not in replaced]
    if body_size:
        headers.append((b"content-length", str(body_size).encode()))
    caller = request.client.host if request.client else "127.0.0.1"
    chain = ", ".join([*request.headers.getlist("x-forwarded-for"), caller])
    return [
        *headers,
        (b"x-forwarded-for", chain.encode("latin-1")),
        (b"x-forwarded-port", str(request.url.port or 80).encode()),
        (b"x-forwarded-proto", b"http"),
    ]


def _is_failed_invocation(answer: httpx.Response, content: bytes) -> bool:
    return answer.status_code == 502 and _has_keys(content, {"errorMessage", "errorType"})


def _as_api_gateway(answer: httpx.Response, content: bytes) -> Response:
    """Return the upstream's answer as API Gateway would have given it."""
    if answer.status_code == 429 and _has_keys(content, {"Reason"}):
        return _message(503, "Service Unavailable")
    response = Response(content, answer.status_code)
    response.raw_headers = [
        *_end_to_end(answer.headers.raw),
        (b"content-length", str(len(content)).encode()),
    ]
    return response


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    for name, value in headers:
        if name.lower() not in _OF_ONE_CONNECTION | _OF_THE_SERVER:
            yield name.lower(), value


def _has_keys(content: bytes, keys: set[str]) -> bool:
    """Tell whether the body is a JSON object with these keys, as the emulator's own errors are."""
    try:
        body = json.loads(content)
    except ValueError:
        return False
    return isinstance(body, dict) and keys <= body.keys()


def _message(status: int, text: str) -> Response:
    return Response(json.dumps({"message": text}), status, media_type="application/json")


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        create_app(arguments.upstream),
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        server_header=False,
        date_header=True,
        # It would believe the caller's own x-forwarded-for.
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
