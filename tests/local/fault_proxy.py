"""Between the running functions and all that they call: a proxy that spoils some of the calls.

Calls are numbered in the order in which they come. One that is to be spoilt fails as the network
or the service would have it, or the process that made it is killed: before the call is passed on,
or when it was executed and before its answer is heard. Who made it is asked of the kernel (Linux).
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.whole.calls import Fault

HOLD_S = 12.0
"""Longer than any client of ours waits for an answer of AWS (8 s)."""

EXECUTED = (Fault.KILLED_AFTER, Fault.FAILED_AFTER, Fault.LOST, Fault.RESET)
FAULTS = tuple(fault for fault in Fault if fault is not Fault.SENT_TWICE)
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "host"}


@dataclass(slots=True)
class Plan:
    """What becomes of the calls of all functions together.

    share: how many of them are spoilt, by chance that follows from the seed. left: how many may
    still be. faults: the ways. target: only calls of such an AWS service ("" for all, and all of
    HTTP). seen, struck: how many calls there were, and what became of those that were spoilt.
    """

    seed: int
    share: float
    left: int
    faults: tuple[Fault, ...] = FAULTS
    target: str = ""
    seen: int = 0
    struck: Counter[Fault] = field(default_factory=Counter)
    _rng: random.Random = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def draw(self, target: str) -> Fault | None:
        """Decide about the next call. target: the AWS operation, as its header has it."""
        with self._lock:
            self.seen += 1
            if (
                self.left <= 0
                or not target.startswith(self.target)
                or self._rng.random() >= self.share
            ):
                return None
            self.left -= 1
            fault = self._rng.choice(self.faults)
            self.struck[fault] += 1
            return fault


class FaultProxy(ThreadingHTTPServer):
    """One proxy, for one service, in whose answers its address takes the place of the service's.

    group: the process group of those who may be killed.
    """

    daemon_threads = True

    def __init__(self, upstream: str, plan: Plan, group: int) -> None:
        super().__init__(("127.0.0.1", 0), _Line)
        self.upstream = upstream
        self.plan = plan
        self.group = group
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, `host:port`."""
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
        self._thread.join()


type _Answer = tuple[int, list[tuple[str, str]], bytes]


class _Line(BaseHTTPRequestHandler):
    """One connection of a function."""

    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def _pass_on(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(size)
        fault = self.server.plan.draw(self.headers.get("x-amz-target", ""))
        if fault is Fault.KILLED_BEFORE:
            self._kill_caller()
        if fault in (Fault.KILLED_BEFORE, Fault.UNREACHABLE):
            self._hang_up()
        elif fault is Fault.REFUSED:
            self._refuse()
        elif fault in EXECUTED:
            self._ask(body)
            self._spoil(fault)
        else:
            self._answer(*self._ask(body))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _pass_on  # noqa: N815

    def _ask(self, body: bytes) -> _Answer:
        """Have it executed. Shopify's uploads are taken only where Shopify itself is, so it is
        we who must be Shopify: addresses in the bodies are put right, both ways."""
        own, upstream = self.server.address.encode(), self.server.upstream.encode()
        host, _, port = self.server.upstream.partition(":")
        line = http.client.HTTPConnection(host, int(port), timeout=60)
        sent = body.replace(own, upstream)
        try:
            line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            line.putheader("Host", self.server.upstream)
            for name, value in self.headers.items():
                if name.lower() not in {*_OF_ONE_CONNECTION, "expect", "content-length"}:
                    line.putheader(name, value)
            if sent or "content-length" in self.headers:
                line.putheader("Content-Length", str(len(sent)))
            line.endheaders(sent)
            answer = line.getresponse()
            return answer.status, answer.getheaders(), answer.read().replace(upstream, own)
        finally:
            line.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {*_OF_ONE_CONNECTION, "content-length"}:
                self.send_header(name, value)
        if status != 204 and self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _spoil(self, fault: Fault | None) -> None:
        if fault is Fault.FAILED_AFTER:
            self._answer(500, [("Content-Type", "application/json")], b"{}")
            return
        if fault is Fault.KILLED_AFTER:
            self._kill_caller()
        if fault is Fault.LOST:
            time.sleep(HOLD_S)
        self._hang_up()

    def _refuse(self) -> None:
        """Say that it is too much: in the words of AWS to AWS's clients, else by status."""
        if "x-amz-target" in self.headers:
            kind = b'{"__type": "com.amazonaws#ThrottlingException", "message": "slow down"}'
            self._answer(400, [("Content-Type", "application/x-amz-json-1.0")], kind)
        else:
            self._answer(503, [("Content-Type", "text/plain")], b"busy")

    def _kill_caller(self) -> None:
        pid = process_of(self.client_address[1], self.server.group)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle_one_request(self) -> None:
        """Answer one request; whoever asked may be gone, or was made to be."""
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def process_of(port: int, group: int) -> int | None:
    """Return which process of a group, its leader excepted, has a connection from a local port."""
    wanted = f"socket:[{_inode_of(port)}]"
    for pid in _members(group):
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) == wanted:
                        return pid
    return None


def _inode_of(port: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *rest = line.split()
        if int(local.partition(":")[2], 16) == port and state == "01":
            return rest[5]
    return None


def _members(group: int) -> Iterator[int]:
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) == group:
            continue
        with contextlib.suppress(OSError):
            if os.getpgid(int(path.name)) == group:
                yield int(path.name)
