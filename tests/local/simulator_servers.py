"""Simulators on loopback, in a thread of the test: for clients that only speak over a socket."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image
from starlette.applications import Starlette

from local.photos import photo
from local.provider_simulator.process import serve
from local.provider_simulator.service import Simulator

FAST: dict[str, Any] = {"pending_s": 0.0, "processing_min_s": 0.0, "processing_max_s": 0.0}
PHOTO_NAME = "blue-armchair"
PHOTO = f"{PHOTO_NAME}.jpg"


@contextmanager
def served(
    simulator: Simulator[Any], create_app: Callable[[Any], Starlette], port: int = 0
) -> Iterator[str]:
    """Serve a simulator while the block runs; gives its address."""
    simulator.photos = photo(PHOTO_NAME).path.parent
    server = serve(create_app(simulator), simulator, port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    given = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{given}"
    finally:
        server.should_exit = True
        thread.join(20)


def wait_for[T](look: Callable[[], T], tries: int = 3_000) -> T:
    """Return the first true value that `look` gives."""
    for _ in range(tries):
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError("It never came true.")


@dataclass(frozen=True)
class Heard:
    """One delivery as the receiver got it; names of headers in lower case."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """A receiver of webhooks on loopback, that answers as it is told (200 when told nothing)."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.end_headers()
                receiver.heard.append(Heard(headers, body))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def got(self, count: int) -> list[Heard]:
        """Wait for so many deliveries."""
        wait_for(lambda: len(self.heard) >= count)
        return list(self.heard)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@cache
def original_size() -> tuple[int, int]:
    """The size of the photo that the tests send."""
    with Image.open(io.BytesIO(photo(PHOTO_NAME).read())) as picture:
        return picture.size
