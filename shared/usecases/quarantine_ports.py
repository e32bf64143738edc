"""What deliveries that failed their check, and the rotation of secrets, need from the outside.

Apart from ports.py for the webhook's cold start, which needs none of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.quarantine import HeldDelivery, HeldNote
from shared.domain.rotation import HourOfMatches, Matched


class Quarantine(Protocol):
    """Where deliveries that failed their check are kept for a day.

    All methods may raise StoreUnavailableError. Nothing is shown or given out whose day is over.
    """

    def hold(self, delivery: HeldDelivery) -> bool:
        """Keep a delivery; False when 500 of its provider and hour were kept already.

        The bound is exact under concurrency. It may leave a place empty if we die half way.
        """
        ...

    def held(
        self, provider: str, now: datetime, *, until: str | None, limit: int
    ) -> list[HeldNote]:
        """List what is kept of a provider, the latest first, from the place `until` on (that
        one included; None: from the latest), without reading a body."""
        ...

    def take(self, provider: str, now: datetime, *, after: str | None) -> list[HeldDelivery]:
        """Read some of what is kept, the earliest first, after a place (None: from the first).

        At most 1 MB; [] at the end.
        """
        ...

    def release(self, provider: str, place: str) -> None:
        """Keep it no longer. Again changes nothing."""
        ...

    def taken(self, provider: str, now: datetime) -> Mapping[str, int]:
        """Return how many places were taken of each hour of the last day in which any was."""
        ...


class SecretMatches(Protocol):
    """Which of several secrets deliveries fitted, by the hour, for a week.

    All methods may raise StoreUnavailableError.
    """

    def add(self, name: str, hour: str, matched: Mapping[str, Matched]) -> None:
        """Add to what fitted in an hour. matched: by the secret's fingerprint."""
        ...

    def hours(self, name: str, now: datetime) -> list[HourOfMatches]:
        """Read the hours in which a secret of that name was counted, the earliest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a walk through the quarantine is: after this place of this provider."""

    provider: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverified:
    """What became of some of the quarantine.

    checked: looked at. accepted: now genuine, and its effect is in the table. refused: now
    genuine, but it asks for what cannot be done. failing: still not genuine. remaining: not
    looked at yet, at most. mark: where to go on; None: all was looked at.
    """

    checked: int
    accepted: int
    refused: int
    failing: int
    remaining: int
    mark: Mark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSecrets:
    """What may be told of the secrets that deliveries are verified with.

    fingerprints: by the name of a secret, each of its values, the newest first; of each, its
    fingerprints, the present one first. placeholders: the names of those that have a value which
    somebody wrote in a secret's place.
    """

    fingerprints: Mapping[str, Sequence[Sequence[str]]]
    placeholders: frozenset[str] = frozenset()


class Verifier(Protocol):
    """Whoever holds what deliveries are verified with: nobody else sees those secrets.

    All methods raise VerifierUnavailableError.
    """

    def reverify(self, providers: Sequence[str], after: Mark | None) -> Reverified:
        """Check what is in quarantine again, some seconds of it, and apply what is genuine now."""
        ...

    def fingerprints(self) -> KnownSecrets:
        """Tell the secrets apart without telling them."""
        ...
