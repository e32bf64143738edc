"""When to try again: a value, never a sleep."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 3600.0


def backoff_s(tries: int, *, base_s: float, cap_s: float, random: float) -> float:
    """Return the wait before the next try, in seconds: full jitter below a growing ceiling.

    Parameters
        tries: how many were made already (≥ 1). random: a number in [0, 1).

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog.

    >>> backoff_s(3, base_s=2, cap_s=60, random=0.5)
    4.0
    """
    ceiling = min(cap_s, base_s * 2.0 ** min(tries - 1, 30))
    return ceiling * random


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, in seconds from now; None when there is none or it is junk.

    Both forms of RFC 9110 section 10.2.3 are read: whole seconds, and an HTTP date.

    >>> from datetime import UTC
    >>> at = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
    >>> read_retry_after("7", at), read_retry_after("Sun, 22 Nov 2026 12:00:30 GMT", at)
    (7.0, 30.0)
    >>> read_retry_after("soon", at) is None
    True
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
        wait = at - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait / timedelta(seconds=1), 0.0), MAX_RETRY_AFTER_S)
