"""Whose a parked delivery is: asked of a provider that can tell, proven by our own reference."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.errors import (
    ProviderUnknownOutcomeError,
    QueueUnavailableError,
    SecretUnavailableError,
)
from shared.domain.ids import JobRef
from shared.domain.plan import Step
from shared.domain.references import make_reference
from shared.domain.status import JobStatus, Outcome
from shared.providers.registry import ADAPTERS
from shared.usecases.apply_event import adopt_parked
from shared.usecases.dispatch_lane import Advance
from shared.usecases.find_owner import CAP_S, MAX_TRIES, OWNERS_KEY
from shared.usecases.ports import FindOwnerRequest
from tests.builders import OTHER_SHOP, a_job, later
from tests.fakes.provider_api import Fault, a_reply
from tests.unit.usecases.openai_world import FIRST, OpenaiWorld


@pytest.fixture
def world() -> OpenaiWorld:
    return OpenaiWorld()


# --- who asks --------------------------------------------------------------------------------


def test_what_is_parked_is_asked_about_once_a_create_call_must_have_been_answered(
    world: OpenaiWorld,
) -> None:
    assert world.deliver() is Outcome.PARKED
    assert world.asks == [(FIRST, 45)]


def test_what_finds_its_job_is_not_asked_about(world: OpenaiWorld) -> None:
    ref = world.has(a_job(provider="openai", tool_id="gpt-5"))
    world.advance(ref)
    assert world.deliver() is Outcome.APPLIED
    assert world.asks == []


def test_a_provider_whose_deliveries_carry_our_reference_is_not_asked(world: OpenaiWorld) -> None:
    """What is parked of it was made elsewhere."""
    assert [name for name, adapter in ADAPTERS.items() if adapter.tells_owner] == ["openai"]
    untold = FindOwnerRequest(provider="replicate", provider_job_id="p1")
    world.lane = replace(world.lane, tracker=replace(world.tracker, adapters=ADAPTERS))
    assert world.find(untold).advance is Advance.NOTHING
    assert world.find(replace(untold, provider="gone")).advance is Advance.NOTHING
    assert world.api.calls == []


def test_a_delivery_that_nobody_could_be_asked_about_must_come_again(world: OpenaiWorld) -> None:
    world.outbox.broken = True
    with pytest.raises(QueueUnavailableError):
        world.deliver()
    world.outbox.broken = False
    assert world.deliver() is Outcome.PARKED
    assert world.asks == [(FIRST, 45)]
    assert len(world.store.parked("openai", "resp_1")) == 1


# --- a job whose answer was lost ---------------------------------------------------------------


def test_a_job_whose_answer_was_lost_gets_what_was_parked(world: OpenaiWorld) -> None:
    ref = world.has_unanswered()
    world.api.end("resp_1")
    assert world.deliver() is Outcome.PARKED
    assert world.find().advance is Advance.FOUND
    job = world.job(ref)
    assert (job.status, job.provider_job_id) == (JobStatus.COMPLETED, "resp_1")
    assert world.step(ref) is Step.KEEP
    assert world.store.parked("openai", "resp_1") == []
    assert len(world.api.created) == 1
    link = world.store.find_link("openai", "resp_1")
    assert link is not None
    assert (link.ref, link.attempt) == (ref, 1)


def test_so_does_one_that_was_given_up_already(world: OpenaiWorld) -> None:
    ref = world.has_unanswered(auto_push=True)
    world.at(15 * 60 + 1)
    world.sweep()
    assert world.job(ref).error_code == "dispatch_unknown"
    world.at(60 * 60)
    world.api.end("resp_1")
    world.deliver()
    assert world.find().advance is Advance.FOUND
    job = world.job(ref)
    assert (job.status, job.error_code, job.error_message) == (JobStatus.COMPLETED, None, None)
    assert world.step(ref) is Step.KEEP
    assert len(world.api.created) == 1


def test_a_failure_that_was_parked_is_told_with_its_reason(world: OpenaiWorld) -> None:
    ref = world.has_unanswered()
    world.api.end("resp_1", "failed")
    world.api.jobs["resp_1"]["error"] = {"code": "server_error", "message": "No paint."}
    world.deliver(word="failed")
    assert world.find().advance is Advance.FOUND
    job = world.job(ref)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "server_error")
    assert job.error_message == "No paint."
    assert world.step(ref) is Step.NOTHING


def test_an_attempt_before_the_present_one_keeps_its_result_and_is_not_pushed(
    world: OpenaiWorld,
) -> None:
    ref = world.has_unanswered()
    world.at(15 * 60 + 1)
    world.sweep()
    world.change(ref, lambda job: lifecycle.retry(job, world.clock.now()))
    world.api.end("resp_1")
    world.deliver()
    assert world.find().advance is Advance.FOUND
    job = world.job(ref)
    assert (job.status, job.attempt.number) == (JobStatus.PENDING, 2)
    assert [output.attempt for output in job.outputs] == [1]


def test_a_second_message_changes_nothing_and_asks_nobody(world: OpenaiWorld) -> None:
    ref = world.has_unanswered()
    world.api.end("resp_1")
    world.deliver()
    world.find()
    job, polls, sentences = world.job(ref), world.polls, world.sentences(ref)
    assert world.find().advance is Advance.NOTHING
    assert (world.job(ref), world.polls, world.sentences(ref)) == (job, polls, sentences)


def test_an_answer_that_came_after_all_leaves_nothing_to_ask(world: OpenaiWorld) -> None:
    ref = world.has(a_job(provider="openai", tool_id="gpt-5"))
    world.api.during = world.deliver  # before the answer
    assert world.advance(ref).advance is Advance.CREATED
    assert world.job(ref).status is JobStatus.COMPLETED
    assert world.find().advance is Advance.NOTHING
    assert world.polls == 0


def test_whoever_died_between_the_link_and_what_was_parked_is_seconded(
    world: OpenaiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = world.has_unanswered()
    world.api.end("resp_1")
    world.deliver()
    with monkeypatch.context() as dying:
        dying.setattr("shared.usecases.apply_event.adopt_parked", lambda *_: None)
        world.find()
    assert world.job(ref).provider_job_id == "resp_1"
    assert len(world.store.parked("openai", "resp_1")) == 1
    assert world.find().advance is Advance.NOTHING
    assert world.store.parked("openai", "resp_1") == []
    assert "The provider says completed again; nothing changes." in world.sentences(ref)


# --- whose it is not ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forge",
    [
        lambda ref: None,
        lambda ref: make_reference("openai", ref, 1, "another-secret"),
        lambda ref: make_reference("replicate", ref, 1, "test-app-secret"),
        lambda ref: (
            f"{OTHER_SHOP}:" + make_reference("openai", ref, 1, "test-app-secret").partition(":")[2]
        ),
    ],
    ids=["none", "another secret's", "another provider's", "another shop's"],
)
def test_nobody_attaches_a_response_without_our_token(world: OpenaiWorld, forge: Any) -> None:
    ref = world.has_unanswered()
    world.has(a_job(shop=OTHER_SHOP, provider="openai", tool_id="gpt-5", job_id=ref.job_id))
    world.api.has("resp_9", "completed", metadata={"ref": forge(ref)})
    world.deliver("resp_9")
    request = replace(FIRST, provider_job_id="resp_9")
    before = world.job(ref)
    assert world.find(request).advance is Advance.FOREIGN
    assert world.job(ref) == before
    assert world.job(JobRef(OTHER_SHOP, ref.job_id)).status is JobStatus.PENDING
    assert len(world.store.parked("openai", "resp_9")) == 1  # an administrator may still adopt it


def test_a_reference_that_was_copied_from_a_known_response_moves_nothing(
    world: OpenaiWorld,
) -> None:
    """Whoever has our account can read it there."""
    ref = world.has(a_job(provider="openai", tool_id="gpt-5"))
    world.advance(ref)
    world.api.has("resp_9", "completed", metadata=world.api.jobs["resp_1"]["metadata"])
    world.deliver("resp_9")
    assert world.find(replace(FIRST, provider_job_id="resp_9")).advance is Advance.FOREIGN
    job = world.job(ref)
    assert (job.status, job.provider_job_id) == (JobStatus.PENDING, "resp_1")
    assert world.store.find_link("openai", "resp_9") is None


def test_what_openai_does_not_know_or_is_of_a_deleted_job_stays_where_it_is(
    world: OpenaiWorld,
) -> None:
    world.deliver()
    assert world.find().advance is Advance.FOREIGN
    gone = JobRef(OTHER_SHOP, a_job().job_id)
    reference = make_reference("openai", gone, 1, "test-app-secret")
    world.api.has("resp_1", "completed", metadata={"ref": reference})
    assert world.find().advance is Advance.GONE
    assert world.store.find_link("openai", "resp_1") is None


def test_of_a_job_that_was_deleted_nothing_is_asked(world: OpenaiWorld) -> None:
    ref = world.has(a_job(provider="openai", tool_id="gpt-5"))
    world.advance(ref)
    world.store.delete(world.job(ref))
    assert world.find().advance is Advance.GONE
    assert world.polls == 0


# --- while it cannot be asked ------------------------------------------------------------------


def test_while_openai_does_not_answer_it_is_asked_again_later_for_a_day(world: OpenaiWorld) -> None:
    ref = world.has_unanswered()
    world.api.end("resp_1")
    request, waits = FIRST, []
    while request.tries < MAX_TRIES - 1:
        world.api.faults.append(Fault(error=ProviderUnknownOutcomeError("It answered 500.")))
        assert world.find(request).advance is Advance.POSTPONED
        (request, delay_s), world.outbox.dispatches[:] = world.asks[-1], []
        waits.append(delay_s)
        world.clock.advance(delay_s)
    assert 0 < waits[0] <= 60
    assert max(waits) <= CAP_S
    assert sum(waits) > 12 * 60 * 60
    assert world.find(request).advance is Advance.FOUND
    assert world.job(ref).provider_job_id == "resp_1"


def test_after_that_it_stays_for_an_administrator(world: OpenaiWorld) -> None:
    world.deliver()
    world.outbox.clear()
    world.api.faults.append(Fault(reply=a_reply(500)))
    last = replace(FIRST, tries=MAX_TRIES - 1)
    assert world.find(last).advance is Advance.UNPROVEN
    assert world.asks == []
    assert len(world.store.parked("openai", "resp_1")) == 1


def test_it_waits_as_long_as_it_is_asked_to(world: OpenaiWorld) -> None:
    world.api.faults.append(Fault(reply=a_reply(429, retry_after_s=300)))
    world.find()
    world.api.faults.append(Fault(reply=a_reply(429, retry_after_s=7200)))
    world.find()
    first, second = (delay_s for _, delay_s in world.asks)
    assert 300 <= first <= 311
    assert second == 900  # a queue holds back no message for longer


def test_others_responses_do_not_use_up_the_calls_of_our_own_jobs(world: OpenaiWorld) -> None:
    adapter, now = ADAPTERS["openai"], world.clock.now()
    share = adapter.create_ceiling // 2
    for number in range(share + 5):
        world.find(replace(FIRST, provider_job_id=f"resp_{number}"))
    assert world.polls == share
    assert [request.provider_job_id for request, _ in world.asks] == [
        f"resp_{number}" for number in range(share, share + 5)
    ]
    assert not world.limiter.take("openai", OWNERS_KEY, now, ceiling=share)
    assert world.lane.has_share(adapter, adapter.create_ceiling)


def test_without_our_secret_nothing_is_concluded(world: OpenaiWorld) -> None:
    world.has_unanswered()
    world.deliver()
    world.secrets.broken = True
    with pytest.raises(SecretUnavailableError):
        world.find()
    world.secrets.broken = False
    assert world.find().advance is Advance.FOUND


def test_adoption_by_an_administrator_meanwhile_is_left_alone(world: OpenaiWorld) -> None:
    """He registered the response for a shop: it is that job's, and its parked delivery too."""
    world.deliver()
    attempt = {"provider_job_id": "resp_1", "linked_at": later(1), "created_at": later(1)}
    adopted = world.store.create(a_job(provider="openai", tool_id="gpt-5", attempt=attempt))
    adopt_parked(world.tracker, adopted)
    before = world.job(adopted.ref)
    assert before.status is JobStatus.COMPLETED
    assert world.find().advance is Advance.NOTHING
    assert world.job(adopted.ref) == before
