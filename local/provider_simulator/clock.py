"""Time as a collaborator, so that tests move it instead of waiting."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Say what time it is, and wait."""

    def now(self) -> datetime:
        """Return the present instant, aware UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the machine's present instant."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait in real time; not at all when `seconds` is not positive."""
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """Time that stands still until `advance` moves it, waking sleepers in their order."""

    def __init__(self, start: datetime) -> None:
        """Begin at `start`, aware UTC."""
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the instant the clock was moved to."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved by `seconds`; zero only yields."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due = self._now + timedelta(seconds=seconds)
        heapq.heappush(self._sleepers, (due, next(self._order), wake))
        await wake

    def next_due(self, until: datetime) -> bool:
        """Move to the next sleeper due by `until` and wake it; False if there is none.

        With none left the clock stands at `until`. The caller lets the woken task run
        before asking again, so that what it starts is seen too.
        """
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                self._now = max(self._now, due)
                wake.set_result(None)
                return True
        self._now = max(self._now, until)
        return False
