"""Connections that end with a deadline of the whole exchange, not of each operation.

A time-out of httpx is one of each read and write: an answer that drips, or that comes in
parts, may take many times as long. What is paid for must be known to be over.

httpcore is used directly, because httpx has no public place for a network backend.
"""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore
import httpx


def countdown(total_s: float, monotonic: Callable[[], float]) -> Callable[[], float]:
    """Begin an exchange; returns what tells the seconds left of it.

    That raises httpcore.ReadTimeout when there are none.
    """
    ends_at = monotonic() + total_s

    def left() -> float:
        seconds = ends_at - monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("deadline")
        return seconds

    return left


class TimedStream(httpcore.NetworkStream):
    """A connection on which every operation ends with the exchange's own deadline.

    Parameters
        left: from `countdown`.
    """

    def __init__(self, stream: httpcore.NetworkStream, left: Callable[[], float]) -> None:
        self._stream = stream
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what there is, before the deadline."""
        return self._stream.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write everything, before the deadline."""
        self._stream.write(buffer, self._left())

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Continue with TLS, before the deadline."""
        wait_s = self._left() if timeout is None else min(timeout, self._left())
        stream = self._stream.start_tls(ssl_context, server_hostname, wait_s)
        return TimedStream(stream, self._left)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore wants to know of the connection."""
        return self._stream.get_extra_info(info)


class _TimedBackend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, left: Callable[[], float]) -> None:
        self._backend = backend
        self._left = left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        wait_s = self._left() if timeout is None else min(timeout, self._left())
        stream = self._backend.connect_tcp(host, port, wait_s, local_address, socket_options)
        return TimedStream(stream, self._left)


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._stream

    def close(self) -> None:
        self._stream.close()


class TimedTransport(httpx.BaseTransport):
    """httpx's transport (connections are kept), with a deadline of each exchange.

    Parameters
        total_s: from the call to the last byte of the answer. After that, nothing more is
            sent or read: httpx.ReadTimeout.
    """

    def __init__(
        self,
        total_s: float,
        *,
        limits: httpx.Limits,
        backend: httpcore.NetworkBackend | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total_s = total_s
        self._monotonic = monotonic
        self._exchange = threading.local()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_TimedBackend(backend or httpcore.SyncBackend(), self._left),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Make one exchange. Raises httpx's own errors."""
        self._exchange.left = countdown(self._total_s, self._monotonic)
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _as_httpx():
            response = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response.stream),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close what is open."""
        self._pool.close()

    def _left(self) -> float:
        seconds: float = self._exchange.left()
        return seconds


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise httpx's errors: they have the names of httpcore's."""
    try:
        yield
    except _HTTPCORE_ERRORS as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


_HTTPCORE_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
