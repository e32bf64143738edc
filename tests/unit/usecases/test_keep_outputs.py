"""Keeping results: before their links die, once, and with the push in the same write."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.errors import (
    ConflictError,
    OutputExpiredError,
    OutputRefusedError,
    RetryableError,
    StoreUnavailableError,
)
from shared.domain.job import Attempt, Job, Output
from shared.domain.plan import Step
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.apply_event import apply_event
from shared.usecases.dispatch_lane import Advance
from shared.usecases.keep_outputs import MAX_REMINDERS
from tests.builders import (
    RESULT_URL,
    a_completed_job,
    a_dispatched_job,
    a_kept_job,
    a_kept_output,
    a_worker_job,
    an_event,
    later,
)
from tests.fakes.clock import START
from tests.fakes.downloads import PICTURE
from tests.fakes.provider_api import Fault, a_reply
from tests.unit.usecases.lane_world import LaneWorld

FRESH_URL = "https://cdn.pikcel.ai/results/fresh.png"
TROUBLE = RetryableError("The result's host answered 503.")


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


def outputs(*urls: str, attempt: int = 1) -> tuple[Output, ...]:
    return tuple(Output(index=n, attempt=attempt, url=url) for n, url in enumerate(urls))


def test_a_result_is_kept_with_its_digest_and_measures(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.link_works(RESULT_URL)
    assert world.advance(ref).advance is Advance.KEPT
    output = world.job(ref).outputs[0]
    key = f"shops/{ref.shop}/jobs/{ref.job_id}/1-0.png"
    assert output.key == key
    assert world.files.stored[key] == (PICTURE, "image/png")
    assert output.sha256 == hashlib.sha256(PICTURE).hexdigest()
    assert (output.size_bytes, output.width, output.height) == (len(PICTURE), 640, 480)
    assert output.content_type == "image/png"
    assert output.url is None
    assert world.job(ref).due_at is None


def test_the_providers_own_hosts_are_the_allowed_ones(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.link_works(RESULT_URL)
    world.advance(ref)
    assert world.downloads.fetched == [(RESULT_URL, (".pikcel.ai",))]


def test_the_last_kept_result_and_the_push_are_one_write(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(auto_push=True))
    world.link_works(RESULT_URL)
    version = world.job(ref).version
    world.advance(ref)
    job = world.job(ref)
    assert job.version == version + 1
    assert (job.push.status, job.push.number) == (PushStatus.QUEUED, 1)
    assert [push.ref for push in world.outbox.pushes] == [ref]


@pytest.mark.parametrize("changes", [{"auto_push": False}, {"product_id": None}])
def test_without_auto_push_or_product_it_is_only_kept(
    world: LaneWorld, changes: dict[str, Any]
) -> None:
    ref = world.has(a_completed_job(**({"auto_push": True} | changes)))
    world.link_works(RESULT_URL)
    world.advance(ref)
    assert world.job(ref).push.status is PushStatus.NONE
    assert not world.outbox.pushes


def test_two_workers_at_once_keep_the_same_and_push_once(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(auto_push=True))
    world.link_works(RESULT_URL)
    waiting = [True]

    def the_other_one() -> None:
        if waiting and waiting.pop():
            world.advance(ref)

    world.downloads.during = the_other_one
    world.advance(ref)
    assert len(world.downloads.fetched) == 2
    assert len(world.files.stored) == 1
    assert (world.job(ref).push.number, len(world.outbox.pushes)) == (1, 1)


def test_every_owed_result_is_kept(world: LaneWorld) -> None:
    urls = (f"{RESULT_URL}?1", f"{RESULT_URL}?2")
    ref = world.has(a_completed_job(outputs=outputs(*urls), auto_push=True))
    for url in urls:
        world.link_works(url)
    assert world.advance(ref).advance is Advance.KEPT
    assert all(output.is_kept for output in world.job(ref).outputs)
    assert world.job(ref).push.number == 1


def test_the_result_of_an_earlier_attempt_is_kept_and_not_pushed(world: LaneWorld) -> None:
    job = a_completed_job(
        status=JobStatus.PENDING,
        completed_at=None,
        auto_push=True,
        attempts=(
            Attempt(number=1, created_at=START, provider_job_id="pk_1", linked_at=START),
            Attempt(number=2, created_at=START),
        ),
    )
    ref = world.has(job)
    world.link_works(RESULT_URL)
    assert world.advance(ref).advance is Advance.CREATED
    assert world.messages(ref)
    assert world.advance(ref).advance is Advance.KEPT
    after = world.job(ref)
    assert (after.outputs[0].is_kept, after.push.status) == (True, PushStatus.NONE)
    assert world.step(ref) is Step.WAIT


def test_an_earlier_attempts_dead_host_does_not_keep_us_from_the_present_attempt(
    world: LaneWorld,
) -> None:
    attempts = (
        Attempt(number=1, created_at=START, provider_job_id="pk_1", linked_at=START),
        Attempt(number=2, created_at=START, provider_job_id="pk_2", linked_at=START),
    )
    ref = world.has(a_dispatched_job(attempts=attempts, outputs=outputs(RESULT_URL)))
    world.downloads.at[RESULT_URL] = TROUBLE
    world.api.has("pk_2", "completed", output_image_url=FRESH_URL)
    assert world.advance(ref).advance is Advance.POSTPONED
    assert world.due_in_s(ref) <= 90
    world.at(91)
    assert world.advance(ref).advance is Advance.POLLED
    assert world.job(ref).status is JobStatus.COMPLETED


def test_a_result_that_comes_during_a_push_is_kept_at_once(world: LaneWorld) -> None:
    attempts = (
        Attempt(number=1, created_at=START, provider_job_id="pk_1", linked_at=START),
        Attempt(number=2, created_at=START, provider_job_id="pk_2", linked_at=START),
    )
    kept = a_kept_job(attempts=attempts, outputs=(a_kept_output(attempt=2),))
    ref = world.has(lifecycle.request_push(kept, START))
    world.link_works(RESULT_URL)
    apply_event(world.tracker, ref, an_event())
    assert world.step(ref) is Step.PUSH
    assert len(world.messages(ref)) == 1
    assert world.advance(ref).advance is Advance.KEPT
    assert all(output.is_kept for output in world.job(ref).outputs)
    assert world.job(ref).push.number == 1


def test_looks_at_a_host_that_is_down_grow_rarer(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.downloads.at[RESULT_URL] = TROUBLE
    while world.job(ref).due_at is not None:
        world.clock.set(world.job(ref).due_at or START)
        world.outbox.clear()
        world.sweep()
        if world.messages(ref):
            world.advance(ref)
    assert world.job(ref).error_code == "output_expired"
    assert world.clock.now() - START < timedelta(hours=25)
    assert 40 < len(world.downloads.urls) < 60


def test_slow_results_are_shared_among_messages(world: LaneWorld) -> None:
    urls = [f"{RESULT_URL}?{number}" for number in range(4)]
    ref = world.has(a_completed_job(outputs=outputs(*urls), auto_push=True))
    for url in urls:
        world.link_works(url)
    world.downloads.during = lambda: world.clock.advance(15)
    assert world.advance(ref).advance is Advance.KEPT_PART
    kept = [output.is_kept for output in world.job(ref).outputs]
    assert kept == [True, True, False, False]
    assert world.job(ref).push.status is PushStatus.NONE
    assert world.messages(ref)
    assert world.advance(ref).advance is Advance.KEPT
    assert world.job(ref).push.status is PushStatus.QUEUED


def test_a_dead_link_is_asked_for_once_more(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.api.has("pk_1", "completed", output_image_url=FRESH_URL)
    world.link_works(FRESH_URL)
    assert world.advance(ref).advance is Advance.KEPT
    assert world.downloads.urls == [RESULT_URL, FRESH_URL]


def test_a_link_that_stays_dead_is_said_on_output_and_job(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(auto_push=True))
    world.api.has("pk_1", "completed", output_image_url=FRESH_URL)
    assert world.advance(ref).advance is Advance.NOT_KEPT
    job = world.job(ref)
    assert job.outputs[0].error_code == "output_expired"
    assert (job.status, job.error_code) == (JobStatus.COMPLETED, "output_expired")
    assert (job.push.status, job.push.error_code) == (PushStatus.FAILED, "output_expired")
    assert len(world.api.calls) == 1
    assert job.due_at is None


def test_a_lost_result_without_auto_push_fails_no_push(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.advance(ref)
    assert world.job(ref).push.status is PushStatus.NONE


def test_of_two_results_the_living_one_is_pushed(world: LaneWorld) -> None:
    dead = f"{RESULT_URL}?dead"
    ref = world.has(a_completed_job(outputs=outputs(dead, RESULT_URL), auto_push=True))
    world.link_works(RESULT_URL)
    assert world.advance(ref).advance is Advance.NOT_KEPT
    job = world.job(ref)
    assert (job.error_code, job.push.status) == ("output_expired", PushStatus.QUEUED)


def test_a_fresh_link_of_somebody_elses_job_is_not_taken(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    other = world.has(a_completed_job(attempt={"provider_job_id": "pk_2"}))
    world.provider_has(other, "pk_1", "completed", output_image_url=FRESH_URL)
    world.link_works(FRESH_URL)
    assert world.advance(ref).advance is Advance.NOT_KEPT
    assert world.downloads.urls == [RESULT_URL]


def test_a_refused_result_says_why(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.downloads.at[RESULT_URL] = OutputRefusedError("The result is larger than 20 MiB.")
    assert world.advance(ref).advance is Advance.NOT_KEPT
    job = world.job(ref)
    assert (job.error_code, job.error_message) == (
        "output_refused",
        "The result is larger than 20 MiB.",
    )
    assert not world.api.calls


def test_transient_trouble_is_tried_again_soon_then_left_to_the_sweep(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(auto_push=True))
    world.downloads.at[RESULT_URL] = TROUBLE
    delays = []
    for _ in range(MAX_REMINDERS + 2):
        world.outbox.clear()
        assert world.advance(ref).advance is Advance.POSTPONED
        delays += [sent.delay_s for sent in world.outbox.dispatches]
    assert delays == [3, 5, 10, 20, 40]
    assert world.job(ref).due_tries == MAX_REMINDERS + 2
    world.link_works(RESULT_URL)
    assert world.advance(ref).advance is Advance.KEPT
    assert world.job(ref).due_tries == 0


def test_a_host_that_names_a_wait_gets_it(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.downloads.at[RESULT_URL] = RetryableError("busy", retry_after_s=30)
    world.advance(ref)
    assert world.outbox.dispatches[-1].delay_s == 33


def test_after_a_day_transient_trouble_is_the_end_of_the_link(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(auto_push=True))
    world.downloads.at[RESULT_URL] = TROUBLE
    world.at(24 * 3600 + 1)
    assert world.advance(ref).advance is Advance.NOT_KEPT
    job = world.job(ref)
    assert (job.error_code, job.push.error_code) == ("output_expired", "output_expired")


def test_what_was_kept_before_the_trouble_stays_kept(world: LaneWorld) -> None:
    bad = f"{RESULT_URL}?bad"
    ref = world.has(a_completed_job(outputs=outputs(RESULT_URL, bad), auto_push=True))
    world.link_works(RESULT_URL)
    world.downloads.at[bad] = TROUBLE
    world.advance(ref)
    job = world.job(ref)
    assert [output.is_kept for output in job.outputs] == [True, False]
    assert job.push.status is PushStatus.NONE


def test_without_a_share_of_the_limit_the_fresh_link_is_asked_for_later(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.use_up_the_limit()
    assert world.advance(ref).advance is Advance.POSTPONED
    assert world.job(ref).outputs[0].is_owed
    assert world.outbox.dispatches[-1].delay_s >= 59


def test_a_bucket_that_is_out_is_our_own_trouble(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.link_works(RESULT_URL)
    world.files.broken = True
    with pytest.raises(StoreUnavailableError):
        world.advance(ref)
    assert world.job(ref).outputs[0].is_owed


def test_a_job_deleted_meanwhile_is_gone(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.link_works(RESULT_URL)
    world.downloads.during = lambda: world.store.delete(world.job(ref))
    assert world.advance(ref).advance is Advance.GONE
    assert world.files.stored == {}


# --- completed without links ---------------------------------------------------------


def without_links(**changes: Any) -> Job:
    return a_completed_job(outputs=(), auto_push=True, **changes)


def test_links_that_were_not_told_are_asked_for(world: LaneWorld) -> None:
    ref = world.has(without_links())
    world.api.has("pk_1", "completed", output_image_url=RESULT_URL)
    world.link_works(RESULT_URL)
    assert world.advance(ref).advance is Advance.KEPT
    assert world.job(ref).push.status is PushStatus.QUEUED


@pytest.mark.parametrize("status", ["completed", "failed", None])
def test_a_completed_job_without_any_link_has_no_output(
    world: LaneWorld, status: str | None
) -> None:
    ref = world.has(without_links())
    if status is not None:
        world.api.has("pk_1", status)
    assert world.advance(ref).advance is Advance.NOT_KEPT
    job = world.job(ref)
    assert (job.status, job.error_code) == (JobStatus.COMPLETED, "no_output")
    assert (job.push.status, job.push.error_code) == (PushStatus.FAILED, "no_output")
    assert job.due_at is None


def test_an_api_behind_its_own_webhook_is_asked_again(world: LaneWorld) -> None:
    ref = world.has(without_links())
    world.api.has("pk_1", "processing")
    assert world.advance(ref).advance is Advance.POSTPONED
    assert world.step(ref) is Step.KEEP
    world.at(24 * 3600 + 1)
    assert world.advance(ref).advance is Advance.NOT_KEPT


def test_a_provider_that_does_not_answer_is_asked_again_for_a_day(world: LaneWorld) -> None:
    ref = world.has(without_links())
    world.api.faults.extend([Fault(reply=a_reply(500, "oops"))] * 2)
    assert world.advance(ref).advance is Advance.POSTPONED
    world.at(24 * 3600 + 1)
    assert world.advance(ref).advance is Advance.NOT_KEPT
    assert world.job(ref).error_code == "no_output"


def test_a_job_completed_by_hand_without_provider_has_no_output(world: LaneWorld) -> None:
    ref = world.has(without_links(attempt={"provider_job_id": None}))
    assert world.advance(ref).advance is Advance.NOT_KEPT
    assert not world.api.calls


def test_a_workers_result_is_kept_from_the_extra_hosts_only(world: LaneWorld) -> None:
    job = a_worker_job(
        status=JobStatus.COMPLETED, completed_at=START, outputs=outputs("https://w.example/1.png")
    )
    ref = world.has(job)
    world.downloads.at["https://w.example/1.png"] = OutputExpiredError("dead")
    assert world.advance(ref).advance is Advance.NOT_KEPT
    assert world.downloads.fetched == [("https://w.example/1.png", ())]


def test_updated_at_tells_when_the_result_was_kept(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.link_works(RESULT_URL)
    world.at(5)
    world.advance(ref)
    assert world.job(ref).updated_at == later(5)
    assert world.sentences(ref) == ["1 result is kept."]


def test_an_output_that_the_world_lost_is_no_output_twice(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.advance(ref)
    before = world.job(ref)
    assert world.advance(ref).advance is Advance.NOTHING
    assert world.job(ref) == before


def test_a_message_begins_nothing_that_would_outlast_the_function(world: LaneWorld) -> None:
    ref = world.has(a_completed_job())
    world.api.has("pk_1", "completed", output_image_url="https://cdn.pikcel.ai/fresh.png")
    world.link_works("https://cdn.pikcel.ai/fresh.png")
    world.downloads.during = lambda: world.clock.advance(20)  # the slowest of dead links
    world.api.during = lambda: world.clock.advance(30)  # and of answers
    began_at = world.clock.now()
    assert world.advance(ref).advance is Advance.KEPT_PART
    assert (world.clock.now() - began_at).total_seconds() <= 50
    assert world.job(ref).outputs[0].url == "https://cdn.pikcel.ai/fresh.png"
    assert world.outbox.dispatches[-1].delay_s == 0
    # The next message goes on from there.
    assert world.advance(ref).advance is Advance.KEPT
    assert len(world.api.calls) == 1


# --- several results, of which some are for the product --------------------------------


THREE = tuple(f"https://cdn.pikcel.ai/results/{number}.png" for number in range(3))


def test_all_results_are_kept_and_the_chosen_ones_are_queued(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(outputs=outputs(*THREE), auto_push=True, push_outputs=(1,)))
    for url in THREE:
        world.link_works(url)
    assert world.advance(ref).advance is Advance.KEPT
    job = world.job(ref)
    assert all(output.is_kept for output in job.outputs)
    assert job.push.status is PushStatus.QUEUED
    queued = [out.index for out in job.outputs if out.push_status is PushStatus.QUEUED]
    assert queued == [1]


def test_the_push_waits_for_the_chosen_results_only(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(outputs=outputs(*THREE), auto_push=True, push_outputs=(0,)))
    world.link_works(THREE[0])
    world.downloads.at[THREE[1]] = TROUBLE
    world.downloads.at[THREE[2]] = TROUBLE
    assert world.advance(ref).advance is Advance.POSTPONED
    job = world.job(ref)
    assert job.push.status is PushStatus.QUEUED
    assert [output.is_kept for output in job.outputs] == [True, False, False]
    world.link_works(THREE[1])
    world.link_works(THREE[2])
    world.advance(ref)
    assert all(output.is_kept for output in world.job(ref).outputs)


def test_a_choice_that_there_is_not_is_said_plainly(world: LaneWorld) -> None:
    ref = world.has(a_completed_job(auto_push=True, push_outputs=(5,)))
    world.link_works(RESULT_URL)
    world.advance(ref)
    job = world.job(ref)
    assert job.outputs[0].is_kept
    assert (job.push.status, job.push.error) == (PushStatus.FAILED, lifecycle.NOT_CHOSEN)
    with pytest.raises(ConflictError, match="this job pushes"):
        lifecycle.request_push(job, later(9))


# --- results that have no link ------------------------------------------------------------

INLINE = "data:image/png;base64,iVBORw0KGgotYS1waWN0dXJl"


def test_an_image_inside_an_answer_is_never_on_the_job_and_asked_for_once(
    world: LaneWorld,
) -> None:
    ref = world.has(a_dispatched_job())
    apply_event(world.tracker, ref, an_event(output_urls=(INLINE, INLINE)))
    assert [output.url for output in world.job(ref).outputs] == [None, None]
    world.api.has("pk_1", "completed", output_image_url=[INLINE, INLINE])
    assert world.advance(ref).advance is Advance.KEPT
    # One answer has them all.
    assert len(world.api.calls) == 1
    assert all(
        output.sha256 == hashlib.sha256(PICTURE).hexdigest() for output in world.job(ref).outputs
    )
