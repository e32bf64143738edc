"""Reading JSON from outside: whatever comes, nothing raises but MalformedDeliveryError."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from shared.domain.job import PRESUMED_CODES
from shared.providers.base import MalformedDeliveryError

_MAX_TEXT = 2000
_MAX_LINK = 4096
# 20 MiB of an image in base64, and the words before it.
_MAX_INLINE = 28 * 1024 * 1024
_MAX_DEPTH = 8
_LARGEST_AMOUNT = 10**12
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
_FRACTION = re.compile(r"(\.\d{1,6})\d*")
_LINK_BEGINS = ("https://", "http://")
# A link that holds the image itself (RFC 2397).
INLINE_BEGINS = "data:image/"
# How base64 begins of the bytes that a PNG, JPEG, WebP or GIF begins with.
_BARE_IMAGES = {"iVBORw0KGgo": "png", "/9j/": "jpeg", "UklGR": "webp", "R0lGOD": "gif"}


def read_object(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object. NaN and Infinity are not JSON and become null.

    Fractions are exact (Decimal), whole numbers of any size are whole. Bytes that are not UTF-8
    become replacement characters: logs of a program may hold any, and what was signed are the
    bytes, not what we read in them.

    Raises MalformedDeliveryError: not JSON, not an object, nested too deeply, or numbers of
    absurd length.
    """
    try:
        value = json.loads(
            body.decode("utf-8", "replace"),
            parse_constant=lambda _: None,
            parse_float=_fraction,
        )
    except (ValueError, RecursionError):
        raise MalformedDeliveryError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise MalformedDeliveryError("The body is not a JSON object.")
    return value


def _fraction(digits: str) -> Decimal | None:
    try:
        value = Decimal(digits)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


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
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if not math.isfinite(value) or not 0 <= value <= _LARGEST_AMOUNT:
        return None
    return math.ceil(value)


def milliseconds(seconds: Any) -> int | None:
    """Return seconds as whole milliseconds, rounded up; None for anything but an amount.

    >>> milliseconds(Decimal("1.2345")), milliseconds("1")
    (1235, None)
    """
    if amount(seconds) is None:
        return None
    return math.ceil(Decimal(str(seconds)) * 1000)


def number(value: Any) -> float | None:
    """Return a number as it is (of a text, the number that it is), else None.

    >>> number(2), number(-0.5), number("1.50"), number(True), number("x"), number(float("nan"))
    (2, -0.5, 1.5, None, None, None)
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) <= _LARGEST_AMOUNT else None


def links(value: Any) -> tuple[str, ...]:
    """Return result links from a text or a list of texts (at most 4,096 characters each)."""
    candidates = value if isinstance(value, list) else [value]
    return tuple(link for link in candidates if isinstance(link, str) and 0 < len(link) <= 4096)


def links_in(value: Any) -> tuple[str, ...]:
    """Return every result link in a value, in order, each once: a text, a list, an object.

    An image that is there as bare base64 becomes a link that holds it.

    >>> links_in({"image": "https://r/1.png", "parts": ["https://r/2.png", "cat"], "n": 3})
    ('https://r/1.png', 'https://r/2.png')
    """
    return tuple(dict.fromkeys(_walk(value, _MAX_DEPTH)))


def file_links(value: Any) -> tuple[str, ...]:
    """Return the link of every file object (one that has a `url`) in a value, in order.

    >>> file_links({"images": [{"url": "https://r/1.png", "width": 2}], "prompt": "https://p/"})
    ('https://r/1.png',)
    """
    return tuple(dict.fromkeys(_walk_files(value, _MAX_DEPTH)))


def _walk(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if is_link(value):
            yield value
        elif value.startswith(tuple(_BARE_IMAGES)) and len(value) <= _MAX_INLINE:
            yield inline_link(value)
    elif depth and isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _walk(inner, depth - 1)


def _walk_files(value: Any, depth: int) -> Iterator[str]:
    if not depth or not isinstance(value, list | dict):
        return
    if isinstance(value, dict):
        url = value.get("url")
        if isinstance(url, str) and is_link(url):
            yield url
            return
    for inner in value.values() if isinstance(value, dict) else value:
        yield from _walk_files(inner, depth - 1)


def is_link(value: str) -> bool:
    """Tell whether a text is an address, or an image in the form of one."""
    if value.startswith(INLINE_BEGINS):
        return len(value) <= _MAX_INLINE
    return value.startswith(_LINK_BEGINS) and len(value) <= _MAX_LINK


def inline_link(image: str, kind: str | None = None) -> str:
    """Return a link that holds an image, of its base64.

    >>> inline_link("R0lGODlh"), inline_link("AAAA", "png")
    ('data:image/gif;base64,R0lGODlh', 'data:image/png;base64,AAAA')
    """
    kinds = (kind for begins, kind in _BARE_IMAGES.items() if image.startswith(begins))
    return f"{INLINE_BEGINS}{kind or next(kinds, 'png')};base64,{image}"


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
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def error_code(word: str | None) -> str:
    """Make a provider's error code one of ours: snake_case, stable, short.

    What the provider reports is never taken for a guess of ours, which could be overridden.

    >>> error_code("INVALID_PARAMS"), error_code("TIMED_OUT"), error_code(None)
    ('invalid_params', 'provider_timed_out', 'provider_failed')
    """
    code = re.sub(r"[^a-z0-9]+", "_", (word or "").lower()).strip("_")[:60]
    return f"provider_{code}" if code in PRESUMED_CODES else code or "provider_failed"
