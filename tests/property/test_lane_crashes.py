"""The dispatch lane crashes at every call it makes, one by one, before and after its effect.

Whatever is lost, redelivery and the sweep bring the job to the same end as without the
crash, and the provider is never given the same attempt twice.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from shared.domain.job import Job
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.advance_job import advance
from shared.usecases.ports import DispatchMessage
from tests.builders import RESULT_URL, a_job
from tests.unit.usecases.lane_world import LaneWorld

pytestmark = [
    pytest.mark.promise("lost", "a kill at every call of the dispatch lane"),
    pytest.mark.promise("twice", "a kill at every call of the dispatch lane"),
]

# The crash-free run makes fewer calls than this (checked below).
MOST_CALLS = 120
# The provider finishes at this many seconds after START.
FINISHED_S = 90


class CrashError(BaseException):
    """The process is gone: nothing catches this."""


class Crashing:
    """Lets every call of some objects through, but one.

    at: the number of the call that crashes (from 1), None for none. after: it has its effect.
    """

    def __init__(self, at: int | None, *, after: bool) -> None:
        self._at = at
        self._after = after
        self.calls = 0

    def watch(self, target: Any, *names: str) -> None:
        for name in names:
            setattr(target, name, self._watched(getattr(target, name)))

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            is_crash = self.calls == self._at
            if is_crash and not self._after:
                raise CrashError
            result = call(*args, **kwargs)
            if is_crash:
                raise CrashError
            return result

        return watched


class Run:
    """One job from its creation to its queued push, without any webhook."""

    def __init__(self, crash: Crashing) -> None:
        self.world = LaneWorld()
        self.ref = self.world.has(a_job(auto_push=True))
        self.world.link_works(RESULT_URL)
        self._read = self.world.store.get  # the test's own look, which does not crash
        self._queue: list[tuple[float, DispatchMessage]] = []
        crash.watch(self.world.store, "get", "get_many", "save", "note", "due", "parked")
        crash.watch(self.world.outbox, "send_dispatch", "send_push")
        crash.watch(self.world.api, "call")
        crash.watch(self.world.limiter, "take")
        crash.watch(self.world.limiter, "reserve")
        crash.watch(self.world.downloads, "fetch")
        crash.watch(self.world.files, "put")

    def to_the_end(self) -> Job:
        """Deliver every message (again after a crash) and sweep every minute, for an hour."""
        for second in range(0, 3600, 5):
            self.world.at(second)
            if second >= FINISHED_S:
                for job in self.world.api.jobs.values():
                    job |= {"status": "completed", "output_image_url": RESULT_URL}
            if second % 60 == 0:
                self._survive(self.world.sweep)
            self._collect(second)
            self._deliver(second)
        return self._read(self.ref)

    def _collect(self, second: float) -> None:
        for sent in self.world.outbox.dispatches:
            self._queue.append((second + sent.delay_s, sent.request))
        self.world.outbox.dispatches.clear()

    def _deliver(self, second: float) -> None:
        ready = [entry for entry in self._queue if entry[0] <= second]
        self._queue = [entry for entry in self._queue if entry[0] > second]
        for _, message in ready:
            if not self._survive(partial(advance, self.world.lane, message)):
                self._queue.append((second + 360, message))  # the queue's visibility

    def _survive(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except CrashError:
            return False
        return True


def end_of(job: Job) -> tuple[object, ...]:
    """What counts of the end state."""
    return (
        job.status,
        job.provider_job_id,
        job.attempt.number,
        [output.is_kept for output in job.outputs],
        job.push.status,
        job.error_code,
    )


def test_without_a_crash_the_job_is_kept_and_its_push_queued() -> None:
    crash = Crashing(None, after=False)
    run = Run(crash)
    job = run.to_the_end()
    assert (job.status, job.push.status) == (JobStatus.COMPLETED, PushStatus.QUEUED)
    assert len(run.world.api.created) == 1
    assert crash.calls <= MOST_CALLS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, MOST_CALLS + 1))
def test_a_crash_changes_nothing_in_the_end(at: int, after: bool) -> None:
    calm = Run(Crashing(None, after=False)).to_the_end()
    run = Run(Crashing(at, after=after))
    assert end_of(run.to_the_end()) == end_of(calm)
    assert len(run.world.api.jobs) == 1  # one payment
    assert len(run.world.files.stored) == 1
