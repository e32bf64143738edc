"""functions/api: what is done with one job, in JSON and as the original page's form data."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from shared.domain.errors import StoreUnavailableError
from shared.domain.job import DISPATCH_UNKNOWN, Job, Push
from shared.domain.lifecycle import move_output, settle_push
from shared.domain.status import JobStatus, PushEvent
from shared.usecases.ports import DispatchRequest, PushRequest
from tests.api_world import Reply, World, sample, world
from tests.builders import (
    OTHER_SHOP,
    SHOP,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_kept_job,
    a_kept_output,
    a_worker_job,
)

__all__ = ["world"]

ACTIONS = ["sync", "retry", "cancel", "push-to-shopify", "undo-push"]
A_FAILURE: dict[str, Any] = {"status": JobStatus.FAILED, "outputs": (), "error_code": "failed"}


def act(world: World, action: str, job: Job, **more: Any) -> Reply:
    return world.post(f"/api/jobs/{action}", {"jobId": job.job_id}, **more)


def change(world: World, job: Job, **changes: Any) -> Job:
    stored = world.store.get(job.ref)
    return world.store.save(stored, replace(stored, **changes))


# --- bodies ----------------------------------------------------------------------------


def as_json(job_id: str) -> dict[str, Any]:
    return {"json_body": {"jobId": job_id}}


def as_json_without_a_type(job_id: str) -> dict[str, Any]:
    return {"body": f'{{"jobId": "{job_id}"}}'}


def as_urlencoded(job_id: str) -> dict[str, Any]:
    headers = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
    return {"body": urlencode({"jobId": job_id}), "headers": headers}


def as_multipart(job_id: str) -> dict[str, Any]:
    body = f'--b\r\nContent-Disposition: form-data; name="jobId"\r\n\r\n{job_id}\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "is_base64": True,
        "headers": headers,
    }


@pytest.mark.parametrize("form", [as_json, as_json_without_a_type, as_urlencoded, as_multipart])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_takes_json_and_form_data(
    world: World, action: str, form: Callable[[str], dict[str, Any]]
) -> None:
    job = world.has(a_worker_job())
    reply = world.call("POST", f"/api/jobs/{action}", **form(job.job_id))
    # All of them found the job: these two do it, the others say what is in the way.
    expected = {"sync": 200, "cancel": 200}.get(action, 409)
    assert reply.status == expected
    if expected == 200:
        assert (reply.json["success"], reply.job["id"]) == (True, job.job_id)


def test_the_sample_event_of_the_original_page_works_unchanged(world: World) -> None:
    job = world.has(a_worker_job(job_id="019aab7c-5e00-7000-8000-000000000001"))
    reply = world.send(sample("api_sync_form"))
    assert (reply.status, reply.json["success"], reply.job["id"]) == (200, True, job.job_id)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"json_body": {}}, "jobId"),
        ({"json_body": {"jobIds": ["a"], "jobId": "a"}}, "jobIds"),
        ({"json_body": {"filter": {}, "jobId": "a"}}, "filter"),
        ({"json_body": {"jobId": 7}}, "jobId"),
        ({"json_body": {"jobId": None}}, "jobId"),
        ({"json_body": []}, "body"),
        ({"body": ""}, "body"),
        ({"body": "{"}, "body"),
        ({"body": "{}", "headers": {"content-type": "application/xml"}}, "content-type"),
        (as_urlencoded("a") | {"body": "jobId=a&jobId=b"}, "jobId"),
        (as_urlencoded("a") | {"body": "jobId=%FF"}, "body"),
        (as_multipart("a") | {"headers": {"content-type": "multipart/form-data"}}, "body"),
        (as_multipart("a") | {"body": "!"}, "body"),
        (as_multipart("a") | {"body": "LS1i"}, "body"),
    ],
)
def test_a_body_without_one_job_is_refused(
    world: World, action: str, more: dict[str, Any], field: str
) -> None:
    reply = world.call("POST", f"/api/jobs/{action}", **more)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert [detail["field"] for detail in reply.json["details"]] == [field]


@pytest.mark.parametrize("action", ACTIONS)
def test_another_shops_job_does_not_exist(world: World, action: str) -> None:
    job = world.has(a_kept_job())
    reply = act(world, action, job, shop=OTHER_SHOP)
    assert (reply.status, reply.code) == (404, "not_found")
    assert world.store.get(job.ref) == job


# --- sync ------------------------------------------------------------------------------


def test_sync_asks_in_the_dispatch_lane_and_waits_for_the_answer(world: World) -> None:
    job = world.has(a_dispatched_job())

    def answer() -> None:
        if len(world.clock.slept) == 3:
            change(world, job, polled_at=world.clock.now(), poll_wanted=False, progress=80)

    world.clock.on_sleep = answer
    reply = act(world, "sync", job)
    assert (reply.status, reply.job["progress"]) == (200, 80)
    assert [sent.request for sent in world.outbox.dispatches] == [DispatchRequest(ref=job.ref)]
    assert world.clock.slept == [0.4] * 3


def test_sync_answers_what_is_stored_when_nobody_answers_within_eight_seconds(
    world: World,
) -> None:
    job = world.has(a_dispatched_job())
    reply = act(world, "sync", job)
    assert (reply.status, reply.job["status"]) == (200, "processing")
    assert sum(world.clock.slept) == pytest.approx(8)
    assert world.store.get(job.ref).poll_wanted


def test_two_syncs_at_once_ask_once(world: World) -> None:
    job = world.has(a_dispatched_job())
    act(world, "sync", job)
    version = world.store.get(job.ref).version
    act(world, "sync", job)
    assert len(world.outbox.dispatches) == 1
    assert world.store.get(job.ref).version == version


def test_a_job_that_was_asked_about_just_now_is_not_asked_about_again(world: World) -> None:
    job = world.has(a_dispatched_job(polled_at=world.clock.now()))
    world.clock.advance(9.9)
    assert act(world, "sync", job).status == 200
    assert (world.outbox.dispatches, world.clock.slept) == ([], [])
    world.clock.advance(0.1)
    act(world, "sync", job)
    assert len(world.outbox.dispatches) == 1


@pytest.mark.parametrize(
    "job",
    [
        a_completed_job(),
        a_completed_job(**A_FAILURE),
        a_job(),
        a_worker_job(status=JobStatus.PROCESSING),
    ],
    ids=["completed", "failed", "not at the provider yet", "worker"],
)
def test_where_there_is_nothing_to_ask_the_stored_job_is_the_answer(world: World, job: Job) -> None:
    world.has(job)
    assert act(world, "sync", job).status == 200
    assert (world.outbox.dispatches, world.clock.slept) == ([], [])


def test_a_presumed_failure_is_asked_about(world: World) -> None:
    job = world.has(a_completed_job(**A_FAILURE | {"error_code": DISPATCH_UNKNOWN}))
    act(world, "sync", job)
    assert world.outbox.dispatched_refs == [job.ref]


def test_a_queue_that_is_out_does_not_fail_a_sync(world: World) -> None:
    job = world.has(a_dispatched_job())
    world.outbox.broken = True
    assert act(world, "sync", job).status == 200
    assert world.store.get(job.ref).due_at is not None


# --- retry -----------------------------------------------------------------------------


def test_a_failed_job_gets_a_new_attempt_which_is_dispatched(world: World) -> None:
    job = world.has(a_completed_job(**A_FAILURE))
    reply = act(world, "retry", job)
    assert (reply.status, reply.job["status"], reply.job["retryCount"]) == (200, "pending", 1)
    assert (reply.job["errorCode"], reply.job["providerJobId"]) == (None, None)
    assert world.outbox.dispatched_refs == [job.ref]


@pytest.mark.parametrize("job", [a_job(), a_dispatched_job(), a_completed_job()])
def test_a_job_that_did_not_end_without_success_is_not_retried(world: World, job: Job) -> None:
    world.has(job)
    reply = act(world, "retry", job)
    assert (reply.status, reply.code) == (409, "wrong_status")
    assert world.store.get(job.ref).attempt.number == 1


def test_a_job_made_elsewhere_without_its_input_cannot_be_sent_again(world: World) -> None:
    job = world.has(a_completed_job(**A_FAILURE, input_image_url=None))
    reply = act(world, "retry", job)
    assert (reply.status, reply.code) == (409, "wrong_status")
    assert "made elsewhere" in reply.json["error"]


# --- cancel ----------------------------------------------------------------------------


def test_a_job_that_the_provider_has_may_still_be_charged_and_the_answer_says_so(
    world: World,
) -> None:
    job = world.has(a_dispatched_job())
    reply = act(world, "cancel", job)
    assert (reply.status, reply.job["status"]) == (200, "cancelled")
    assert reply.job["cancelRequested"] is True
    assert "charge" in reply.json["notice"]


@pytest.mark.parametrize("job", [a_job(), a_worker_job()], ids=["not sent yet", "worker"])
def test_a_job_that_no_provider_has_costs_nothing(world: World, job: Job) -> None:
    world.has(job)
    assert act(world, "cancel", job).json["notice"] is None


def test_cancelling_twice_is_cancelling_once(world: World) -> None:
    job = world.has(a_job())
    act(world, "cancel", job)
    version = world.store.get(job.ref).version
    assert act(world, "cancel", job).status == 200
    assert world.store.get(job.ref).version == version


def test_a_completed_job_cannot_be_cancelled(world: World) -> None:
    job = world.has(a_completed_job())
    reply = act(world, "cancel", job)
    assert (reply.status, reply.code) == (409, "wrong_status")


# --- push ------------------------------------------------------------------------------


def attach(world: World, job: Job) -> None:
    """Do what the push lane does when the image is on the product."""
    stored = world.store.get(job.ref)
    output = replace(stored.outputs[0], media_id="gid://shopify/MediaImage/9")
    moved = stored.with_output(move_output(output, PushEvent.ATTACH))
    world.store.save(stored, settle_push(moved, world.clock.now()))


def test_push_queues_and_waits_until_the_image_is_on_the_product(world: World) -> None:
    job = world.has(a_kept_job())
    world.clock.on_sleep = lambda: attach(world, job) if len(world.clock.slept) == 2 else None
    reply = act(world, "push-to-shopify", job)
    assert (reply.status, reply.job["pushStatus"]) == (200, "pushed")
    assert reply.job["pushedToShopify"] is True
    assert reply.job["shopifyMediaId"] == "gid://shopify/MediaImage/9"
    assert world.outbox.pushes == [PushRequest(ref=job.ref, number=1)]
    assert world.clock.slept == [0.4, 0.4]


def test_a_push_that_takes_longer_is_answered_as_it_then_is(world: World) -> None:
    job = world.has(a_kept_job())
    reply = act(world, "push-to-shopify", job)
    assert (reply.status, reply.job["pushStatus"]) == (200, "queued")
    assert sum(world.clock.slept) == pytest.approx(8)


def test_a_second_click_waits_for_the_same_push(world: World) -> None:
    job = world.has(a_kept_job())
    act(world, "push-to-shopify", job)
    act(world, "push-to-shopify", job)
    assert len(world.outbox.pushes) == 1


def test_a_pushed_job_is_pushed_again_on_request(world: World) -> None:
    job = world.has(a_kept_job())
    act(world, "push-to-shopify", job)
    attach(world, job)
    act(world, "push-to-shopify", job)
    assert [request.number for request in world.outbox.pushes] == [1, 2]


def test_a_job_that_has_just_been_completed_is_given_time_to_be_kept(world: World) -> None:
    job = world.has(a_completed_job())

    def keep() -> None:
        if len(world.clock.slept) == 1:
            change(world, job, outputs=(a_kept_output(),))

    world.clock.on_sleep = keep
    reply = act(world, "push-to-shopify", job)
    assert (reply.status, reply.job["pushStatus"]) == (200, "queued")


@pytest.mark.parametrize(
    ("job", "word"),
    [
        (a_kept_job(product_id=None), "product"),
        (a_job(), "kept result"),
        (a_completed_job(), "kept result"),
        (a_completed_job(**A_FAILURE), "failed; it has no result to push"),
    ],
)
def test_what_cannot_be_pushed_says_why(world: World, job: Job, word: str) -> None:
    world.has(job)
    reply = act(world, "push-to-shopify", job)
    assert (reply.status, reply.code) == (409, "wrong_status")
    assert word in reply.json["error"]
    assert world.outbox.pushes == []


def test_undo_queues_the_removal_and_waits_for_it(world: World) -> None:
    job = world.has(a_kept_job())
    act(world, "push-to-shopify", job)
    attach(world, job)

    def remove() -> None:
        stored = world.store.get(job.ref)
        if stored.push.undo:
            output = replace(stored.outputs[0], media_id=None)
            moved = stored.with_output(move_output(output, PushEvent.UNDO))
            world.store.save(stored, settle_push(moved, world.clock.now()))

    world.clock.on_sleep = remove
    reply = act(world, "undo-push", job)
    assert (reply.status, reply.job["pushStatus"], reply.job["pushedAt"]) == (200, "none", None)
    assert [request.number for request in world.outbox.pushes] == [1, 2]


def test_asking_twice_for_the_removal_queues_it_once(world: World) -> None:
    job = world.has(a_kept_job(outputs=(a_kept_output(media_id="gid://shopify/MediaImage/9"),)))
    act(world, "undo-push", job)
    act(world, "undo-push", job)
    assert len(world.outbox.pushes) == 1


def test_a_removal_that_could_not_be_answered_is_not_asked_for_anew(world: World) -> None:
    """It was done while nobody answered: the same call again finds that, and repeats nothing."""
    job = world.has(a_kept_job(outputs=(a_kept_output(media_id="gid://shopify/MediaImage/9"),)))
    key = {"idempotency-key": "once"}
    _die_waiting(world, lambda: act(world, "undo-push", job, headers=key))
    done = change(world, job, outputs=(a_kept_output(),), push=Push(number=1))
    reply = act(world, "undo-push", job, headers=key)
    assert (reply.status, reply.job["pushStatus"]) == (200, "none")
    assert world.job(job.job_id) == done


def test_a_push_that_could_not_be_answered_is_not_done_again_after_an_undo(world: World) -> None:
    job = world.has(a_kept_job())
    key = {"idempotency-key": "once"}
    _die_waiting(world, lambda: act(world, "push-to-shopify", job, headers=key))
    undone = change(world, job, push=Push(number=2))
    reply = act(world, "push-to-shopify", job, headers=key)
    assert (reply.status, reply.job["pushStatus"]) == (200, "none")
    assert world.job(job.job_id) == undone
    assert act(world, "push-to-shopify", job).job["pushStatus"] == "queued"


def _die_waiting(world: World, call: Callable[[], Reply]) -> None:
    def fail() -> None:
        raise StoreUnavailableError("The table is out.")

    world.clock.on_sleep = fail
    assert call().status == 503
    world.clock.on_sleep = None


def test_nothing_on_a_product_cannot_be_taken_off(world: World) -> None:
    job = world.has(a_kept_job())
    reply = act(world, "undo-push", job)
    assert (reply.status, reply.code) == (409, "wrong_status")


def test_a_job_that_is_deleted_while_the_caller_waits_is_not_found(world: World) -> None:
    job = world.has(a_kept_job())

    def delete_once() -> None:
        if len(world.clock.slept) == 1:
            world.store.delete(world.store.get(job.ref))

    world.clock.on_sleep = delete_once
    assert act(world, "push-to-shopify", job).status == 404


def test_the_timeline_tells_who_asked(world: World) -> None:
    job = world.has(a_kept_job())
    world.call(
        "POST", "/api/jobs/push-to-shopify", key=world.id_token(), shop=None, **as_json(job.job_id)
    )
    line = world.get(f"/api/jobs/{job.job_id}/logs").json["logs"][0]
    assert (line["source"], line["actor"], line["outcome"]) == ("user", "user:42", "applied")
    assert job.shop == SHOP
