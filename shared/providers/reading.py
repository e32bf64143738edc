"""Reading JSON from outside: whatever comes, nothing raises but MalformedDeliveryError."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.providers.base import MalformedDeliveryError

_MAX_TEXT = 2000
_LARGEST_AMOUNT = 10**12
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
_FRACTION = re.compile(r"(\.\d{1,6})\d*")


def read_object(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object. NaN and Infinity are not JSON and become null.

    Raises MalformedDeliveryError: not UTF-8, not JSON, not an object, nested too deeply,
    or numbers of absurd length.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise MalformedDeliveryError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise MalformedDeliveryError("The body is not a JSON object.")
    return value


def first(source: Mapping[str, Any], *names: str) -> Any:
    """Return the first of the fields that is there and not null."""
    for name in names:
        value = source.get(name)
        if value is not None:
            return value
    return None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str | None:
    """Return a usable text (trimmed, at most 2,000 characters), else None."""
    if not isinstance(value, str):
        return None
    # Lone surrogates cannot be stored or sent anywhere.
    clean = value.encode("utf-8", "replace").decode("utf-8").strip()
    return clean[:_MAX_TEXT] or None


def identifier(value: Any) -> str | None:
    """Return a provider's id (text, or a whole number as text; at most 200 characters)."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    found = text(value)
    return found if found is not None and len(found) <= 200 else None


def amount(value: Any) -> int | None:
    """Return a non-negative number rounded up to a whole one, else None.

    >>> amount(2), amount(1.2), amount(-1), amount(float("inf")), amount(True), amount("3")
    (2, 2, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value <= _LARGEST_AMOUNT:
        return None
    return math.ceil(value)


def number(value: Any) -> float | None:
    """Return a number as it is (of a text, the number that it is), else None.

    >>> number(2), number(-0.5), number("1.50"), number(True), number("x"), number(float("nan"))
    (2, -0.5, 1.5, None, None, None)
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) <= _LARGEST_AMOUNT else None


def links(value: Any) -> tuple[str, ...]:
    """Return result links from a text or a list of texts (at most 4,096 characters each)."""
    candidates = value if isinstance(value, list) else [value]
    return tuple(link for link in candidates if isinstance(link, str) and 0 < len(link) <= 4096)


def instant(value: Any) -> datetime | None:
    """Return an instant from ISO 8601 text or epoch milliseconds; None when it is neither.

    Text without a zone is UTC. Providers send 3 to 9 fractional digits.

    >>> instant("2026-11-22T12:00:00.1234567Z").isoformat()
    '2026-11-22T12:00:00.123456+00:00'
    >>> instant(0).isoformat(), instant("soon")
    ('1970-01-01T00:00:00+00:00', None)
    """
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(_FRACTION.sub(r"\1", value.strip()))
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
