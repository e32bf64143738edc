"""Child processes of the laptop stack: started quietly, waited for, and always ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import cycle, islice
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"

_BLOCK = 100
_PORT_BLOCKS = (20_000, 32_000, _BLOCK)

_INHERITED = ("PATH", "LANG", "LC_ALL")
"""All that a child sees of our environment. ministack hands its own environment to every
function: a developer's AWS_PROFILE or proxy setting must not decide what the functions do."""

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class StackError(Exception):
    """The laptop stack cannot start; the message says why and what to do."""


def clean_environment(**variables: str) -> dict[str, str]:
    """Return an environment of a few harmless inherited variables and ``variables``."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "PYTHONUNBUFFERED": "1", **variables}


@cache
def _own_ports() -> Iterator[int]:
    """Take a block of ports for this process, by listening on its first for as long as it lives."""
    for first in range(*_PORT_BLOCKS):
        with contextlib.suppress(OSError):
            # Nothing closes it but the end of the process.
            socket.create_server((LOOPBACK, first)).detach()
            return cycle(range(first + 1, first + _BLOCK))
    raise StackError("Every block of ports is taken: end some of what runs here.")


def free_ports(count: int) -> list[int]:
    """Return ``count`` different loopback ports that nothing listens on.

    They are this process's own, in turn: of two stacks that start side by side neither finds its
    port taken, or the other's simulator answering there, in the second until its own listens. Nor
    does the kernel give them to a connection that goes out: it numbers those from 32,768 on.
    """
    found = list(islice(filter(_is_free, islice(_own_ports(), _BLOCK - 1)), count))
    if len(found) < count:
        raise StackError(f"This process has no {count} free ports left.")
    return found


def _is_free(port: int) -> bool:
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


def require_free(port: int, purpose: str) -> None:
    """Raise StackError when something already listens on the loopback ``port``."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise StackError(
            f"Port {port} ({purpose}) is taken: {error.strerror}. Stop what uses it, or choose "
            f"another first port, for example: make up PORT={port + 100}"
        ) from error


class ChildProcess:
    """One program of the stack, in a process group of its own, logging to a file.

    It ends with us: `stop` ends its whole group, and if we are killed the closed pipe does
    (see `local.attached_process`).
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str] = (),
        *,
        environment: Mapping[str, str],
        log_path: Path,
    ) -> None:
        self.name = name
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.attached_process", module, *arguments],
                cwd=PROJECT_ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    def is_running(self) -> bool:
        """Tell whether the program has not ended yet."""
        return self._process.poll() is None

    def wait_until_ready(self, url: str, *, timeout_s: float = 30.0) -> None:
        """Return when ``url`` answers 200; raise StackError when the program ends or is silent."""
        self._wait_for(lambda: _answers(url), f"is not ready at {url}", timeout_s)

    def wait_until_listening(self, port: int, *, timeout_s: float = 30.0) -> None:
        """Return when the loopback ``port`` accepts; for a program without a health route."""
        self._wait_for(lambda: _accepts(port), f"does not listen on {port}", timeout_s)

    def _wait_for(self, is_ready: Callable[[], bool], trouble: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if not self.is_running():
                raise StackError(f"{self.name} ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} {trouble}:\n{self.log_tail()}")
            time.sleep(0.03)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last ``lines`` lines of the program's log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, *, grace_s: float = 8.0) -> None:
        """End the program: politely first, so that it can save its state, then its group."""
        if self.is_running():
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        # Raised when the group is empty, which is how it should be.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def wait_until[T](
    predicate: Callable[[], T], *, timeout_s: float, what: str = "the condition"
) -> T:
    """Return the first true value of ``predicate``; raise TimeoutError after ``timeout_s``.

    What does not come true at once is looked at ever less often, in the end twice a second: a look
    is mostly a call of the API, which costs what is waited for the processor.
    """
    deadline, pause_s = time.monotonic() + timeout_s, 0.05
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {timeout_s} s; last: {value!r}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, 0.5)
    return value


def _answers(url: str) -> bool:
    try:
        with _OPENER.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=2).close()
    except OSError:
        return False
    return True
