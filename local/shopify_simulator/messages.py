"""The plain request and answer that the simulator works with, free of any web framework.

Keeping the core synchronous and framework-free lets tests drive it through
``httpx.MockTransport`` (no sockets, no event loop), while ``app`` serves it with Starlette.
"""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx


class ConnectionDroppedError(httpx.RemoteProtocolError):
    """The simulator cuts the connection without an answer: the caller cannot know what happened.

    In process this is the exception itself (an httpx one, so that a client sees what it would
    see on the wire); over the network ``app`` closes the socket instead.
    """


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Decode a JSON body; an empty one is an empty object.

        Raises:
            ValueError: the body is not JSON.
        """
        return json.loads(self.body) if self.body else {}

    def form_or_json(self) -> dict[str, str]:
        """Decode the two ways in which OAuth parameters arrive; anything else gives {}."""
        if "json" in self.headers.get("content-type", ""):
            try:
                decoded = self.json()
            except ValueError:
                return {}
            return {str(k): str(v) for k, v in decoded.items()} if isinstance(decoded, dict) else {}
        return dict(parse_qsl(self.body.decode("utf-8", "replace")))


@dataclass(frozen=True)
class Response:
    """One HTTP answer; ``delay_s`` asks the server to wait before sending (never in process)."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0

    @classmethod
    def of_json(cls, value: object, status: int = 200, **headers: str) -> "Response":
        """Encode a JSON answer; header names are given with underscores."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(
            status,
            json.dumps(value).encode(),
            {"content-type": "application/json; charset=utf-8", **named},
        )
