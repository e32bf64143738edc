"""The stores under test: in memory, and on the template's own table.

The table is on moto (in process, fast) and, among the slow tests, on ministack too: two
engines that were written by different people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from local.stack.emulator import endpoint_of, start_emulator
from local.stack.processes import free_ports
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.dynamo_limiter import DynamoLimiter
from shared.gateways.dynamo_shops import DynamoShopStore
from shared.usecases.ports import JobStore, Limiter, ShopStore
from tests.fakes.clock import FakeClock
from tests.fakes.memory import InMemoryJobStore, InMemoryLimiter, InMemoryShopStore
from tests.fakes.randomness import FakeRandomness
from tests.fakes.table import ProbedClient, dynamo_client, make_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

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


@pytest.fixture(scope="session")
def emulator_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamoDBClient]:
    """Start ministack for the tests that need a real server."""
    directory = tmp_path_factory.mktemp("ministack")
    (port,) = free_ports(1)
    emulator = start_emulator(
        port,
        log_path=directory / "ministack.log",
        unpack_dir=directory,
        enforce_policies=False,
        keep_dir=None,
    )
    try:
        yield dynamo_client(endpoint_of(port))
    finally:
        emulator.stop()


@pytest.fixture
def ministack_client(emulator_client: DynamoDBClient) -> Iterator[DynamoDBClient]:
    """An empty table on ministack."""
    make_table(emulator_client, TABLE)
    yield emulator_client
    emulator_client.delete_table(TableName=TABLE)


@pytest.fixture(params=["memory", "moto", pytest.param("ministack", marks=pytest.mark.slow)])
def stores(request: pytest.FixtureRequest, clock: FakeClock) -> Stores:
    if request.param == "memory":
        return Stores(InMemoryJobStore(clock), InMemoryShopStore(), InMemoryLimiter())
    name = "client" if request.param == "moto" else "ministack_client"
    client = request.getfixturevalue(name)
    return Stores(
        DynamoJobStore(client, TABLE, clock=clock, random=FakeRandomness()),
        DynamoShopStore(client, TABLE, clock=clock),
        DynamoLimiter(client, TABLE, clock=clock),
    )


@pytest.fixture
def store(stores: Stores) -> JobStore:
    return stores.jobs
