"""The stores under test: in memory, and on the template's own table (moto, in process)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from moto import mock_aws

from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.dynamo_limiter import DynamoLimiter
from shared.gateways.dynamo_shops import DynamoShopStore
from shared.gateways.memory import InMemoryJobStore, InMemoryLimiter, InMemoryShopStore
from shared.usecases.ports import JobStore, Limiter, ShopStore
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import FakeRandomness
from tests.fakes.table import ProbedClient, dynamo_client, make_table

TABLE = "jobs"


@dataclass(frozen=True, slots=True)
class Stores:
    """One implementation of each port."""

    jobs: JobStore
    shops: ShopStore
    limiter: Limiter


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client() -> Iterator[ProbedClient]:
    """An empty table on moto, behind a client that notes the calls."""
    with mock_aws():
        real = dynamo_client()
        make_table(real, TABLE)
        yield ProbedClient(real)


@pytest.fixture
def dynamo(client: ProbedClient, clock: FakeClock) -> DynamoJobStore:
    return DynamoJobStore(client, TABLE, clock=clock, random=FakeRandomness())  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "dynamo"])
def stores(request: pytest.FixtureRequest, clock: FakeClock) -> Stores:
    if request.param == "memory":
        return Stores(InMemoryJobStore(clock), InMemoryShopStore(), InMemoryLimiter())
    client = request.getfixturevalue("client")
    return Stores(
        DynamoJobStore(client, TABLE, clock=clock, random=FakeRandomness()),
        DynamoShopStore(client, TABLE, clock=clock),
        DynamoLimiter(client, TABLE, clock=clock),
    )


@pytest.fixture
def store(stores: Stores) -> JobStore:
    return stores.jobs
