"""Pushes that waited for a token go out again, a chunk at a time."""

from collections.abc import Sequence

import pytest

from shared.domain.errors import QueueUnavailableError
from shared.domain.ids import JobRef
from shared.domain.job import Push
from shared.domain.shop import Shop
from shared.domain.status import PushStatus
from shared.usecases.ports import ResumePushesRequest
from shared.usecases.resume_pushes import resume_pushes
from tests.builders import OTHER_SHOP, SHOP, a_kept_job, a_kept_output
from tests.unit.usecases.lane_world import LaneWorld


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


def failed(world: LaneWorld, code: str, count: int = 1, shop: str = SHOP) -> list[JobRef]:
    return [
        world.has(
            a_kept_job(
                shop=shop,
                attempt={"provider_job_id": f"pk_{shop}_{code}_{number}"},
                outputs=(a_kept_output(push_status=PushStatus.FAILED),),
                push=Push(status=PushStatus.FAILED, number=1, error_code=code, error="…"),
            )
        )
        for number in range(count)
    ]


def resume(world: LaneWorld, position: str | None = None) -> int:
    request = ResumePushesRequest(shop=SHOP, position=position)
    return resume_pushes(world.tracker, world.shops, request)


def statuses(world: LaneWorld, refs: Sequence[JobRef]) -> set[PushStatus]:
    return {world.job(ref).push.status for ref in refs}


@pytest.mark.parametrize("code", ["shop_not_installed", "token_dead"])
def test_pushes_that_waited_for_a_token_are_queued(world: LaneWorld, code: str) -> None:
    refs = failed(world, code, 2)
    assert resume(world) == 2
    assert statuses(world, refs) == {PushStatus.QUEUED}
    assert {push.ref for push in world.outbox.pushes} == set(refs)


def test_other_failures_stay_as_they_are(world: LaneWorld) -> None:
    refs = failed(world, "product_gone")
    assert resume(world) == 0
    assert statuses(world, refs) == {PushStatus.FAILED}


def test_other_shops_are_left_alone(world: LaneWorld) -> None:
    refs = failed(world, "token_dead", shop=OTHER_SHOP)
    assert resume(world) == 0
    assert statuses(world, refs) == {PushStatus.FAILED}


def test_a_long_list_goes_on_in_the_next_message(world: LaneWorld) -> None:
    refs = failed(world, "token_dead", 130)
    queued = resume(world)
    while requests := [sent.request for sent in world.outbox.dispatches]:
        world.outbox.dispatches.clear()
        [request] = requests
        assert isinstance(request, ResumePushesRequest)
        queued += resume(world, request.position)
    assert queued == 130
    assert statuses(world, refs) == {PushStatus.QUEUED}


def test_at_the_end_the_shop_owes_nothing_any_more(world: LaneWorld) -> None:
    world.shops.save_shop(None, Shop(shop=SHOP, resume_owed=True))
    failed(world, "token_dead", 130)
    resume(world)
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert shop.resume_owed
    [sent] = world.outbox.dispatches
    assert isinstance(sent.request, ResumePushesRequest)
    resume(world, sent.request.position)
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert not shop.resume_owed


def test_a_next_message_that_cannot_be_sent_has_this_one_delivered_again(
    world: LaneWorld,
) -> None:
    refs = failed(world, "token_dead", 130)
    world.outbox.broken = True
    with pytest.raises(QueueUnavailableError):
        resume(world)
    world.outbox.broken = False
    assert resume(world) == 30  # the first hundred are queued, and no longer in the list
    assert statuses(world, refs) == {PushStatus.QUEUED}
