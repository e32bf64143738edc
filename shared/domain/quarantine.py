"""Deliveries that failed their check: kept for a day as they came, and read by nobody.

Anybody on the internet can send what fails, so what is kept is bounded: so many bytes each, and so
many of a provider in an hour. What is over that is only counted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

HELD_FOR = timedelta(days=1)
MAX_BODY_BYTES = 64 * 1024
# API Gateway takes 10 KB of headers in all; others (a laptop's) may take more.
MAX_HEADER_BYTES = 16 * 1024
MAX_AN_HOUR = 500
# What says who sends, or from where, and signs nothing.
_PRIVATE = frozenset({"authorization", "cookie", "forwarded", "proxy-authorization"})
_PRIVATE_PREFIXES = ("x-forwarded-", "x-amz", "cf-")
_HOUR_CHARACTERS = len("2026-11-26T07")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNote:
    """What may be shown of a delivery in quarantine.

    place: in the order of reception, unique at its provider; the quarantine gives it.
    reason: why it failed (a `Check`). size_bytes: of its body.
    """

    provider: str
    place: str = ""
    received_at: datetime
    reason: str
    size_bytes: int

    @property
    def ends_at(self) -> datetime:
        """When it is no longer kept."""
        return self.received_at + HELD_FOR


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDelivery(HeldNote):
    """A delivery in quarantine: all that a later check needs.

    headers: names in lower case. reference: our own `ref` of the callback URL, not verified.
    """

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    reference: str | None = field(default=None, repr=False)


def headers_to_hold(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that a later check may need: all but those about who sends.

    Which ones a provider signs with is its adapter's business, and may change within the day.

    >>> headers_to_hold({"x-signature": "ab", "cookie": "c", "x-forwarded-for": "192.0.2.1"})
    {'x-signature': 'ab'}
    """
    return {
        name: value
        for name, value in headers.items()
        if name not in _PRIVATE and not name.startswith(_PRIVATE_PREFIXES)
    }


def write_headers(headers: Mapping[str, str]) -> str:
    r"""Write headers as ASCII, whatever is in them: half a surrogate pair too.

    >>> write_headers({"a": "\ud800"})
    '{"a":"\\ud800"}'
    """
    return json.dumps(dict(headers), ensure_ascii=True, separators=(",", ":"))


def read_headers(text: str) -> dict[str, str]:
    """Read what `write_headers` wrote."""
    found: dict[str, str] = json.loads(text)
    return found


def fits(body: bytes, headers: Mapping[str, str]) -> bool:
    """Tell whether a delivery is small enough to be kept."""
    return len(body) <= MAX_BODY_BYTES and len(write_headers(headers)) <= MAX_HEADER_BYTES


def hour_of(at: datetime) -> str:
    """Return the UTC hour of an instant.

    >>> hour_of(datetime(2026, 11, 26, 7, 59, tzinfo=UTC))
    '2026-11-26T07'
    """
    return f"{at.astimezone(UTC):%Y-%m-%dT%H}"


def place_of(received_at: datetime, number: int) -> str:
    """Return the place of an hour's delivery of that number (from 0).

    >>> place_of(datetime(2026, 11, 26, 7, 59, 1, 250000, tzinfo=UTC), 7)
    '2026-11-26T07:59:01.250000#007'
    """
    return f"{received_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}#{number:03d}"


def oldest_place(now: datetime) -> str:
    """Return what is before the place of everything that is still kept."""
    return f"{(now - HELD_FOR).astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}#~"


def left_after(taken: Mapping[str, int], place: str | None) -> int:
    """Return how many deliveries of a provider there are at most after a place (None: in all).

    Parameters
        taken: hour → how many of its places were taken.

    >>> left_after({"2026-11-26T06": 500, "2026-11-26T07": 9}, "2026-11-26T07:59:01.250000#007")
    1
    """
    if place is None:
        return sum(taken.values())
    hour, number = place[:_HOUR_CHARACTERS], int(place[-3:])
    later = sum(count for name, count in taken.items() if name > hour)
    return later + max(0, taken.get(hour, 0) - number - 1)
