"""Cursors: opaque, ours, and good for one question only."""

import base64
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cursors import jobs_scope, log_scope, make_cursor, read_cursor
from shared.domain.errors import InvalidRequestError
from shared.domain.events import Source
from shared.domain.filters import JobFilter, LogFilter
from shared.domain.status import JobStatus, PushStatus
from tests.builders import OTHER_SHOP, SHOP

pytestmark = pytest.mark.promise("hostile", "forged cursors")

OTHER_VALUES: dict[str, Any] = {
    "shop": OTHER_SHOP,
    "status": JobStatus.FAILED,
    "push_status": PushStatus.FAILED,
    "created_from": datetime(2026, 1, 1, tzinfo=UTC),
    "created_to": datetime(2026, 1, 1, tzinfo=UTC),
    "ascending": True,
}


@pytest.mark.parametrize("name", [field.name for field in fields(JobFilter)])
def test_every_part_of_the_question_binds_the_cursor(name: str) -> None:
    other = JobFilter(**{"shop": SHOP, name: OTHER_VALUES.get(name, "x")})
    cursor = make_cursor(jobs_scope(JobFilter(shop=SHOP)), "here", ["k"])
    assert read_cursor(jobs_scope(JobFilter(shop=SHOP)), cursor, ["k"]) == "here"
    with pytest.raises(InvalidRequestError):
        read_cursor(jobs_scope(other), cursor, ["k"])


def test_a_cursor_of_a_list_is_none_of_a_timeline() -> None:
    cursor = make_cursor(jobs_scope(JobFilter(shop=SHOP)), "here", ["k"])
    with pytest.raises(InvalidRequestError):
        read_cursor(log_scope(SHOP, "id", LogFilter()), cursor, ["k"])


@pytest.mark.parametrize("wanted", [LogFilter(source=Source.ADMIN), LogFilter(actor="agent:1")])
def test_a_cursor_of_a_timeline_is_none_of_other_entries(wanted: LogFilter) -> None:
    cursor = make_cursor(log_scope(SHOP, "id", LogFilter()), "here", ["k"])
    with pytest.raises(InvalidRequestError):
        read_cursor(log_scope(SHOP, "id", wanted), cursor, ["k"])


def test_every_changed_byte_is_noticed() -> None:
    cursor = make_cursor("s", "here", ["k"])
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(raw)):
        changed = bytes(b ^ (index == place) for index, b in enumerate(raw))
        with pytest.raises(InvalidRequestError):
            read_cursor("s", base64.urlsafe_b64encode(changed).decode().rstrip("="), ["k"])


def test_the_old_secret_is_good_until_it_is_gone() -> None:
    cursor = make_cursor("s", "here", ["old"])
    assert read_cursor("s", cursor, ["new", "old"]) == "here"
    with pytest.raises(InvalidRequestError):
        read_cursor("s", cursor, ["new"])


@given(st.text(st.characters(codec=None), max_size=80))
def test_no_text_but_ours_is_a_cursor(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        read_cursor("s", text, ["k"])


@given(st.text(max_size=80))
def test_every_position_comes_back(position: str) -> None:
    assert read_cursor("s", make_cursor("s", position, ["k"]), ["k"]) == position
