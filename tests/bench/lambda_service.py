"""Lambda's side of a function: a fresh process, its Runtime API, and how long it took.

The function runs in AWS's own runtime interface client (`awslambdaric`), which asks the server
here for one event after the other and hands over its answers, as on Lambda.

Source: Lambda developer guide, "Using the Lambda runtime API" (read 2026-11).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

LOOPBACK: Final = "127.0.0.1"
PATIENCE_S: Final = 300
_INVOCATION: Final = "/2018-06-01/runtime/invocation/"
_ARN: Final = "arn:aws:lambda:us-east-1:123456789012:function:bench"

# What `/var/runtime/bootstrap.py` does, with the folders of this machine.
_BOOTSTRAP: Final = """\
import sys
sys.path[:0] = {path!r}
from awslambdaric import bootstrap
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
bootstrap.run({handler!r}, LambdaRuntimeClient({api!r}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A deployed function.

    path: its folders in the order of Lambda's `sys.path`: /var/task, /opt/python, /var/runtime.
    """

    name: str
    handler: str
    path: tuple[Path, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process, from its start to its last answer.

    init_s: until it asked for its first event. first_s: from that event to its answer.
    cold_cpu_s: processor time until then. warm_cpu_s: the same of each further event, without the
    first `settling` ones.
    invoked_at: when the first event was handed over, on the clock that never stops.
    """

    init_s: float
    first_s: float
    cold_cpu_s: float
    warm_cpu_s: float | None
    invoked_at: float
    answers: tuple[Any, ...]
    errors: str

    @property
    def cold_s(self) -> float:
        """From the start of the process to its first answer."""
        return self.init_s + self.first_s


class FunctionFailedError(Exception):
    """The function ended, or said that it failed, instead of answering."""


def run_function(
    function: Function,
    events: Sequence[Mapping[str, Any]],
    *,
    settling: int = 0,
    prefix: Sequence[str] = (),
    prelude: str = "",
    pass_fds: Sequence[int] = (),
) -> Run:
    """Start a function in a fresh process, hand it the events (none: only start it), and end it.

    Parameters
        settling: that many further events after the first one are not measured.
        prefix: the command that the process is run under (a counter of instructions).
        prelude: code that the process runs first.

    Raises FunctionFailedError.
    """
    server = _RuntimeApi(events, settling)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    command = [*prefix, *python_command(function, server.address, prelude)]
    server.started_at = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=_variables(function, server.address),
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )
    server.pid = process.pid
    watching = threading.Thread(target=_end_with, args=(process, server))
    watching.start()
    try:
        is_done = server.done.wait(PATIENCE_S)
    finally:
        process.terminate()
        errors = process.communicate()[1]
        watching.join()
        server.shutdown()
        server.server_close()
        serving.join()
    if not is_done or server.failure or len(server.answered_at) < len(events):
        raise FunctionFailedError(f"{function.name}: {server.failure or 'it ended'}\n{errors}")
    return server.run(errors)


def python_command(function: Function, api: str, prelude: str = "") -> list[str]:
    """Return the command of a function's process: this Python, without our environment."""
    path = [str(each) for each in function.path]
    code = prelude + _BOOTSTRAP.format(path=path, handler=function.handler, api=api)
    return [base_python(), "-I", "-S", "-B", "-c", code]


def base_python() -> str:
    """Return the Python that our environment was made from."""
    found: str = getattr(sys, "_base_executable", sys.executable)
    return found


def _variables(function: Function, api: str) -> dict[str, str]:
    """Return a function's environment.

    Source: Lambda developer guide, "Defined runtime environment variables" (read 2026-11).
    """
    return {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "_HANDLER": function.handler,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_SESSION_TOKEN": "bench",
        "LAMBDA_TASK_ROOT": str(function.path[0]),
        "LAMBDA_RUNTIME_DIR": str(function.path[-1]),
        **function.variables,
    }


def _end_with(process: subprocess.Popen[str], server: _RuntimeApi) -> None:
    """Stop waiting for a process that has ended by itself."""
    process.wait()
    server.done.set()


class _RuntimeApi(ThreadingHTTPServer):
    """The Runtime API of one function's process."""

    daemon_threads = True

    def __init__(self, events: Sequence[Mapping[str, Any]], settling: int) -> None:
        super().__init__((LOOPBACK, 0), _Call)
        self.events = [json.dumps(event).encode() for event in events]
        self.settling = settling
        self.started_at = 0.0
        self.pid = 0
        self.ready_at: float | None = None
        self.invoked_at = 0.0
        self.answered_at: list[float] = []
        self.answers: list[Any] = []
        self.failure = ""
        self.done = threading.Event()
        self._cold_cpu_s = 0.0
        self._warm_from_s = 0.0
        self._warm_cpu_s: float | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.server_address[1]}"

    def next_event(self) -> bytes | None:
        """Return the next event; None when there is no more."""
        now = time.perf_counter()
        if self.ready_at is None:
            self.ready_at = now
        number = len(self.answered_at)
        if number == self.settling + 1:
            self._warm_from_s = cpu_s(self.pid)
        if number == len(self.events):
            self._warm_cpu_s = self._warm(number - self.settling - 1)
            self.done.set()
            return None
        if number == 0:
            self.invoked_at = time.perf_counter()
        return self.events[number]

    def _warm(self, events: int) -> float | None:
        return (cpu_s(self.pid) - self._warm_from_s) / events if events > 0 else None

    def take_answer(self, body: bytes) -> None:
        self.answered_at.append(time.perf_counter())
        if len(self.answered_at) == 1:
            self._cold_cpu_s = cpu_s(self.pid)
        self.answers.append(json.loads(body))

    def run(self, errors: str) -> Run:
        assert self.ready_at is not None
        first_s = self.answered_at[0] - self.invoked_at if self.answered_at else 0.0
        return Run(
            init_s=self.ready_at - self.started_at,
            first_s=first_s,
            cold_cpu_s=self._cold_cpu_s,
            warm_cpu_s=self._warm_cpu_s,
            invoked_at=self.invoked_at,
            answers=tuple(self.answers),
            errors=errors,
        )


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used, in seconds.

    Source: clock_getcpuclockid(3) and Linux's posix-timers.h: a process's clock is ~pid << 3 | 2.
    """
    return time.clock_gettime(~pid << 3 | 2)


class _Call(BaseHTTPRequestHandler):
    server: _RuntimeApi
    protocol_version = "HTTP/1.1"
    # Otherwise an answer of two packets waits for an acknowledgement, 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        event = self.server.next_event()
        if event is None:
            # It waits for an event for ever: it is ended now.
            self.close_connection = True
            time.sleep(0.05)
            return
        deadline = int(time.time() * 1000) + 60_000
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "00000000-0000-4000-8000-000000000000",
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": _ARN,
            "Content-Type": "application/json",
        }
        self._answer(200, event, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.startswith(_INVOCATION) and self.path.endswith("/response"):
            self.server.take_answer(body)
        else:
            self.server.failure = body.decode(errors="replace")
            self.server.done.set()
        self._answer(202, b"{}", {})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing."""
