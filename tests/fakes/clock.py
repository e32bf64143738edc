"""Time that moves only when a test says so."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """Implements Clock.

    slept: the waits asked for, in seconds. on_sleep: called after each of them, so that a
    test can let something happen while the code under test waits.
    """

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] | None = None

    def now(self) -> datetime:
        """Return the instant that the test has reached."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.slept.append(seconds)
        self.advance(seconds)
        if self.on_sleep is not None:
            self.on_sleep()

    def advance(self, seconds: float) -> datetime:
        """Move on by that many seconds; returns the new instant."""
        self._now += timedelta(seconds=seconds)
        return self._now

    def set(self, now: datetime) -> None:
        """Go to an instant."""
        self._now = now
