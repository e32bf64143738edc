"""When a delivery is tried again, given up, and when its endpoint is dead."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain import endpoints
from shared.domain.endpoints import (
    GRACE,
    MAX_TRIES,
    WAITS_S,
    Delivery,
    DeliveryStatus,
    DisabledReason,
    Endpoint,
    Try,
)
from shared.domain.notice_types import NoticeType
from shared.domain.notices import Notice
from tests.builders import SHOP, later
from tests.fakes.clock import START

DAY = timedelta(days=1)


def an_endpoint(**changes: Any) -> Endpoint:
    values: dict[str, Any] = {
        "shop": SHOP,
        "endpoint_id": "e1",
        "url": "https://shop.example/hook",
        "types": (NoticeType.JOB_FAILED,),
        "secret": "sealed(whsec_1)",
        "created_at": START,
        "updated_at": START,
    }
    return Endpoint(**(values | changes))


def a_notice(number: int = 1, at: datetime = START) -> Notice:
    return Notice(
        notice_id=f"j{number}:3:job.failed",
        type=NoticeType.JOB_FAILED,
        shop=SHOP,
        at=at,
        data={"id": f"j{number}"},
    )


def a_delivery(number: int = 1) -> Delivery:
    return endpoints.new_delivery(an_endpoint(), a_notice(number), START)


def fail(delivery: Delivery, at: datetime, *, chance: float = 0.0, **more: Any) -> Delivery:
    return endpoints.tried(delivery, Try(at=at, status=500), "no", at, random=chance, **more)


def test_a_delivery_is_made_from_notice_and_endpoint_and_is_due_if_its_message_is_lost() -> None:
    delivery = a_delivery()
    assert delivery == a_delivery()
    assert delivery.delivery_id != a_delivery(2).delivery_id
    other = endpoints.new_delivery(an_endpoint(endpoint_id="e2"), a_notice(), START)
    assert delivery.delivery_id != other.delivery_id
    assert (delivery.next_at, delivery.due_at) == (START, START + GRACE)


def test_deliveries_are_ordered_by_when_it_happened() -> None:
    ids = [endpoints.delivery_id("e1", a_notice(number, later(number))) for number in range(20)]
    assert ids == sorted(ids)


def test_it_is_tried_eight_times_in_a_little_more_than_a_day_and_then_given_up() -> None:
    delivery, at, waits = a_delivery(), START, []
    while delivery.is_pending:
        delivery = fail(delivery, at)
        if delivery.next_at is not None:
            waits.append(round((delivery.next_at - at).total_seconds()))
            at = delivery.next_at
    assert tuple(waits) == WAITS_S
    assert (delivery.status, delivery.number) == (DeliveryStatus.FAILED, MAX_TRIES)
    assert DAY < at - START < 1.25 * DAY
    assert (delivery.next_at, delivery.due_at) == (None, None)


def test_chance_makes_a_wait_longer_by_a_fifth_at_most_and_never_shorter() -> None:
    waits = [fail(a_delivery(), START, chance=chance).next_at for chance in (0.0, 0.5, 0.999)]
    assert [at - START for at in waits if at] == [timedelta(seconds=s) for s in (5, 5.5, 5.999)]


def test_a_wait_that_the_endpoint_asks_for_is_kept() -> None:
    assert fail(a_delivery(), START, retry_after_s=120.0).next_at == later(120)
    assert fail(a_delivery(), START, retry_after_s=1.0).next_at == later(5)


def test_a_far_try_is_the_sweeps_and_a_near_one_only_if_its_message_is_lost() -> None:
    near = fail(a_delivery(), START)
    assert near.next_at is not None
    assert near.due_at == near.next_at + GRACE
    far = replace(near, round_tries=2)
    far = fail(far, START)
    assert far.due_at == far.next_at == later(1_800)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_taken(status: int) -> None:
    done = endpoints.tried(a_delivery(), Try(at=START, status=status), "ok", START, random=0.0)
    assert (done.status, done.due_at, done.excerpt) == (DeliveryStatus.DELIVERED, None, "ok")


@pytest.mark.parametrize("status", [None, 100, 199, 300, 301, 302, 400, 401, 404, 429, 500, 503])
def test_everything_else_is_tried_again(status: int | None) -> None:
    after = endpoints.tried(a_delivery(), Try(at=START, status=status), None, START, random=0.0)
    assert after.is_pending
    assert after.number == 1


def test_asking_for_it_again_begins_anew_and_forgets_no_try() -> None:
    delivery = a_delivery()
    for _ in range(MAX_TRIES):
        delivery = fail(delivery, START)
    again = endpoints.asked_again(delivery, later(9))
    assert (again.status, again.round_tries, again.number) == (DeliveryStatus.PENDING, 0, 8)
    assert (again.next_at, len(again.tries)) == (later(9), 8)
    assert fail(again, later(9)).next_at == later(9 + WAITS_S[0])


def test_only_the_last_twenty_tries_are_kept() -> None:
    delivery = a_delivery()
    for number in range(30):
        delivery = replace(fail(delivery, later(number)), status=DeliveryStatus.PENDING)
    assert delivery.number == 30
    assert [one.at for one in delivery.tries] == [later(n) for n in range(10, 30)]


def test_a_delivery_that_is_never_tried_is_looked_at_ever_more_rarely_and_given_up() -> None:
    delivery, looks = a_delivery(), 0
    while delivery.is_pending:
        assert delivery.due_at is not None
        delivery = endpoints.looked_at(delivery, delivery.due_at)
        looks += 1
    assert (delivery.status, delivery.code) == (DeliveryStatus.FAILED, "never_tried")
    assert looks < 25


def test_a_delivery_that_waits_for_its_last_tries_is_not_taken_for_one_never_tried() -> None:
    delivery, at = a_delivery(), START
    for _ in range(MAX_TRIES - 1):
        delivery = fail(delivery, at, chance=0.999)
        assert delivery.next_at is not None
        at = delivery.next_at
        delivery = replace(delivery, due_at=at)
        assert endpoints.looked_at(delivery, at).is_pending


# --- endpoints ------------------------------------------------------------------------


def test_both_secrets_sign_for_a_day_after_a_rotation() -> None:
    rotated = endpoints.rotate(an_endpoint(), "sealed(new)", START, at_once=False)
    assert rotated.sealed_secrets(later(86_399)) == ("sealed(new)", "sealed(whsec_1)")
    assert rotated.sealed_secrets(later(86_400)) == ("sealed(new)",)
    again = endpoints.rotate(rotated, "sealed(newest)", later(60), at_once=False)
    assert again.sealed_secrets(later(61)) == ("sealed(newest)", "sealed(new)")


def test_a_leaked_secret_is_void_at_once() -> None:
    rotated = endpoints.rotate(an_endpoint(), "sealed(new)", START, at_once=True)
    assert rotated.sealed_secrets(START) == ("sealed(new)",)
    assert "sealed" not in repr(rotated)


def test_an_endpoint_is_dead_when_a_delivery_was_given_up_after_three_days_of_failures() -> None:
    given_up = replace(a_delivery(), status=DeliveryStatus.FAILED)
    failing = an_endpoint(failing_since=START)
    assert endpoints.is_dead(failing, given_up, START + 3 * DAY)
    assert not endpoints.is_dead(failing, given_up, START + 2.9 * DAY)
    assert not endpoints.is_dead(failing, a_delivery(), START + 30 * DAY)
    assert not endpoints.is_dead(an_endpoint(), given_up, START + 30 * DAY)


def test_what_we_disabled_is_told_of_and_what_its_owner_did_is_not() -> None:
    before = an_endpoint(failing_since=START)
    dead = endpoints.disable(before, DisabledReason.FAILING, later(5))
    assert (dead.is_enabled, dead.disabled_at, dead.failing_since) == (False, later(5), START)
    notice = endpoints.disabled_notice(before, replace(dead, version=4))
    assert notice is not None
    assert notice.notice_id == "e1:4:endpoint.disabled"
    assert (notice.data["disabledReason"], notice.data["host"]) == ("failing", "shop.example")
    assert "whsec" not in notice.body
    assert "/hook" not in notice.body
    assert endpoints.disabled_notice(dead, replace(dead, description="x")) is None
    owners = endpoints.enable(before, later(5), is_enabled=False)
    assert endpoints.disabled_notice(before, owners) is None


def test_enabling_begins_anew() -> None:
    dead = endpoints.disable(an_endpoint(failing_since=START), DisabledReason.GONE, later(5))
    alive = endpoints.enable(dead, later(9), is_enabled=True)
    assert alive == an_endpoint(updated_at=later(9))
    assert endpoints.enable(alive, later(10), is_enabled=True) is alive
    assert endpoints.disable(dead, DisabledReason.FAILING, later(10)) is dead


def test_an_endpoint_is_told_of_what_it_asks_for_while_it_is_enabled() -> None:
    one, other = an_endpoint(), an_endpoint(endpoint_id="e2", types=(NoticeType.JOB_PUSHED,))
    off = an_endpoint(endpoint_id="e3", is_enabled=False)
    assert endpoints.wanting([one, other, off], NoticeType.JOB_FAILED) == [one]
