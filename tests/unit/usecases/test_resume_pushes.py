"""Pushes that waited for a token go out again after the login that brings one."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.domain.errors import StoreUnavailableError
from shared.domain.ids import JobRef
from shared.domain.job import Job, Push
from shared.domain.shop import Shop
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.install_shop import Installation
from tests.builders import OTHER_SHOP, SHOP, a_kept_job, a_kept_output
from tests.unit.usecases.shop_life_world import ShopWorld


@pytest.fixture
def world() -> ShopWorld:
    return ShopWorld()


def failed(world: ShopWorld, code: str, count: int = 1, shop: str = SHOP) -> list[JobRef]:
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


def statuses(world: ShopWorld, refs: Sequence[JobRef]) -> set[PushStatus]:
    return {world.store.get(ref).push.status for ref in refs}


def done(world: ShopWorld) -> Job:
    job = world.duty("resume")
    assert (job.status, job.due_at) == (JobStatus.COMPLETED, None)
    return job


@pytest.mark.parametrize("code", ["shop_not_installed", "token_dead"])
def test_pushes_that_waited_for_a_token_are_queued(world: ShopWorld, code: str) -> None:
    refs = failed(world, code, 2)
    world.login()
    assert statuses(world, refs) == {PushStatus.FAILED}
    world.go_on(minutes=2)
    assert statuses(world, refs) == {PushStatus.QUEUED}
    assert {push.ref for push in world.outbox.pushes} == set(refs)
    assert done(world).result == {"done": {"pushes": 2}}


def test_one_that_fails_while_the_token_comes_is_queued_too(world: ShopWorld) -> None:
    world.login()
    refs = failed(world, "token_dead")
    world.go_on(minutes=2)
    assert statuses(world, refs) == {PushStatus.QUEUED}


def test_other_failures_stay_as_they_are(world: ShopWorld) -> None:
    refs = failed(world, "product_gone")
    world.login()
    world.go_on(minutes=2)
    assert statuses(world, refs) == {PushStatus.FAILED}
    assert done(world).counts.processed == 0


def test_other_shops_are_left_alone(world: ShopWorld) -> None:
    refs = failed(world, "token_dead", shop=OTHER_SHOP)
    world.login()
    world.go_on(minutes=2)
    assert statuses(world, refs) == {PushStatus.FAILED}


def test_a_long_list_goes_on_in_the_next_message(world: ShopWorld) -> None:
    refs = failed(world, "token_dead", 130)
    world.login()
    world.clock.advance(60)
    world.sweep()
    request, _delay = world.outbox.bulks.pop()
    world.run(request.ref)
    assert len(world.outbox.bulks) == 1
    assert statuses(world, refs) == {PushStatus.QUEUED, PushStatus.FAILED}
    world.run_messages()
    assert statuses(world, refs) == {PushStatus.QUEUED}
    assert len(world.outbox.pushes) == 130
    assert done(world).counts.total == 130


def test_a_page_of_others_ends_no_walk(world: ShopWorld) -> None:
    failed(world, "product_gone", 60)
    refs = failed(world, "token_dead")
    failed(world, "product_is_gone", 60)
    world.login()
    world.go_on(minutes=2)
    assert statuses(world, refs) == {PushStatus.QUEUED}


def test_a_job_that_is_deleted_meanwhile_stops_nothing(world: ShopWorld) -> None:
    first, second = failed(world, "token_dead", 2)
    world.login()
    found = world.store.failed_pushes

    def then_delete(*args: object, **more: object) -> object:
        page = found(*args, **more)  # type: ignore[arg-type]
        world.store.delete(world.store.get(first))
        world.store.failed_pushes = found  # type: ignore[method-assign]
        return page

    world.store.failed_pushes = then_delete  # type: ignore[method-assign,assignment]
    world.go_on(minutes=2)
    assert statuses(world, [second]) == {PushStatus.QUEUED}
    done(world)


def test_one_that_somebody_queued_by_hand_is_not_queued_twice(world: ShopWorld) -> None:
    (ref,) = failed(world, "token_dead")
    world.login()
    seen = world.store.get(ref)
    found = world.store.failed_pushes
    queued = replace(seen.push, status=PushStatus.QUEUED, number=2)

    def then_queue(*args: object, **more: object) -> object:
        page = found(*args, **more)  # type: ignore[arg-type]
        if world.store.get(ref) == seen:
            world.tracker.write(seen, replace(seen, push=queued), None)
        return page

    world.store.failed_pushes = then_queue  # type: ignore[method-assign,assignment]
    world.go_on(minutes=2)
    assert world.store.get(ref).push.number == 2
    done(world)


@pytest.mark.parametrize("gone", ["token", "shop"])
def test_without_a_token_nothing_is_queued(world: ShopWorld, gone: str) -> None:
    refs = failed(world, "token_dead")
    world.login()
    if gone == "token":
        world.shops.save_shop(world.shop(), replace(world.shop(), token_dead=True))
    else:
        world.shops.save_shop(world.shop(), Shop(shop=SHOP))
    world.go_on(minutes=2)
    assert statuses(world, refs) == {PushStatus.FAILED}
    assert done(world).counts.processed == 0


def test_pushes_go_out_though_no_message_can_be_sent_at_the_login(world: ShopWorld) -> None:
    refs = failed(world, "token_dead")
    world.outbox.broken = True
    assert world.login().installation is Installation.INSTALLED
    world.go_on(minutes=2)
    world.outbox.broken = False
    world.go_on(minutes=20)
    assert statuses(world, refs) == {PushStatus.QUEUED}
    done(world)


def test_a_token_that_is_not_stored_leaves_nothing_to_do(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = world.shops.save_shop

    def fail(before: Shop | None, after: Shop) -> Shop:
        if after.token is not None:
            raise StoreUnavailableError("out")
        return save(before, after)

    monkeypatch.setattr(world.shops, "save_shop", fail)
    with pytest.raises(StoreUnavailableError):
        world.login()
    world.go_on(minutes=2)
    assert done(world).counts.processed == 0
