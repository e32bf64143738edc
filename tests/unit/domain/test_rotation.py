"""When the older of two secrets is safe to remove."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.quarantine import hour_of
from shared.domain.rotation import (
    HourOfMatches,
    Judgement,
    Matched,
    Removal,
    fingerprint,
    judge,
    uses,
)

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
NEW, OLD = ["new"], ["old"]


def hours_ago(hours: float, *names: str, count: int = 1) -> HourOfMatches:
    at = NOW - timedelta(hours=hours)
    return HourOfMatches(hour_of(at), {name: Matched(count, at) for name in names})


@pytest.mark.parametrize(
    ("values", "hours", "expected"),
    [
        ([], [], Removal.NOT_SET),
        ([NEW], [hours_ago(1, "new")], Removal.ONLY_ONE),
        ([NEW, OLD], [], Removal.UNPROVEN),
        ([NEW, OLD], [hours_ago(90, "old")], Removal.UNPROVEN),
        ([NEW, OLD], [hours_ago(30, "new"), hours_ago(23, "old")], Removal.IN_USE),
        ([NEW, OLD], [hours_ago(90, "old"), hours_ago(23, "new")], Removal.WATCHING),
        ([NEW, OLD], [hours_ago(23, "new")], Removal.WATCHING),
        ([NEW, OLD], [hours_ago(30, "new"), hours_ago(24, "old")], Removal.SAFE),
        ([NEW, OLD], [hours_ago(24, "new", "old")], Removal.SAFE),
        # Two older ones: the last of either counts.
        ([NEW, OLD, ["oldest"]], [hours_ago(50, "new"), hours_ago(1, "oldest")], Removal.IN_USE),
        # Another secret was put in front since: what is now the older one is in use.
        ([["newest"], NEW], [hours_ago(40, "newest"), hours_ago(2, "new")], Removal.IN_USE),
    ],
)
def test_an_older_secret_may_go_after_a_day_in_which_only_the_newer_one_fitted(
    values: list[list[str]], hours: list[HourOfMatches], expected: Removal
) -> None:
    assert judge(values, hours, NOW).removal is expected


def test_it_is_said_from_when_on() -> None:
    hours = [hours_ago(30, "new"), hours_ago(23, "old"), hours_ago(1, "new")]
    expected = Judgement(removal=Removal.IN_USE, safe_at=NOW + timedelta(hours=1))
    assert judge([NEW, OLD], hours, NOW) == expected


def test_nobody_can_say_when_while_the_newer_one_never_fitted() -> None:
    assert judge([NEW, OLD], [hours_ago(40, "old")], NOW).safe_at is None


def test_a_count_survives_the_rotation_of_what_fingerprints_are_made_with() -> None:
    """While APP_SECRET has two values, each secret has two fingerprints."""
    hours = [hours_ago(30, "before"), hours_ago(1, "after", count=3)]
    (use,) = uses([["after", "before"]], hours)
    assert use.fingerprint == "after"
    assert use.hours == [("2026-11-26T11", 3), ("2026-11-25T06", 1)]
    assert use.last_at == NOW - timedelta(hours=1)


def test_the_first_value_is_the_current_one() -> None:
    assert [use.is_current for use in uses([NEW, OLD], [])] == [True, False]


def test_a_fingerprint_is_neither_the_secret_nor_told_without_ours() -> None:
    shown = fingerprint("app", "PIKCEL_WEBHOOK_SECRET", "hunter2")
    assert len(shown) == 12
    assert shown != fingerprint("another", "PIKCEL_WEBHOOK_SECRET", "hunter2")
    assert shown != fingerprint("app", "PIKCEL_WEBHOOK_SECRET", "hunter3")


def test_any_text_has_a_fingerprint() -> None:
    assert fingerprint("\ud800", "é", "\udfff")
