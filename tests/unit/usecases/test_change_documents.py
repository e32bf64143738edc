"""Documents that change: replaced in the bucket, and no object is left or missed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.errors import ConflictError, NotFoundError, StoreUnavailableError
from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.usecases.change_documents import Decide, change_documents
from shared.usecases.delete_job import delete_job
from shared.usecases.documents import fetch, shelve
from shared.usecases.tracker import Note
from tests.builders import a_worker_job
from tests.fakes.clock import START
from tests.unit.usecases.lane_world import LaneWorld

BIG = {"prompt": "é" * 600}


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


def a_shelved_job(world: LaneWorld, **changes: Any) -> Job:
    job = a_worker_job(**({"parameters": BIG} | changes))
    return world.store.create(shelve(world.files, job))


def adding(metadata: Mapping[str, Any]) -> Decide:
    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        return replace(job, metadata={**job.metadata, **metadata}, updated_at=now), None

    return decide


def change(world: LaneWorld, job: Job, decide: Decide) -> Job:
    return change_documents(world.tracker, world.files, job.ref, decide)


def test_documents_that_were_replaced_are_gone(world: LaneWorld) -> None:
    job = a_shelved_job(world)
    shown = change(world, job, adding({"page": 1}))
    stored = world.store.get(job.ref)
    assert (shown.parameters, shown.metadata, shown.documents_key) == (BIG, {"page": 1}, None)
    assert (stored.parameters, stored.metadata) == ({}, {})
    assert list(world.files.stored) == [stored.documents_key]
    assert fetch(world.files, stored) == shown


def test_documents_that_grow_move_to_the_bucket_and_back_when_they_shrink(
    world: LaneWorld,
) -> None:
    job = world.store.create(a_worker_job())
    change(world, job, adding({"x": "y" * 1_100}))
    assert list(world.files.stored) == [world.store.get(job.ref).documents_key]
    change(world, job, adding({"x": ""}))
    stored = world.store.get(job.ref)
    assert (stored.documents_key, dict(stored.metadata)) == (None, {"x": ""})
    assert world.files.stored == {}


def test_small_documents_ask_no_bucket(world: LaneWorld) -> None:
    job = world.store.create(a_worker_job())
    world.files.broken = True
    assert dict(change(world, job, adding({"page": 1})).metadata) == {"page": 1}


def test_a_change_of_something_else_puts_nothing(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_shelved_job(world)

    def refuse(*_: object) -> None:
        raise AssertionError("nothing is to be put")

    monkeypatch.setattr(world.files, "put", refuse)
    shown = change(world, job, lambda found, _now: (replace(found, message="page 5"), None))
    stored = world.store.get(job.ref)
    assert (stored.documents_key, stored.message) == (job.documents_key, "page 5")
    assert shown.parameters == BIG


def test_no_change_writes_nothing(world: LaneWorld) -> None:
    job = a_shelved_job(world)
    assert change(world, job, lambda found, _now: (found, None)).parameters == BIG
    assert world.store.get(job.ref) == job


def test_documents_that_become_what_they_were_have_another_key(world: LaneWorld) -> None:
    job = a_shelved_job(world, metadata={"phase": "a"})
    keys = {job.documents_key}
    for phase in ("b", "a", "b"):
        change(world, job, adding({"phase": phase}))
        keys.add(world.store.get(job.ref).documents_key)
    assert len(keys) == 4
    assert len(world.files.stored) == 1


def test_two_at_once_lose_neither_and_leave_one_object(world: LaneWorld) -> None:
    job = a_shelved_job(world)
    others = iter([{"theirs": 1}, {"more": 2}])

    def decide(found: Job, now: datetime) -> tuple[Job, Note | None]:
        other = next(others, None)
        if other is not None:
            change(world, job, adding(other))
        return adding({"mine": 3})(found, now)

    shown = change(world, job, decide)
    stored = world.store.get(job.ref)
    assert dict(shown.metadata) == {"theirs": 1, "more": 2, "mine": 3}
    assert fetch(world.files, stored) == shown
    assert list(world.files.stored) == [stored.documents_key]


def test_documents_that_were_replaced_before_they_were_fetched_are_read_again(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_shelved_job(world)
    get = world.files.get

    def late(key: str) -> bytes:
        monkeypatch.setattr(world.files, "get", get)
        change(world, job, adding({"theirs": 1}))
        return get(key)

    monkeypatch.setattr(world.files, "get", late)
    shown = change(world, job, adding({"mine": 2}))
    assert (shown.parameters, dict(shown.metadata)) == (BIG, {"theirs": 1, "mine": 2})


def test_a_job_of_lost_documents_is_changed_all_the_same(
    world: LaneWorld, caplog: pytest.LogCaptureFixture
) -> None:
    job = a_shelved_job(world)
    world.files.stored.clear()
    shown = change(world, job, adding({"page": 1}))
    assert (dict(shown.parameters), dict(shown.metadata)) == ({}, {"page": 1})
    assert world.store.get(job.ref).documents_key is None
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "documents lost")


def test_a_bucket_that_is_out_changes_nothing(world: LaneWorld) -> None:
    job = a_shelved_job(world)
    world.files.broken = True
    with pytest.raises(StoreUnavailableError):
        change(world, job, adding({"page": 1}))
    assert world.store.get(job.ref) == job


def test_a_leftover_that_cannot_be_removed_is_no_error(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_shelved_job(world)

    def refuse(keys: object) -> None:
        raise StoreUnavailableError("The bucket does not answer.")

    monkeypatch.setattr(world.files, "delete", refuse)
    assert dict(change(world, job, adding({"page": 1})).metadata) == {"page": 1}


def test_a_job_that_is_deleted_meanwhile_leaves_nothing(
    world: LaneWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_shelved_job(world, status=JobStatus.FAILED)
    save = world.store.save

    def save_late(before: Job, after: Job, **more: Any) -> Job:
        monkeypatch.setattr(world.store, "save", save)
        delete_job(world.tracker, world.files, job.ref)
        return save(before, after, **more)

    monkeypatch.setattr(world.store, "save", save_late)
    with pytest.raises(NotFoundError):
        change(world, job, adding({"page": 1}))
    assert world.files.stored == {}


def test_somebody_who_may_not_see_the_job_takes_nothing_from_it(world: LaneWorld) -> None:
    job = a_shelved_job(world)

    def hide(_job: Job, _now: datetime) -> tuple[Job, Note | None]:
        raise NotFoundError("There is no such job.")

    with pytest.raises(NotFoundError):
        change(world, job, hide)
    assert list(world.files.stored) == [job.documents_key]


def test_a_result_of_an_earlier_attempt_does_not_come_back(world: LaneWorld) -> None:
    failed = a_shelved_job(world, status=JobStatus.FAILED, completed_at=START, result={"pages": 1})
    world.tracker.change(failed.ref, lambda job, now: (lifecycle.retry(job, now), None))
    assert change(world, failed, adding({"page": 1})).result is None
    assert fetch(world.files, world.store.get(failed.ref)).result is None


def test_a_bulk_jobs_result_stays_where_it_goes_on_counting(world: LaneWorld) -> None:
    job = world.store.create(a_worker_job(type="bulk.cancel"))
    result = {"refused": [{"code": "x" * 2_000, "count": 1}]}
    change(world, job, lambda found, now: (lifecycle.force_complete(found, result, now), None))
    stored = world.store.get(job.ref)
    assert (stored.documents_key, stored.result) == (None, result)


def test_a_refusal_changes_nothing(world: LaneWorld) -> None:
    job = a_shelved_job(world)

    def refuse(found: Job, now: datetime) -> tuple[Job, Note | None]:
        raise ConflictError("No.")

    with pytest.raises(ConflictError):
        change(world, job, refuse)
    assert list(world.files.stored) == [job.documents_key]
