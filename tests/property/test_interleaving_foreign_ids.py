"""Whoever registers the provider's id of somebody else's job gets nothing of it.

Shop A creates a job; shop B names the same provider job as its own, at every moment at which
that is possible. A's job must end as if B did not exist, and B's without any of A's result.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from shared.domain.job import Job
from shared.domain.status import JobStatus, PushStatus
from tests.whole.world import INPUT, OTHER_SHOP, SHOP, Answer, Engine, World, a_world

pytestmark = [
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.promise("tenants", "provider's ids of others, registered"),
]


@pytest.fixture(params=["memory", "table"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    engine: Engine = request.param
    with a_world(engine) as made:
        yield made
        assert made.bugs == []


def create(world: World, **simulate: Any) -> str:
    """A creates a job for its product, and it is sent to the provider."""
    body = {
        "toolId": "image-enhancement",
        "inputImageUrl": INPUT,
        "productId": world.new_product(),
        "autoPush": True,
        "parameters": {"simulate": simulate} if simulate else {},
    }
    job_id = world.ask("POST", "/api/jobs", body).job_id
    world.run_for(0)
    return job_id


def provider_job_id(world: World) -> str:
    (only,) = world.pikcel.book.jobs
    return only


def register(world: World, **changes: Any) -> Answer:
    """B registers the provider's job as its own, with everything that would bring it a result."""
    body: dict[str, Any] = {
        "pikcelJobId": provider_job_id(world),
        "productId": world.new_product(OTHER_SHOP),
        "autoPush": True,
        "toolId": "image-enhancement",
        "inputImageUrl": INPUT,
    }
    return world.ask("POST", "/api/jobs", body | changes, shop=OTHER_SHOP)


def check_that_a_has_it(world: World, job_id: str) -> None:
    job = world.job(job_id)
    assert (job.status, job.push.status) == (JobStatus.COMPLETED, PushStatus.PUSHED)
    assert [output.is_kept for output in job.outputs] == [True]
    assert job.credits_used == 1
    assert len(world.product_media(world.products[0])) == 1
    assert len(world.files(SHOP)) == 1


def check_that_b_has_nothing(world: World, job_id: str) -> Job:
    """B's job has no result, no image, no cost, and no part in the statistics of A."""
    job = world.job(job_id, OTHER_SHOP)
    assert job.status is JobStatus.FAILED
    assert job.error_code == "provider_job_taken"
    assert (job.outputs, job.credits_used, job.push.status) == ((), 0, PushStatus.NONE)
    assert world.files(OTHER_SHOP) == []
    assert world.tallies() == world.recount()
    assert len(world.charges()) == 1
    return job


def test_an_id_that_is_linked_is_refused(world: World) -> None:
    job_id = create(world)
    world.run_for(3)
    answer = register(world)
    assert (answer.status, answer.body["code"]) == (409, "provider_job_taken")
    assert SHOP not in str(answer.body)
    assert job_id not in str(answer.body)
    world.settle()
    check_that_a_has_it(world, job_id)
    assert [job.shop for job in world.jobs()] == [SHOP]


def test_an_id_that_ended_long_ago_is_refused_too(world: World) -> None:
    job_id = create(world)
    world.settle()
    assert register(world).status == 409
    check_that_a_has_it(world, job_id)


@pytest.mark.parametrize("webhook_lost", [[], ["job.started"], ["job.completed"], "all"], ids=str)
def test_an_id_registered_before_our_answer_came_is_given_back(
    world: World, webhook_lost: object
) -> None:
    job_id = create(world, create="lost_answer", webhook_lost=webhook_lost)
    thief = register(world).job_id
    world.settle()
    check_that_a_has_it(world, job_id)
    check_that_b_has_nothing(world, thief)


def test_an_id_registered_while_our_create_call_is_answered_is_given_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    thieves: list[str] = []
    send = world.line.send

    def steal(request: httpx.Request) -> httpx.Response:
        answer = send(request)
        if request.url.path.endswith("/dispatch"):
            monkeypatch.undo()
            thieves.append(register(world).job_id)
        return answer

    change_line(world, monkeypatch, steal)
    job_id = create(world, webhook_lost="all")
    world.settle()
    check_that_a_has_it(world, job_id)
    check_that_b_has_nothing(world, thieves[0])


def change_line(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    send: Callable[[httpx.Request], httpx.Response],
) -> None:
    monkeypatch.setattr(world.provider_transport, "_send", send)


def test_the_thief_may_ask_as_often_as_it_likes(world: World) -> None:
    job_id = create(world, create="lost_answer")
    thief = register(world).job_id
    for _ in range(4):
        answer = world.ask("POST", "/api/jobs/sync", {"jobId": thief}, shop=OTHER_SHOP)
        assert answer.body["job"]["outputImageUrl"] is None
        world.run_for(11)
    world.settle()
    check_that_a_has_it(world, job_id)
    check_that_b_has_nothing(world, thief)


def test_the_thief_may_retry_and_then_pays_for_a_job_of_its_own(world: World) -> None:
    job_id = create(world, create="lost_answer")
    thief = register(world).job_id
    world.settle()
    world.ask("POST", "/api/jobs/retry", {"jobId": thief}, shop=OTHER_SHOP)
    world.settle()
    check_that_a_has_it(world, job_id)
    own = world.job(thief, OTHER_SHOP)
    assert own.status is JobStatus.COMPLETED
    assert own.provider_job_id != world.job(job_id).provider_job_id
    assert len(world.charges()) == 2


@pytest.mark.parametrize("act", ["before", "after"])
def test_the_thief_may_delete_its_job_and_takes_nothing_along(world: World, act: str) -> None:
    job_id = create(world, create="lost_answer", processing_s=200, webhook_lost="all")
    thief = register(world).job_id
    if act == "before":
        world.ask("POST", "/api/jobs/cancel", {"jobId": thief}, shop=OTHER_SHOP)
    else:
        while world.job(thief, OTHER_SHOP).status.is_active:
            world.run_for(10)
    assert world.ask("DELETE", f"/api/jobs/{thief}", shop=OTHER_SHOP).status == 200
    world.settle()
    check_that_a_has_it(world, job_id)
    assert register(world).status == 409


def test_an_event_parked_with_anothers_shop_is_not_adopted(world: World) -> None:
    """Made elsewhere for shop A, by a program that names the shop as form 2 of the API does."""
    world.make_elsewhere(metadata={"shopify_shop": SHOP})
    world.run_for(20)
    thief = register(world).job_id
    world.settle()
    check_that_b_has_nothing(world, thief)


def test_an_event_parked_with_our_reference_is_not_adopted(world: World) -> None:
    """A's own event can be parked while nobody can read its reference: here, one whose secret
    came back after a rotation that went wrong."""
    job_id = create(world)
    with world.secret("app-secret", APP_SECRET="another-secret-0123456789-0123456789"):
        world.run_for(20)
    thief = register(world)
    world.settle()
    check_that_a_has_it(world, job_id)
    if thief.status == 202:
        check_that_b_has_nothing(world, thief.job_id)
