"""Count which of several secrets deliveries fit, while one replaces the other."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import JobTrackerError
from shared.domain.quarantine import hour_of
from shared.domain.rotation import Matched, fingerprint
from shared.usecases.ports import Clock
from shared.usecases.quarantine_ports import SecretMatches

log = logging.getLogger(__name__)

WRITTEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchWatch:
    """Counts in this process, and writes it down once a minute at most for each secret.

    app_secrets: what fingerprints are made with, the newest first. counted: (name, hour) → what
    is not written yet, by fingerprint. written_at: when it was, by fingerprint.
    What a process has counted in its last minute is lost with it: the counts are a little low,
    the instants of the last match at most a minute early.
    """

    matches: SecretMatches
    clock: Clock
    app_secrets: Callable[[], Sequence[str]]
    counted: dict[tuple[str, str], dict[str, Matched]] = field(default_factory=dict)
    written_at: dict[str, datetime] = field(default_factory=dict)

    def note(self, name: str, secret: str, received_at: datetime) -> None:
        """Note that a delivery fitted this value of the secret of that name. Never raises."""
        try:
            self._note(name, secret, received_at)
        except JobTrackerError as error:
            # A count is not worth a delivery; it is written with the next.
            log.warning("match not counted", extra={"code": error.code, "reason": error.message})

    def _note(self, name: str, secret: str, received_at: datetime) -> None:
        mark = fingerprint(self.app_secrets()[0], name, secret)
        hour = self.counted.setdefault((name, hour_of(received_at)), {})
        before = hour.get(mark, Matched(0, received_at))
        hour[mark] = Matched(before.count + 1, max(before.last_at, received_at))
        now, written_at = self.clock.now(), self.written_at.get(mark)
        if written_at is not None and now - written_at < WRITTEN_EVERY:
            return
        self.written_at[mark] = now
        for key in [key for key in self.counted if key[0] == name]:
            self.matches.add(name, key[1], self.counted[key])
            del self.counted[key]
