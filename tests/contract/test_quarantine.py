"""Deliveries that failed their check, and which secrets fitted: in memory and on the table."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from shared.domain.quarantine import MAX_AN_HOUR, HeldDelivery, place_of
from shared.domain.rotation import HourOfMatches, Matched
from shared.gateways import dynamo_quarantine
from shared.gateways.dynamo_matches import DynamoSecretMatches
from shared.gateways.dynamo_quarantine import DynamoQuarantine
from shared.usecases.quarantine_ports import Quarantine, SecretMatches
from tests.builders import later
from tests.contract.conftest import TABLE
from tests.fakes import memory_quarantine
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_quarantine import InMemoryQuarantine, InMemorySecretMatches
from tests.fakes.table import ProbedClient, dynamo_client, error_answer, make_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

HOUR = 60 * 60
DAY = 24 * HOUR
ALL_BYTES = bytes(range(256))


@dataclass(frozen=True, slots=True)
class Both:
    quarantine: Quarantine
    matches: SecretMatches


@pytest.fixture(params=["memory", "moto", pytest.param("ministack", marks=pytest.mark.slow)])
def both(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Both]:
    if request.param == "memory":
        yield Both(InMemoryQuarantine(), InMemorySecretMatches())
    elif request.param == "moto":
        with mock_aws():
            client = dynamo_client()
            make_table(client, TABLE)
            yield _on(client, clock)
    else:
        yield _on(request.getfixturevalue("ministack_client"), clock)


def _on(client: Any, clock: FakeClock) -> Both:
    return Both(
        DynamoQuarantine(client, TABLE, clock=clock),
        DynamoSecretMatches(client, TABLE, clock=clock),
    )


@pytest.fixture
def quarantine(both: Both) -> Quarantine:
    return both.quarantine


@pytest.fixture
def matches(both: Both) -> SecretMatches:
    return both.matches


def a_held(at: float = 0, body: bytes = b"{}", **changes: Any) -> HeldDelivery:
    values: dict[str, Any] = {
        "provider": "pikcel",
        "received_at": later(at),
        "reason": "wrong",
        "size_bytes": len(body),
        "body": body,
        "headers": {"x-pikcel-signature": "0" * 64},
    }
    return HeldDelivery(**values | changes)


def test_what_is_kept_comes_back_as_it_came(quarantine: Quarantine) -> None:
    headers = {"x-pikcel-signature": "é\ud800", "content-type": "text/plain; charset=ü"}
    held = a_held(0.25, ALL_BYTES, headers=headers, reference="a.myshopify.com:1:1:ab")
    assert quarantine.hold(held) is True
    (found,) = quarantine.take("pikcel", later(1), after=None)
    assert found == replace(held, place=place_of(held.received_at, 0))
    assert isinstance(found.body, bytes)


def test_a_body_may_be_empty_and_as_large_as_is_kept(quarantine: Quarantine) -> None:
    for body in (b"", b"\xff" * 64 * 1024):
        quarantine.hold(a_held(body=body, reference=None))
    found = quarantine.take("pikcel", later(1), after=None)
    assert [(len(each.body), each.reference) for each in found] == [(0, None), (65_536, None)]


def test_it_is_taken_in_the_order_of_reception_from_a_place_on(quarantine: Quarantine) -> None:
    for at in (5, 3, 4, 2 * HOUR):
        quarantine.hold(a_held(at))
    found = quarantine.take("pikcel", later(3 * HOUR), after=None)
    assert [each.received_at for each in found] == [later(at) for at in (3, 4, 5, 2 * HOUR)]
    rest = quarantine.take("pikcel", later(3 * HOUR), after=found[1].place)
    assert rest == found[2:]
    assert quarantine.take("pikcel", later(3 * HOUR), after=found[-1].place) == []


def test_everything_is_reached_however_much_there_is(quarantine: Quarantine) -> None:
    for number in range(40):
        quarantine.hold(a_held(number, b"x" * 60_000))
    seen, place = [], None
    while page := quarantine.take("pikcel", later(60), after=place):
        assert len(page) < 40
        seen += page
        place = page[-1].place
    assert [each.received_at for each in seen] == [later(number) for number in range(40)]


def test_it_is_listed_latest_first_without_bodies(quarantine: Quarantine) -> None:
    for at in range(4):
        quarantine.hold(a_held(at, b"x" * at))
    found = quarantine.held("pikcel", later(9), until=None, limit=3)
    assert [(each.received_at, each.size_bytes) for each in found] == [
        (later(3), 3),
        (later(2), 2),
        (later(1), 1),
    ]
    assert not any(hasattr(each, "body") for each in found)
    older = quarantine.held("pikcel", later(9), until=found[2].place, limit=3)
    assert [each.size_bytes for each in older] == [1, 0]


def test_nobody_sees_anothers(quarantine: Quarantine) -> None:
    quarantine.hold(a_held())
    assert quarantine.held("pik", later(1), until=None, limit=9) == []
    assert quarantine.take("pikcel#x", later(1), after=None) == []
    assert quarantine.taken("worker", later(1)) == {}


def test_what_is_released_is_gone_and_its_place_is_not_given_again(
    quarantine: Quarantine,
) -> None:
    quarantine.hold(a_held())
    (found,) = quarantine.take("pikcel", later(1), after=None)
    for _ in range(2):
        quarantine.release("pikcel", found.place)
    assert quarantine.take("pikcel", later(1), after=None) == []
    quarantine.hold(a_held())
    (second,) = quarantine.take("pikcel", later(1), after=None)
    assert second.place != found.place


def test_after_a_day_it_is_nobodys_any_more(quarantine: Quarantine) -> None:
    quarantine.hold(a_held())
    place = place_of(START, 0)
    assert len(quarantine.take("pikcel", later(DAY - 1), after=None)) == 1
    for now in (later(DAY), later(DAY + 1)):
        assert quarantine.take("pikcel", now, after=None) == []
        assert quarantine.held("pikcel", now, until=None, limit=9) == []
        assert quarantine.held("pikcel", now, until=place, limit=9) == []


@pytest.fixture
def five_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 of them take moto half a minute."""
    assert MAX_AN_HOUR == 500
    for module in (dynamo_quarantine, memory_quarantine):
        monkeypatch.setattr(module, "MAX_AN_HOUR", 5)


@pytest.mark.usefixtures("five_an_hour")
def test_of_an_hour_so_many_are_kept_and_of_each_provider(quarantine: Quarantine) -> None:
    kept = [quarantine.hold(a_held(number)) for number in range(8)]
    assert kept == [True] * 5 + [False] * 3
    assert quarantine.hold(a_held(1, provider="worker")) is True
    assert quarantine.hold(a_held(HOUR)) is True
    now = later(HOUR + 1)
    assert quarantine.taken("pikcel", now) == {"2026-11-22T12": 5, "2026-11-22T13": 1}
    assert len(quarantine.held("pikcel", now, until=None, limit=999)) == 6


@pytest.mark.slow
def test_the_bound_is_exact_when_many_come_at_once(
    ministack_client: DynamoDBClient, clock: FakeClock
) -> None:
    quarantine = _on(ministack_client, clock).quarantine
    with ThreadPoolExecutor(8) as threads:
        kept = list(threads.map(lambda number: quarantine.hold(a_held(number / 1000)), range(560)))
    assert kept.count(True) == 500
    assert quarantine.taken("pikcel", later(1)) == {"2026-11-22T12": 500}
    assert len(quarantine.held("pikcel", later(1), until=None, limit=999)) == 500


def test_the_places_of_more_than_a_day_ago_are_not_told(quarantine: Quarantine) -> None:
    quarantine.hold(a_held())
    assert quarantine.taken("pikcel", later(DAY)) == {"2026-11-22T12": 1}
    assert quarantine.taken("pikcel", later(DAY + HOUR)) == {}


# --- what it costs -----------------------------------------------------------------------


def test_keeping_one_is_two_writes_and_one_that_fails_in_a_full_hour(
    client: ProbedClient, clock: FakeClock
) -> None:
    quarantine = _on(client, clock).quarantine
    quarantine.hold(a_held())
    assert client.operations == ["update_item", "put_item"]
    client.calls.clear()
    client.answers.append(_full)
    assert quarantine.hold(a_held()) is False
    assert client.operations == ["update_item"]


def _full(*_: Any) -> dict[str, Any]:
    raise error_answer("ConditionalCheckFailedException")


def test_if_we_die_between_the_two_writes_the_bound_still_holds(
    client: ProbedClient, clock: FakeClock
) -> None:
    quarantine = _on(client, clock).quarantine

    def dies(operation: str, _request: dict[str, Any]) -> None:
        if operation == "put_item":
            raise KeyboardInterrupt

    client.answers += [lambda *_: None, dies]
    with pytest.raises(KeyboardInterrupt):
        quarantine.hold(a_held())
    quarantine.hold(a_held(1))
    (found,) = quarantine.take("pikcel", later(2), after=None)
    assert found.place.endswith("#001")
    assert quarantine.taken("pikcel", later(2)) == {"2026-11-22T12": 2}


def test_a_page_is_one_call_and_a_list_reads_no_body(
    client: ProbedClient, clock: FakeClock
) -> None:
    quarantine = _on(client, clock).quarantine
    quarantine.hold(a_held())
    client.calls.clear()
    quarantine.take("pikcel", later(1), after=None)
    quarantine.held("pikcel", later(1), until=None, limit=50)
    assert client.operations == ["query", "query"]
    assert "body" not in client.calls[1][1]["ExpressionAttributeNames"].values()


# --- which secrets fitted ----------------------------------------------------------------


def test_nothing_is_counted_of_a_secret_that_nothing_fitted(matches: SecretMatches) -> None:
    matches.add("OTHER", "2026-11-22T12", {"aa": Matched(1, START)})
    assert matches.hours("PIKCEL_WEBHOOK_SECRET", START) == []


def test_counts_of_an_hour_are_added_up_by_secret(matches: SecretMatches) -> None:
    matches.add("NAME", "2026-11-22T12", {"aa": Matched(2, later(1)), "bb": Matched(1, later(2))})
    matches.add("NAME", "2026-11-22T12", {"aa": Matched(3, later(9))})
    matches.add("NAME", "2026-11-22T11", {"bb": Matched(4, later(-60))})
    assert matches.hours("NAME", later(10)) == [
        HourOfMatches("2026-11-22T11", {"bb": Matched(4, later(-60))}),
        HourOfMatches("2026-11-22T12", {"aa": Matched(5, later(9)), "bb": Matched(1, later(2))}),
    ]


def test_counts_of_more_than_a_week_ago_are_not_told(matches: SecretMatches) -> None:
    matches.add("NAME", "2026-11-22T12", {"aa": Matched(1, START)})
    assert len(matches.hours("NAME", START + timedelta(days=7))) == 1
    assert matches.hours("NAME", START + timedelta(days=7, hours=1)) == []


def test_counting_is_one_write_however_many_secrets_fitted(
    client: ProbedClient, clock: FakeClock
) -> None:
    matches = _on(client, clock).matches
    matches.add("NAME", "2026-11-22T12", {"aa": Matched(2, START), "bb": Matched(1, START)})
    assert client.operations == ["update_item"]
