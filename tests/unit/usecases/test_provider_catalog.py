"""What is known of providers: asked once, shown with its age, and never refused by when old."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.domain.errors import InsufficientCreditsError, QueueUnavailableError
from shared.domain.job import Priority
from shared.domain.tools import Account, FactKind, Tool, account_value, tools_value
from shared.usecases.ports import RefreshRequest
from shared.usecases.provider_catalog import Catalog, Plan
from tests.fakes.clock import FakeClock
from tests.fakes.memory_facts import InMemoryFactStore
from tests.fakes.outbox import FakeOutbox

TOOLS, ACCOUNT = FactKind.TOOLS, FactKind.ACCOUNT
MINUTE = timedelta(minutes=1)


class World:
    """A catalog, and a dispatch lane that answers as it is told to while somebody waits."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = InMemoryFactStore()
        self.outbox = FakeOutbox()
        self.catalog = self.a_process()
        self.clock.on_sleep = self._deliver
        self.answer: Callable[[FactKind], object] | None = None
        self.answers_after_s = 1.0
        self._waited = 0.0
        self._seen = 0

    def a_process(self) -> Catalog:
        """Return the catalog of another process."""
        return Catalog(store=self.store, outbox=self.outbox, clock=self.clock)

    def says(self, *, balance: float | None = None, price: float | None = None) -> None:
        """Let the provider have said it just now."""
        now = self.clock.now()
        if price is not None:
            self.store.put_fact("pikcel", TOOLS, tools_value({"t": a_tool(price)}), now)
        if balance is not None:
            self.store.put_fact("pikcel", ACCOUNT, account_value(Account(balance=balance)), now)

    def will_say(self, *, balance: float, price: float = 2) -> None:
        """Let the provider say it when it is asked."""
        values: dict[FactKind, object] = {
            TOOLS: tools_value({"t": a_tool(price)}),
            ACCOUNT: account_value(Account(balance=balance)),
        }
        self.answer = values.__getitem__

    @property
    def asked(self) -> list[FactKind]:
        """What the lane was told to ask for, in order."""
        requests = [sent.request for sent in self.outbox.dispatches]
        return [request.kind for request in requests if isinstance(request, RefreshRequest)]

    def check(self, catalog: Catalog | None = None, *, count: int = 1) -> None:
        plan = Plan(provider="pikcel", tool_id="t", priority=Priority.NORMAL, count=count)
        (catalog or self.catalog).check_credits(plan)

    def _deliver(self) -> None:
        self._waited += self.clock.slept[-1]
        if self._waited < self.answers_after_s:
            return
        new, self._seen = self.asked[self._seen :], len(self.asked)
        for kind in new:
            if self.answer is None:
                self.store.fail_fact("pikcel", kind, self.clock.now())
            else:
                self.store.put_fact("pikcel", kind, self.answer(kind), self.clock.now())


def a_tool(price: float) -> Tool:
    return Tool(tool_id="t", name="The tool", credits=price)


@pytest.fixture
def world() -> World:
    return World()


# --- what is shown ----------------------------------------------------------------------


def test_what_is_fresh_is_shown_without_asking(world: World) -> None:
    world.says(price=2)
    world.clock.advance(60)
    facts = world.catalog.refreshed("pikcel", {TOOLS: MINUTE})
    assert facts[TOOLS].value is not None
    assert (world.asked, world.clock.slept) == ([], [])


def test_what_is_old_is_asked_for_and_waited_for(world: World) -> None:
    world.says(price=2)
    world.will_say(balance=1, price=3)
    world.clock.advance(61)
    facts = world.catalog.refreshed("pikcel", {TOOLS: MINUTE})
    assert facts[TOOLS].value[0]["credits"] == 3
    assert facts[TOOLS].fetched_at == world.clock.now()
    assert world.asked == [TOOLS]
    assert 1 <= sum(world.clock.slept) < 2


def test_many_who_want_it_at_once_ask_once_and_all_get_the_answer(world: World) -> None:
    world.will_say(balance=1, price=3)
    found = []
    outer = world.clock.on_sleep
    assert outer is not None

    def meanwhile() -> None:
        world.clock.on_sleep = outer
        found.append(world.a_process().refreshed("pikcel", {TOOLS: MINUTE}))

    world.clock.on_sleep = meanwhile
    found.append(world.catalog.refreshed("pikcel", {TOOLS: MINUTE}))
    assert [facts[TOOLS].value[0]["credits"] for facts in found] == [3, 3]
    assert world.asked == [TOOLS]


def test_when_the_provider_fails_the_last_answer_is_shown_at_once_and_not_asked_again(
    world: World,
) -> None:
    world.says(price=2)
    world.clock.advance(3600)
    said_at = world.store.facts("pikcel")[TOOLS].fetched_at
    assert world.catalog.refreshed("pikcel", {TOOLS: MINUTE})[TOOLS].fetched_at == said_at
    waited = sum(world.clock.slept)
    assert waited < 2
    assert world.a_process().refreshed("pikcel", {TOOLS: MINUTE})[TOOLS].fetched_at == said_at
    assert sum(world.clock.slept) == waited
    assert world.asked == [TOOLS]
    world.clock.advance(10)
    world.will_say(balance=1)
    assert world.catalog.refreshed("pikcel", {TOOLS: MINUTE})[TOOLS].fetched_at != said_at


def test_nobody_waits_longer_than_eight_seconds(world: World) -> None:
    world.answers_after_s = 1000
    assert world.catalog.refreshed("pikcel", {TOOLS: MINUTE})[TOOLS].fetched_at is None
    assert sum(world.clock.slept) == pytest.approx(8)


def test_without_a_queue_nobody_waits(world: World) -> None:
    world.outbox.broken = True
    world.says(price=2)
    world.clock.advance(3600)
    assert TOOLS in world.catalog.refreshed("pikcel", {TOOLS: MINUTE})
    assert world.clock.slept == []
    with pytest.raises(QueueUnavailableError):
        world.outbox.send_dispatch([])


# --- what is refused --------------------------------------------------------------------


def test_a_job_is_refused_when_the_account_lacks_its_price(world: World) -> None:
    world.says(balance=1, price=2)
    with pytest.raises(InsufficientCreditsError) as refused:
        world.check()
    assert refused.value.details == (
        {"required": 2, "isQuote": True, "asOf": "2026-11-22T12:00:00.000Z"},
    )
    assert "1" not in refused.value.message.replace("takes 2", "")
    assert world.asked == []


def test_enough_is_enough(world: World) -> None:
    world.says(balance=2, price=2)
    world.check()
    with pytest.raises(InsufficientCreditsError):
        world.check(count=2)


@pytest.mark.parametrize(
    ("priority", "balance", "is_enough"),
    [
        (Priority.LOW, 1, True),  # 0.8
        (Priority.HIGH, 1, False),  # 1.5
        (Priority.HIGH, 2, True),
        (Priority.URGENT, 1.9, False),
    ],
)
def test_the_priority_has_its_price(
    world: World, priority: Priority, balance: float, is_enough: bool
) -> None:
    world.says(balance=balance, price=1)
    plan = Plan(provider="pikcel", tool_id="t", priority=priority)
    if is_enough:
        world.catalog.check_credits(plan)
    else:
        with pytest.raises(InsufficientCreditsError):
            world.catalog.check_credits(plan)


def test_what_is_old_and_too_little_is_asked_for_before_anybody_is_refused(world: World) -> None:
    world.says(balance=0, price=2)
    world.clock.advance(61)
    world.will_say(balance=100)
    world.check()
    assert world.asked == [ACCOUNT]
    world.clock.advance(61)
    world.will_say(balance=1)
    with pytest.raises(InsufficientCreditsError):
        # 100 credits were enough; 51 jobs are not.
        world.check(count=51)
    assert world.asked == [ACCOUNT, ACCOUNT]


def test_an_old_price_is_asked_for_too(world: World) -> None:
    world.says(balance=1, price=2)
    world.clock.advance(3601)
    world.will_say(balance=1, price=1)
    world.check()
    assert world.asked == [TOOLS, ACCOUNT]


def test_nobody_is_refused_by_what_is_old_or_missing(world: World) -> None:
    world.check()  # nothing is known at all
    world.says(price=2)
    world.a_process().check_credits(Plan(provider="pikcel", tool_id="t", priority=Priority.LOW))
    world.says(balance=0)
    world.clock.advance(61)
    world.check(world.a_process())  # and the provider does not answer
    world.says(balance=0)
    unknown = Plan(provider="pikcel", tool_id="another", priority=Priority.LOW)
    world.a_process().check_credits(unknown)
    world.a_process().check_credits(Plan(provider="pikcel", tool_id=None, priority=Priority.URGENT))


def test_a_provider_that_does_not_answer_is_waited_for_once_a_minute(world: World) -> None:
    world.says(balance=0, price=2)
    world.clock.advance(61)
    world.answers_after_s = 1000
    for _ in range(100):
        world.check()
    assert sum(world.clock.slept) == pytest.approx(8)
    world.clock.advance(61)
    world.check()
    assert sum(world.clock.slept) == pytest.approx(16)


def test_half_a_minute_of_creations_reads_once(world: World) -> None:
    world.says(balance=10, price=2)
    reads = 0
    real = world.store.facts

    def counted(provider: str) -> object:
        nonlocal reads
        reads += 1
        return real(provider)

    world.store.facts = counted  # type: ignore[method-assign, assignment]
    for _ in range(10):
        world.check()
        assert world.catalog.tool_name("pikcel", "t") == "The tool"
        world.clock.advance(2.9)
    assert reads == 1
    world.clock.advance(1)
    world.check()
    assert reads == 2


def test_many_at_once_are_judged_together(world: World) -> None:
    world.says(balance=5, price=2)
    together = world.catalog.planning()
    plan = Plan(provider="pikcel", tool_id="t", priority=Priority.NORMAL)
    for _ in range(2):
        together.check_credits(plan)
        together.promise(plan)
    with pytest.raises(InsufficientCreditsError):
        together.check_credits(plan)
    world.check()  # on its own it would be enough


def test_a_tool_nobody_knows_has_no_name(world: World) -> None:
    assert world.catalog.tool_name("pikcel", "t") is None
    world.says(price=1)
    assert world.a_process().tool_name("pikcel", None) is None
    assert world.a_process().tool_name("fal", "t") is None
