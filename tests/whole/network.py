"""The other ends of our HTTP: the simulators, in process."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import httpcore
import httpx

from local.provider_simulator.service import ConnectionDroppedError
from tests.whole.calls import DOWNLOAD_FAILURES, Probe

type Send = Callable[[httpx.Request], httpx.Response]


async def let_everything_run() -> None:
    """Give every task its turns until all of them wait for time to move (no thread is involved)."""
    loop: Any = asyncio.get_running_loop()
    for _ in range(60):
        await asyncio.sleep(0)
        if not loop._ready:  # nobody but us has anything to do
            return


class ProviderLine:
    """Synchronous calls of an asynchronous simulator, on its own event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: httpx.ASGITransport) -> None:
        self._loop = loop
        self._transport = transport

    def send(self, request: httpx.Request) -> httpx.Response:
        """Send one request; a dropped connection is RemoteProtocolError."""
        return self._loop.run_until_complete(self._send(request))

    async def _send(self, request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, trust_env=False) as client:
            try:
                answer = await client.request(
                    request.method, request.url, headers=request.headers, content=request.read()
                )
            except ConnectionDroppedError as dropped:
                raise httpx.RemoteProtocolError("dropped", request=request) from dropped
        await let_everything_run()
        headers = {
            name: value for name, value in answer.headers.items() if name != "content-length"
        }
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)


class _ResultStream(httpcore.NetworkStream):
    """One connection of a download: the request is collected, the answer read in pieces."""

    def __init__(self, probe: Probe, send: Send) -> None:
        self._probe = probe
        self._send = send
        self._asked = b""
        self._answer: bytes | None = None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._asked += buffer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._answer is None:
            self._answer = self._probe.call("GET result", self._fetch, DOWNLOAD_FAILURES)
        part, self._answer = self._answer[:max_bytes], self._answer[max_bytes:]
        return part

    def close(self) -> None:
        """Nothing is open."""

    def get_extra_info(self, info: str) -> Any:
        return None

    def _fetch(self) -> bytes:
        first, *headers = self._asked.decode().split("\r\n")
        method, path, _ = first.split(" ")
        (host,) = [line[6:] for line in headers if line.lower().startswith("host: ")]
        answer = self._send(httpx.Request(method, f"http://{host}{path}"))
        head = (
            f"HTTP/1.1 {answer.status_code} Said\r\n"
            f"Content-Type: {answer.headers.get('content-type', '')}\r\n"
            f"Content-Length: {len(answer.content)}\r\n\r\n"
        )
        return head.encode() + answer.content


class ResultNetwork(httpcore.NetworkBackend):
    """The network on which result links are fetched: every address is a simulator's."""

    def __init__(self, probe: Probe, send: Send) -> None:
        self._probe = probe
        self._send = send

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _ResultStream(self._probe, self._send)
