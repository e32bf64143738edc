"""What differs from provider to provider: names, prices, keys, webhooks, refusals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from local.provider_simulator.config import Config
from local.provider_simulator.faults import Event
from local.provider_simulator.jobs import JobRecord

type Kind = Literal["genuine", "retry", "duplicate", "forged", "lost"]
type Forgery = Literal["wrong_secret", "missing", "malformed"]

FORGER = "not-the-secret"


class ApiError(Exception):
    """A refusal; each provider has its own body for it.

    code: in capitals, for the providers that have codes.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: object = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Hold what the answer will say."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details, self.headers = details, headers


@dataclass(frozen=True, slots=True)
class Letter:
    """One webhook as its event froze it: what it says, and how it is to be signed.

    key: the same for every copy of it and every retry. secret: what it is signed with.
    settings: of the instant of the event.
    """

    event: Event
    key: str
    job_id: str
    settings: Config
    secret: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one attempt of a delivery puts on the wire; `signature` is for the log."""

    body: bytes
    headers: Mapping[str, str]
    signature: str | None


class Dialect[C: Config](Protocol):
    """Everything of a provider that its routes are not."""

    name: str

    def new_id(self, token: Callable[[int], str], now: datetime) -> str:
        """Return the id of a new job; `token` gives so many random hexadecimal digits."""
        ...

    def price(self, tool_id: str, priority: str) -> int:
        """Return what one picture costs."""
        return 1

    def key_of(self, request: Request) -> str | None:
        """Return the API key that a request brings."""
        return key_after(request, "bearer")

    def body_of(self, event: Event, job: JobRecord, config: C, at: datetime) -> bytes | None:
        """Return what the webhook of an event says; None if there is no such webhook."""
        ...

    def secret_of(self, job: JobRecord, config: C) -> str:
        """Return what a job's webhooks are signed with."""
        return config.webhook_secrets[0]

    def repeats(self, event: Event) -> bool:
        """Tell whether a webhook that was not accepted is sent again."""
        return True

    def envelope(self, letter: Letter, now: datetime, *, again: bool) -> Envelope:
        """Sign a letter. again: it is a retry."""
        ...

    def forged(self, letter: Letter, now: datetime, forgery: Forgery) -> Envelope:
        """Sign a letter as somebody would who does not know the secret."""
        ...

    def refusal(self, problem: ApiError) -> Response:
        """Return a refusal as this provider words it."""
        ...


def key_after(request: Request, scheme: str) -> str | None:
    """Return the key that follows `scheme` in the Authorization header."""
    said, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if said.lower() == scheme else None


def reference_in(webhook: str | None) -> str | None:
    """Return our reference from a callback's address: most providers echo nothing else.

    >>> reference_in("https://api.test/webhooks/replicate?ref=a.myshopify.com%3AJ1%3A1%3Atoken")
    'a.myshopify.com:J1:1:token'
    """
    return next(iter(parse_qs(urlsplit(webhook or "").query).get("ref", [])), None)
