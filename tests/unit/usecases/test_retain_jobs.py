"""Retention: once a day, ended jobs that are old enough go, and nothing else."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.batch import Batch
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.ids import JobRef
from shared.domain.job import Job, Push
from shared.domain.shop import Shop
from shared.domain.statistics import Tally
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.cancel_job import cancel_job
from shared.usecases.delete_job import delete_job
from shared.usecases.identify_caller import Caller, CallerKind
from shared.usecases.run_bulk import Bulk
from shared.usecases.shop_settings import change_shop
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
from tests.contract.entries import an_entry
from tests.fakes.clock import START
from tests.unit.usecases.shop_life_world import ShopWorld

ADMIN = Caller(kind=CallerKind.ADMIN, shop=SHOP, actor="admin:1")
DAY = timedelta(days=1)


@pytest.fixture
def world() -> ShopWorld:
    return ShopWorld()


def keep_for(world: ShopWorld, days: int | None, shop: str = SHOP) -> Shop:
    return change_shop(world.tracker, world.shops, shop, {"retention_days": days})


def ended(world: ShopWorld, age_days: float, **changes: Any) -> JobRef:
    """Have a worker's job that was made, and ended, so many days before START."""
    at = START - age_days * DAY
    values: dict[str, Any] = {
        "created_at": at,
        "status": JobStatus.COMPLETED,
        "completed_at": at,
        "due_at": None,
    }
    return world.has(a_worker_job(**(values | changes)))


def is_there(world: ShopWorld, ref: JobRef) -> bool:
    return world.store.get_many([ref]) != []


def test_ended_jobs_that_are_old_enough_go_a_day_after_the_setting_and_every_day(
    world: ShopWorld,
) -> None:
    old, middle, young = ended(world, 31), ended(world, 29.5), ended(world, 10)
    theirs = ended(world, 99, shop=OTHER_SHOP)
    keep_for(world, 30)
    world.go_on(hours=23)
    assert is_there(world, old)
    world.go_on(hours=2)
    assert [is_there(world, ref) for ref in (old, middle, young)] == [False, False, True]
    assert world.duty("retain").result == {"done": {"jobs": 2}}
    world.go_on(hours=24 * 20)
    assert not is_there(world, young)
    assert is_there(world, theirs)


def test_they_go_as_if_deleted_by_hand(world: ShopWorld) -> None:
    key = f"shops/{SHOP}/jobs/x/1-0.png"
    at = START - 40 * DAY
    job = a_kept_job(
        created_at=at,
        completed_at=at,
        outputs=(a_kept_output(key=key),),
        documents_key=f"shops/{SHOP}/jobs/x/documents-1.json",
        attempt={"credits": 2},
    )
    ref = world.has(job)
    world.store.note(ref, an_entry(body=b"raw"))
    world.files.put(key, b"png", "image/png")
    world.files.put(job.documents_key or "", b"{}", "application/json")
    assert world.store.tally(f"SHOP#{SHOP}", "ALL") == Tally(completed=1, credits=2)
    keep_for(world, 30)
    world.go_on(hours=25)
    assert world.files.stored == {}
    assert world.store.log(ref, limit=5).entries == ()
    assert world.store.tally(f"SHOP#{SHOP}", "ALL") == Tally()
    link = world.store.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.is_tombstone


def test_active_jobs_and_those_that_ended_lately_are_passed_over(world: ShopWorld) -> None:
    stays = [
        world.has(a_worker_job(created_at=START - 40 * DAY)),
        world.has(a_dispatched_job(created_at=START - 40 * DAY, due_at=None)),
        ended(world, 40, completed_at=START - 2 * DAY),
        ended(world, 40, push=Push(status=PushStatus.QUEUED)),
    ]
    goes = ended(world, 39)
    keep_for(world, 30)
    world.go_on(hours=25)
    assert all(is_there(world, ref) for ref in stays)
    assert not is_there(world, goes)


def test_old_bulk_jobs_of_ours_go_too_but_never_the_one_that_sees_to_it(world: ShopWorld) -> None:
    bulk = ended(world, 40, type="bulk.retry")
    keep_for(world, 30)
    ref = world.duty("retain").ref
    world.go_on(hours=24 * 70)
    assert not is_there(world, bulk)
    duty = world.job(ref)
    assert duty.status is JobStatus.PENDING
    assert [job.type for job in world.jobs_of_all()] == ["bulk.retain"]
    assert world.store.log(ref, limit=5).entries == ()


def test_a_batch_goes_when_the_last_of_its_jobs_has_gone(world: ShopWorld) -> None:
    expansion = ended(world, 40, type="bulk.expand")
    job = ended(world, 39.9, batch_id=expansion.job_id, completed_at=START - 29.5 * DAY)
    batch = Batch(
        shop=SHOP, batch_id=expansion.job_id, created_at=START - 40 * DAY, tool_id="t", total=1
    )
    world.works.put_batch(batch)
    keep_for(world, 30)
    world.go_on(hours=14)
    world.go_on(hours=11)
    assert [is_there(world, ref) for ref in (expansion, job)] == [True, False]
    assert world.works.get_batch(SHOP, expansion.job_id) == batch
    world.go_on(hours=24)
    assert not is_there(world, expansion)
    assert world.works.get_batch(SHOP, expansion.job_id) is None


def test_a_walk_costs_what_it_deletes_not_how_many_jobs_there_are(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(300):
        ended(world, 5)
    keep_for(world, 30)
    asked: list[int] = []
    read: list[int] = []
    refs, get_many = world.store.refs, world.store.get_many

    def count_refs(*args: Any, **more: Any) -> list[JobRef]:
        found = refs(*args, **more)
        asked.append(len(found))
        return found

    def count_read(wanted: Any) -> list[Job]:
        read.append(len(wanted))
        return get_many(wanted)

    monkeypatch.setattr(world.store, "refs", count_refs)
    world.clock.advance(90_000)
    monkeypatch.setattr(world.store, "get_many", count_read)
    world.run(world.duty("retain").ref)
    assert (asked, read) == ([0], [])


def test_hundreds_go_in_chunks_and_are_counted_once_whatever_crashes(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [ended(world, 40 + n / 100) for n in range(230)]
    keep_for(world, 30)
    ref = world.duty("retain").ref
    world.clock.advance(90_000)
    delete, deleted = world.store.delete, 0

    def die(job: Job) -> list[str]:
        nonlocal deleted
        deleted += 1
        if deleted == 60:
            raise KeyboardInterrupt
        return delete(job)

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            world.run(ref)
    assert world.run(ref) is Bulk.GOES_ON
    world.run_messages()
    assert not any(is_there(world, each) for each in refs)
    duty = world.job(ref)
    assert (duty.result, duty.counts.processed) == ({"done": {"jobs": 230}}, 230)
    assert duty.scheduled_at is not None
    assert duty.scheduled_at - world.clock.now() == DAY


def test_a_message_that_is_lost_is_made_good_by_the_sweep(world: ShopWorld) -> None:
    refs = [ended(world, 40) for _ in range(110)]
    keep_for(world, 30)
    world.clock.advance(90_000)
    ref = world.duty("retain").ref
    assert world.run(ref) is Bulk.GOES_ON
    world.outbox.clear()
    world.go_on(minutes=10)
    assert not any(is_there(world, each) for each in refs)


def test_a_message_that_comes_early_or_twice_does_nothing(world: ShopWorld) -> None:
    old = ended(world, 40)
    keep_for(world, 30)
    ref = world.duty("retain").ref
    assert world.run(ref) is Bulk.NOTHING
    assert is_there(world, old)
    world.clock.advance(90_000)
    assert world.run(ref) is Bulk.DONE
    version = world.job(ref).version
    assert world.run(ref) is Bulk.NOTHING
    assert world.job(ref).version == version


# --- the setting ----------------------------------------------------------------------------


def test_a_changed_setting_keeps_its_job_and_counts_from_the_next_walk(world: ShopWorld) -> None:
    old = ended(world, 40)
    first = keep_for(world, 60)
    world.go_on(hours=25)
    assert is_there(world, old)
    assert keep_for(world, 30).retention_job == first.retention_job
    world.go_on(hours=25)
    assert not is_there(world, old)


def test_without_the_setting_the_job_removes_itself_and_deletes_nothing(world: ShopWorld) -> None:
    old = ended(world, 40)
    keep_for(world, 30)
    assert keep_for(world, None).retention_job is None
    world.go_on(hours=25)
    assert [job.ref for job in world.jobs_of_all()] == [old]


def test_a_setting_taken_back_in_the_middle_of_a_walk_stops_it(world: ShopWorld) -> None:
    for _ in range(230):
        ended(world, 40)
    keep_for(world, 30)
    world.clock.advance(90_000)
    ref = world.duty("retain").ref
    assert world.run(ref) is Bulk.GOES_ON
    keep_for(world, None)
    assert world.run(ref) is Bulk.DONE
    # What was written down already may be gone; nothing new was begun.
    assert len(world.jobs_of_all()) >= 100


def test_taken_back_and_set_again_there_is_one_job_in_the_end(world: ShopWorld) -> None:
    old = ended(world, 40)
    keep_for(world, 30)
    keep_for(world, None)
    shop = keep_for(world, 35)
    world.go_on(hours=26)
    assert not is_there(world, old)
    assert [job.job_id for job in world.jobs_of_all()] == [shop.retention_job]


def test_a_call_that_dies_before_the_setting_is_kept_leaves_a_job_that_removes_itself(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> Shop:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.shops, "save_shop", die)
        with pytest.raises(KeyboardInterrupt):
            keep_for(world, 30)
    shop = keep_for(world, 30)
    assert len(world.jobs_of_all()) == 2
    world.go_on(hours=26)
    assert [job.job_id for job in world.jobs_of_all()] == [shop.retention_job]


def test_other_settings_leave_it_alone(world: ShopWorld) -> None:
    shop = keep_for(world, 30)
    after = change_shop(world.tracker, world.shops, SHOP, {"auto_push": True})
    assert (after.retention_job, len(world.jobs_of_all())) == (shop.retention_job, 1)


# --- what may happen to its job ---------------------------------------------------------------


def test_nobody_ends_it_by_hand_and_no_number_of_failures_does(world: ShopWorld) -> None:
    keep_for(world, 30)
    ref = world.duty("retain").ref
    with pytest.raises(ConflictError):
        cancel_job(world.tracker, ADMIN, ref)
    with pytest.raises(ConflictError):
        delete_job(world.tracker, world.files, ref)
    world.clock.advance(90_000)
    world.change(ref, lambda job: replace(job, due_tries=MAX_BULK_LOOKS * 2, due_at=START))
    world.sweep()
    assert world.job(ref).status is JobStatus.PENDING


def test_a_job_begun_anew_since_the_look_is_not_deleted(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ended(world, 40)
    keep_for(world, 30)
    ref = world.duty("retain").ref
    world.clock.advance(90_000)
    save = world.store.save

    def retry_first(before: Job, after: Job, **more: Any) -> Job:
        saved = save(before, after, **more)
        if after.bulk_cursor is not None and old.job_id in after.bulk_cursor:
            world.change(old, lambda job: replace(job, status=JobStatus.PENDING))
        return saved

    monkeypatch.setattr(world.store, "save", retry_first)
    world.run(ref)
    assert is_there(world, old)


def die_before_deleting(world: ShopWorld, monkeypatch: pytest.MonkeyPatch, ref: JobRef) -> None:
    """Run a duty until its process dies: its haul is written down, and nothing of it done."""

    def die(_job: JobRef) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            world.run(ref)


def test_a_job_that_was_done_anew_before_a_message_came_again_is_not_deleted(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote the haul died before it was done; its message comes again in some minutes."""
    old = ended(world, 40, status=JobStatus.FAILED)
    keep_for(world, 30)
    ref = world.duty("retain").ref
    world.clock.advance(90_000)

    die_before_deleting(world, monkeypatch, ref)
    at = world.clock.now()
    world.change(old, lambda job: replace(job, status=JobStatus.COMPLETED, completed_at=at))
    world.clock.advance(720)
    world.run(ref)
    assert is_there(world, old)


def test_a_longer_retention_holds_for_what_was_to_be_deleted_too(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ended(world, 40)
    keep_for(world, 30)
    ref = world.duty("retain").ref
    world.clock.advance(90_000)

    die_before_deleting(world, monkeypatch, ref)
    keep_for(world, 365)
    world.run(ref)
    assert is_there(world, old)


def test_a_walk_in_a_shop_that_is_erased_ends(world: ShopWorld) -> None:
    keep_for(world, 30)
    ref = world.duty("retain").ref
    world.clock.advance(90_000)
    world.store.erase(ref)
    assert world.run(ref) is Bulk.GONE
    with pytest.raises(NotFoundError):
        world.job(ref)


def test_ids_of_old_jobs_come_before_those_of_younger_ones() -> None:
    """What the walk rests on."""
    ages: list[datetime] = [START - n * DAY for n in (40, 30, 20)]
    names = [a_job(created_at=at).job_id for at in ages]
    assert names == sorted(names)
