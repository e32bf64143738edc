"""Deliveries that failed their check, and which secrets fitted, in memory, for tests."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from shared.domain.quarantine import (
    HELD_FOR,
    MAX_AN_HOUR,
    HeldDelivery,
    HeldNote,
    hour_of,
    oldest_place,
    place_of,
)
from shared.domain.rotation import COUNTED_FOR, HourOfMatches, Matched

# Of what is kept: DynamoDB answers with 1 MB at most.
PAGE = 16


class InMemoryQuarantine:
    """A `Quarantine` without a table."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], HeldDelivery] = {}
        self._taken: dict[tuple[str, str], int] = {}

    def hold(self, delivery: HeldDelivery) -> bool:
        """Keep a delivery; False when the hour is full."""
        hour = (delivery.provider, hour_of(delivery.received_at))
        count = self._taken.get(hour, 0)
        if count >= MAX_AN_HOUR:
            return False
        self._taken[hour] = count + 1
        place = place_of(delivery.received_at, count)
        self._held[delivery.provider, place] = replace(delivery, place=place)
        return True

    def held(
        self, provider: str, now: datetime, *, until: str | None, limit: int
    ) -> list[HeldNote]:
        """List what is kept, the latest first."""
        found = reversed(self._of(provider, now))
        notes = [_note(each) for each in found if until is None or each.place <= until]
        return notes[:limit]

    def take(self, provider: str, now: datetime, *, after: str | None) -> list[HeldDelivery]:
        """Read what is kept, the earliest first."""
        return [each for each in self._of(provider, now) if each.place > (after or "")][:PAGE]

    def release(self, provider: str, place: str) -> None:
        """Keep it no longer."""
        self._held.pop((provider, place), None)

    def taken(self, provider: str, now: datetime) -> Mapping[str, int]:
        """Return how many places were taken by the hour."""
        since = hour_of(now - HELD_FOR)
        found = self._taken.items()
        return {hour: n for (name, hour), n in found if name == provider and hour >= since}

    def _of(self, provider: str, now: datetime) -> list[HeldDelivery]:
        found = [each for (name, _), each in self._held.items() if name == provider]
        kept = [each for each in found if each.place > oldest_place(now)]
        return sorted(kept, key=lambda each: each.place)


class InMemorySecretMatches:
    """A `SecretMatches` without a table."""

    def __init__(self) -> None:
        self._hours: dict[tuple[str, str], dict[str, Matched]] = {}

    def add(self, name: str, hour: str, matched: Mapping[str, Matched]) -> None:
        """Add to what fitted in an hour."""
        known = self._hours.setdefault((name, hour), {})
        for mark, each in matched.items():
            before = known[mark].count if mark in known else 0
            known[mark] = Matched(before + each.count, each.last_at)

    def hours(self, name: str, now: datetime) -> list[HourOfMatches]:
        """Read the hours of the last week, the earliest first."""
        since = hour_of(now - COUNTED_FOR)
        found = sorted(self._hours.items())
        return [
            HourOfMatches(hour, dict(matched))
            for (each, hour), matched in found
            if each == name and hour >= since
        ]


def _note(delivery: HeldDelivery) -> HeldNote:
    return HeldNote(
        provider=delivery.provider,
        place=delivery.place,
        received_at=delivery.received_at,
        reason=delivery.reason,
        size_bytes=delivery.size_bytes,
    )
