"""Creating at the provider: started once, paid once, whatever is lost on the way."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.domain import lifecycle
from shared.domain.errors import (
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
    SecretUnavailableError,
    StoreUnavailableError,
)
from shared.domain.events import ParkedEvent, Proof
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.plan import Step
from shared.domain.references import Reference, read_reference
from shared.domain.status import JobEvent, JobStatus
from shared.gateways.provider_http import TIMEOUT_S
from shared.usecases.apply_event import apply_event
from shared.usecases.create_at_provider import CALL_BEGINS_WITHIN
from shared.usecases.dispatch_lane import Advance
from shared.usecases.ports import DispatchRequest
from tests.builders import OTHER_SHOP, RESULT_URL, a_dispatched_job, a_job, an_event, later
from tests.fakes.provider_api import Fault, a_refusal, a_reply
from tests.unit.usecases.lane_world import PUBLIC_URL, LaneWorld

LOST = Fault(error=ProviderUnknownOutcomeError("The answer was lost."))
LOST_BUT_DONE = Fault(error=ProviderUnknownOutcomeError("The answer was lost."), is_executed=True)


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


@pytest.fixture
def ref(world: LaneWorld) -> JobRef:
    return world.has(a_job())


def test_a_created_job_learns_the_providers_id(world: LaneWorld, ref: JobRef) -> None:
    assert world.advance(ref).advance is Advance.CREATED
    job = world.job(ref)
    assert (job.provider_job_id, job.status) == ("pk_1", JobStatus.PENDING)
    assert job.attempt.linked_at == world.clock.now()
    link = world.store.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == ref


def test_the_timeline_says_under_which_id_the_provider_has_the_job(
    world: LaneWorld, ref: JobRef
) -> None:
    world.advance(ref)
    assert world.sentences(ref)[-1] == "The provider has the job as pk_1 and says pending."


def test_callback_and_metadata_carry_the_same_verifiable_reference(
    world: LaneWorld, ref: JobRef
) -> None:
    world.advance(ref)
    body = world.api.created[0].body
    assert body is not None
    url = urlsplit(body["webhook_url"])
    assert url.geturl().startswith(f"{PUBLIC_URL}/webhooks/pikcel?ref=")
    told = parse_qs(url.query)["ref"][0]
    assert told == body["metadata"]["ref"]
    assert read_reference("pikcel", told, ["test-app-secret"]) == Reference(ref, 1)


def test_the_intent_is_in_the_table_before_the_call(world: LaneWorld, ref: JobRef) -> None:
    seen: list[Job] = []
    world.api.during = lambda: seen.append(world.job(ref))
    world.advance(ref)
    assert (seen[0].attempt.intent_at, seen[0].attempt.tries) == (later(1), 1)


def test_of_two_workers_at_once_one_makes_the_call(world: LaneWorld, ref: JobRef) -> None:
    results = []
    world.api.during = lambda: results.append(world.advance(ref).advance)
    results.append(world.advance(ref).advance)
    assert results == [Advance.NOTHING, Advance.CREATED]
    assert len(world.api.created) == 1


def test_of_two_workers_that_read_the_same_item_one_makes_the_call(
    world: LaneWorld, ref: JobRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second one acts between the first one's decision and its write.
    results = []
    save = world.store.save
    was_first = [True]

    def slow_save(before: Job, after: Job, **more: object) -> Job:
        if was_first.pop() if was_first else False:
            results.append(world.advance(ref).advance)
        return save(before, after, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.store, "save", slow_save)
    results.append(world.advance(ref).advance)
    assert results == [Advance.CREATED, Advance.NOTHING]
    assert len(world.api.created) == 1


def test_a_job_that_is_created_already_is_left_alone(world: LaneWorld, ref: JobRef) -> None:
    world.advance(ref)
    assert world.advance(ref).advance is Advance.NOTHING
    assert len(world.api.created) == 1


def test_a_deleted_job_is_nothing_to_do(world: LaneWorld, ref: JobRef) -> None:
    world.store.delete(lifecycle.cancel(world.job(ref), world.clock.now()))
    assert world.advance(ref).advance is Advance.GONE
    assert not world.api.calls


def test_a_scheduled_job_waits(world: LaneWorld) -> None:
    ref = world.has(a_job(scheduled_at=later(600)))
    assert world.advance(ref).advance is Advance.NOTHING
    assert not world.api.calls


# --- proven not executed -------------------------------------------------------------


def test_without_a_share_of_the_limit_nothing_is_sent_and_the_job_waits_for_the_next_minute(
    world: LaneWorld, ref: JobRef
) -> None:
    world.use_up_the_limit()
    assert world.advance(ref).advance is Advance.POSTPONED
    job = world.job(ref)
    assert not world.api.calls
    assert (job.attempt.intent_at, job.attempt.tries) == (None, 0)
    assert job.attempt.not_before == later(1 + 59 + 5)  # and half of the spread
    assert world.due_in_s(ref) == 44  # the present date serves
    assert world.outbox.dispatches[-1].delay_s == 64


def test_a_second_message_without_a_share_sends_no_second_reminder(
    world: LaneWorld, ref: JobRef
) -> None:
    world.use_up_the_limit()
    world.advance(ref)
    assert world.advance(ref).advance is Advance.NOTHING
    assert len(world.messages(ref)) == 1


def test_the_next_minutes_share_creates_it(world: LaneWorld, ref: JobRef) -> None:
    world.use_up_the_limit()
    world.advance(ref)
    world.at(66)
    assert world.advance(ref).advance is Advance.CREATED


@pytest.mark.parametrize("wait_s", [7.0, 90.0])
def test_a_busy_provider_is_asked_again_no_sooner_than_it_says(
    world: LaneWorld, ref: JobRef, wait_s: float
) -> None:
    reply = a_refusal(429, "RATE_LIMIT", "Slow down")
    world.api.faults.append(Fault(reply=replace(reply, retry_after_s=wait_s)))
    assert world.advance(ref).advance is Advance.POSTPONED
    job = world.job(ref)
    assert job.attempt.intent_at is None
    assert job.status is JobStatus.PENDING
    assert job.attempt.not_before is not None
    assert wait_s <= (job.attempt.not_before - world.clock.now()).total_seconds() <= wait_s + 10
    assert world.due_in_s(ref) <= wait_s + 10
    assert wait_s <= world.outbox.dispatches[-1].delay_s <= wait_s + 11


def test_a_long_wait_is_left_to_the_sweep(world: LaneWorld, ref: JobRef) -> None:
    reply = a_reply(429, retry_after_s=600.0)
    world.api.faults.append(Fault(reply=reply))
    world.advance(ref)
    assert world.due_in_s(ref) >= 600
    assert not world.messages(ref)


def test_the_time_that_a_limit_has_us_wait_is_no_outage(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(Fault(reply=a_reply(429, retry_after_s=3600.0)))
    world.advance(ref)
    assert 3600 <= world.due_in_s(ref) <= 3610
    world.clock.advance(world.due_in_s(ref))
    assert world.step(ref) is Step.CREATE


def test_no_limit_holds_a_job_for_longer_than_a_day_and_the_time_out(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(Fault(reply=a_reply(429, retry_after_s=1_000_000.0)))
    world.advance(ref)
    assert world.job(ref).due_at == later(24 * 3600 + 15 * 60)


def test_an_outage_after_a_wait_for_the_limit_still_ends_after_fifteen_minutes(
    world: LaneWorld, ref: JobRef
) -> None:
    world.use_up_the_limit()
    world.advance(ref)
    held_until = world.job(ref).attempt.held_until
    assert held_until is not None
    while world.step(ref) in (Step.WAIT, Step.CREATE):
        world.clock.advance(max(world.due_in_s(ref), 0.001))
        world.api.faults.append(Fault(error=ProviderUnreachableError("No connection.")))
        world.advance(ref)
    assert world.step(ref) is Step.GIVE_UP
    waited = world.clock.now() - held_until
    assert timedelta(minutes=15) <= waited < timedelta(minutes=17, seconds=1)


def test_a_call_that_was_reserved_is_made_though_others_use_up_its_minute(
    world: LaneWorld, ref: JobRef
) -> None:
    world.use_up_the_limit()
    world.advance(ref)
    world.at(66)
    world.use_up_the_limit()
    assert world.advance(ref).advance is Advance.CREATED
    assert world.job(ref).attempt.slot_at is None


def test_no_call_begins_so_late_that_it_could_outlast_the_first_listing(
    world: LaneWorld, ref: JobRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = world.store.save

    def slowly(*args: Any, **kwargs: Any) -> Job:
        monkeypatch.setattr(world.store, "save", save)
        world.clock.advance(11)
        return save(*args, **kwargs)

    monkeypatch.setattr(world.store, "save", slowly)
    assert world.advance(ref).advance is Advance.POSTPONED
    assert not world.api.calls
    assert world.job(ref).attempt.intent_at is None
    longest_s = CALL_BEGINS_WITHIN.total_seconds() + TIMEOUT_S
    assert longest_s < world.adapter.patience.call_s


def test_a_call_that_was_reserved_long_ago_is_lost(world: LaneWorld, ref: JobRef) -> None:
    world.use_up_the_limit()
    world.advance(ref)
    world.at(60 + 120)
    world.use_up_the_limit()
    assert world.advance(ref).advance is Advance.POSTPONED
    assert world.job(ref).attempt.slot_at == later(240)


def test_two_thousand_jobs_at_once_are_all_created_and_each_is_looked_at_twice(
    world: LaneWorld,
) -> None:
    number = count()  # the order of equal instants
    refs = [world.has(a_job()) for _ in range(2000)]
    queue = [(world.clock.now(), next(number), ref) for ref in refs]
    sweep_at, looks, calls_of = later(60), 0, Counter[datetime]()
    while sweep_at < later(30 * 60):
        is_sweep = not queue or sweep_at <= queue[0][0]
        world.clock.set(sweep_at if is_sweep else queue[0][0])
        if is_sweep:
            world.sweep()
            sweep_at += timedelta(seconds=60)
        else:
            _, _, ref = heappop(queue)
            looks += 1
            if world.advance(ref).advance is Advance.CREATED:
                calls_of[world.clock.now().replace(second=0)] += 1
        for sent in world.outbox.dispatches:
            # Polls are another story.
            if not isinstance(sent.request, DispatchRequest):
                continue
            if world.job(sent.request.ref).provider_job_id is None:
                at = world.clock.now() + timedelta(seconds=sent.delay_s)
                heappush(queue, (at, next(number), sent.request.ref))
        world.outbox.clear()
    assert len(world.api.created) == len(refs)
    assert all(world.job(ref).provider_job_id is not None for ref in refs)
    assert max(calls_of) <= later(23 * 60)
    assert max(calls_of.values()) <= world.adapter.create_ceiling
    assert looks < 2.5 * len(refs)


def test_without_a_connection_the_waits_grow_with_full_jitter(
    world: LaneWorld, ref: JobRef
) -> None:
    waits = []
    for _ in range(4):
        world.api.faults.append(Fault(error=ProviderUnreachableError("No connection.")))
        assert world.advance(ref).advance is Advance.POSTPONED
        waits.append(world.due_in_s(ref))
        world.clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8]  # half (the fake chance) of 2, 4, 8, 16
    assert world.job(ref).attempt.tries == 4


def test_a_refused_job_fails_with_the_providers_code_and_words(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(Fault(reply=a_refusal(400, "INVALID_PARAMS", "No such tool")))
    assert world.advance(ref).advance is Advance.REFUSED
    job = world.job(ref)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "invalid_params")
    assert job.error_message == "No such tool"
    assert job.due_at is None
    assert job.completed_at == world.clock.now()


def test_missing_credits_have_a_code_of_their_own(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(Fault(reply=a_refusal(402, "PAYMENT", "Not enough credits")))
    world.advance(ref)
    assert world.job(ref).error_code == "insufficient_credits"


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_of_ours_is_not_the_jobs_failure(
    world: LaneWorld, ref: JobRef, status: int
) -> None:
    world.api.faults.append(Fault(reply=a_refusal(status, "UNAUTHORIZED", "Bad key")))
    assert world.advance(ref).advance is Advance.UNAUTHORIZED
    job = world.job(ref)
    assert (job.status, job.attempt.intent_at) == (JobStatus.PENDING, None)
    assert world.due_in_s(ref) == 30  # half of a minute: trying often heals nothing


def test_a_wrong_key_fails_the_job_at_the_deadline_with_the_reason(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(Fault(reply=a_refusal(401, "UNAUTHORIZED", "Bad key")))
    world.advance(ref)
    world.at(15 * 60)
    world.sweep()
    job = world.job(ref)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "dispatch_failed")
    assert job.error_message is not None
    assert "key" in job.error_message


def test_an_unreadable_secret_leaves_no_intent_behind(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(Fault(error=SecretUnavailableError("No key.")))
    with pytest.raises(SecretUnavailableError):
        world.advance(ref)
    assert world.job(ref).attempt.intent_at is None


def test_without_the_app_secret_nothing_is_begun(world: LaneWorld, ref: JobRef) -> None:
    world.secrets.broken = True
    with pytest.raises(SecretUnavailableError):
        world.advance(ref)
    assert world.job(ref).attempt.tries == 0


def test_a_job_cancelled_while_the_provider_was_busy_stays_cancelled(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(Fault(error=ProviderUnreachableError("No connection.")))
    world.api.during = lambda: world.change(
        ref, lambda job: lifecycle.cancel(job, world.clock.now())
    )
    world.advance(ref)
    job = world.job(ref)
    assert (job.status, job.attempt.intent_at) == (JobStatus.CANCELLED, None)
    assert not world.messages(ref)


def test_a_job_cancelled_during_the_call_still_learns_its_id(world: LaneWorld, ref: JobRef) -> None:
    world.api.during = lambda: world.change(
        ref, lambda job: lifecycle.cancel(job, world.clock.now())
    )
    world.advance(ref)
    job = world.job(ref)
    assert (job.status, job.provider_job_id) == (JobStatus.CANCELLED, "pk_1")


# --- lost answers --------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        LOST,
        Fault(reply=a_reply(500, {"success": False, "error": {"code": "X", "message": "oops"}})),
        Fault(reply=a_reply(503, "no JSON")),
        Fault(reply=a_reply(200, "no JSON")),
        Fault(reply=a_reply(404, "a proxy's page")),
        Fault(reply=a_reply(302, "")),
    ],
)
def test_a_lost_answer_keeps_the_intent_and_sends_nothing_again(
    world: LaneWorld, ref: JobRef, fault: Fault
) -> None:
    world.api.faults.append(fault)
    assert world.advance(ref).advance is Advance.ANSWER_LOST
    assert world.job(ref).attempt.intent_at == world.clock.now()
    assert world.step(ref) is Step.WAIT
    assert world.advance(ref).advance is Advance.NOTHING
    assert len(world.api.created) == 1


def test_a_lost_answer_is_looked_up_right_after_the_calls_time_out(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    assert world.outbox.dispatches[-1].delay_s == 46
    assert world.due_in_s(ref) == 44


def test_a_crash_after_the_call_is_a_lost_answer(
    world: LaneWorld, ref: JobRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = world.store.save

    def broken_save(*_: object, **__: object) -> Job:
        raise StoreUnavailableError("The table is out.")

    world.api.during = lambda: monkeypatch.setattr(world.store, "save", broken_save)
    with pytest.raises(StoreUnavailableError):
        world.advance(ref)
    monkeypatch.setattr(world.store, "save", save)
    assert world.advance(ref).advance is Advance.NOTHING
    world.clock.advance(46)
    assert world.advance(ref).advance is Advance.FOUND
    assert world.job(ref).provider_job_id == "pk_1"
    assert len(world.api.created) == 1


def test_a_lost_answer_whose_job_exists_is_found_and_linked(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(LOST_BUT_DONE)
    world.advance(ref)
    world.clock.advance(46)
    assert world.advance(ref).advance is Advance.FOUND
    assert world.job(ref).provider_job_id == "pk_1"
    assert len(world.api.created) == 1


def test_a_found_job_that_is_completed_already_completes(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.provider_has(ref, "pk_9", "completed", output_image_url=RESULT_URL)
    world.clock.advance(46)
    result = world.advance(ref)
    assert (result.advance, result.silent) == (Advance.FOUND, "pikcel")
    assert world.step(ref) is Step.KEEP
    assert world.messages(ref)


def test_the_listing_reaches_back_before_the_call(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.clock.advance(46)
    world.advance(ref)
    assert world.api.listed[0].query["from_date"] == "2026-11-22T11:55:01.000Z"


def test_the_job_is_found_on_a_later_page(world: LaneWorld, ref: JobRef) -> None:
    world.api.page = 2
    world.api.faults.append(LOST)
    world.advance(ref)
    world.provider_has(ref, "pk_ours", "processing")
    for number in range(5):
        world.api.has(f"pk_other_{number}")
    world.clock.advance(46)
    assert world.advance(ref).advance is Advance.FOUND
    assert [call.query["offset"] for call in world.api.listed] == ["0", "2", "4"]


def test_two_complete_listings_without_the_job_prove_that_it_was_not_executed(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.clock.advance(46)
    assert world.advance(ref).advance is Advance.MISSED
    assert world.outbox.dispatches[-1].delay_s == 61
    assert len(world.api.created) == 1
    world.clock.advance(61)
    assert world.advance(ref).advance is Advance.ABSENT
    job = world.job(ref)
    assert (job.attempt.number, job.attempt.intent_at, job.attempt.missed_at) == (1, None, None)
    assert world.advance(ref).advance is Advance.CREATED
    assert len(world.api.created) == 2
    assert world.job(ref).attempt.tries == 2


def test_a_proven_absence_sends_the_next_message_at_once(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    for seconds in (46, 61):
        world.clock.advance(seconds)
        world.outbox.clear()
        world.advance(ref)
    assert [sent.delay_s for sent in world.outbox.dispatches] == [0]


def test_a_second_listing_too_soon_is_not_begun(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.clock.advance(46)
    world.advance(ref)
    world.clock.advance(59)
    assert world.advance(ref).advance is Advance.NOTHING
    assert len(world.api.listed) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(error=ProviderUnknownOutcomeError("broken")),
        Fault(error=ProviderUnreachableError("no connection")),
        Fault(reply=a_reply(500, "oops")),
        Fault(reply=a_reply(429, "slow down")),
        Fault(reply=a_reply(200, {"success": True})),
    ],
)
def test_a_listing_that_breaks_off_proves_nothing(
    world: LaneWorld, ref: JobRef, fault: Fault
) -> None:
    world.api.page = 1
    world.api.has("pk_other_1")
    world.api.has("pk_other_2")
    world.api.faults.extend([LOST, None, fault])
    world.advance(ref)
    world.clock.advance(46)
    assert world.advance(ref).advance is Advance.UNPROVEN
    assert world.job(ref).attempt.missed_at is None
    assert world.step(ref) is Step.LOOK_UP


def test_a_listing_without_a_share_of_the_limit_proves_nothing(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.clock.advance(46)
    world.use_up_the_limit()
    assert world.advance(ref).advance is Advance.UNPROVEN
    assert not world.api.listed


def test_a_listing_that_never_ends_proves_nothing(
    world: LaneWorld, ref: JobRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.usecases.look_up_job.MAX_PAGES", 3)
    world.api.page = 1
    for number in range(9):
        world.api.has(f"pk_other_{number}")
    world.api.faults.append(LOST)
    world.advance(ref)
    world.clock.advance(46)
    assert world.advance(ref).advance is Advance.UNPROVEN


def test_a_listing_that_takes_too_long_proves_nothing(world: LaneWorld, ref: JobRef) -> None:
    world.api.page = 1
    for number in range(3):
        world.api.has(f"pk_other_{number}")
    world.api.faults.append(LOST)
    world.advance(ref)
    world.clock.advance(46)
    world.api.during = lambda: world.clock.advance(21)
    assert world.advance(ref).advance is Advance.UNPROVEN
    assert len(world.api.listed) == 1


@pytest.mark.parametrize("part", ["token", "attempt", "shop"])
def test_a_listed_job_with_another_reference_is_not_ours(
    world: LaneWorld, ref: JobRef, part: str
) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.provider_has(ref, "pk_9", "completed", output_image_url=RESULT_URL)
    metadata = world.api.jobs["pk_9"]["metadata"]
    shop, job_id, attempt, token = metadata["ref"].split(":")
    changed = {
        "token": f"{shop}:{job_id}:{attempt}:{'0' * 32}",
        "attempt": f"{shop}:{job_id}:2:{token}",
        "shop": f"{OTHER_SHOP}:{job_id}:{attempt}:{token}",
    }
    metadata["ref"] = changed[part]
    world.clock.advance(46)
    assert world.advance(ref).advance is Advance.MISSED
    assert world.job(ref).provider_job_id is None


def test_a_webhook_during_the_second_listing_beats_the_proof(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.clock.advance(46)
    world.advance(ref)
    world.clock.advance(61)

    def webhook() -> None:
        def link(job: Job) -> Job:
            attempt = replace(job.attempt, provider_job_id="pk_7", linked_at=world.clock.now())
            return replace(job.with_attempt(attempt), status=JobStatus.PROCESSING)

        world.change(ref, link)

    world.api.during = webhook
    assert world.advance(ref).advance is Advance.NOTHING
    assert world.job(ref).provider_job_id == "pk_7"
    assert world.job(ref).attempt.intent_at is not None


def test_of_two_second_listings_at_once_one_has_the_job_sent_again(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.clock.advance(46)
    world.advance(ref)
    world.clock.advance(61)
    results = []

    def the_other_one_and_its_create() -> None:
        results.append(world.advance(ref).advance)
        world.api.faults.append(LOST)
        results.append(world.advance(ref).advance)

    world.api.during = the_other_one_and_its_create
    results.append(world.advance(ref).advance)
    # The slower listing began before the second call: it must not clear that call's intent.
    assert results == [Advance.ABSENT, Advance.ANSWER_LOST, Advance.NOTHING]
    assert world.job(ref).attempt.intent_at is not None
    assert len(world.api.created) == 2


def test_what_cannot_be_found_out_is_presumed_failed_at_the_deadline(
    world: LaneWorld, ref: JobRef
) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.at(15 * 60 + 1)
    assert world.step(ref) is Step.GIVE_UP
    assert world.sweep().steps[Step.GIVE_UP] == 1
    job = world.job(ref)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "dispatch_unknown")


def test_a_completion_overrides_that_presumption(world: LaneWorld, ref: JobRef) -> None:
    world.api.faults.append(LOST)
    world.advance(ref)
    world.at(15 * 60 + 1)
    world.sweep()
    apply_event(world.tracker, ref, an_event(JobEvent.COMPLETED))
    assert world.job(ref).status is JobStatus.COMPLETED
    assert world.step(ref) is Step.KEEP


def test_an_id_in_the_answer_to_our_own_call_is_ours_whoever_registered_it(
    world: LaneWorld, ref: JobRef
) -> None:
    world.has(a_dispatched_job(shop=OTHER_SHOP))
    assert world.advance(ref).advance is Advance.CREATED
    link = world.store.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == ref


def test_events_that_came_before_the_answer_are_applied_with_it(
    world: LaneWorld, ref: JobRef
) -> None:
    body = b'{"event": "job.completed", "job_id": "pk_1", "job": {"id": "pk_1", "status": '
    body += b'"completed", "output_image_url": "https://cdn.pikcel.ai/results/1.png"}}'

    def park() -> None:
        event = ParkedEvent(
            provider="pikcel",
            provider_job_id="pk_1",
            key="k",
            received_at=world.clock.now(),
            proof=Proof.BODY,
            body=body,
        )
        assert world.store.park(event)

    world.api.during = park
    assert world.advance(ref).advance is Advance.CREATED
    assert world.job(ref).status is JobStatus.COMPLETED
    assert not world.store.parked("pikcel", "pk_1")
