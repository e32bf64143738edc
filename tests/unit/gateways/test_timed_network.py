"""An exchange is over at its deadline, however slowly it goes on."""

from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
import pytest

from shared.gateways import provider_http
from shared.gateways.timed_network import TimedTransport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"
# The pool has one more to itself: it tells that a connection cannot be shared.
ERRORS = [
    each
    for each in vars(httpcore).values()
    if isinstance(each, type) and issubclass(each, Exception)
    if each is not httpcore.ConnectionNotAvailable
]
LIMITS = httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=5.0)


class Slow(httpcore.NetworkBackend, httpcore.NetworkStream):
    """A host that answers a byte at a time. Each operation takes so many seconds."""

    def __init__(self, answer: bytes, *, read_s: float = 0, write_s: float = 0) -> None:
        self.time_s = 0.0
        self.answer, self.read_s, self.write_s = answer, read_s, write_s
        self.waits: list[float | None] = []
        self.connects = 0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self.connects += 1
        self.waits.append(timeout)
        return self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._pass(self.read_s, timeout, httpcore.ReadTimeout)
        byte, self.answer = self.answer[:1], self.answer[1:]
        return byte

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._pass(self.write_s, timeout, httpcore.WriteTimeout)

    def close(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return None

    def _pass(self, seconds: float, timeout: float | None, error: type[Exception]) -> None:
        assert timeout is not None
        self.waits.append(timeout)
        self.time_s += min(seconds, timeout)
        if seconds > timeout:
            raise error("slow")


def client(host: Slow, total_s: float = 30) -> httpx.Client:
    transport = TimedTransport(total_s, limits=LIMITS, backend=host, monotonic=lambda: host.time_s)
    return httpx.Client(transport=transport, timeout=httpx.Timeout(30, connect=5.0))


def test_an_answer_in_time_is_read() -> None:
    host = Slow(HEAD + b"x" * 40, read_s=0.1)
    with client(host) as http:
        answer = http.post("http://host.example/a?b=c", json={"d": 1})
    assert (answer.status_code, answer.content) == (200, b"x" * 40)
    assert host.waits[0] == 5.0  # a connection is waited for less long


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 90, HEAD + b"x" * 40])
def test_headers_and_bodies_that_drip_end_at_the_deadline(answer: bytes) -> None:
    # Every single byte comes well within the time-out of a read.
    host = Slow(answer, read_s=0.5)
    with client(host) as http, pytest.raises(httpx.ReadTimeout):
        http.get("http://host.example/")
    assert host.time_s == 30


def test_what_was_sent_slowly_leaves_less_time_for_the_answer() -> None:
    host = Slow(HEAD, read_s=29, write_s=10)
    with client(host) as http, pytest.raises(httpx.ReadTimeout):
        http.post("http://host.example/", content=b"z")
    assert host.time_s == 30


def test_every_exchange_has_its_whole_time() -> None:
    host = Slow((HEAD + b"x" * 40) * 2, read_s=0.3)
    with client(host) as http:
        for _ in range(2):
            assert http.get("http://host.example/").status_code == 200
    assert host.connects == 1  # the connection was kept
    assert host.time_s > 30


def test_errors_are_httpxs_own() -> None:
    with client(Slow(b"")) as http, pytest.raises(httpx.RemoteProtocolError):
        http.get("http://host.example/")


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_httpcore_is_raised_as_httpxs(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> httpcore.NetworkStream:
        raise kind("broken")

    host = Slow(HEAD)
    monkeypatch.setattr(host, "connect_tcp", refuse)
    with pytest.raises(httpx.TransportError, match="broken") as raised:
        client(host).get("http://host.test/")
    assert raised.type.__name__ == kind.__name__


def test_the_providers_client_is_timed() -> None:
    with provider_http.provider_client() as http:
        assert isinstance(http._transport, TimedTransport)
