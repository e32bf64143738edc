"""Things that go wrong for long: each with its bound on when and how everything ends.

All of it happens in one process with the real functions (tests/whole), on a clock that is moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from shared.domain.job import Job
from shared.domain.status import JobStatus, PushStatus
from tests.promises import CASES, Record, seed
from tests.whole.calls import Fault
from tests.whole.queues import Message
from tests.whole.world import INPUT, OTHER_SHOP, SHOP, World, a_world

pytestmark = [
    # While one function waits, another one may publish its metrics too.
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.promise("lost", "an hour of each outage, in one process"),
    pytest.mark.promise("twice", "an hour of each outage, in one process"),
    pytest.mark.timeout(600),
]

JOBS = 12
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DONE = (JobStatus.COMPLETED, PushStatus.PUSHED)


def order(world: World, count: int = JOBS, shop: str = SHOP, **simulate: Any) -> list[str]:
    """Have photos made for products of their own."""
    wish = {"toolId": "image-enhancement", "inputImageUrl": INPUT, "autoPush": True}
    if simulate:
        wish |= {"parameters": {"simulate": simulate}}
    return [
        world.ask(
            "POST", "/api/jobs", wish | {"productId": world.new_product(shop)}, shop=shop
        ).job_id
        for _ in range(count)
    ]


def end_of(job: Job) -> tuple[JobStatus, PushStatus]:
    return job.status, job.push.status


def check_all_done(world: World, names: list[str], began: datetime, within: timedelta) -> None:
    """Every job is done, within its time, paid once, and its image on its product once."""
    jobs = [job for job in world.jobs() if job.job_id in names]
    assert {end_of(job) for job in jobs} == {DONE}
    assert len(jobs) == len(names)
    late = [job.push.pushed_at for job in jobs if job.push.pushed_at is not None]
    assert max(late) - began <= within, max(late) - began
    paid = [ref for ref, credits_ in world.charges() if credits_ > 0]
    assert len(paid) == len(set(paid)) == len(world.pikcel.book.jobs)
    shown = [world.product_media(product) for product in world.products]
    assert [len(media) for media in shown] == [1] * len(world.products)
    check_sound(world)


def check_sound(world: World) -> None:
    """Nothing broke, nothing was given up, and every sum is that of a recount."""
    assert world.bugs == []
    assert [dead.body for queue in world.queues.values() for dead in queue.dead] == []
    assert world.tallies() == world.recount()


@pytest.fixture(autouse=True)
def counted(record_property: Record) -> None:
    record_property(CASES, JOBS)


def test_with_all_webhooks_lost_every_image_is_there_within_three_minutes() -> None:
    with a_world() as world:
        began = world.clock.now()
        names = order(world, webhook_lost="all")
        world.settle()
        check_all_done(world, names, began, 3 * MINUTE)


def test_a_provider_that_never_ends_a_job_is_given_up_after_an_hour_and_believed_later() -> None:
    with a_world() as world:
        began = world.clock.now()
        # It ends after three hours, and tells.
        names = order(world, processing_s=3 * HOUR.total_seconds())
        world.run_for((HOUR + 10 * MINUTE).total_seconds())
        given_up = [world.job(name) for name in names]
        assert {(job.status, job.error_code) for job in given_up} == {
            (JobStatus.FAILED, "timed_out")
        }
        ended = [job.completed_at for job in given_up if job.completed_at is not None]
        assert min(ended) - began >= HOUR
        assert max(ended) - began <= HOUR + 6 * MINUTE
        world.settle()
        check_all_done(world, names, began, 3 * HOUR + 3 * MINUTE)


def test_a_provider_that_answers_nothing_has_each_job_failed_within_twenty_minutes() -> None:
    """Nothing is paid, nothing hangs; and each is there again by one call."""
    with a_world() as world:
        began = world.clock.now()
        away = [{"route": route, "kind": "reset"} for route in ("dispatch", "poll", "list")]
        configure(world, outages=away)
        names = order(world)
        world.run_for(HOUR.total_seconds())
        jobs = [world.job(name) for name in names]
        assert {job.status for job in jobs} == {JobStatus.FAILED}
        assert {job.error_code for job in jobs} <= {"dispatch_unknown", "dispatch_failed"}
        ended = [job.completed_at for job in jobs if job.completed_at is not None]
        assert max(ended) - began <= 20 * MINUTE, max(ended) - began
        assert world.charges() == []
        configure(world, outages=[])
        for name in names:
            assert world.ask("POST", "/api/jobs/retry", {"jobId": name}).status == 200
        again = world.clock.now()
        world.settle()
        check_all_done(world, names, again, 3 * MINUTE)


def configure(world: World, **changes: Any) -> None:
    """Change the provider's simulator while it runs."""
    world.pikcel.config = world.pikcel.config.model_validate(
        world.pikcel.config.model_dump() | changes
    )


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_before", "status_after"])
def test_after_an_hour_without_shopify_every_image_is_on_its_product_within_half_an_hour(
    kind: str,
) -> None:
    with a_world() as world:
        began = world.clock.now()
        back = began + HOUR
        fault = {"kind": kind, "shop": SHOP, "times": None, "until": back.timestamp()}
        assert world.merchant.post("/_simulator/faults", json=fault).status_code == 201
        names = order(world)
        others = order(world, 2, OTHER_SHOP)
        world.settle()
        check_all_done(world, names, back, HOUR / 2)
        # The other shop did not wait for it.
        pushed = [world.job(name, OTHER_SHOP).push.pushed_at for name in others]
        assert all(at is not None and at - began <= 2 * MINUTE for at in pushed), pushed


@dataclass(frozen=True, slots=True)
class Throttled:
    """What happens to calls while the table is throttled: most of those to it are refused."""

    world: World
    until: datetime
    rng: Random = field(default_factory=lambda: Random(seed()))

    def get(self, number: int) -> Fault | None:
        """Tell about one call; two of five come through."""
        name = self.world.probe.names[number - 1]
        is_over = self.world.clock.now() >= self.until
        is_spared = is_over or "dynamodb" not in name or self.rng.random() < 0.4
        return None if is_spared else Fault.REFUSED


def test_a_table_that_is_throttled_for_ten_minutes_delays_everything_and_loses_nothing() -> None:
    with a_world("embedded") as world:
        began = world.clock.now()
        until = began + 10 * MINUTE
        names = order(world, 4, processing_s=120)
        faults: Any = Throttled(world, until)
        world.probe.faults = faults
        names += order(world, 4)  # its callers repeat it until it is taken
        world.settle()
        assert world.clock.now() > until
        world.probe.faults = {}
        check_all_done(world, names, until, 10 * MINUTE)


POISON: Mapping[str, str] = {
    "no JSON": "\x00{",
    "no message of ours": '{"shop": 1}',
    "no such job": '{"shop": "mugs.myshopify.com", "jobId": "gone", "attempt": 1}',
    "a list": "[]",
}


@pytest.mark.parametrize("body", POISON.values(), ids=POISON)
@pytest.mark.parametrize("name", ["dispatch", "push", "bulk"])
def test_a_poison_message_ends_with_the_dead_and_delays_nobody(name: str, body: str) -> None:
    with a_world() as world:
        began = world.clock.now()
        queue = world.queues[name]
        queue.messages.append(
            Message("poison", body, SHOP if queue.is_fifo else None, None, began, began)
        )
        names = order(world, 3)
        world.run_for((5 * MINUTE).total_seconds())
        pushed = [world.job(each).push.pushed_at for each in names]
        assert all(at is not None and at - began <= 3 * MINUTE for at in pushed), pushed
        world.settle()
        dead = [message.message_id for message in queue.dead]
        assert dead in ([], ["poison"])
        assert queue.messages == []
        assert world.bugs == []


@pytest.mark.parametrize("minutes", [10, -10])
def test_with_our_clock_ten_minutes_off_every_image_is_there_within_four_minutes(
    minutes: int,
) -> None:
    """No webhook is believed by its time: each makes us ask."""
    with a_world(others_off=minutes * MINUTE) as world:
        began = world.our_clock.now()
        names = order(world)
        world.settle()
        check_all_done(world, names, began, 4 * MINUTE)
        outcomes = {
            entry["outcome"]
            for entry in world.ask("GET", f"/api/jobs/{names[0]}/logs").body["logs"]
            if entry["source"] == "webhook"
        }
        assert "applied" not in outcomes
