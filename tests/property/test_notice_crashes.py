"""Wherever we die while telling and delivering: every end reaches every endpoint, as one delivery
under one id, and a batch is told of once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.endpoints import DeliveryStatus
from shared.domain.errors import QueueUnavailableError, RetryableError, StoreUnavailableError
from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.usecases.announce import Announcer
from shared.usecases.deliver_notice import deliver_notice
from shared.usecases.notice_ports import Change
from tests.promises import CASES, Record
from tests.unit.usecases.notice_world import NoticeWorld, finished
from tests.unit.usecases.test_announce import end, jobs_of

pytestmark = pytest.mark.promise("lost", "kills and failures while telling and delivering")


class Killed(BaseException):
    """The process is gone."""


class Dying(NoticeWorld):
    """A world whose calls of table, queue, bus and endpoints die before or after their effect.

    plan: number of the call → `before`, `after` or `fails`.
    """

    def __init__(self, plan: dict[int, str]) -> None:
        super().__init__()
        self.plan = plan
        self.calls = 0
        self.is_armed = False
        failures: dict[Any, tuple[type[Exception], tuple[str, ...]]] = {
            self.endpoints: (
                StoreUnavailableError,
                ("endpoints", "add_delivery", "get_delivery", "get_endpoint", "save_delivery"),
            ),
            self.works: (StoreUnavailableError, ("get_batch", "finish_batch")),
            self.bus: (RetryableError, ("put",)),
            self.outbox: (QueueUnavailableError, ("send_deliver",)),
            self.posts: (RetryableError, ("post",)),
        }
        for port, (error, names) in failures.items():
            for name in names:
                setattr(port, name, self._dying(getattr(port, name), error))

    def _dying(self, call: Callable[..., Any], error: type[Exception]) -> Callable[..., Any]:
        def dying(*arguments: Any, **more: Any) -> Any:
            if not self.is_armed:
                return call(*arguments, **more)
            fate = self.plan.get(self.calls)
            self.calls += 1
            # An endpoint's call itself never raises: what fails is our process.
            if fate == "before" or (fate == "fails" and call.__name__ == "post"):
                raise Killed
            if fate == "fails":
                raise error("out")
            answer = call(*arguments, **more)
            if fate == "after":
                raise Killed
            return answer

        return dying

    def tell(self, changes: list[Change]) -> None:
        """Be the stream: a change comes again, and all after it, until it was told of."""
        while changes:
            announcer = Announcer(self.notices)
            try:
                for change in list(changes):
                    announcer.announce(change)
                    changes.pop(0)
            except (Killed, RetryableError):
                continue

    def deliver_all(self) -> None:
        """Be the queue and the sweep, until nothing is owed."""
        for _ in range(200):
            while self.outbox.delivers:
                request, delay_s = self.outbox.delivers.pop(0)
                self.clock.set(self.clock.now() + timedelta(seconds=delay_s))
                try:
                    deliver_notice(self.deliver_lane, request)
                except (Killed, RetryableError):
                    # It comes again: later, and behind others.
                    self.outbox.delivers.append((request, 1))
            due = self.endpoints.due_deliveries(self.clock.now() + timedelta(days=9), limit=99)
            if not due:
                return
            self.clock.set(self.clock.now() + timedelta(minutes=10))
            try:
                self.sweep_deliveries()
            except (Killed, RetryableError):
                continue
        raise AssertionError("it does not come to an end")


FATES = st.dictionaries(
    st.integers(0, 60), st.sampled_from(["before", "after", "fails"]), max_size=12
)


@given(plan=FATES, answers=st.lists(st.sampled_from([200, 500, 503]), max_size=8))
def test_every_end_is_delivered_once_to_each_endpoint_whatever_dies(
    plan: dict[int, str], answers: list[int]
) -> None:
    check_all_told(plan, answers)


@pytest.mark.parametrize("fate", ["before", "after", "fails"])
def test_whichever_single_call_dies_every_end_is_delivered_once(
    fate: str, record_property: Record
) -> None:
    calls = check_all_told({}, [])
    assert calls > 30
    for number in range(calls):
        check_all_told({number: fate}, [])
    record_property(CASES, calls)


def check_all_told(plan: dict[int, str], answers: list[int]) -> int:
    """Have a batch of three end, told to two endpoints; returns how many calls that took."""
    world = Dying(plan)
    one, two = world.endpoint(1), world.endpoint(2)
    ref = world.batch(3)
    world.finish(ref)
    jobs = jobs_of(world, ref.job_id)
    for number, job in enumerate(jobs):
        world.at(10 + number)
        world.write(job.ref, end(JobStatus.FAILED if number == 1 else JobStatus.COMPLETED))
    changes, world.stream = world.stream, []
    world.posts.answer(*answers)
    world.is_armed = True
    world.tell(changes)
    world.deliver_all()
    world.is_armed = False
    for endpoint in (one, two):
        found = world.deliveries(endpoint)
        kinds = Counter(delivery.type.value for delivery in found)
        assert kinds == {"job.completed": 2, "job.failed": 1, "batch.finished": 1}
        assert {delivery.status for delivery in found} == {DeliveryStatus.DELIVERED}
        called = {
            call.headers["webhook-id"] for call in world.posts.calls if call.url == endpoint.url
        }
        assert called == {delivery.webhook_id for delivery in found}
    assert len({notice.notice_id for notice in finished(world.bus)}) == 1
    assert {notice.data["completedJobs"] for notice in finished(world.bus)} == {2}
    assert len(set(world.told())) == 4
    return world.calls


@given(data=st.data())
def test_a_batch_is_told_of_once_in_any_order_of_its_ends_and_looks(data: st.DataObject) -> None:
    world = NoticeWorld()
    ref = world.batch(4)
    world.finish(ref)
    jobs = jobs_of(world, ref.job_id)
    for job in data.draw(st.permutations(jobs)):
        world.write(job.ref, end(data.draw(st.sampled_from(list(_ENDS)))))
        if data.draw(st.booleans()):
            retried(world, job)
    # Shards of the stream are read side by side, and any record may come again.
    changes = data.draw(st.permutations(world.stream * 2))
    world.announce_again(changes)
    assert len({(notice.notice_id, notice.at) for notice in finished(world.bus)}) == 1
    notice = finished(world.bus)[0]
    counts = [notice.data[name] for name in ("completedJobs", "failedJobs", "cancelledJobs")]
    assert sum(counts) == 4


_ENDS = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


def retried(world: NoticeWorld, job: Job) -> None:
    """Begin a job anew and end it again."""
    world.write(job.ref, lambda found: replace(found, status=JobStatus.PENDING))
    world.write(job.ref, end(JobStatus.COMPLETED))


@pytest.mark.parametrize("fate", ["before", "after", "fails"])
def test_each_call_is_really_reached(fate: str) -> None:
    """The plan above is no empty threat: the first calls all exist."""
    world = Dying({0: fate, 3: fate, 6: fate})
    world.endpoint(1)
    ref = world.batch(1)
    world.finish(ref)
    (job,) = jobs_of(world, ref.job_id)
    world.write(job.ref, end(JobStatus.COMPLETED))
    changes, world.stream = world.stream, []
    world.is_armed = True
    world.tell(changes)
    world.deliver_all()
    assert world.calls > 6
