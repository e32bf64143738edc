"""Expiry-aware polling, and the ETA: what was learnt of other jobs serves this one."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.errors import StoreUnavailableError
from shared.domain.job import Job
from shared.domain.plan import (
    DONE_MARGIN_MS,
    EXPIRY_MARGIN_S,
    Patience,
    Step,
    next_look,
    next_step,
    should_be_done_at,
)
from shared.domain.reports import eta_s
from shared.domain.status import JobStatus
from shared.providers.registry import ADAPTERS
from shared.serializers.jobs import etag, job_json
from shared.usecases.dispatch_lane import Advance
from tests.builders import RESULT_URL, TOOL, a_dispatched_job, a_job, a_worker_job, later
from tests.fakes.memory import InMemoryPaces
from tests.unit.usecases.lane_world import LaneWorld

# Far apart: what is tested is not the backoff.
CALM = Patience(first_poll_s=10_000, max_poll_s=10_000, provider_s=100_000)
EXPECTED = {"attempt": {"expected_ms": 20_000}}
DONE_S = 20 * 1.5 + DONE_MARGIN_MS / 1000


class PaceWorld(LaneWorld):
    """A lane that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.paces = InMemoryPaces()
        self.lane = replace(self.lane, paces=self.paces)

    def knows(self, *durations_ms: int) -> None:
        for duration_ms in durations_ms:
            self.paces.learn("pikcel", TOOL, duration_ms, self.clock.now())

    def expects(self) -> int | None:
        return self.paces.expected_ms("pikcel", TOOL, self.clock.now())


@pytest.fixture
def world() -> PaceWorld:
    return PaceWorld()


# --- when to ask ---------------------------------------------------------------------


def look_s(job: Job, seconds: float, patience: Patience = CALM) -> float:
    """Return when the job is looked at next, in seconds after START."""
    due_at = next_look(job, later(seconds), patience)
    assert due_at is not None
    return (due_at - later(0)) / timedelta(seconds=1)


def test_a_job_is_asked_about_when_it_should_be_done() -> None:
    job = a_dispatched_job(**EXPECTED)
    assert look_s(job, 1) == DONE_S
    assert next_step(job, later(DONE_S - 1), CALM) is Step.WAIT
    assert next_step(job, later(DONE_S), CALM) is Step.POLL


def test_a_tool_that_nobody_knows_is_asked_about_when_it_looks_stale() -> None:
    assert look_s(a_dispatched_job(), 1) == 10_000
    assert look_s(a_dispatched_job(), 1, Patience()) == 60


def test_what_looks_stale_is_not_waited_for_longer_because_its_tool_is_slow() -> None:
    slow = a_dispatched_job(attempt={"expected_ms": 3_600_000})
    assert look_s(slow, 1, Patience()) == 60


def test_who_was_asked_after_that_is_not_asked_for_that_again() -> None:
    job = a_dispatched_job(polled_at=later(DONE_S + 1), **EXPECTED)
    assert look_s(job, DONE_S + 2) == DONE_S + 1 + 10_000


def test_no_result_can_be_born_and_die_between_two_polls() -> None:
    short = replace(CALM, result_life_s=600)
    assert look_s(a_dispatched_job(), 1, short) == 600 - EXPIRY_MARGIN_S
    asked = a_dispatched_job(polled_at=later(100))
    assert look_s(asked, 101, short) == 100 + 600 - EXPIRY_MARGIN_S


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_polls_of_a_silent_job_are_never_further_apart_than_its_result_lives(name: str) -> None:
    patience = ADAPTERS[name].patience
    life_s = patience.result_life_s or float("inf")
    job = a_dispatched_job()
    for tries in range(12):
        at = look_s(job, 1, patience)
        since = (job.polled_at or later(0)) - later(0)
        assert at - since / timedelta(seconds=1) <= life_s - EXPIRY_MARGIN_S
        if at >= patience.provider_s:
            return
        job = replace(job, polled_at=later(at), due_tries=tries + 1)


def test_the_first_look_of_a_wired_job_is_the_earliest_reason(world: PaceWorld) -> None:
    world.knows(4000, 4000, 4000)
    ref = world.has(a_job())
    world.advance(ref)
    job = world.job(ref)
    assert job.attempt.expected_ms == pytest.approx(4000, rel=0.1)
    done_at = should_be_done_at(job)
    assert done_at is not None
    assert job.due_at is not None
    assert abs(job.due_at - done_at) < timedelta(milliseconds=2)


# --- what is learnt ------------------------------------------------------------------


def complete(world: PaceWorld, seconds: float, expected_ms: int | None = None) -> None:
    """Let a job end after that long, and keep its result."""
    ref = world.has(
        a_dispatched_job(
            status=JobStatus.COMPLETED,
            completed_at=later(seconds),
            attempt={"expected_ms": expected_ms, "provider_job_id": f"pk_{id(world)}_{seconds}"},
        )
    )
    world.api.has(world.job(ref).provider_job_id or "", "completed", output_image_url=RESULT_URL)
    world.link_works(RESULT_URL)
    assert world.advance(ref).advance is Advance.KEPT


def test_a_job_that_ended_teaches_how_long_its_tool_takes(world: PaceWorld) -> None:
    for seconds in (12, 12.5, 13):
        complete(world, seconds)
    assert world.expects() == pytest.approx(12_500, rel=0.1)


def test_of_a_tool_that_is_known_only_some_jobs_teach(world: PaceWorld) -> None:
    world.knows(1000, 1000, 1000)
    for seconds in (60, 61, 62, 63):
        world.random.chance = 0.5
        complete(world, seconds, expected_ms=1000)
    assert world.expects() == pytest.approx(1000, rel=0.1)
    for seconds in (70, 71, 72, 73):
        world.random.chance = 0.1
        complete(world, seconds, expected_ms=1000)
    assert world.expects() == pytest.approx(70_000, rel=0.1)


def test_a_job_made_elsewhere_teaches_nothing(world: PaceWorld) -> None:
    for number in range(4):
        ref = world.has(
            a_dispatched_job(
                status=JobStatus.COMPLETED,
                completed_at=later(number),
                attempt={"intent_at": None, "provider_job_id": f"pk_{number}"},
            )
        )
        world.api.has(f"pk_{number}", "completed", output_image_url=RESULT_URL)
        world.link_works(RESULT_URL)
        world.advance(ref)
    assert world.expects() is None


def test_nothing_hangs_on_it(world: PaceWorld) -> None:
    class Broken(InMemoryPaces):
        def learn(self, *args: object) -> None:
            raise StoreUnavailableError("out")

        def expected_ms(self, *args: object) -> int | None:
            raise StoreUnavailableError("out")

    world.lane = replace(world.lane, paces=Broken())
    ref = world.has(a_job())
    assert world.advance(ref).advance is Advance.CREATED
    complete(world, 5)


# --- the ETA ---------------------------------------------------------------------------


def test_a_job_without_progress_has_the_eta_of_its_tool() -> None:
    job = a_dispatched_job(**EXPECTED)
    assert [eta_s(job, later(seconds)) for seconds in (0, 4.5, 19.9, 20, 500)] == [20, 16, 1, 0, 0]


def test_what_is_not_known_or_over_has_none() -> None:
    assert eta_s(a_dispatched_job(), later(1)) is None
    assert eta_s(a_job(**EXPECTED), later(1)) is None  # not begun
    ended = a_dispatched_job(status=JobStatus.COMPLETED, completed_at=later(3), **EXPECTED)
    assert eta_s(ended, later(5)) is None
    assert eta_s(a_worker_job(), later(1)) is None


def test_a_tag_does_not_change_with_time_alone() -> None:
    job = a_dispatched_job(**EXPECTED)
    first, second = (job_json(job, str, later(seconds)) for seconds in (1, 2))
    assert (first["etaSeconds"], second["etaSeconds"]) == (19, 18)
    assert etag(first, job.version) == etag(second, job.version)
    changed = job_json(replace(job, progress=60), str, later(2))
    assert etag(changed, job.version) != etag(second, job.version)
    assert job_json(job, str)["etaSeconds"] is None
