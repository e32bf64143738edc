"""The lane asks providers for their tools and our account: once, within the limit, and tells."""

from typing import Any

import pytest

from shared.domain.errors import ProviderUnknownOutcomeError, SecretUnavailableError
from shared.domain.tools import FactKind
from shared.usecases.advance_job import advance
from shared.usecases.dispatch_lane import Advance
from shared.usecases.ports import RefreshRequest
from tests.builders import a_job
from tests.fakes.provider_api import Fault, a_refusal
from tests.unit.usecases.lane_world import LaneWorld

TOOLS, ACCOUNT = FactKind.TOOLS, FactKind.ACCOUNT


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


def refresh(
    world: LaneWorld, kind: FactKind = TOOLS, *, provider: str = "pikcel", age_s: int = 10
) -> Advance:
    request = RefreshRequest(provider=provider, kind=kind, age_s=age_s)
    return advance(world.lane, request)[0].advance


def refreshes(world: LaneWorld) -> list[RefreshRequest]:
    sent = [each.request for each in world.outbox.dispatches]
    return [request for request in sent if isinstance(request, RefreshRequest)]


def test_what_the_provider_says_is_stored(world: LaneWorld) -> None:
    assert refresh(world, TOOLS) is Advance.REFRESHED
    assert refresh(world, ACCOUNT) is Advance.REFRESHED
    found = world.facts.facts("pikcel")
    assert found[TOOLS].value[0]["tool_id"] == "background-removal"
    assert found[ACCOUNT].value["balance"] == 100
    assert {fact.fetched_at for fact in found.values()} == {world.clock.now()}


def test_a_message_that_comes_again_asks_nobody(world: LaneWorld) -> None:
    refresh(world)
    assert refresh(world) is Advance.NOTHING
    world.clock.advance(11)
    assert refresh(world) is Advance.REFRESHED
    assert len(world.api.calls) == 2


def test_who_cannot_be_asked_is_not(world: LaneWorld) -> None:
    assert refresh(world, provider="another") is Advance.NOTHING
    assert world.api.calls == []


@pytest.mark.parametrize(
    ("fault", "advance_"),
    [
        (Fault(reply=a_refusal(500, "SERVER_ERROR", "Oh")), Advance.POSTPONED),
        (Fault(reply=a_refusal(429, "RATE_LIMIT", "Slow down")), Advance.POSTPONED),
        (Fault(error=ProviderUnknownOutcomeError("Lost.")), Advance.POSTPONED),
        (Fault(reply=a_refusal(401, "UNAUTHORIZED", "Who?")), Advance.UNAUTHORIZED),
    ],
)
def test_a_failure_is_told_and_what_was_said_before_stays(
    world: LaneWorld, fault: Fault, advance_: Advance
) -> None:
    refresh(world)
    said = world.facts.facts("pikcel")[TOOLS]
    world.clock.advance(60)
    world.api.faults.append(fault)
    assert refresh(world) is advance_
    now = world.facts.facts("pikcel")[TOOLS]
    assert (now.value, now.fetched_at) == (said.value, said.fetched_at)
    assert now.failed_at == world.clock.now()


def test_without_our_key_it_fails_and_the_message_comes_again(world: LaneWorld) -> None:
    world.api.faults.append(Fault(error=SecretUnavailableError("No key.")))
    with pytest.raises(SecretUnavailableError):
        refresh(world)
    assert world.facts.facts("pikcel")[TOOLS].failed_at == world.clock.now()


def test_our_share_of_the_limit_is_kept_to(world: LaneWorld) -> None:
    world.use_up_the_limit()
    assert refresh(world) is Advance.POSTPONED
    assert world.api.calls == []


def test_jobs_that_are_created_have_the_account_looked_at_once_a_minute(
    world: LaneWorld,
) -> None:
    for seconds in (0, 1, 30, 61, 62, 100, 122):
        world.at(seconds)
        world.advance(world.has(a_job(created_at=world.clock.now())))
    # Not with the first one of a process; then at 61 and at 122 seconds.
    assert [(each.kind, each.age_s) for each in refreshes(world)] == [
        (ACCOUNT, 60),
        (TOOLS, 1800),
    ] * 2


def test_a_real_402_has_the_account_looked_at_now(world: LaneWorld) -> None:
    refresh(world, ACCOUNT)
    world.api.balance = 0
    world.api.faults.append(Fault(reply=a_refusal(402, "INSUFFICIENT_CREDITS", "No credits")))
    world.clock.advance(11)
    ref = world.has(a_job())
    assert world.advance(ref).advance is Advance.REFUSED
    assert world.job(ref).error_code == "insufficient_credits"
    for request in refreshes(world):
        advance(world.lane, request)
    assert world.facts.facts("pikcel")[ACCOUNT].value["balance"] == 0
    assert TOOLS in world.facts.facts("pikcel")


def test_without_a_queue_the_job_is_created_all_the_same(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.advance(world.has(a_job()))
    world.clock.advance(61)
    world.outbox.broken = True
    ref = world.has(a_job(created_at=world.clock.now()))
    result: Any = world.advance(ref)
    assert result.advance is Advance.CREATED
