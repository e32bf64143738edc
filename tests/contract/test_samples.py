"""Jobs drawn at random: in memory, and on the template's own table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.ids import JobRef
from shared.gateways import dynamo_items as items
from shared.gateways.dynamo_samples import DynamoSamples
from shared.usecases.ports import JobStore, Samples
from tests.builders import OTHER_SHOP, a_job, a_kept_job, a_worker_job
from tests.contract.conftest import TABLE, Stores
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_samples import InMemorySamples
from tests.fakes.table import ProbedClient

DAY = START.replace(hour=0)
PLACES = [0.0, 0.03, 0.5, 0.97, 0.999]


@pytest.fixture
def samples(stores: Stores, request: pytest.FixtureRequest, clock: FakeClock) -> Samples:
    if "memory" in request.node.callspec.id:
        return InMemorySamples(stores.jobs)
    name = "client" if "moto" in request.node.callspec.id else "ministack_client"
    return DynamoSamples(request.getfixturevalue(name), TABLE, clock=clock)


def made(store: JobStore, at: datetime, **changes: Any) -> JobRef:
    return store.create(a_job(created_at=at, **changes)).ref


@pytest.mark.parametrize("place", PLACES)
def test_of_a_quiet_day_all_jobs_are_drawn_once(
    store: JobStore, samples: Samples, place: float
) -> None:
    hours = [timedelta(hours=hour) for hour in (0, 1, 7, 13, 23)]
    wanted = {made(store, DAY + at) for at in hours}
    wanted |= {made(store, DAY + at, shop=OTHER_SHOP) for at in hours}
    made(store, DAY - timedelta(milliseconds=1))
    made(store, DAY + timedelta(days=1))
    found = samples.draw(DAY, place, limit=50)
    assert (len(found), set(found)) == (10, wanted)


@pytest.mark.parametrize("place", PLACES)
def test_no_more_are_drawn_than_asked_for(store: JobStore, samples: Samples, place: float) -> None:
    refs = {made(store, DAY + timedelta(minutes=number)) for number in range(30)}
    found = samples.draw(DAY, place, limit=7)
    assert (len(found), len(set(found))) == (7, 7)
    assert set(found) <= refs
    assert samples.draw(DAY, place, limit=0) == []


def test_other_places_give_other_jobs(store: JobStore, samples: Samples) -> None:
    for number in range(40):
        made(store, DAY + timedelta(minutes=30 * number))
    drawn = {ref for place in range(20) for ref in samples.draw(DAY, place / 20, limit=4)}
    assert len(drawn) > 20


def test_jobs_are_looked_at_in_order_and_those_that_are_gone_are_left_out(
    store: JobStore, samples: Samples
) -> None:
    jobs = [store.create(job) for job in (a_job(), a_worker_job(), a_kept_job())]
    gone = JobRef(jobs[0].shop, "019aab7c-5e00-7000-8000-00000000ffff")
    seen = samples.look([jobs[2].ref, gone, jobs[0].ref, jobs[1].ref])
    assert [sighting.job for sighting in seen] == [jobs[2], jobs[0], jobs[1]]
    assert {sighting.misplaced for sighting in seen} == {()}


def test_more_than_a_hundred_can_be_looked_at(store: JobStore, samples: Samples) -> None:
    refs = [store.create(a_job()).ref for _ in range(101)]
    assert [sighting.ref for sighting in samples.look(refs)] == refs


@pytest.fixture
def table(client: ProbedClient, clock: FakeClock) -> DynamoSamples:
    return DynamoSamples(client, TABLE, clock=clock)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("status_pk", None), ("day_pk", "DAY#2020-01-01#1"), ("due_pk", None), ("push_pk", "SHOP#x")],
)
def test_what_an_index_has_wrong_is_named(
    dynamo: JobStore, table: DynamoSamples, client: ProbedClient, attribute: str, value: str | None
) -> None:
    ref = dynamo.create(a_job()).ref
    change = {"Action": "DELETE"} if value is None else {"Value": {"S": value}}
    client.update_item(
        TableName=TABLE, Key=items.job_key(ref), AttributeUpdates={attribute: change}
    )
    (seen,) = table.look([ref])
    assert seen.misplaced == (attribute,)


def test_a_job_that_cannot_be_read_is_seen_as_such(
    dynamo: JobStore, table: DynamoSamples, client: ProbedClient
) -> None:
    ref = dynamo.create(a_job()).ref
    change = {"status": {"Value": {"S": "exploded"}}}
    client.update_item(TableName=TABLE, Key=items.job_key(ref), AttributeUpdates=change)
    (seen,) = table.look([ref])
    assert (seen.ref, seen.job) == (ref, None)


def test_a_draw_is_a_query_a_shard_and_round_and_no_scan(
    dynamo: JobStore, table: DynamoSamples, client: ProbedClient
) -> None:
    for number in range(3):
        made(dynamo, DAY + timedelta(hours=number))
    client.calls.clear()
    table.draw(DAY, 0.5, limit=15)
    assert set(client.operations) == {"query"}
    assert len(client.operations) <= 2 * items.DAY_SHARDS
