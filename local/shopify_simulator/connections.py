"""Relay connections over plain lists: first/last, after/before, reverse, nodes and edges."""

import base64
from collections.abc import Sequence

from graphql import GraphQLError

from .checks import present

MAX_PAGE = 250


def cursor_of(key: str) -> str:
    """An opaque cursor for one element."""
    return base64.b64encode(f'{{"last_id":"{key}"}}'.encode()).decode()


def connection(
    items: Sequence[tuple[str, dict[str, object]]],
    *,
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    before: str | None = None,
    reverse: bool = False,
) -> dict[str, object]:
    """One page of (key, node) pairs.

    Raises:
        GraphQLError: neither or both of first and last, a size above 250, an unknown cursor.
    """
    size = _page_size(first, last)
    ordered = list(reversed(items)) if reverse else list(items)
    cursors = [cursor_of(key) for key, _ in ordered]
    start = _position(cursors, after) + 1 if after is not None else 0
    end = _position(cursors, before) if before is not None else len(ordered)
    low, high = (
        (start, min(end, start + size))
        if first is not None
        else (
            max(start, end - size),
            end,
        )
    )
    page = ordered[low:high]
    shown = cursors[low:high]
    return {
        "nodes": [node for _, node in page],
        "edges": [
            {"node": node, "cursor": cursor} for (_, node), cursor in zip(page, shown, strict=True)
        ],
        "pageInfo": {
            "hasNextPage": high < len(ordered),
            "hasPreviousPage": low > 0,
            "startCursor": shown[0] if shown else None,
            "endCursor": shown[-1] if shown else None,
        },
    }


def _page_size(first: int | None, last: int | None) -> int:
    if (first is None) == (last is None):
        raise GraphQLError(
            "you must provide one of first or last", extensions={"code": "BAD_REQUEST"}
        )
    size = present(first if first is not None else last)
    if not 0 <= size <= MAX_PAGE:
        raise GraphQLError(
            f"first and last must be between 0 and {MAX_PAGE}", extensions={"code": "BAD_REQUEST"}
        )
    return size


def _position(cursors: list[str], cursor: str) -> int:
    try:
        return cursors.index(cursor)
    except ValueError:
        raise GraphQLError(
            "Invalid cursor for current pagination sort.", extensions={"code": "INVALID_CURSOR"}
        ) from None
