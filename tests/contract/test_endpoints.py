"""EndpointStore, in memory and on the table alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from shared.domain.endpoints import (
    DELIVERY_KEPT_FOR,
    GRACE,
    MAX_ENDPOINTS,
    Delivery,
    DeliveryStatus,
    DisabledReason,
    Endpoint,
    Try,
    asked_again,
    disable,
    ended,
    new_delivery,
    rotate,
    tried,
)
from shared.domain.errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    VersionConflictError,
)
from shared.domain.notice_types import NoticeType
from shared.gateways.dynamo_endpoints import DynamoEndpointStore
from shared.usecases.notice_ports import EndpointStore
from shared.usecases.ports import Idempotency
from tests.builders import OTHER_SHOP, SHOP, a_job_id, later
from tests.contract.conftest import TABLE
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_endpoints import InMemoryEndpointStore, ref_of
from tests.fakes.table import ProbedClient, dynamo_client, make_table
from tests.unit.domain.test_endpoints import a_notice, an_endpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


@pytest.fixture(params=["memory", "moto", pytest.param("ministack", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[EndpointStore]:
    def on(client: DynamoDBClient) -> EndpointStore:
        return DynamoEndpointStore(client, TABLE, clock=clock)

    if request.param == "memory":
        yield InMemoryEndpointStore(clock)
    elif request.param == "moto":
        with mock_aws():
            client = dynamo_client()
            make_table(client, TABLE)
            yield on(client)
    else:
        yield on(request.getfixturevalue("ministack_client"))


def endpoint(number: int = 1, **changes: Any) -> Endpoint:
    return an_endpoint(endpoint_id=a_job_id(later(number)), **changes)


def delivery(of: Endpoint, number: int = 1) -> Delivery:
    return new_delivery(of, a_notice(number, later(number)), START)


# --- endpoints ------------------------------------------------------------------------


def test_an_endpoint_comes_back_as_it_was_and_is_one_shops(store: EndpointStore) -> None:
    made = endpoint(description="Café", types=tuple(NoticeType)[:3])
    store.add_endpoint(made)
    assert store.get_endpoint(SHOP, made.endpoint_id) == made
    assert store.get_endpoint(OTHER_SHOP, made.endpoint_id) is None
    assert store.endpoints(OTHER_SHOP) == []


def test_everything_that_can_become_of_an_endpoint_comes_back(store: EndpointStore) -> None:
    made = endpoint(failing_since=START)
    store.add_endpoint(made)
    changed = rotate(made, "sealed(2)", later(9), at_once=False, mark="ab12")
    changed = disable(changed, DisabledReason.FAILING, later(10))
    saved = store.save_endpoint(made, changed)
    assert saved == replace(changed, version=2)
    assert store.endpoints(SHOP) == [saved]


def test_a_write_of_what_somebody_else_changed_is_refused(store: EndpointStore) -> None:
    made = endpoint()
    store.add_endpoint(made)
    store.save_endpoint(made, replace(made, url="https://shop.example/2"))
    with pytest.raises(VersionConflictError):
        store.save_endpoint(made, replace(made, url="https://shop.example/3"))
    assert store.remove_endpoint(SHOP, made.endpoint_id)
    with pytest.raises(VersionConflictError):
        store.save_endpoint(made, made)


def test_a_shop_has_ten_endpoints_the_oldest_first_and_removing_one_makes_room(
    store: EndpointStore,
) -> None:
    made = [endpoint(number) for number in range(MAX_ENDPOINTS)]
    for each in reversed(made):
        store.add_endpoint(each)
    assert store.endpoints(SHOP) == made
    with pytest.raises(ConflictError):
        store.add_endpoint(endpoint(99))
    store.add_endpoint(endpoint(99, shop=OTHER_SHOP))
    assert not store.remove_endpoint(OTHER_SHOP, made[0].endpoint_id)
    assert store.remove_endpoint(SHOP, made[0].endpoint_id)
    assert not store.remove_endpoint(SHOP, made[0].endpoint_id)
    store.add_endpoint(endpoint(99))
    assert len(store.endpoints(SHOP)) == MAX_ENDPOINTS


def test_one_idempotency_key_makes_one_endpoint_for_a_day(
    store: EndpointStore, clock: FakeClock
) -> None:
    call = Idempotency(key="k", body_sha256="a")
    made = [endpoint(number) for number in range(MAX_ENDPOINTS)]
    assert store.add_endpoint(made[0], idempotency=call) == made[0]
    for each in made[1:]:
        store.add_endpoint(each)  # also when the shop has all it may have by then
    changed = store.save_endpoint(made[0], rotate(made[0], "sealed(2)", later(9), at_once=True))
    clock.advance(24 * 3600 - 1)
    assert store.add_endpoint(endpoint(99), idempotency=call) == changed
    with pytest.raises(IdempotencyKeyReusedError):
        store.add_endpoint(endpoint(99), idempotency=replace(call, body_sha256="b"))
    assert store.endpoints(SHOP) == [changed, *made[1:]]
    store.remove_endpoint(SHOP, made[0].endpoint_id)
    with pytest.raises(ConflictError, match="has been deleted"):
        store.add_endpoint(endpoint(99), idempotency=call)
    clock.advance(1)
    second = endpoint(99)
    assert store.add_endpoint(second, idempotency=call) == second


# --- deliveries -----------------------------------------------------------------------


def test_a_delivery_is_made_once_and_stays_as_it_is(store: EndpointStore) -> None:
    made = delivery(endpoint())
    assert store.add_delivery(made)
    changed = store.save_delivery(made, ended(made, DeliveryStatus.DELIVERED))
    assert not store.add_delivery(made)
    assert store.get_delivery(ref_of(made)) == changed


def test_everything_that_can_become_of_a_delivery_comes_back(store: EndpointStore) -> None:
    made = delivery(endpoint())
    store.add_delivery(made)
    after = tried(made, Try(at=START, status=503, duration_ms=8), "späte", later(1), random=0.5)
    saved = store.save_delivery(made, after)
    silent = tried(saved, Try(at=later(9), code="timed_out"), None, later(10), random=0.0)
    saved = store.save_delivery(saved, silent)
    found = store.get_delivery(ref_of(made))
    assert found == replace(silent, version=3)
    dropped = store.save_delivery(saved, ended(saved, DeliveryStatus.DROPPED, "endpoint_gone"))
    assert store.get_delivery(ref_of(made)) == dropped


def test_a_delivery_that_somebody_else_wrote_is_refused(store: EndpointStore) -> None:
    made = delivery(endpoint())
    store.add_delivery(made)
    store.save_delivery(made, ended(made, DeliveryStatus.DELIVERED))
    with pytest.raises(VersionConflictError):
        store.save_delivery(made, ended(made, DeliveryStatus.FAILED))


def test_an_endpoints_deliveries_are_read_newest_first_page_by_page(store: EndpointStore) -> None:
    mine, other = endpoint(1), endpoint(2)
    made = [delivery(mine, number) for number in range(7)]
    for each in (*made, delivery(other), delivery(replace(mine, shop=OTHER_SHOP))):
        store.add_delivery(each)
    found: list[Delivery] = []
    position: str | None = None
    while True:
        page = store.deliveries(SHOP, mine.endpoint_id, limit=3, position=position)
        found += page.deliveries
        position = page.position
        if position is None:
            break
    assert found == made[::-1]
    assert store.deliveries(SHOP, mine.endpoint_id, limit=7).position is None


def test_deliveries_of_much_each_are_all_reached_page_by_page(store: EndpointStore) -> None:
    # A Query answers with at most 1 MB.
    mine = endpoint()
    made = [replace(delivery(mine, number), body="x" * 20_000) for number in range(60)]
    for each in made:
        store.add_delivery(each)
    page = store.deliveries(SHOP, mine.endpoint_id, limit=100)
    found = list(page.deliveries)
    while page.position is not None:
        page = store.deliveries(SHOP, mine.endpoint_id, limit=100, position=page.position)
        found += page.deliveries
    assert found == made[::-1]


def test_what_is_due_is_found_and_what_has_ended_is_not(store: EndpointStore) -> None:
    mine = endpoint()
    made = [delivery(mine, number) for number in range(6)]
    for each in made:
        store.add_delivery(each)
    store.save_delivery(made[0], ended(made[0], DeliveryStatus.DELIVERED))
    assert store.due_deliveries(START + GRACE - timedelta(milliseconds=2), limit=50) == []
    found = store.due_deliveries(START + GRACE, limit=50)
    assert sorted(found, key=str) == sorted(map(ref_of, made[1:]), key=str)
    assert len(store.due_deliveries(START + GRACE, limit=2)) == 2


def test_deliveries_are_forgotten_thirty_days_after_they_were_last_asked_for(
    store: EndpointStore, clock: FakeClock
) -> None:
    mine = endpoint()
    old, again = delivery(mine, 1), delivery(mine, 2)
    for each in (old, again):
        store.add_delivery(each)
    store.save_delivery(again, asked_again(again, later(86_400)))
    clock.set(START + DELIVERY_KEPT_FOR)
    assert store.get_delivery(ref_of(old)) is None
    page = store.deliveries(SHOP, mine.endpoint_id, limit=10)
    assert [each.delivery_id for each in page.deliveries] == [again.delivery_id]


# --- what it costs on the table -------------------------------------------------------


def test_one_read_or_write_each(client: ProbedClient, clock: FakeClock) -> None:
    store = DynamoEndpointStore(client, TABLE, clock=clock)  # type: ignore[arg-type]
    made = endpoint()
    store.add_endpoint(made)
    sent = delivery(made)
    client.calls.clear()
    store.endpoints(SHOP)
    store.add_delivery(sent)
    store.get_delivery(ref_of(sent))
    store.get_endpoint(SHOP, made.endpoint_id)
    store.save_delivery(sent, ended(sent, DeliveryStatus.DELIVERED))
    store.deliveries(SHOP, made.endpoint_id, limit=20)
    assert client.operations == ["query", "put_item", "get_item", "get_item", "put_item", "query"]
