"""The gateway in front of the emulator, without either: what it passes on and what it changes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.gateway import create_app

UPSTREAM = "http://127.0.0.1:4566/_aws/execute-api/abc/$default"


@dataclass
class Upstream(httpx.AsyncBaseTransport):
    """Answers like a server, whose answer nobody has read yet (httpx.MockTransport's is read)."""

    answer: Callable[[httpx.Request], httpx.Response]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        prepared = self.answer(request)
        return httpx.Response(
            prepared.status_code, headers=prepared.headers, stream=prepared.stream
        )


def ask(
    answer: Callable[[httpx.Request], httpx.Response],
    path: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Send one request through a gateway whose upstream answers as ``answer`` does."""
    app = create_app(UPSTREAM, Upstream(answer))

    async def exchange() -> httpx.Response:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8787"
            ) as client,
        ):
            return await client.request(method, path, headers=headers)

    return asyncio.run(exchange())


def test_path_and_query_are_passed_on_byte_for_byte() -> None:
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(204)

    ask(answer, "/api/jobs/a%2Fb%20c?ref=%7B1%7D&&x=a+b")
    ask(answer, "/")
    ask(answer, "/api/jobs/a%0Ab")  # a line break, which `.` of a regular expression is not
    prefix = b"/_aws/execute-api/abc/$default"
    paths = (b"/api/jobs/a%2Fb%20c?ref=%7B1%7D&&x=a+b", b"/", b"/api/jobs/a%0Ab")
    assert asked == [prefix + path for path in paths]


def test_a_target_that_is_no_path_is_a_400() -> None:
    app = create_app(UPSTREAM, Upstream(lambda _: httpx.Response(204)))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def exchange() -> None:
        # No client library sends a fragment: this is what the server hands on if one does.
        scope: dict[str, Any] = {"type": "http", "method": "GET", "query_string": b""}
        scope |= {"path": "/api/jobs#x", "raw_path": b"/api/jobs#x", "headers": []}
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)

    asyncio.run(exchange())
    assert sent[0]["status"] == 400
    assert sent[1]["body"] == b'{"message": "Bad Request"}'


def test_a_compressed_answer_stays_compressed() -> None:
    body = gzip.compress(b"x" * 500)
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/html", "ETag": '"1"'}
    answer = ask(lambda _: httpx.Response(200, content=body, headers=headers), "/")
    assert answer.text == "x" * 500
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["etag"] == '"1"'


def test_every_cookie_of_an_answer_is_passed_on() -> None:
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    answer = ask(lambda _: httpx.Response(200, headers=cookies), "/")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_an_emulator_that_is_gone_is_a_503() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    response = ask(answer, "/")
    assert (response.status_code, response.json()) == (503, {"message": "Service Unavailable"})


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_error_that_a_function_gives_itself_is_not_touched(status: int) -> None:
    ours = {"success": False, "error": "Later.", "code": "rate_limited", "requestId": "r"}
    response = ask(lambda _: httpx.Response(status, json=ours), "/")
    assert (response.status_code, response.json()) == (status, ours)


def test_a_failed_invocation_is_logged_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    failure = {"errorType": "KeyError", "errorMessage": "hidden detail"}
    response = ask(lambda _: httpx.Response(502, json=failure), "/api/jobs", "POST")
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})
    assert "POST /api/jobs failed" in capsys.readouterr().out


def test_headers_of_one_connection_end_at_the_gateway() -> None:
    arrived: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        arrived.extend(request.headers)
        return httpx.Response(200, headers={"Connection": "close", "X-Kept": "yes"})

    sent = {"Connection": "keep-alive", "X-Own": "1", "TE": "x"}
    response = ask(answer, "/", headers=sent)
    assert "x-own" in arrived
    assert not {"te", "connection", "transfer-encoding"}.intersection(arrived)
    assert response.headers["x-kept"] == "yes"
    assert "connection" not in response.headers
