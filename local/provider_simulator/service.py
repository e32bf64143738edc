"""The simulator as one object: what it is made of, and how it starts afresh."""

import asyncio
import random
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from local.provider_simulator.clock import Clock, SystemClock
from local.provider_simulator.config import Config
from local.provider_simulator.delivery import Courier
from local.provider_simulator.dialect import Dialect
from local.provider_simulator.faults import Route
from local.provider_simulator.jobs import JobBook, iso
from local.provider_simulator.pipeline import Background, Editor, Pipeline, edit_in_thread

_WINDOW_S = 60.0
_LOGGED_REQUESTS = 5_000


class ConnectionDroppedError(Exception):
    """Stands for a dropped connection where there is no socket to drop (in-process tests)."""


class Dropper(Protocol):
    """Drop the connection that a request came on, without an answer."""

    def drop(self, scope: Scope) -> None:
        """Drop it now."""
        ...


class RaisingDropper:
    """Drop by raising: an in-process client sees the exception itself."""

    def drop(self, scope: Scope) -> None:
        """Raise ConnectionDroppedError."""
        raise ConnectionDroppedError(scope["path"])


class NoAnswer(Response):
    """A response that is none: the connection goes away."""

    def __init__(self, dropper: Dropper) -> None:
        """Drop with `dropper` when it is time to answer."""
        super().__init__()
        self._dropper = dropper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Drop the connection, then wait for the server to have noticed."""
        self._dropper.drop(scope)
        while (await receive())["type"] != "http.disconnect":
            pass


@dataclass(slots=True)
class SeenRequest:
    """One request to the provider's routes; `status` stays None where none was answered."""

    at: str
    method: str
    route: Route
    path: str
    query: str
    status: int | None = None

    def view(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return asdict(self)


@dataclass(slots=True)
class Limiter:
    """Count the requests of each key over the last minute.

    Assumption: a sliding window in which refused requests do not count.
    """

    taken: dict[str, deque[datetime]] = field(default_factory=dict)

    def wait_s(self, key: str, limit: int, now: datetime) -> float | None:
        """Take one request of `key`; return None, or the seconds until the next one may come."""
        times = self.taken.setdefault(key, deque())
        while times and (now - times[0]).total_seconds() >= _WINDOW_S:
            times.popleft()
        if len(times) < limit:
            times.append(now)
            return None
        oldest = times[0] if times else now
        return _WINDOW_S - (now - oldest).total_seconds()


class Simulator[C: Config]:
    """Everything the routes work on.

    Parameters:
        config: what a reset returns to
        dialect: what is particular to the provider
        clock, rng, client, editor, dropper: the outside world, replaced in tests
        photos: folder whose pictures are served at /photos/
    """

    def __init__(
        self,
        config: C,
        dialect: Dialect[C],
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        client: httpx.AsyncClient | None = None,
        editor: Editor = edit_in_thread,
        dropper: Dropper | None = None,
        photos: Path | None = None,
    ) -> None:
        """Put the parts together; nothing runs yet."""
        self.clock = clock or SystemClock()
        # Result links must not be guessable, hence the system's randomness by default.
        self.rng = rng or random.SystemRandom()
        # trust_env off: a proxy of the machine must not see, or refuse, loopback traffic.
        self.client = client or httpx.AsyncClient(trust_env=False, timeout=30.0)
        self.dropper = dropper or RaisingDropper()
        self.photos = photos
        self.dialect = dialect
        self.background = Background()
        self._initial = config
        self._begin(config)
        self.pipeline = Pipeline(
            lambda: self.book,
            lambda: self.courier,
            self.clock,
            self.client,
            self.background,
            editor,
        )

    def _begin(self, config: C) -> None:
        self.config = config
        self.book = JobBook(config, self.rng, self.dialect.new_id, self.dialect.price)
        self.courier = Courier(self.dialect, lambda: self.config, self.clock, self.client)
        self.limiter = Limiter()
        self.counts: Counter[str] = Counter()
        self.requests: deque[SeenRequest] = deque(maxlen=_LOGGED_REQUESTS)

    def configure(self, change: dict[str, Any]) -> None:
        """Change the named settings; rules count from nought when rules or outages change.

        Raises: pydantic.ValidationError, and then nothing has changed.
        """
        self.config = type(self.config).model_validate(
            self.config.model_dump(exclude_unset=True) | change
        )
        self.book.config = self.config
        if "rules" in change or "outages" in change:
            self.book.faults.forget()

    async def reset(self) -> None:
        """Stop what runs and forget everything, the configuration's changes included."""
        await self.background.stop()
        self._begin(self._initial)

    async def close(self) -> None:
        """Stop what runs and close the client."""
        await self.background.stop()
        await self.client.aclose()

    def note(self, route: Route, request: Request) -> SeenRequest:
        """Count and log a request before it is answered."""
        seen = SeenRequest(
            at=iso(self.clock.now()),
            method=request.method,
            route=route,
            path=request.url.path,
            query=request.url.query,
        )
        self.counts[route] += 1
        self.requests.append(seen)
        return seen

    async def hold_answer(self, request: Request, seconds: float) -> None:
        """Wait `seconds` before answering, but not for a caller who has hung up."""
        await request.body()  # cached for the handler; what comes after it is the hanging up
        hung_up = asyncio.ensure_future(_hung_up(request))
        waited = asyncio.ensure_future(self.clock.sleep(seconds))
        both = (hung_up, waited)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    def base_url(self, request: Request) -> str:
        """Return the address under which the caller reaches us, without a final slash."""
        return (self.config.public_url or str(request.base_url)).rstrip("/")


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
