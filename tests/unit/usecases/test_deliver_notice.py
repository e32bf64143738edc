"""One message, one call at most: signed, tried again, given up, and never to a dead endpoint."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import standardwebhooks
import time_machine

from shared.domain.endpoints import (
    FAILING_FOR,
    MAX_TRIES,
    WAITS_S,
    Delivery,
    DeliveryStatus,
    DisabledReason,
    Endpoint,
    rotate,
)
from shared.domain.errors import SecretUnavailableError, ShopRefusedError
from shared.domain.standard_webhooks import write_secret
from shared.usecases.deliver_notice import Outcome, Report, deliver_notice, request_of
from shared.usecases.notice_ports import Posted
from tests.builders import a_completed_job, later
from tests.fakes.notices import answered, silent
from tests.unit.usecases.notice_world import KEY_1, NoticeWorld

KEY_2 = write_secret(b"2" * 32)


@pytest.fixture
def world() -> NoticeWorld:
    return NoticeWorld()


def owed(world: NoticeWorld) -> tuple[Endpoint, Delivery]:
    """Have one delivery under way to one endpoint."""
    endpoint = world.endpoint()
    world.has(a_completed_job())
    world.announce()
    (delivery,) = world.deliveries(endpoint)
    return endpoint, delivery


def outcomes(world: NoticeWorld) -> list[Outcome]:
    return [report.outcome for report in world.deliver()]


def verify(world: NoticeWorld, secret: str, call: int = -1) -> None:
    """Check a call as its receiver does, with the official library."""
    made = world.posts.calls[call]
    with time_machine.travel(world.clock.now(), tick=False):
        standardwebhooks.Webhook(secret).verify(made.body, dict(made.headers))


def test_a_delivery_is_one_signed_call(world: NoticeWorld) -> None:
    endpoint, delivery = owed(world)
    world.posts.answers = [answered(200, excerpt="thanks")]
    assert outcomes(world) == [Outcome.DELIVERED]
    (call,) = world.posts.calls
    assert call.url == endpoint.url
    assert call.headers["webhook-id"] == delivery.webhook_id
    assert json.loads(call.body)["type"] == "job.completed"
    verify(world, KEY_1)
    (done,) = world.deliveries(endpoint)
    assert (done.status, done.excerpt, done.tries[0].status) == (
        DeliveryStatus.DELIVERED,
        "thanks",
        200,
    )
    assert world.outbox.delivers == []
    assert world.now(endpoint) == endpoint  # an endpoint that is well costs no write


def test_a_message_that_comes_twice_is_one_call(world: NoticeWorld) -> None:
    _, delivery = owed(world)
    world.outbox.delivers *= 2
    assert outcomes(world) == [Outcome.DELIVERED, Outcome.STALE]
    world.outbox.send_deliver([request_of(delivery)])
    assert outcomes(world) == [Outcome.STALE]
    assert len(world.posts.calls) == 1


def test_two_messages_at_the_same_moment_count_one_try_and_go_on_once(world: NoticeWorld) -> None:
    endpoint, delivery = owed(world)
    world.posts.answer(500, 500)
    world.posts.during = lambda: reports.append(
        deliver_notice(world.deliver_lane, request_of(delivery)).outcome
    )
    reports: list[Outcome] = []
    reports += outcomes(world)
    assert reports == [Outcome.RETRIED, Outcome.STALE]
    (tried,) = world.deliveries(endpoint)
    assert (tried.number, len(tried.tries)) == (1, 1)
    assert len(world.outbox.delivers) == 1


@pytest.mark.parametrize(
    "failure",
    [
        *(answered(status) for status in (301, 404, 429, 500)),
        *map(silent, ("timed_out", "unreachable", "address_refused", "not_http")),
    ],
    ids=lambda posted: str(posted.status or posted.code),
)
def test_whatever_is_no_success_is_tried_again_under_the_same_id(
    world: NoticeWorld, failure: Posted
) -> None:
    _, delivery = owed(world)
    world.posts.answers = [failure]
    assert outcomes(world) == [Outcome.RETRIED]
    ((request, delay_s),) = world.outbox.delivers
    assert (request.number, delay_s) == (1, WAITS_S[0])
    world.at(10)
    assert outcomes(world) == [Outcome.DELIVERED]
    first, second = world.posts.calls
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery.webhook_id
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    verify(world, KEY_1)


def test_the_wait_that_an_endpoint_asks_for_is_kept(world: NoticeWorld) -> None:
    owed(world)
    world.posts.answers = [answered(429, retry_after_s=600.0)]
    world.deliver()
    ((_, delay_s),) = world.outbox.delivers
    assert delay_s == 600


def test_a_message_that_comes_too_early_is_sent_again_for_its_time(world: NoticeWorld) -> None:
    owed(world)
    world.posts.answers = [answered(503, retry_after_s=600.0)]
    world.deliver()
    world.at(200)
    assert outcomes(world) == [Outcome.EARLY]
    assert len(world.posts.calls) == 1
    ((_, delay_s),) = world.outbox.delivers
    assert 0 < delay_s <= 402


def until_given_up(world: NoticeWorld, endpoint: Endpoint) -> Delivery:
    """Fail every try, with time, queue and sweep going on."""
    for _ in range(100):
        (delivery,) = world.deliveries(endpoint)
        if not delivery.is_pending:
            return delivery
        if not world.outbox.delivers:
            assert delivery.due_at is not None
            world.clock.set(max(delivery.due_at, world.clock.now()))
            world.sweep_deliveries()
        delays = [delay for _, delay in world.outbox.delivers]
        world.clock.set(world.clock.now() + timedelta(seconds=max(delays, default=0)))
        world.posts.answer(500)
        world.deliver()
    raise AssertionError("it does not come to an end")


def test_eight_tries_over_a_day_and_it_is_given_up_by_queue_and_sweep_together(
    world: NoticeWorld,
) -> None:
    endpoint, _ = owed(world)
    began = world.clock.now()
    given_up = until_given_up(world, endpoint)
    assert given_up.status is DeliveryStatus.FAILED
    assert len(world.posts.calls) == given_up.number == MAX_TRIES
    assert timedelta(days=1) < world.clock.now() - began < timedelta(days=1.3)
    # One day of failures is no death.
    assert world.now(endpoint).is_enabled
    assert world.now(endpoint).failing_since == began
    assert world.sweep_deliveries().sent == 0


def test_three_days_without_a_success_and_a_delivery_given_up_disable_the_endpoint(
    world: NoticeWorld,
) -> None:
    endpoint, _ = owed(world)
    began = world.clock.now()
    first = until_given_up(world, endpoint)
    world.clock.set(began + FAILING_FOR - timedelta(hours=20))
    world.has(a_completed_job(attempt={"provider_job_id": "pk_9"}))
    world.announce()
    reports: list[Report] = []
    while world.now(endpoint).is_enabled:
        (last,) = [each for each in world.deliveries(endpoint) if each.is_pending]
        if not world.outbox.delivers:
            assert last.due_at is not None
            world.clock.set(max(last.due_at, world.clock.now()))
            world.sweep_deliveries()
        delays = [delay for _, delay in world.outbox.delivers]
        world.clock.set(world.clock.now() + timedelta(seconds=max(delays)))
        world.posts.answer(500)
        reports = world.deliver()
    dead = world.now(endpoint)
    assert reports[-1].outcome is Outcome.DISABLED
    assert (dead.disabled_reason, dead.failing_since) == (DisabledReason.FAILING, began)
    assert world.clock.now() - began >= FAILING_FOR
    assert first.status is DeliveryStatus.FAILED


def test_a_success_forgets_the_failures_before_it(world: NoticeWorld) -> None:
    endpoint, _ = owed(world)
    world.posts.answer(500)
    world.deliver()
    assert world.now(endpoint).failing_since is not None
    world.at(10)
    world.deliver()
    assert world.now(endpoint).failing_since is None


def test_410_disables_at_once_and_what_is_under_way_is_dropped(world: NoticeWorld) -> None:
    endpoint, _ = owed(world)
    world.has(a_completed_job(attempt={"provider_job_id": "pk_2"}))
    world.announce()
    world.posts.answer(410)
    assert outcomes(world) == [Outcome.DISABLED, Outcome.DROPPED]
    assert world.now(endpoint).disabled_reason is DisabledReason.GONE
    first, second = world.deliveries(endpoint)
    assert {first.status, second.status} == {DeliveryStatus.FAILED, DeliveryStatus.DROPPED}
    assert world.outbox.delivers == []
    assert len(world.posts.calls) == 1


def test_an_endpoint_that_was_removed_or_disabled_is_not_called(world: NoticeWorld) -> None:
    endpoint, _ = owed(world)
    world.endpoints.remove_endpoint(endpoint.shop, endpoint.endpoint_id)
    assert outcomes(world) == [Outcome.DROPPED]
    (dropped,) = world.deliveries(endpoint)
    assert (dropped.status, dropped.code) == (DeliveryStatus.DROPPED, "endpoint_gone")
    assert world.posts.calls == []


def test_what_an_old_address_answers_says_nothing_of_the_new_one(world: NoticeWorld) -> None:
    endpoint, _ = owed(world)
    moved = replace(endpoint, url="https://shop.example/moved")

    def move() -> None:
        world.endpoints.save_endpoint(endpoint, moved)

    world.posts.during = move
    world.posts.answer(410)
    world.deliver()
    assert world.now(endpoint).is_enabled
    assert world.now(endpoint).url == moved.url


def test_both_secrets_sign_during_a_rotation_and_one_after_it(world: NoticeWorld) -> None:
    endpoint, _ = owed(world)
    rotated = rotate(endpoint, f"sealed({KEY_2})", world.clock.now(), at_once=False)
    world.endpoints.save_endpoint(endpoint, rotated)
    world.deliver()
    for secret in (KEY_1, KEY_2):
        verify(world, secret)
    world.clock.set(later(86_400 + 60))
    world.has(a_completed_job(attempt={"provider_job_id": "pk_2"}))
    world.announce()
    world.deliver()
    verify(world, KEY_2)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        verify(world, KEY_1)


def raising(error: Exception) -> Callable[[str], str]:
    def fail(text: str) -> str:
        raise error

    return fail


def test_a_secret_that_cannot_be_read_just_now_keeps_the_message(
    world: NoticeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, before = owed(world)
    error = SecretUnavailableError("APP_SECRET is not set.")
    monkeypatch.setattr(world.deliver_lane.box, "open", raising(error))
    with pytest.raises(SecretUnavailableError):
        world.deliver()
    assert world.deliveries(endpoint) == (before,)
    assert world.posts.calls == []


def test_a_secret_that_can_never_be_read_again_is_a_failed_try_and_nothing_goes_out(
    world: NoticeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, _ = owed(world)
    error = ShopRefusedError("The shop's token cannot be read.", code="token_dead")
    monkeypatch.setattr(world.deliver_lane.box, "open", raising(error))
    assert outcomes(world) == [Outcome.RETRIED]
    assert world.deliveries(endpoint)[0].tries[0].code == "secret_unreadable"
    assert world.posts.calls == []


def test_a_crash_after_the_call_tries_again_and_loses_nothing(world: NoticeWorld) -> None:
    endpoint, delivery = owed(world)

    def die() -> None:
        raise KeyboardInterrupt

    world.posts.during = die
    with pytest.raises(KeyboardInterrupt):
        world.deliver()
    # The message comes again by the queue, or by the sweep.
    assert delivery.due_at is not None
    world.clock.set(delivery.due_at)
    assert world.sweep_deliveries().sent == 1
    assert outcomes(world) == [Outcome.DELIVERED]
    first, second = world.posts.calls
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert len(world.deliveries(endpoint)) == 1


# --- the sweep ------------------------------------------------------------------------


def test_the_sweep_sends_what_is_due_once_and_leaves_the_rest_alone(world: NoticeWorld) -> None:
    endpoint = world.endpoint()
    for number in range(230):
        world.has(a_completed_job(attempt={"provider_job_id": f"pk_{number}"}))
    world.announce()
    world.outbox.delivers.clear()
    assert world.sweep_deliveries().sent == 0
    world.clock.set(later(1 + 600))
    assert world.sweep_deliveries().sent == 230
    assert world.sweep_deliveries().sent == 0
    assert set(outcomes(world)) == {Outcome.DELIVERED}
    assert len(world.posts.calls) == 230
    world.clock.set(later(90_000))
    assert world.sweep_deliveries().sent == 0
    assert len(world.deliveries(endpoint)) == 100


def test_a_sweep_that_cannot_send_leaves_it_to_the_next(world: NoticeWorld) -> None:
    _, delivery = owed(world)
    world.outbox.delivers.clear()
    assert delivery.due_at is not None
    world.clock.set(delivery.due_at)
    world.outbox.broken = True
    assert world.sweep_deliveries().unsent == 1
    world.outbox.broken = False
    world.clock.set(world.clock.now() + timedelta(minutes=10))
    assert world.sweep_deliveries().sent == 1


def test_a_delivery_that_crashes_us_is_given_up_in_the_end(world: NoticeWorld) -> None:
    endpoint, _ = owed(world)
    world.outbox.delivers.clear()
    given_up = 0
    for _ in range(60):
        (delivery,) = world.deliveries(endpoint)
        if delivery.due_at is None:
            break
        world.clock.set(max(world.clock.now(), delivery.due_at))
        given_up += world.sweep_deliveries().given_up
    assert given_up == 1
    (delivery,) = world.deliveries(endpoint)
    assert (delivery.status, delivery.code) == (DeliveryStatus.FAILED, "never_tried")
