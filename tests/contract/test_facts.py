"""What providers said last, in memory and on the table alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from moto import mock_aws

from shared.domain.tools import (
    Fact,
    FactKind,
    Tool,
    read_tools_value,
    tools_value,
)
from shared.gateways.dynamo_facts import DynamoFactStore
from shared.usecases.ports import FactStore
from tests.builders import later
from tests.contract.conftest import TABLE
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_facts import InMemoryFactStore
from tests.fakes.table import ProbedClient, dynamo_client, make_table

TOOLS, ACCOUNT = FactKind.TOOLS, FactKind.ACCOUNT


@pytest.fixture(params=["memory", "moto", pytest.param("ministack", marks=pytest.mark.slow)])
def facts(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[FactStore]:
    if request.param == "memory":
        yield InMemoryFactStore()
    elif request.param == "moto":
        with mock_aws():
            client = dynamo_client()
            make_table(client, TABLE)
            yield DynamoFactStore(client, TABLE, clock=clock)
    else:
        client = request.getfixturevalue("ministack_client")
        yield DynamoFactStore(client, TABLE, clock=clock)


def test_nothing_is_known_of_a_provider_that_nobody_asked(facts: FactStore) -> None:
    facts.put_fact("another", TOOLS, [], START)
    assert facts.facts("pikcel") == {}


def test_what_was_said_is_read_with_when(facts: FactStore) -> None:
    value = [{"tool_id": "t", "name": "Weiß", "credits": 1.5, "is_active": True}]
    facts.put_fact("pikcel", TOOLS, value, START)
    facts.put_fact("pikcel", ACCOUNT, {"balance": 0}, later(1))
    assert facts.facts("pikcel") == {
        TOOLS: Fact(value=value, fetched_at=START),
        ACCOUNT: Fact(value={"balance": 0}, fetched_at=later(1)),
    }


def test_one_of_many_asks_and_another_one_later(facts: FactStore) -> None:
    assert facts.claim_fact("pikcel", TOOLS, START, for_s=10) is True
    assert facts.claim_fact("pikcel", TOOLS, later(9), for_s=10) is False
    assert facts.claim_fact("pikcel", ACCOUNT, later(9), for_s=10) is True
    assert facts.claim_fact("pikcel", TOOLS, later(10), for_s=10) is True
    assert facts.facts("pikcel")[TOOLS] == Fact(asked_at=later(10))


def test_a_failure_leaves_what_was_said(facts: FactStore) -> None:
    facts.put_fact("pikcel", TOOLS, [], START)
    facts.claim_fact("pikcel", TOOLS, later(5), for_s=10)
    facts.fail_fact("pikcel", TOOLS, later(6))
    expected = Fact(value=[], fetched_at=START, asked_at=later(5), failed_at=later(6))
    assert facts.facts("pikcel")[TOOLS] == expected


def test_something_older_replaces_nothing(facts: FactStore) -> None:
    facts.put_fact("pikcel", TOOLS, ["new"], later(5))
    facts.put_fact("pikcel", TOOLS, ["old"], START)
    assert facts.facts("pikcel")[TOOLS].value == ["new"]
    facts.put_fact("pikcel", TOOLS, ["newer"], later(6))
    assert facts.facts("pikcel")[TOOLS].value == ["newer"]


def test_what_is_known_of_a_provider_is_one_call(client: ProbedClient, clock: FakeClock) -> None:
    facts = DynamoFactStore(client, TABLE, clock=clock)  # type: ignore[arg-type]
    facts.put_fact("pikcel", TOOLS, [], START)
    facts.put_fact("pikcel", ACCOUNT, {"balance": 1}, START)
    client.calls.clear()
    assert len(facts.facts("pikcel")) == 2
    assert client.operations == ["query"]


def test_a_list_that_is_too_long_for_an_item_is_cut(facts: FactStore) -> None:
    tools = {
        f"tool-{n}": Tool(tool_id=f"tool-{n}", name="é" * 200, description="é" * 300, credits=1)
        for n in range(1000)
    }
    facts.put_fact("pikcel", TOOLS, tools_value(tools), START + timedelta(seconds=1))
    read = read_tools_value(facts.facts("pikcel")[TOOLS].value)
    assert 200 < len(read) < 1000
    assert read["tool-0"] == tools["tool-0"]
