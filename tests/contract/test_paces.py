"""How long tools take: in memory, and on the template's own table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.gateways.dynamo_paces import DynamoPaces
from shared.usecases.ports import Paces
from tests.contract.conftest import TABLE
from tests.fakes.clock import FakeClock
from tests.fakes.memory import InMemoryPaces
from tests.fakes.table import ProbedClient

NOW = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
NEXT_MONTH = datetime(2026, 12, 1, tzinfo=UTC)
AFTER_THAT = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "table"])
def paces(request: pytest.FixtureRequest, client: ProbedClient, clock: FakeClock) -> Paces:
    if request.param == "memory":
        return InMemoryPaces()
    table: Any = client
    return DynamoPaces(table, TABLE, clock=clock)


def learn(paces: Paces, *durations_ms: int, at: datetime = NOW, tool: str = "upscale") -> None:
    for duration_ms in durations_ms:
        paces.learn("pikcel", tool, duration_ms, at)


def test_nothing_is_known_until_a_few_jobs_have_ended(paces: Paces) -> None:
    assert paces.expected_ms("pikcel", "upscale", NOW) is None
    learn(paces, 10_000, 10_000)
    assert paces.expected_ms("pikcel", "upscale", NOW) is None
    learn(paces, 10_000)
    assert paces.expected_ms("pikcel", "upscale", NOW) == pytest.approx(10_000, rel=0.1)


def test_the_median_counts_so_one_slow_job_says_little(paces: Paces) -> None:
    learn(paces, 9_800, 10_000, 10_200, 10_100, 3_600_000)
    assert paces.expected_ms("pikcel", "upscale", NOW) == pytest.approx(10_000, rel=0.1)


def test_each_provider_and_tool_has_its_own(paces: Paces) -> None:
    learn(paces, *[10_000] * 3)
    learn(paces, *[60_000] * 3, tool="remove")
    assert paces.expected_ms("pikcel", "remove", NOW) == pytest.approx(60_000, rel=0.1)
    assert paces.expected_ms("fal", "upscale", NOW) is None


def test_the_month_before_counts_too_and_what_is_older_does_not(paces: Paces) -> None:
    learn(paces, 10_000, 10_000)
    learn(paces, 10_000, at=NEXT_MONTH)
    assert paces.expected_ms("pikcel", "upscale", NEXT_MONTH) is not None
    assert paces.expected_ms("pikcel", "upscale", AFTER_THAT) is None


def test_durations_of_any_size_are_taken(paces: Paces) -> None:
    learn(paces, 0, 1, 10**12)
    assert paces.expected_ms("pikcel", "upscale", NOW) is not None


def test_a_tool_of_any_name_has_a_place(paces: Paces) -> None:
    for tool in ("an-owner/a-model:" + "5c7d" * 16, "x" * 3000, "é#b1"):
        learn(paces, *[10_000] * 3, tool=tool)
        assert paces.expected_ms("pikcel", tool, NOW) is not None


def test_it_costs_one_write_to_learn_and_one_query_to_know(
    client: ProbedClient, clock: FakeClock
) -> None:
    table: Any = client
    paces = DynamoPaces(table, TABLE, clock=clock)
    learn(paces, 10_000)
    paces.expected_ms("pikcel", "upscale", NOW)
    assert client.operations == ["update_item", "query"]
