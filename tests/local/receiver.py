"""A shop's own server: an HTTP receiver on the loopback that remembers what it was sent."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import standardwebhooks


@dataclass(frozen=True)
class Received:
    """One request: its headers (names in lower case) and its bytes."""

    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """The JSON that it carries."""
        return json.loads(self.body)

    @property
    def webhook_id(self) -> str:
        """Its idempotency key."""
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> None:
        """Check it as the specification's own library does. Raises WebhookVerificationError."""
        standardwebhooks.Webhook(secret).verify(self.body, self.headers)


@dataclass(frozen=True)
class Reply:
    """What a path answers. during: called before it does."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"thanks"
    during: Callable[[], object] | None = None


class Receiver:
    """What came in, by path; and what is answered: a path's replies in order, then 200."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self._lock = threading.Lock()
        self._received: defaultdict[str, list[Received]] = defaultdict(list)
        self._replies: defaultdict[str, list[Reply]] = defaultdict(list)

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://{self.host}{path}"

    def at(self, path: str) -> list[Received]:
        """Return what came in at a path so far."""
        with self._lock:
            return list(self._received[path])

    def reply(self, path: str, *replies: Reply) -> None:
        """Choose what a path answers next."""
        with self._lock:
            self._replies[path] += replies

    def take(self, path: str, received: Received) -> Reply:
        """Remember a request, and return its answer."""
        with self._lock:
            self._received[path].append(received)
            waiting = self._replies[path]
            reply = waiting.pop(0) if waiting else Reply()
        if reply.during is not None:
            reply.during()
        return reply


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Listen on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.take(self.path, Received(headers, body))
            self.send_response(reply.status)
            for name, value in (*reply.headers, ("Content-Length", str(len(reply.body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
