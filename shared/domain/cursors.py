"""Where the next page starts, as text that only we can make.

A cursor is base64url of 16 bytes of HMAC and the store's own position. The HMAC covers what the
page was asked with, so a cursor works for the same shop and the same filters, and for
nothing else.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

from shared.domain.errors import InvalidRequestError
from shared.domain.filters import JobFilter, LogFilter

_MAC_BYTES = 16
MAX_CURSOR_CHARACTERS = 4096


def jobs_scope(wanted: JobFilter) -> str:
    """Say in one text whose jobs and which are asked for.

    >>> jobs_scope(JobFilter(shop="a.myshopify.com")) == jobs_scope(
    ...     JobFilter(shop="a.myshopify.com", text="mug")
    ... )
    False
    """
    values = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    return "jobs\n" + json.dumps(values, sort_keys=True, default=_text)


def log_scope(shop: str, job_id: str, wanted: LogFilter) -> str:
    """Say in one text whose timeline is asked for, and which entries of it."""
    return "log\n" + json.dumps([shop, job_id, wanted.source, wanted.actor])


def make_cursor(scope: str, position: str, secrets: Sequence[str]) -> str:
    """Write a cursor with the first (the newest) of the secrets.

    >>> read_cursor("s", make_cursor("s", "here", ["k"]), ["new", "k"])
    'here'
    """
    mac = _mac(scope, position.encode(), secrets[0])
    return base64.urlsafe_b64encode(mac + position.encode()).decode().rstrip("=")


def read_cursor(scope: str, cursor: str, secrets: Sequence[str]) -> str:
    """Return the position in a cursor.

    Raises InvalidRequestError unless it was made by us, for this scope, with one of the secrets.
    """
    raw = _decode(cursor)
    mac, position = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if any(hmac.compare_digest(_mac(scope, position, secret), mac) for secret in secrets):
        return position.decode()
    raise InvalidRequestError(
        "This cursor is not valid for this question. Start again without it.",
        details=[{"field": "cursor", "message": "not made for this shop and these filters"}],
    )


def _decode(cursor: str) -> bytes:
    if len(cursor) > MAX_CURSOR_CHARACTERS or not cursor.isascii():
        return b""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error:
        return b""


def _mac(scope: str, position: bytes, secret: str) -> bytes:
    text = b"cursor\n" + hashlib.sha256(scope.encode()).digest() + position
    return hmac.new(secret.encode(), text, hashlib.sha256).digest()[:_MAC_BYTES]


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
