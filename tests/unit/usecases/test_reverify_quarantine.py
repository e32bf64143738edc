"""What becomes of the quarantine when it is checked again."""

from typing import Any

import pytest

from shared.domain.errors import (
    InvariantError,
    NotFoundError,
    StoreUnavailableError,
)
from shared.domain.quarantine import HeldDelivery
from shared.providers.base import Check, Delivery
from shared.usecases.quarantine_ports import Mark, Reverified
from shared.usecases.receive_webhook import SignatureError, UncheckedError
from shared.usecases.reverify_quarantine import ReverifyDesk, reverify
from tests.builders import later
from tests.fakes.clock import FakeClock
from tests.fakes.memory_quarantine import InMemoryQuarantine
from tests.fakes.secrets import FakeSecrets

HOUR = 60 * 60


class World:
    """received: what was taken, in order. verdicts: by body, what a delivery raises."""

    def __init__(self) -> None:
        self.clock = FakeClock(later(HOUR))
        self.quarantine = InMemoryQuarantine()
        self.secrets = FakeSecrets()
        self.received: list[Delivery] = []
        self.verdicts: dict[bytes, Exception] = {}
        self.takes_s = 0.0

    @property
    def desk(self) -> ReverifyDesk:
        return ReverifyDesk(
            quarantine=self.quarantine,
            secrets=self.secrets,
            clock=self.clock,
            receive=self._receive,
        )

    def _receive(self, delivery: Delivery) -> None:
        self.clock.advance(self.takes_s)
        self.received.append(delivery)
        if trouble := self.verdicts.get(delivery.body):
            raise trouble

    def holds(self, *bodies: bytes, provider: str = "pikcel", **more: Any) -> None:
        for number, body in enumerate(bodies):
            self.quarantine.hold(
                HeldDelivery(
                    provider=provider,
                    received_at=later(number),
                    reason="wrong",
                    size_bytes=len(body),
                    body=body,
                    headers={"x-signature": "ab"},
                    **more,
                )
            )

    def kept(self, provider: str = "pikcel") -> list[bytes]:
        return [each.body for each in self.quarantine.take(provider, self.clock.now(), after=None)]


@pytest.fixture
def world() -> World:
    return World()


def told(**counts: Any) -> Reverified:
    zero: dict[str, Any] = dict.fromkeys(
        ("checked", "accepted", "refused", "failing", "remaining"), 0
    )
    return Reverified(**zero | {"mark": None} | counts)


def test_what_is_genuine_now_is_taken_as_of_its_reception_and_kept_no_longer(
    world: World,
) -> None:
    world.holds(b"a", b"b", reference="ref")
    assert reverify(world.desk, ["pikcel"], None) == told(checked=2, accepted=2)
    assert world.received[1] == Delivery(
        provider="pikcel",
        body=b"b",
        headers={"x-signature": "ab"},
        received_at=later(1),
        reference="ref",
        is_held=True,
    )
    assert world.kept() == []


@pytest.mark.parametrize(
    ("trouble", "counts"),
    [
        (SignatureError(Check.WRONG), {"failing": 1}),
        (UncheckedError("Not set.", Check.NO_KEY), {"failing": 1}),
        (InvariantError("Our bug."), {"failing": 1}),
        (NotFoundError("There is no such job."), {"refused": 1}),
    ],
)
def test_whatever_was_not_applied_stays(
    world: World, trouble: Exception, counts: dict[str, int]
) -> None:
    world.holds(b"a", b"b")
    world.verdicts[b"a"] = trouble
    assert reverify(world.desk, ["pikcel"], None) == told(checked=2, accepted=1, **counts)
    assert world.kept() == [b"a"]


def test_the_secrets_are_read_anew_first(world: World) -> None:
    reverify(world.desk, ["pikcel"], None)
    assert world.secrets.refreshes == 2


def test_an_outage_ends_it_and_what_was_applied_is(world: World) -> None:
    world.holds(b"a", b"b", b"c")
    world.verdicts[b"b"] = StoreUnavailableError("The table does not answer.")
    with pytest.raises(StoreUnavailableError):
        reverify(world.desk, ["pikcel"], None)
    assert world.kept() == [b"b", b"c"]
    world.verdicts.clear()
    assert reverify(world.desk, ["pikcel"], None) == told(checked=2, accepted=2)


def test_only_those_providers_are_looked_at(world: World) -> None:
    world.holds(b"a")
    world.holds(b"b", provider="worker")
    assert reverify(world.desk, ["worker"], None) == told(checked=1, accepted=1)
    assert world.kept() == [b"a"]


def test_it_ends_after_five_seconds_and_goes_on_where_it_was(world: World) -> None:
    world.holds(*(b"%d" % number for number in range(7)))
    world.holds(b"x", b"y", provider="worker")
    world.verdicts = {b"%d" % n: SignatureError(Check.WRONG) for n in (0, 2, 4)}
    world.takes_s = 1.0
    first = reverify(world.desk, ["worker", "pikcel"], None)
    assert first.mark is not None
    assert first == told(checked=5, accepted=2, failing=3, remaining=4, mark=first.mark)
    second = reverify(world.desk, ["worker", "pikcel"], first.mark)
    assert second == told(checked=4, accepted=4)
    assert b"".join(each.body for each in world.received) == b"0123456xy"
    assert world.kept() == [b"0", b"2", b"4"]


def test_however_slow_it_is_each_call_gets_on(world: World) -> None:
    world.holds(b"a", b"b")
    world.takes_s = 60.0
    marks: list[Mark | None] = []
    after: Mark | None = None
    for _ in range(2):
        done = reverify(world.desk, ["pikcel"], after)
        assert (done.checked, done.accepted) == (1, 1)
        marks.append(after := done.mark)
    assert reverify(world.desk, ["pikcel"], after) == told()
    assert world.kept() == []


def test_it_reaches_the_end_of_more_than_a_page(world: World) -> None:
    world.holds(*(b"%d" % number for number in range(50)))
    done = reverify(world.desk, ["pikcel"], None)
    assert done == told(checked=50, accepted=50)


def test_twice_at_once_both_take_what_is_there(world: World) -> None:
    """Taken twice, a delivery is a duplicate; whose release comes second changes nothing."""
    world.holds(b"a", b"b")
    receive = world._receive
    raced: list[bool] = []

    def race(delivery: Delivery) -> None:
        receive(delivery)
        if not raced:
            raced.append(True)
            reverify(world.desk, ["pikcel"], None)

    world._receive = race  # type: ignore[method-assign]
    assert reverify(world.desk, ["pikcel"], None) == told(checked=2, accepted=2)
    assert world.kept() == []


def test_what_is_kept_no_longer_is_not_checked(world: World) -> None:
    world.holds(b"a")
    world.clock.set(later(24 * HOUR))
    assert reverify(world.desk, ["pikcel"], None) == told()
