"""How the figures of the bars are made of what was measured. No test here measures time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench import rows
from tests.bench.life import full_index_units, our_life, stored_bytes, textbook_life, used_by_calls
from tests.bench.report import Row, matrix
from tests.bench.rows import calls_of_a_sweep, cold_rows, judge_growth, peer_rows, push_rows
from tests.bench.timing import Instructions, Timing
from tests.functional.test_growth import SINGLE
from tests.whole.crowd import Cost

README = Path(__file__).resolve().parents[2] / "README.md"


def a_timing(**changes: Any) -> Timing:
    values: dict[str, Any] = {
        "cold_s": 0.4,
        "cold_cpu_s": 0.3,
        "middle_cold_s": 0.5,
        "init_s": 0.3,
        "first_s": 0.1,
        "warm_cpu_s": 0.004,
        "instructions": Instructions(cold=2_000, init=1_500, warm=20),
    }
    return Timing(**(values | changes))


def by_name(found: list[Row]) -> dict[str, Row]:
    return {row.name: row for row in found}


TIMINGS = {
    "bare": a_timing(),
    "ours": a_timing(
        cold_s=0.2,
        cold_cpu_s=0.15,
        first_s=0.05,
        warm_cpu_s=0.005,
        instructions=Instructions(cold=1_300, init=1_000, warm=22),
    ),
    "fastapi_mangum": a_timing(
        cold_s=0.8, cold_cpu_s=0.6, instructions=Instructions(cold=4_000, init=3_500, warm=20)
    ),
    "textbook": a_timing(),
}


def test_ours_is_compared_with_the_floor_and_with_the_framework() -> None:
    found = by_name(cold_rows(TIMINGS))
    assert {name: row.figure for name, row in found.items()} == {
        "webhook, cold: time ÷ bare boto3": 0.5,
        "webhook, cold: time ÷ FastAPI + Mangum": 0.25,
        "webhook, cold: processor time ÷ bare boto3": 0.5,
        "webhook, cold: processor time ÷ FastAPI + Mangum": 0.25,
        "webhook, first invocation: time ÷ bare boto3": 0.5,
        "webhook, warm event: processor time ÷ bare boto3": 1.25,
        "webhook, cold: instructions ÷ bare boto3": 0.65,
        "webhook, cold: instructions ÷ FastAPI + Mangum": 0.325,
        "webhook, first invocation: instructions ÷ bare boto3": 0.6,
        "webhook, warm event: instructions ÷ bare boto3": 1.1,
    }
    assert all(row.is_met for row in found.values())


def test_where_no_instructions_can_be_counted_the_rows_say_so() -> None:
    timings = {name: replace(each, instructions=None) for name, each in TIMINGS.items()}
    counted = [row for row in cold_rows(timings) if "instructions" in row.name]
    assert len(counted) == 4
    assert all(row.figure is None and row.is_met is None for row in counted)
    assert all("neither perf nor valgrind" in row.note for row in counted)
    assert "| **this one** | 200 | 500 | 150 | 300 | 50 | 5 | – | – |" in matrix(peer_rows(timings))


def test_everyone_is_in_the_table_of_peers() -> None:
    shown = matrix(peer_rows(TIMINGS)).splitlines()[2:]
    assert len(shown) == 4
    assert "| **this one** | 200 | 500 | 150 | 300 | 50 | 5 | 1,300 | 22 |" in shown


def growth(calls: int = 2, read: int = 42, queries: int = 3) -> dict[str, Cost]:
    page = Cost(calls=(("BatchGetItem", 1), ("Query", calls - 1)), read=read, units=11)
    return {
        **{f"list {name}": page for name in SINGLE},
        "statistics": Cost(calls=(("Query", queries),), read=48, units=2),
        "sweep": Cost(calls=(("Query", 20),), read=10, units=15),
    }


def test_the_same_cost_at_every_size_meets_the_bars_of_growth() -> None:
    found = by_name(judge_growth({1_000: growth(), 10_000: growth(), 100_000: growth()}))
    assert found["a page of 20 by one filter: calls"].figure == 2
    assert found["a page of 20 by one filter: questions that cost more with more jobs"].figure == 0
    assert found["statistics: Queries"].is_met is False
    assert "at 1,000, 10,000, 100,000 jobs" in found["statistics: Queries"].note


def test_one_question_that_grows_is_seen() -> None:
    grown = growth() | {"list status": Cost(calls=(("Query", 3),), read=90, units=30)}
    found = by_name(judge_growth({1_000: growth(), 10_000: grown}))
    name = "a page of 20 by one filter: questions that cost more with more jobs"
    assert (found[name].figure, found[name].is_met) == (1, False)
    assert found["a page of 20 by one filter: calls"].figure == 3


def test_a_sweep_makes_about_one_call_for_each_due_job() -> None:
    none, ten = calls_of_a_sweep(0), calls_of_a_sweep(10)
    assert 10 <= ten - none <= 20


def test_ten_pushes_share_their_calls_within_both_bars() -> None:
    assert [row.is_met for row in push_rows()] == [True, True]


# --- lives ------------------------------------------------------------------------------


def test_maps_and_lists_count_three_bytes_and_one_for_each_member() -> None:
    assert stored_bytes({"a": {"M": {}}, "b": {"L": []}}) == 2 + 3 + 3
    assert stored_bytes({"a": {"L": [{"S": "xy"}, {"BOOL": True}]}}) == 1 + 3 + 2 + 2 + 1
    assert stored_bytes({"a": {"M": {"b": {"L": [{"N": "1234"}]}}}}) == 1 + 4 + 1 + 4 + 3


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, {"s": {"S": "a"}}, 1),
        ({"s": {"S": "a"}, "x": {"S": "y" * 1100}}, {"s": {"S": "a"}}, 2),
        ({"s": {"S": "a"}, "x": {"S": "y" * 1100}}, {"s": {"S": "b"}}, 3),
    ],
)
def test_an_index_of_everything_is_written_whenever_its_item_is(
    before: Any, after: Any, units: int
) -> None:
    assert full_index_units(before, after, ["s"]) == units


def test_what_calls_use_is_counted_by_runs_and_messages() -> None:
    names = [
        "api: dynamodb.transact_write_items",
        "api: sqs.send_message_batch",
        "api: (its own answer)",
        "dispatch: s3.put_object",
        "dispatch: sqs.send_message_batch",
        "dispatch: (its own answer)",
        "push: s3.get_object",
        "push: (its own answer)",
    ]
    assert used_by_calls(names) == {
        "SQS requests": 3,
        "SQS FIFO requests": 3,
        "HTTP API requests": 1,
        "Lambda requests": 3,
        "S3 PUT": 1,
        "S3 GET": 1,
    }


def test_a_plain_job_is_created_told_three_times_kept_and_pushed() -> None:
    used = our_life().used
    assert (used["HTTP API requests"], used["S3 PUT"], used["SQS FIFO requests"]) == (4, 1, 3)
    assert used["DynamoDB write units"] > 0
    # The README has the runs of notify in a row of their own.
    table = README.read_text(encoding="utf-8").split("\n## What it costs\n")[1].split("\n\n")[1]
    for row in (
        f"| DynamoDB writes | {used['DynamoDB write units']} units",
        f"| DynamoDB reads | {used['DynamoDB read units']:g} units",
        f"| HTTP API | {used['HTTP API requests']} requests |",
        f"| Lambda | {used['Lambda requests'] - 2} invocations",
        f"| S3 | {used['S3 PUT']} PUT, {used['S3 GET']} GET |",
    ):
        assert row in table


def test_the_textbook_calls_fourteen_times_until_the_result_is_there() -> None:
    """As on the paper that it is taken from: a put, three times an idempotency record, a get, a
    put and the record again, and a message; then a get and a put for the push."""
    life, item_size = textbook_life()
    assert life.calls == 14 + 2 + 2  # with its image's PUT and GET
    assert life.used["SQS requests"] == 3
    assert item_size > 1024
    assert life.write_units == 32


def test_the_rooms_of_the_bench_are_the_ones_it_prints() -> None:
    from tests.bench.__main__ import ROOMS

    assert ROOMS == ("webhook", "sizes", "growth", "push", "life")
    assert callable(rows.size_rows)
