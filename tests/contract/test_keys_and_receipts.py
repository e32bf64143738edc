"""KeyStore and Receipts, on both implementations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from functions.api.once import MAX_ANSWER_BYTES
from shared.domain.errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    VersionConflictError,
)
from shared.domain.keys import MAX_AGENTS, MAX_SHOP_KEYS, Agent, KeyHolder, ShopKey
from shared.gateways.dynamo_keys import DynamoKeyStore
from shared.gateways.dynamo_receipts import DynamoReceipts
from shared.gateways.token_box import SecretTokenBox
from shared.usecases.ports import Idempotency, KeyStore, Receipts
from tests.builders import OTHER_SHOP, SHOP, later
from tests.contract.conftest import TABLE
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_keys import InMemoryKeyStore, InMemoryReceipts
from tests.fakes.table import dynamo_client, make_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Doors:
    keys: KeyStore
    receipts: Receipts


@pytest.fixture(params=["memory", "moto", pytest.param("ministack", marks=pytest.mark.slow)])
def doors(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Doors]:
    def on(client: DynamoDBClient) -> Doors:
        return Doors(
            DynamoKeyStore(client, TABLE, clock=clock), DynamoReceipts(client, TABLE, clock=clock)
        )

    if request.param == "memory":
        yield Doors(InMemoryKeyStore(clock), InMemoryReceipts(clock))
    elif request.param == "moto":
        with mock_aws():
            client = dynamo_client()
            make_table(client, TABLE)
            yield on(client)
    else:
        yield on(request.getfixturevalue("ministack_client"))


def a_key(number: int = 1, shop: str = SHOP) -> ShopKey:
    return ShopKey(
        shop=shop,
        key_id=f"{number:024x}",
        digest="ab" * 32,
        name=f"key {number}",
        created_at=later(number),
        created_by="user:42",
    )


def an_agent(number: int = 1, shop: str = SHOP) -> Agent:
    return Agent(
        shop=shop,
        agent_id=f"agent-{number:03d}",
        key_id=f"{number:024x}",
        digest="cd" * 32,
        name="Robot",
        description="Writes",
        created_at=START,
        updated_at=START,
    )


def test_a_key_finds_its_shop_until_it_is_revoked(doors: Doors) -> None:
    key = a_key()
    doors.keys.add_key(key)
    assert doors.keys.find_key(key.key_id) == KeyHolder(shop=SHOP, digest=key.digest)
    assert not doors.keys.remove_key(OTHER_SHOP, key.key_id)
    assert doors.keys.remove_key(SHOP, key.key_id)
    assert doors.keys.find_key(key.key_id) is None
    assert not doors.keys.remove_key(SHOP, key.key_id)


def test_keys_are_read_back_as_they_were_stored_the_oldest_first(doors: Doors) -> None:
    for key in (a_key(2), a_key(1), a_key(3, OTHER_SHOP)):
        doors.keys.add_key(key)
    doors.keys.touch_key(a_key(2).key_id, later(60))
    used = replace(a_key(2), last_used_at=later(60))
    assert doors.keys.shop_keys(SHOP) == [a_key(1), used]


def test_the_use_of_a_revoked_key_brings_nothing_back(doors: Doors) -> None:
    doors.keys.touch_key(a_key().key_id, START)
    assert doors.keys.find_key(a_key().key_id) is None


def test_a_shop_has_no_more_keys_than_it_may(doors: Doors) -> None:
    for number in range(MAX_SHOP_KEYS):
        doors.keys.add_key(a_key(number))
    with pytest.raises(ConflictError):
        doors.keys.add_key(a_key(100))
    assert doors.keys.find_key(a_key(100).key_id) is None
    doors.keys.remove_key(SHOP, a_key(3).key_id)
    doors.keys.add_key(a_key(100))


def test_a_shop_has_no_more_agents_than_it_may(doors: Doors) -> None:
    for number in range(MAX_AGENTS):
        doors.keys.add_agent(an_agent(number))
    with pytest.raises(ConflictError):
        doors.keys.add_agent(an_agent(MAX_AGENTS))


def test_an_agent_that_is_retired_makes_room_for_another(doors: Doors) -> None:
    for number in range(MAX_AGENTS):
        doors.keys.add_agent(an_agent(number))
    first = doors.keys.get_agent(SHOP, an_agent(0).agent_id)
    assert first is not None
    retired = doors.keys.save_agent(first, replace(first, is_active=False))
    renamed = doors.keys.save_agent(retired, replace(retired, name="Emeritus"))
    doors.keys.add_agent(an_agent(MAX_AGENTS))
    with pytest.raises(ConflictError):
        doors.keys.add_agent(an_agent(MAX_AGENTS + 1))
    with pytest.raises(ConflictError):
        doors.keys.save_agent(renamed, replace(renamed, is_active=True))
    assert doors.keys.get_agent(SHOP, first.agent_id) == renamed
    assert doors.keys.find_key(first.key_id) is None


def test_an_agents_key_works_only_while_it_is_active(doors: Doors) -> None:
    agent = an_agent()
    doors.keys.add_agent(agent)
    holder = KeyHolder(shop=SHOP, digest=agent.digest, agent_id=agent.agent_id)
    assert doors.keys.find_key(agent.key_id) == holder
    off = doors.keys.save_agent(agent, replace(agent, is_active=False))
    assert doors.keys.find_key(agent.key_id) is None
    assert doors.keys.agents(SHOP) == [off]
    on = doors.keys.save_agent(off, replace(off, is_active=True, description=None))
    assert doors.keys.find_key(agent.key_id) == holder
    assert doors.keys.get_agent(SHOP, agent.agent_id) == on
    assert doors.keys.get_agent(OTHER_SHOP, agent.agent_id) is None


def test_an_agent_is_changed_on_condition_of_its_version(doors: Doors) -> None:
    agent = an_agent()
    doors.keys.add_agent(agent)
    doors.keys.save_agent(agent, replace(agent, name="first"))
    with pytest.raises(VersionConflictError):
        doors.keys.save_agent(agent, replace(agent, name="late"))


CALL = Idempotency(key="k", body_sha256="a")
A_DAY_S = timedelta(hours=24).total_seconds()


def test_one_idempotency_key_makes_one_key_for_a_day(doors: Doors, clock: FakeClock) -> None:
    assert doors.keys.add_key(a_key(1), idempotency=CALL) == a_key(1)
    for number in range(2, MAX_SHOP_KEYS + 1):
        doors.keys.add_key(a_key(number))  # also when the shop has all it may have by then
    clock.advance(A_DAY_S - 1)
    assert doors.keys.add_key(a_key(100), idempotency=CALL) == a_key(1)
    assert doors.keys.find_key(a_key(100).key_id) is None
    with pytest.raises(IdempotencyKeyReusedError):
        doors.keys.add_key(a_key(100), idempotency=replace(CALL, body_sha256="b"))
    other = a_key(200, OTHER_SHOP)
    assert doors.keys.add_key(other, idempotency=CALL) == other
    doors.keys.remove_key(SHOP, a_key(2).key_id)
    clock.advance(1)
    assert doors.keys.add_key(a_key(100), idempotency=CALL) == a_key(100)


def test_a_key_that_was_made_and_revoked_is_not_made_again(doors: Doors) -> None:
    doors.keys.add_key(a_key(1), idempotency=CALL)
    doors.keys.remove_key(SHOP, a_key(1).key_id)
    with pytest.raises(ConflictError, match="has been deleted"):
        doors.keys.add_key(a_key(2), idempotency=CALL)
    assert doors.keys.shop_keys(SHOP) == []


def test_a_key_that_was_renewed_opens_with_its_new_secret_only(doors: Doors) -> None:
    key = doors.keys.add_key(a_key())
    renewed = doors.keys.renew_key(key, "ef" * 32)
    assert renewed == replace(key, digest="ef" * 32)
    assert doors.keys.shop_keys(SHOP) == [renewed]
    assert doors.keys.find_key(key.key_id) == KeyHolder(shop=SHOP, digest="ef" * 32)
    with pytest.raises(VersionConflictError):
        doors.keys.renew_key(key, "00" * 32)
    doors.keys.remove_key(SHOP, key.key_id)
    with pytest.raises(VersionConflictError):
        doors.keys.renew_key(renewed, "00" * 32)
    assert doors.keys.find_key(key.key_id) is None


def test_one_idempotency_key_makes_one_agent_for_a_day(doors: Doors, clock: FakeClock) -> None:
    assert doors.keys.add_agent(an_agent(1), idempotency=CALL) == an_agent(1)
    changed = doors.keys.save_agent(an_agent(1), replace(an_agent(1), name="Emeritus"))
    clock.advance(A_DAY_S - 1)
    assert doors.keys.add_agent(an_agent(2), idempotency=CALL) == changed
    assert doors.keys.agents(SHOP) == [changed]
    assert doors.keys.find_key(an_agent(2).key_id) is None
    clock.advance(1)
    assert doors.keys.add_agent(an_agent(2), idempotency=CALL) == an_agent(2)


def test_an_agent_with_another_secret_comes_in_with_that_one_only(doors: Doors) -> None:
    agent = doors.keys.add_agent(an_agent())
    renewed = doors.keys.save_agent(agent, replace(agent, digest="ef" * 32))
    holder = KeyHolder(shop=SHOP, digest="ef" * 32, agent_id=agent.agent_id)
    assert doors.keys.find_key(agent.key_id) == holder
    off = doors.keys.save_agent(renewed, replace(renewed, is_active=False))
    doors.keys.save_agent(off, replace(off, digest="00" * 32))
    assert doors.keys.find_key(agent.key_id) is None


def test_a_call_is_begun_once_and_its_answer_kept_for_a_day(doors: Doors, clock: FakeClock) -> None:
    assert doors.receipts.begin(SHOP, CALL) is None
    doors.receipts.finish(SHOP, CALL, "answer")
    assert doors.receipts.begin(SHOP, CALL) == "answer"
    assert doors.receipts.begin(OTHER_SHOP, CALL) is None
    clock.advance(timedelta(hours=24).total_seconds() - 1)
    assert doors.receipts.begin(SHOP, CALL) == "answer"
    clock.advance(1)
    assert doors.receipts.begin(SHOP, CALL) is None


def test_an_answer_outlives_what_tells_that_something_was_made(
    doors: Doors, clock: FakeClock
) -> None:
    doors.receipts.begin(SHOP, CALL)
    clock.advance(20)
    doors.keys.add_key(a_key(1), idempotency=replace(CALL, key="issueKey\nk"))
    doors.receipts.finish(SHOP, CALL, "answer")
    clock.advance(A_DAY_S - 1)
    assert doors.receipts.begin(SHOP, CALL) == "answer"


def test_another_body_with_the_same_key_is_refused(doors: Doors) -> None:
    other = replace(CALL, body_sha256="b")
    doors.receipts.begin(SHOP, CALL)
    with pytest.raises(IdempotencyKeyReusedError):
        doors.receipts.begin(SHOP, other)
    doors.receipts.finish(SHOP, CALL, "answer")
    with pytest.raises(IdempotencyKeyReusedError):
        doors.receipts.begin(SHOP, other)


def test_the_same_call_at_the_same_time_is_refused(doors: Doors, clock: FakeClock) -> None:
    doors.receipts.begin(SHOP, CALL)
    with pytest.raises(ConflictError) as refused:
        doors.receipts.begin(SHOP, CALL)
    assert refused.value.code == "already_running"
    clock.advance(60)  # whoever began it has died
    assert doors.receipts.begin(SHOP, CALL) is None


def test_a_call_that_was_refused_may_be_made_anew(doors: Doors) -> None:
    doors.receipts.begin(SHOP, CALL)
    doors.receipts.forget(SHOP, CALL)
    assert doors.receipts.begin(SHOP, replace(CALL, body_sha256="b")) is None


def test_the_largest_answer_that_is_kept_fits_when_sealed(doors: Doors) -> None:
    sealed = SecretTokenBox(lambda: ["secret"]).seal("я" * (MAX_ANSWER_BYTES // 2))
    doors.receipts.begin(SHOP, CALL)
    doors.receipts.finish(SHOP, CALL, sealed)
    assert doors.receipts.begin(SHOP, CALL) == sealed
