"""Every call that leaves a function, counted; and what can go wrong with one of them.

A function is watched from its first to its last call: each AWS and HTTP call, and the moment in
which its own answer goes out. One of them, by its number, can be made to fail.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpcore
import httpx
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from shared.domain.errors import StoreUnavailableError


class Killed(BaseException):
    """The process ended here. Nothing in the product may stop it."""


class Fault(StrEnum):
    """What happens to one call."""

    KILLED_BEFORE = "killed before the call"
    KILLED_AFTER = "killed after the call"
    UNREACHABLE = "no connection"
    REFUSED = "refused for now"
    FAILED_AFTER = "executed, answered with 500"
    LOST = "executed, the answer timed out"
    RESET = "executed, the connection was reset"
    SENT_TWICE = "executed, and sent again by the client library"


KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
FAILURES = tuple(fault for fault in Fault if fault not in KILLS)
_EXECUTED = frozenset(
    {Fault.KILLED_AFTER, Fault.FAILED_AFTER, Fault.LOST, Fault.RESET, Fault.SENT_TWICE}
)

# What a fault looks like to the caller: raises, or returns an answer. None: cannot happen here.
type Failures = Mapping[Fault, Callable[[], Any]]


@dataclass(slots=True)
class Invocation:
    """One run of a function. is_dead: it was killed, and can do nothing any more."""

    function: str
    event: Mapping[str, Any]
    is_dead: bool = False


# Sees every AWS call of a function before it is made: the run, `service.operation`, the request.
type Watcher = Callable[[Invocation, str, Mapping[str, Any]], None]


@dataclass(slots=True)
class Probe:
    """Counts the calls of all functions, and makes some of them fail.

    faults: what is to happen to which call, by its number (from 1). names: every call so far,
    `function: call`; possible: what could happen to each. hits: those that failed. watcher: sees
    every AWS call that a function makes.
    """

    faults: Mapping[int, Fault] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    possible: list[frozenset[Fault]] = field(default_factory=list)
    hits: list[str] = field(default_factory=list)
    watcher: Watcher | None = None
    _running: list[Invocation] = field(default_factory=list)

    @contextmanager
    def invocation(self, function: str, event: Mapping[str, Any]) -> Iterator[None]:
        """Watch one run of a function. Runs nest: while one waits, others go on."""
        self._running.append(Invocation(function, event))
        try:
            yield
        finally:
            self._running.pop()

    @property
    def running(self) -> str:
        """The function that is at work, or the test itself."""
        return self._running[-1].function if self._running else "(test)"

    def see(self, name: str, request: Mapping[str, Any]) -> None:
        """Show an AWS call to the watcher."""
        if self.watcher is not None and self._running and not self._running[-1].is_dead:
            self.watcher(self._running[-1], name, request)

    def call[T](self, name: str, execute: Callable[[], T], failures: Failures) -> T:
        """Make one call, or what is to become of it."""
        if not self._running:
            return execute()  # the test itself
        current = self._running[-1]
        if current.is_dead:
            raise Killed
        self.names.append(f"{current.function}: {name}")
        self.possible.append(frozenset({*failures, *KILLS}))
        fault = self.faults.get(len(self.names))
        if fault is None:
            return execute()
        return self._spoil(current, fault, execute, failures)

    def _spoil[T](
        self, current: Invocation, fault: Fault, execute: Callable[[], T], failures: Failures
    ) -> T:
        if fault not in self.possible[-1]:
            return execute()
        self.hits.append(f"{fault}: {self.names[-1]}")
        if fault in _EXECUTED:
            self._execute_whatever_it_says(execute)
        if fault in KILLS:
            current.is_dead = True
            raise Killed
        if fault is Fault.SENT_TWICE:
            return execute()
        spoilt: T = failures[fault]()
        return spoilt

    @staticmethod
    def _execute_whatever_it_says(execute: Callable[[], object]) -> None:
        """Execute a call whose answer nobody hears, a refusal included."""
        try:
            execute()
        except (ClientError, httpx.HTTPError, httpcore.NetworkError, StoreUnavailableError):
            return


NOTHING_CAN_FAIL: Failures = {}


def _raising(error: Callable[[], BaseException]) -> Callable[[], Any]:
    def fail() -> Any:
        raise error()

    return fail


def aws_failures(operation: str) -> Failures:
    """Return how AWS calls fail, as botocore says it after its own retries."""
    address = "https://aws.test/"

    def answered(code: str, status: int) -> Callable[[], BaseException]:
        response: Any = {
            "Error": {"Code": code, "Message": "for a test"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        return lambda: ClientError(response, operation)

    return {
        Fault.UNREACHABLE: _raising(lambda: EndpointConnectionError(endpoint_url=address)),
        Fault.REFUSED: _raising(answered("ThrottlingException", 400)),
        Fault.FAILED_AFTER: _raising(answered("InternalServerError", 500)),
        Fault.LOST: _raising(lambda: ReadTimeoutError(endpoint_url=address)),
        Fault.RESET: _raising(lambda: ConnectionClosedError(endpoint_url=address)),
        Fault.SENT_TWICE: lambda: None,
    }


def http_failures(request: httpx.Request) -> Failures:
    """Return how HTTP calls fail, as httpx says it."""

    def answered(status: int) -> Callable[[], httpx.Response]:
        return lambda: httpx.Response(status, text="Something went wrong", request=request)

    return {
        Fault.UNREACHABLE: _raising(lambda: httpx.ConnectError("refused", request=request)),
        Fault.REFUSED: answered(503),
        Fault.FAILED_AFTER: answered(500),
        Fault.LOST: _raising(lambda: httpx.ReadTimeout("slow", request=request)),
        Fault.RESET: _raising(lambda: httpx.RemoteProtocolError("reset", request=request)),
    }


DOWNLOAD_FAILURES: Failures = {
    Fault.UNREACHABLE: _raising(lambda: httpcore.ConnectError("refused")),
    Fault.REFUSED: lambda: b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    Fault.FAILED_AFTER: lambda: b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n",
    Fault.LOST: _raising(lambda: httpcore.ReadTimeout("slow")),
    Fault.RESET: _raising(lambda: httpcore.ReadError("reset")),
}

_STORE_IS_OUT = _raising(lambda: StoreUnavailableError("The table does not answer."))
PORT_FAILURES: Failures = {
    Fault.UNREACHABLE: _STORE_IS_OUT,
    Fault.FAILED_AFTER: _STORE_IS_OUT,
}


class ProbedClient:
    """A botocore client (or a model of one) whose every operation is a call."""

    def __init__(self, probe: Probe, service: str, client: Any) -> None:
        self._probe = probe
        self._service = service
        self._client = client

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self._client, operation)
        if operation == "generate_presigned_url" or not callable(method):
            return method  # asks nobody

        def call(**request: Any) -> Any:
            name = f"{self._service}.{operation}"
            self._probe.see(name, request)
            return self._probe.call(name, lambda: method(**request), aws_failures(operation))

        return call


class ProbedPort:
    """An implementation of a port in memory, whose every method is a call."""

    def __init__(self, probe: Probe, name: str, port: object) -> None:
        self._probe = probe
        self._name = name
        self._port = port

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self._port, operation)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._probe.call(
                f"{self._name}.{operation}", lambda: method(*args, **kwargs), PORT_FAILURES
            )

        return call


class ProbedTransport(httpx.BaseTransport):
    """An httpx transport in process, on which every request is a call.

    name_of: what a request is called in the list of calls.
    """

    def __init__(
        self,
        probe: Probe,
        send: Callable[[httpx.Request], httpx.Response],
        name_of: Callable[[httpx.Request], str],
    ) -> None:
        self._probe = probe
        self._send = send
        self._name_of = name_of

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        request.read()
        return self._probe.call(
            self._name_of(request), lambda: self._send(request), http_failures(request)
        )
