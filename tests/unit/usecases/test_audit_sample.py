"""The audit's sample: bounded, of all ages and shops, and never longer than it may take."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.audit import SETTLED_AFTER, Wrong
from shared.domain.events import Source
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import Outcome
from shared.usecases.audit_job import AuditLane
from shared.usecases.audit_sample import JOBS, OLDEST_DAYS, SHOPS, audit_jobs, audit_sample
from shared.usecases.tracker import Note
from tests.builders import a_worker_job
from tests.fakes.clock import START
from tests.fakes.memory_samples import InMemorySamples
from tests.unit.usecases.lane_world import LaneWorld


class World(LaneWorld):
    """A world an hour after its jobs were made, with the audit in it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock.advance(3600)
        self.samples = InMemorySamples(self.store)
        self.audit = AuditLane(tracker=self.tracker, samples=self.samples, files=self.files)

    def has_told(self, job: Job) -> JobRef:
        """Make a job as the product does, with a line on its timeline."""
        note = Note(source=Source.USER, outcome=Outcome.APPLIED, message="Created.")
        entry = self.tracker.entry(note, None, job, job.created_at)
        return self.store.create(job, entry=entry).ref


@pytest.fixture
def world() -> World:
    return World()


def test_an_empty_table_is_sound(world: World) -> None:
    report = audit_sample(world.audit)
    assert (report.jobs, report.shops, report.findings, report.is_complete) == (0, 0, [], True)


def test_sound_jobs_of_many_shops_are_judged_and_two_shops_are_recounted(world: World) -> None:
    for number in range(5):
        world.has_told(a_worker_job(shop=f"shop-{number}.myshopify.com"))
    report = audit_sample(world.audit)
    assert (report.jobs, report.shops, report.findings) == (5, SHOPS, [])


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999])
def test_a_sample_is_of_today_yesterday_and_two_older_days_and_no_larger_than_it_may_be(
    world: World, monkeypatch: pytest.MonkeyPatch, chance: float
) -> None:
    world.random.chance = chance
    asked: list[tuple[int, int]] = []

    def draw(day: datetime, place: float, *, limit: int) -> list[JobRef]:
        assert 0 <= place < 1
        asked.append(((START.replace(hour=0) - day).days, limit))
        return [JobRef(f"s{day:%Y%m%d}.myshopify.com", str(number)) for number in range(limit)]

    monkeypatch.setattr(world.samples, "draw", draw)
    audit_sample(world.audit)
    assert [back for back, _ in asked[:2]] == [0, 1]
    assert all(2 <= back < OLDEST_DAYS for back, _ in asked[2:])
    assert sum(limit for _, limit in asked) == JOBS


def test_a_job_that_was_written_within_minutes_is_in_motion(world: World) -> None:
    just_now = world.clock.now() - SETTLED_AFTER + timedelta(seconds=1)
    world.has_told(replace(a_worker_job(), updated_at=just_now))
    report = audit_sample(world.audit)
    assert (report.jobs, report.in_motion > 0, report.findings) == (0, True, [])


def test_when_the_time_is_over_the_rest_is_left_out_and_it_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [world.has_told(a_worker_job()) for _ in range(5)]
    log = world.store.log

    def slow(*given: object, **more: object) -> object:
        world.clock.advance(20)
        return log(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.store, "log", slow)
    report = audit_sample(world.audit, budget_s=30)
    assert (report.jobs, report.shops, report.is_complete) == (2, 0, False)
    assert len(refs) == 5


def test_a_job_that_no_version_can_read_keeps_nobody_from_judging_the_others(world: World) -> None:
    spoilt, sound = world.has_told(a_worker_job()), world.has_told(a_worker_job())
    world.samples.unreadable.add(spoilt)
    report = audit_jobs(world.audit, [spoilt, sound])
    assert report.jobs == 2
    (finding,) = report.findings
    assert (finding.job_id, finding.difference.wrong) == (spoilt.job_id, Wrong.UNREADABLE)


def test_what_only_the_first_look_saw_is_no_difference(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an item is seen while a transaction is being written."""
    ref = world.has_told(a_worker_job())
    world.samples.misplaced[ref] = ("status_pk",)
    look = world.samples.look

    def once(refs: list[JobRef]) -> object:
        seen = look(refs)
        world.samples.misplaced.clear()
        return seen

    monkeypatch.setattr(world.samples, "look", once)
    report = audit_jobs(world.audit, [ref])
    assert (report.jobs, report.findings) == (1, [])
