"""What all of them write alike."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.ids import iso

MAX_SAFE_INTEGER = 2**53


def instant(at: datetime | None) -> str | None:
    """Write an instant.

    >>> from datetime import UTC
    >>> instant(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    '2026-11-22T12:00:00.000Z'
    """
    return iso(at) if at is not None else None


def safe(value: Any) -> Any:
    """Return JSON data with integers beyond 2^53 as strings, at any depth.

    >>> safe({"id": 2**53 + 1, "n": [1, True, 2**53]})
    {'id': '9007199254740993', 'n': [1, True, 9007199254740992]}
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)
    if isinstance(value, Mapping):
        return {str(key): safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [safe(item) for item in value]
    return value
