"""JobStore: events that come before their job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.domain.events import ParkedEvent, Proof
from shared.usecases.ports import JobStore
from tests.builders import a_dispatched_job, later
from tests.fakes.clock import START, FakeClock


def a_parked_event(**changes: Any) -> ParkedEvent:
    values: dict[str, Any] = {
        "provider": "pikcel",
        "provider_job_id": "pk_1",
        "key": "pk_1:completed",
        "received_at": START.replace(microsecond=123456),
        "proof": Proof.BODY,
        "body": b'{"status": "completed"}',
    }
    return ParkedEvent(**(values | changes))


def test_an_event_without_a_job_is_parked_and_read_back(store: JobStore) -> None:
    event = a_parked_event()
    assert store.park(event)
    assert store.parked("pikcel", "pk_1") == [event]


def test_nothing_is_parked_once_the_link_exists(store: JobStore) -> None:
    store.create(a_dispatched_job())
    assert not store.park(a_parked_event())
    assert store.parked("pikcel", "pk_1") == []


def test_a_tombstone_counts_as_a_link(store: JobStore) -> None:
    store.delete(store.create(a_dispatched_job()))
    assert not store.park(a_parked_event())


def test_two_deliveries_of_one_event_are_parked_once(store: JobStore) -> None:
    store.park(a_parked_event())
    again = a_parked_event(received_at=later(5))
    store.park(again)
    assert store.parked("pikcel", "pk_1") == [again]


def test_parked_events_come_oldest_first_each_for_its_own_job(store: JobStore) -> None:
    second = a_parked_event(key="a", received_at=later(2))
    first = a_parked_event(key="b", received_at=later(1))
    for event in (second, first, a_parked_event(provider_job_id="pk_12")):
        store.park(event)
    assert store.parked("pikcel", "pk_1") == [first, second]
    assert store.parked("fal", "pk_1") == []


def test_a_parked_event_that_was_applied_is_removed(store: JobStore) -> None:
    event, other = a_parked_event(), a_parked_event(key="other")
    store.park(event)
    store.park(other)
    store.unpark(event)
    store.unpark(event)
    assert store.parked("pikcel", "pk_1") == [other]


def test_a_parked_event_is_forgotten_after_seven_days(store: JobStore, clock: FakeClock) -> None:
    event = a_parked_event(received_at=START)
    store.park(event)
    clock.advance(7 * 86_400 - 1)
    assert store.parked("pikcel", "pk_1") == [event]
    clock.advance(1)
    assert store.parked("pikcel", "pk_1") == []


def test_event_keys_and_ids_of_any_length_are_kept_apart(store: JobStore) -> None:
    first = a_parked_event(key="x" * 5000 + "1", provider_job_id="y" * 5000)
    second = replace(first, key="x" * 5000 + "2")
    store.park(first)
    store.park(second)
    assert {event.key for event in store.parked("pikcel", "y" * 5000)} == {first.key, second.key}


def test_a_large_delivery_is_parked_whole(store: JobStore) -> None:
    event = a_parked_event(body=bytes(range(256)) * 1024)
    assert store.park(event)
    assert store.parked("pikcel", "pk_1") == [event]


def test_of_a_days_parked_events_the_newest_are_read(store: JobStore) -> None:
    # Their keys say nothing of when they came.
    events = [
        a_parked_event(key=f"{number * 7 % 120:03}", received_at=later(number))
        for number in range(120)
    ]
    for event in events:
        store.park(event)
    day = f"{events[0].received_at:%Y-%m-%d}"
    assert store.parked_on(day, limit=3) == events[-3:]
    assert store.parked_on(day, limit=500) == events
    assert store.parked_on("2001-01-01", limit=3) == []
