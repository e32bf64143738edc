"""The report tells what happened: what held, what failed, and what was not shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.promises import CASES, MARK, PROMISES
from tests.proof.__main__ import BEGIN, END, merged, put_into, report_of
from tests.proof.collecting import Collector
from tests.proof.rows import Row, table

SAID: dict[str, Any] = {"skipped": ("file", 1, "no wheel"), "failed": "paid twice\nat line 3"}

type Outcome = Literal["passed", "failed", "skipped"]


def a_report(
    name: str,
    outcome: Outcome = "passed",
    when: Literal["setup", "call", "teardown"] = "call",
    ways: tuple[tuple[str, str], ...] = (("lost", "crashes"),),
    cases: int | None = None,
) -> pytest.TestReport:
    properties: list[tuple[str, object]] = [(MARK, way) for way in ways]
    if cases is not None:
        properties.append((CASES, cases))
    return pytest.TestReport(
        nodeid=name,
        location=(name, 1, name),
        keywords={},
        outcome=outcome,
        longrepr=SAID.get(outcome),
        when=when,
        duration=1.5,
        user_properties=properties,
    )


def rows(*reports: pytest.TestReport) -> list[dict[str, Any]]:
    collector = Collector()
    for report in reports:
        collector.hear(report)
    return [json.loads(row.as_json(7)) for row in collector.rows()]


def test_tests_and_cases_and_seconds_of_one_way_come_together() -> None:
    (row,) = rows(
        a_report("a", when="setup", cases=40),
        a_report("a", cases=40),
        a_report("b"),
        a_report("b", when="teardown"),
    )
    assert row == {
        "promise": "lost",
        "shownBy": "crashes",
        "tests": 2,
        "cases": 41,
        "result": "not shown",
        "seconds": 6.0,
        "seed": 7,
        "failed": [],
    }
    (merged_row,) = merged([["lost", "crashes", 2]], [row])
    assert merged_row.result == "held"


def test_a_way_of_which_not_all_tests_ended_is_not_shown() -> None:
    told = rows(a_report("a"))
    some, none = merged([["lost", "crashes", 3], ["drift", "days", 1]], told)
    assert (some.result, some.remarks) == ("not shown", ["2 of 3 tests did not end"])
    assert (none.result, none.remarks) == ("not shown", ["1 of 1 tests did not end"])


def test_a_test_of_two_promises_is_in_both_rows() -> None:
    found = rows(a_report("a", ways=(("twice", "crashes"), ("lost", "crashes"))))
    assert [row["promise"] for row in found] == ["lost", "twice"]


@pytest.mark.parametrize("when", ["setup", "call", "teardown"])
def test_one_failure_in_any_phase_fails_its_row(
    when: Literal["setup", "call", "teardown"],
) -> None:
    (row,) = rows(a_report("a"), a_report("b", "failed", when))
    assert (row["result"], row["failed"]) == ("failed", ["b: paid twice"])
    (merged_row,) = merged([["lost", "crashes", 2]], [row])
    assert (merged_row.result, merged_row.failed) == ("failed", ["b: paid twice"])


def test_what_is_skipped_is_not_shown_and_says_why() -> None:
    (row,) = rows(a_report("a"), a_report("b", "skipped", "setup"))
    assert (row["result"], row["failed"]) == ("not shown", ["b: no wheel"])
    (merged_row,) = merged([["lost", "crashes", 2]], [row])
    assert (merged_row.result, merged_row.remarks) == ("not shown", ["b: no wheel"])


def test_a_test_without_a_mark_is_in_no_row() -> None:
    assert rows(a_report("a", ways=())) == []


def test_the_table_has_a_line_for_each_promise_and_says_what_was_not_shown() -> None:
    text = table([Row("lost", "crashes", expected=1, tests=1, cases=1200, seconds=2)])
    lines = text.splitlines()[2:]
    assert len(lines) == len(PROMISES)
    assert lines[0].endswith("| crashes | 1,200 | held | 2 |")
    assert all("| not shown |" in line for line in lines[1:])


def test_the_report_says_when_where_what_and_why_not() -> None:
    held = Row("lost", "crashes", expected=1, tests=1, cases=12, seconds=2)
    failed = Row("twice", "orders", expected=5, tests=4, failed=[f"test_{n}: x" for n in range(4)])
    chosen = {"PROOF": "1", "SEED": "7"}
    text = report_of([held, failed], chosen, 3.2, is_whole=True)
    first, *_ = text.splitlines()
    assert re.match(r"20\d\d-\d\d-\d\d, \d+ cores, .*`PROOF=1 SEED=7`, 3 minutes: failed\.", first)
    assert "- orders (twice): failed, test_0: x; test_1: x; test_2: x; and 2 more\n" in text
    assert "- crashes" not in text
    whole = report_of([held], chosen, 3.2, is_whole=False)
    assert "held, for it was interrupted" not in report_of([held], chosen, 3, is_whole=True)
    assert "for it was interrupted" in whole


def test_the_report_takes_the_place_of_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}old\n{END}after\n")
    put_into(path, "new")
    put_into(path, "newer")
    assert path.read_text() == f"before\n{BEGIN}\nnewer\n{END}after\n"
    path.write_text("no place")
    with pytest.raises(SystemExit):
        put_into(path, "new")
