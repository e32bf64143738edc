"""How much fits into one answer of the HTTP API."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from shared.domain.errors import TooLargeError

MAX_ANSWER_BYTES = 6_000_000
"""Lambda answers with at most 6 MB (6,291,556 bytes), status and headers included.

Source: AWS Lambda developer guide, "Lambda quotas", read 2026-11-26.
"""


def checked(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of an answer about jobs. Raises TooLargeError when it does not fit."""
    if _is_too_large(body):
        raise TooLargeError("These jobs are too large for one answer; ask for fewer at a time.")
    return body


def fitting(limit: int, page: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """Return a page's body, of fewer than `limit` where so many would not fit into one answer.

    Parameters
        page: makes the body of a page of so many; its cursor goes on after the last of them.
    """
    while True:
        body = page(limit)
        if limit == 1 or not _is_too_large(body):
            return body
        limit //= 2


def _is_too_large(body: Mapping[str, Any]) -> bool:
    """Tell whether a body is more than Lambda answers with.

    The answer is JSON itself, in which the body's JSON is one string: what is quoted in the body
    is quoted again, so that many quotation marks take twice as much.
    """
    text = json.dumps(body, ensure_ascii=False)
    return len(json.dumps(text, ensure_ascii=False).encode()) > MAX_ANSWER_BYTES
