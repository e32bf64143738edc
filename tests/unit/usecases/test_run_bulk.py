"""Bulk jobs: once per job whatever comes again, counted exactly, cancelled between chunks."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.bulk import BulkAction
from shared.domain.errors import StoreUnavailableError
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef
from shared.domain.job import Counts, Job
from shared.domain.plan import Step
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.cancel_job import cancel_job
from shared.usecases.identify_caller import Caller, CallerKind
from shared.usecases.ports import BulkRequest, PollManyRequest
from shared.usecases.retry_job import retry_job
from shared.usecases.run_bulk import Bulk, BulkLane, run_bulk
from shared.usecases.start_bulk import Selection, forecast, start_bulk
from shared.usecases.sweep_due_jobs import MAX_BULK_LOOKS
from tests.builders import (
    OTHER_SHOP,
    SHOP,
    a_dispatched_job,
    a_job,
    a_kept_job,
    a_kept_output,
    a_worker_job,
)
from tests.fakes.clock import START
from tests.fakes.memory import InMemoryWorkStore
from tests.fakes.uploads import FakeUploads
from tests.unit.usecases.lane_world import LaneWorld

CALLER = Caller(kind=CallerKind.ADMIN, shop=SHOP, actor="admin:1")


class World(LaneWorld):
    """A lane with bulk work."""

    def __init__(self) -> None:
        super().__init__()
        self.works = InMemoryWorkStore()
        self.uploads = FakeUploads(self.files)
        self.bulk = BulkLane(
            tracker=self.tracker,
            works=self.works,
            shops=self.shops,
            files=self.files,
            uploads=self.uploads,
        )

    def start(self, action: BulkAction, *refs: JobRef, **conditions: Any) -> JobRef:
        names = tuple(ref.job_id for ref in refs)
        wanted = JobFilter(shop=SHOP, **conditions) if not refs else None
        selection = Selection(job_ids=names or None, wanted=wanted)
        return start_bulk(self.tracker, self.works, CALLER, action, selection).ref

    def run(self, ref: JobRef) -> Bulk:
        return run_bulk(self.bulk, BulkRequest(ref=ref))

    def finish(self, ref: JobRef) -> Job:
        """Run chunk after chunk, as the queue would."""
        while self.run(ref) is Bulk.GOES_ON:
            pass
        return self.job(ref)


@pytest.fixture
def world() -> World:
    return World()


def failed(number: int, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "status": JobStatus.FAILED,
        "error_code": "provider_failed",
        "completed_at": START,
        "attempt": {"provider_job_id": f"f_{number}", "credits": 2, "cost_micros": 5},
    }
    return a_dispatched_job(**(values | changes))


def test_a_bulk_retry_retries_every_failed_job_once_and_counts_the_others(world: World) -> None:
    refs = [world.has(failed(n)) for n in range(3)]
    done = world.has(a_kept_job(attempt={"provider_job_id": "k"}))
    missing = JobRef(SHOP, a_job().job_id)
    bulk = world.start(BulkAction.RETRY, *refs, done, missing)
    assert world.outbox.bulks == [(BulkRequest(ref=bulk), 0)]
    job = world.finish(bulk)
    assert job.status is JobStatus.COMPLETED
    assert job.counts == Counts(total=5, processed=5, successful=3, failed=2)
    assert job.result == {
        "refused": [{"code": "not_found", "count": 1}, {"code": "wrong_status", "count": 1}]
    }
    assert [world.job(ref).attempt.number for ref in refs] == [2, 2, 2]
    entry = world.store.log(refs[0], limit=1).entries[0]
    assert (entry.actor, entry.message) == ("admin:1", "Retried: attempt 2 begins.")


def test_a_chunk_that_is_delivered_again_after_a_crash_pays_nothing_twice(world: World) -> None:
    refs = [world.has(failed(n)) for n in range(40)]
    bulk = world.start(BulkAction.RETRY, *refs)
    before = world.job(bulk)
    real_change = world.store.save
    writes = 0

    def die(old: Job, new: Job, **more: Any) -> Job:
        nonlocal writes
        writes += 1
        if writes == 17:
            raise StoreUnavailableError("The table is out.")
        return real_change(old, new, **more)

    world.store.save = die  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreUnavailableError):
        world.run(bulk)
    assert world.job(bulk).counts == before.counts
    # Meanwhile some of those that were retried fail again: they are not this job's any more.
    for ref in refs[:5]:
        world.change(ref, lambda job: Job.with_attempt(job, job.attempt))
        cancel_job(world.tracker, CALLER, ref)
    assert world.finish(bulk).counts == Counts(total=40, processed=40, successful=40, failed=0)
    assert {world.job(ref).attempt.number for ref in refs} == {2}
    assert [world.job(ref).status for ref in refs[:5]] == [JobStatus.CANCELLED] * 5


@pytest.mark.parametrize("dies_at", [1, 17, 26, 40])
@pytest.mark.parametrize(
    ("action", "conditions"),
    [
        (BulkAction.RETRY, {"status": JobStatus.FAILED}),
        (BulkAction.DELETE, {"status": JobStatus.FAILED}),
        (BulkAction.RETRY, {"text": "provider_failed"}),
    ],
)
def test_what_a_crash_left_uncounted_is_counted_though_it_fits_the_filter_no_more(
    world: World, action: BulkAction, conditions: dict[str, Any], dies_at: int
) -> None:
    refs = [world.has(failed(n)) for n in range(40)]
    bulk = world.start(action, **conditions)
    method = "save" if action is BulkAction.RETRY else "delete"
    real, calls = getattr(world.store, method), 0

    def die(*jobs: Job, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == dies_at:
            raise StoreUnavailableError("The table is out.")
        return real(*jobs, **more)

    setattr(world.store, method, die)
    with pytest.raises(StoreUnavailableError):
        world.run(bulk)
    job = world.finish(bulk)
    assert job.status is JobStatus.COMPLETED
    assert job.counts == Counts(total=40, processed=40, successful=40, failed=0)
    attempts = [job.attempt.number for job in world.store.get_many(refs)]
    assert attempts == ([2] * 40 if action is BulkAction.RETRY else [])


def test_a_bulk_job_that_is_retried_looks_for_jobs_anew(world: World) -> None:
    """The names of its first run's last chunk are nothing to it."""
    done = world.has(a_kept_job(attempt={"provider_job_id": "k"}))
    bulk = world.start(BulkAction.RETRY, status=JobStatus.FAILED, tool_id="background-removal")
    assert world.finish(bulk).status is JobStatus.COMPLETED
    failing = world.start(BulkAction.RETRY, tool_id="background-removal")
    assert world.finish(failing).error_code == "nothing_done"
    later_one = world.has(failed(1, created_at=START - timedelta(seconds=1)))
    world.change(done, lambda job: replace(job, status=JobStatus.FAILED))
    retry_job(world.tracker, CALLER, failing)
    assert world.finish(failing).counts == Counts(total=2, processed=2, successful=2, failed=0)
    assert world.job(later_one).attempt.number == 2


def test_two_deliveries_at_once_count_once(world: World) -> None:
    refs = [world.has(failed(n)) for n in range(5)]
    bulk = world.start(BulkAction.RETRY, *refs)
    real_get = world.works.get_work
    inner: list[Bulk] = []

    def get(ref: JobRef) -> Any:
        if not inner:
            inner.append(Bulk.NOTHING)
            inner[0] = world.run(ref)
        return real_get(ref)

    world.works.get_work = get  # type: ignore[method-assign]
    assert world.run(bulk) is Bulk.NOTHING
    assert inner == [Bulk.DONE]
    assert world.job(bulk).counts == Counts(total=5, processed=5, successful=5, failed=0)
    assert {world.job(ref).attempt.number for ref in refs} == {2}


def test_long_lists_go_in_chunks_of_a_hundred_at_the_providers_pace(world: World) -> None:
    refs = [world.has(failed(n)) for n in range(250)]
    bulk = world.start(BulkAction.RETRY, *refs)
    seen = []
    while world.run(bulk) is Bulk.GOES_ON:
        job = world.job(bulk)
        seen.append((job.counts.processed, job.progress, job.status))
    processing = JobStatus.PROCESSING
    assert seen == [(100, 40, processing), (200, 80, processing)]
    assert [delay for _, delay in world.outbox.bulks] == [0, 75, 75]
    assert world.job(bulk).progress == 100


def test_a_filter_reaches_every_matching_job_however_far_and_no_later_one(world: World) -> None:
    refs = [world.has(failed(n)) for n in range(230)]
    world.has(failed(999, shop=OTHER_SHOP))
    bulk = world.start(BulkAction.RETRY, status=JobStatus.FAILED)
    assert world.job(bulk).counts.total == 230
    world.clock.advance(1)
    late = world.has(failed(1000, created_at=world.clock.now()))
    job = world.finish(bulk)
    assert job.counts == Counts(total=230, processed=230, successful=230, failed=0)
    assert {world.job(ref).attempt.number for ref in refs} == {2}
    assert world.job(late).attempt.number == 1


def test_cancelling_a_bulk_job_stops_it_between_chunks_and_keeps_its_counts(world: World) -> None:
    refs = [world.has(failed(n)) for n in range(150)]
    bulk = world.start(BulkAction.RETRY, *refs)
    assert world.run(bulk) is Bulk.GOES_ON
    cancel_job(world.tracker, CALLER, bulk)
    assert world.run(bulk) is Bulk.NOTHING
    job = world.job(bulk)
    assert (job.status, job.counts.processed) == (JobStatus.CANCELLED, 100)
    assert sum(world.job(ref).attempt.number == 2 for ref in refs) == 100
    # Retrying the bulk job goes on where it was stopped.
    retry_job(world.tracker, CALLER, bulk)
    assert world.finish(bulk).counts == Counts(total=150, processed=150, successful=150, failed=0)
    assert {world.job(ref).attempt.number for ref in refs} == {2}


def test_the_sweep_sends_a_lost_chunk_again_and_never_times_a_bulk_job_out(world: World) -> None:
    refs = [world.has(failed(n)) for n in range(120)]
    bulk = world.start(BulkAction.RETRY, *refs)
    world.run(bulk)
    world.outbox.clear()  # the next message is lost
    assert world.step(bulk) is Step.BULK
    world.at(3600)
    world.sweep()
    assert (BulkRequest(ref=bulk), 0) in world.outbox.bulks
    assert world.job(bulk).status is JobStatus.PROCESSING
    assert world.finish(bulk).status is JobStatus.COMPLETED


def test_a_bulk_job_that_never_gets_on_is_given_up_in_the_end(world: World) -> None:
    bulk = world.start(BulkAction.RETRY, world.has(failed(1)))
    for _ in range(MAX_BULK_LOOKS + 1):
        world.clock.advance(3600)
        world.sweep()
    job = world.job(bulk)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "bulk_stuck")


def test_when_nothing_could_be_done_the_bulk_job_has_failed(world: World) -> None:
    bulk = world.start(BulkAction.RETRY, world.has(a_job()))
    job = world.finish(bulk)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "nothing_done")


def test_bulk_sync_asks_for_many_with_one_listing(world: World) -> None:
    refs = [world.has(a_dispatched_job(attempt={"provider_job_id": f"p{n}"})) for n in range(60)]
    world.outbox.clear()
    bulk = world.start(BulkAction.SYNC, *refs)
    assert world.finish(bulk).counts.successful == 60
    asked = [sent.request for sent in world.outbox.dispatches]
    assert [type(request) for request in asked] == [PollManyRequest, PollManyRequest]
    assert all(world.step(ref) is Step.POLL for ref in refs)


def test_bulk_push_undo_cancel_and_delete_do_what_the_single_calls_do(world: World) -> None:
    pushed = world.has(a_kept_job())
    world.finish(world.start(BulkAction.PUSH, pushed))
    assert world.job(pushed).push.status is PushStatus.QUEUED
    output = a_kept_output(media_id="gid://shopify/MediaImage/1")
    shown = world.has(a_kept_job(outputs=(output,), attempt={"provider_job_id": "u"}))
    world.finish(world.start(BulkAction.UNDO_PUSH, shown))
    assert world.job(shown).push.undo
    waiting = world.has(a_job())
    world.finish(world.start(BulkAction.CANCEL, waiting))
    assert world.job(waiting).status is JobStatus.CANCELLED
    files = world.files
    ended = world.has(a_kept_job(attempt={"provider_job_id": "d"}))
    key = world.job(ended).outputs[0].key
    assert key is not None
    files.put(key, b"x", "image/png")
    job = world.finish(world.start(BulkAction.DELETE, ended, waiting, pushed))
    assert world.store.get_many([ended, waiting]) == []
    assert key not in files.stored
    assert job.result == {"refused": [{"code": "job_active", "count": 1}]}


def test_a_bulk_job_is_never_acted_on_in_bulk(world: World) -> None:
    first = world.start(BulkAction.RETRY, world.has(failed(1)))
    second = world.start(BulkAction.CANCEL, first)
    assert world.finish(second).counts.failed == 1
    assert world.job(first).status is JobStatus.PENDING


def test_bulk_jobs_are_in_no_statistics_and_listed_only_when_asked_for(world: World) -> None:
    world.finish(world.start(BulkAction.CANCEL, world.has(a_worker_job())))
    assert world.store.tally(f"SHOP#{SHOP}", "ALL").ended == 1
    everything = world.store.list_jobs(JobFilter(shop=SHOP), limit=10).jobs
    assert [job.type for job in everything] == ["catalog_pull"]
    asked = world.store.list_jobs(JobFilter(shop=SHOP, type="bulk.cancel"), limit=10).jobs
    assert [job.type for job in asked] == ["bulk.cancel"]


def test_a_forecast_says_what_the_bulk_job_then_does_and_changes_nothing(world: World) -> None:
    refs = [world.has(failed(n)) for n in range(3)]
    unknown = world.has(failed(7, attempt={"provider_job_id": "free"}))
    done = world.has(a_kept_job(attempt={"provider_job_id": "k"}))
    names = (*(ref.job_id for ref in (*refs, unknown, done)), "nonsense")
    before = [world.job(ref) for ref in (*refs, unknown, done)]
    found = forecast(world.tracker, CALLER, BulkAction.RETRY, Selection(job_ids=names))
    assert (found.matched, found.eligible) == (6, 4)
    assert found.refused == {"not_found": 1, "wrong_status": 1}
    assert (found.credits, found.cost_micros, found.is_complete) == (6, 15, True)
    assert [world.job(ref) for ref in (*refs, unknown, done)] == before
    bulk = start_bulk(
        world.tracker, world.works, CALLER, BulkAction.RETRY, Selection(job_ids=names)
    )
    counts = world.finish(bulk.ref).counts
    assert (counts.successful, counts.failed) == (found.eligible, found.refused.total())


def test_a_bulk_delete_finds_what_its_forecast_said_also_when_a_chunk_comes_again(
    world: World,
) -> None:
    refs = [world.has(failed(n)) for n in range(3)]
    theirs = world.has(failed(9, shop=OTHER_SHOP))
    names = (*(ref.job_id for ref in refs), theirs.job_id, a_job().job_id, "nonsense")
    selection = Selection(job_ids=names)
    found = forecast(world.tracker, CALLER, BulkAction.DELETE, selection)
    assert (found.eligible, found.refused) == (3, {"not_found": 3})
    bulk = start_bulk(world.tracker, world.works, CALLER, BulkAction.DELETE, selection).ref
    # As if a first delivery had died after it deleted two.
    for ref in refs[:2]:
        world.store.delete(world.job(ref))
    job = world.finish(bulk)
    assert (job.counts.successful, job.counts.failed) == (3, 3)
    assert job.result == {"refused": [{"code": "not_found", "count": 3}]}
    assert world.job(theirs).shop == OTHER_SHOP


def test_a_forecast_of_more_than_a_thousand_jobs_says_that_it_is_not_complete(
    world: World,
) -> None:
    for n in range(1001):
        world.has(failed(n))
    found = forecast(
        world.tracker,
        CALLER,
        BulkAction.RETRY,
        Selection(wanted=JobFilter(shop=SHOP, status=JobStatus.FAILED)),
    )
    assert (found.matched, found.eligible, found.is_complete) == (1000, 1000, False)


@pytest.mark.parametrize("action", [BulkAction.RETRY, BulkAction.DELETE, BulkAction.PUSH])
def test_another_shops_jobs_are_not_there(world: World, action: BulkAction) -> None:
    theirs = world.has(failed(1, shop=OTHER_SHOP))
    before = world.job(theirs)
    world.finish(world.start(action, theirs))
    assert world.job(theirs) == before


def test_a_bulk_job_whose_list_is_gone_says_so(world: World) -> None:
    bulk = world.start(BulkAction.RETRY, world.has(failed(1)))
    world.works.get_work = lambda ref: None  # type: ignore[method-assign]
    assert world.run(bulk) is Bulk.DONE
    assert world.job(bulk).error_code == "work_gone"


def test_a_deleted_bulk_job_is_no_error(world: World) -> None:
    assert world.run(JobRef(SHOP, a_job().job_id)) is Bulk.GONE
