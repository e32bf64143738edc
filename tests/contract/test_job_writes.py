"""JobStore: creating, changing and deleting one job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain import lifecycle
from shared.domain.errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    LinkTakenError,
    NotFoundError,
    VersionConflictError,
)
from shared.domain.events import Link
from shared.domain.ids import JobRef
from shared.domain.job import Attempt, Job
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.documents import fetch, shelve
from shared.usecases.ports import Idempotency, JobStore
from tests.builders import (
    OTHER_SHOP,
    SHOP,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_job_id,
    a_kept_job,
    a_worker_job,
    later,
)
from tests.contract.entries import an_entry
from tests.fakes.clock import START, FakeClock
from tests.fakes.files import FakeFiles


def idempotency(key: str = "k", body: str = "b") -> Idempotency:
    return Idempotency(key=key, body_sha256=body)


def failed(job: Job) -> Job:
    return lifecycle.fail_dispatch(job, "provider_refused", "No.", START)


def test_a_created_job_is_read_back_as_it_is(store: JobStore) -> None:
    job = store.create(a_kept_job(name="Überschrift", metadata={"a": [1, {"b": None}]}))
    assert store.get(job.ref) == job


def test_a_job_keeps_the_key_of_its_documents_through_changes(store: JobStore) -> None:
    files = FakeFiles()
    job = a_job(parameters={"x": "y" * 60_000}, result={"n": 1})
    made = store.create(shelve(files, job))
    saved = store.save(made, replace(made, progress=10))
    assert store.get(job.ref) == saved
    assert fetch(files, saved) == replace(job, progress=10, version=2)
    whole = fetch(files, store.get(job.ref))
    small = store.save(saved, shelve(files, replace(whole, parameters={"x": 1}, result=None)))
    assert (small.documents_key, store.get(job.ref).parameters) == (None, {"x": 1})


def test_a_job_that_was_never_made_is_not_found(store: JobStore) -> None:
    with pytest.raises(NotFoundError):
        store.get(JobRef(SHOP, a_job_id()))


def test_another_shops_job_does_not_exist(store: JobStore) -> None:
    job = store.create(a_job())
    with pytest.raises(NotFoundError):
        store.get(JobRef(OTHER_SHOP, job.job_id))


def test_a_job_is_not_created_over_another(store: JobStore) -> None:
    job = store.create(a_job())
    with pytest.raises(VersionConflictError):
        store.create(replace(job, name="Another"))
    assert store.get(job.ref) == job


def test_many_jobs_come_in_the_order_asked_without_those_that_do_not_exist(
    store: JobStore,
) -> None:
    first, second = store.create(a_job()), store.create(a_job())
    missing = JobRef(SHOP, a_job_id())
    assert store.get_many([second.ref, missing, first.ref]) == [second, first]


def test_no_jobs_are_read_when_none_are_asked_for(store: JobStore) -> None:
    assert store.get_many([]) == []


def test_saving_raises_the_version_and_returns_what_is_stored(store: JobStore) -> None:
    job = store.create(a_job())
    saved = store.save(job, replace(job, name="New", tool_id=None))
    assert saved.version == job.version + 1
    assert store.get(job.ref) == saved


def test_a_field_that_is_cleared_is_cleared_in_the_table(store: JobStore) -> None:
    job = store.create(a_job(name="Old", due_at=START, metadata={"a": 1}))
    store.save(job, replace(job, name=None, due_at=None, metadata={}))
    stored = store.get(job.ref)
    assert (stored.name, stored.due_at, stored.metadata) == (None, None, {})
    assert store.due(later(10**6), limit=10) == []


def test_a_write_over_a_job_that_changed_meanwhile_is_refused(store: JobStore) -> None:
    job = store.create(a_job())
    store.save(job, replace(job, name="First"))
    with pytest.raises(VersionConflictError):
        store.save(job, replace(job, name="Second"))
    assert store.get(job.ref).name == "First"


def test_a_refused_write_leaves_no_log_entry_link_or_count(store: JobStore) -> None:
    job = store.create(a_job())
    store.save(job, replace(job, name="First"))
    with pytest.raises(VersionConflictError):
        store.save(job, a_completed_job(job_id=job.job_id), entry=an_entry())
    assert store.log(job.ref, limit=10).entries == ()
    assert store.find_link("pikcel", "pk_1") is None
    assert store.tally(f"SHOP#{SHOP}", "ALL").ended == 0


def test_a_deleted_job_is_not_written_again(store: JobStore) -> None:
    job = store.create(a_job())
    store.delete(job)
    with pytest.raises(VersionConflictError):
        store.save(job, replace(job, name="Ghost"))
    with pytest.raises(NotFoundError):
        store.get(job.ref)


def test_due_instants_are_rounded_up_to_milliseconds(store: JobStore) -> None:
    at = START.replace(microsecond=1)
    job = store.create(a_job(due_at=at))
    assert job.due_at == START.replace(microsecond=1000)
    assert store.get(job.ref) == job
    assert store.due(at, limit=1) == []
    assert store.due(START.replace(microsecond=1000), limit=1)[0].ref == job.ref


# --- links -----------------------------------------------------------------------------


def test_a_link_is_written_when_the_provider_id_is_learnt(store: JobStore) -> None:
    job = store.create(a_job())
    assert store.find_link("pikcel", "pk_1") is None
    store.save(job, a_dispatched_job(job_id=job.job_id))
    expected = Link(provider="pikcel", provider_job_id="pk_1", ref=job.ref, attempt=1)
    assert store.find_link("pikcel", "pk_1") == expected


def test_a_registered_job_has_its_link_from_the_start(store: JobStore) -> None:
    job = store.create(a_dispatched_job())
    link = store.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == job.ref


def test_a_linked_provider_job_cannot_be_registered_again(store: JobStore) -> None:
    store.create(a_dispatched_job())
    second = a_dispatched_job(shop=OTHER_SHOP)
    with pytest.raises(LinkTakenError):
        store.create(second)
    with pytest.raises(NotFoundError):
        store.get(second.ref)


def test_a_provider_id_of_another_job_cannot_be_learnt(store: JobStore) -> None:
    store.create(a_dispatched_job())
    job = store.create(a_job())
    with pytest.raises(LinkTakenError):
        store.save(job, a_dispatched_job(job_id=job.job_id))
    assert store.get(job.ref) == job


def test_every_attempt_keeps_its_link(store: JobStore) -> None:
    job = store.create(a_dispatched_job())
    job = store.save(job, failed(job))
    again = lifecycle.retry(job, START)
    linked = replace(again.attempt, provider_job_id="pk_2", linked_at=START)
    job = store.save(job, again.with_attempt(linked))
    first, second = store.find_link("pikcel", "pk_1"), store.find_link("pikcel", "pk_2")
    assert first is not None
    assert second is not None
    assert (first.attempt, second.attempt) == (1, 2)


def test_one_provider_job_cannot_be_two_attempts(store: JobStore) -> None:
    job = store.create(a_dispatched_job())
    job = store.save(job, failed(job))
    again = lifecycle.retry(job, START)
    with pytest.raises(LinkTakenError):
        store.save(job, again.with_attempt(replace(again.attempt, provider_job_id="pk_1")))


def test_links_of_two_providers_do_not_meet(store: JobStore) -> None:
    store.create(a_dispatched_job())
    store.create(a_dispatched_job(provider="fal"))
    link = store.find_link("fal", "pk_1")
    assert link is not None
    assert link.provider == "fal"


def test_a_provider_id_of_any_length_is_found_again(store: JobStore) -> None:
    long_id = "x" * 5000
    job = store.create(a_dispatched_job(attempt={"provider_job_id": long_id}))
    link = store.find_link("pikcel", long_id)
    assert link is not None
    assert (link.ref, link.provider_job_id) == (job.ref, long_id)


# --- deletion --------------------------------------------------------------------------


def test_deleting_leaves_tombstones_of_all_attempts_and_nothing_else(store: JobStore) -> None:
    job = store.create(a_dispatched_job(), entry=an_entry(body=b"raw"))
    job = store.save(job, failed(job), entry=an_entry())
    again = lifecycle.retry(job, START)
    job = store.save(job, again.with_attempt(replace(again.attempt, provider_job_id="pk_2")))
    store.delete(job)
    with pytest.raises(NotFoundError):
        store.get(job.ref)
    assert store.log(job.ref, limit=10).entries == ()
    for provider_job_id in ("pk_1", "pk_2"):
        link = store.find_link("pikcel", provider_job_id)
        assert link is not None
        assert link.is_tombstone


def test_two_attempts_with_one_provider_id_are_deleted_together(store: JobStore) -> None:
    again = Attempt(number=2, created_at=START)
    first = a_dispatched_job().attempts[0]
    job = store.create(a_dispatched_job(attempts=(first, again)))
    same = replace(again, provider_job_id=first.provider_job_id)
    job = store.save(job, job.with_attempt(same), take_links=True)
    store.delete(job)
    link = store.find_link("pikcel", "pk_1")
    assert link is not None
    assert (link.is_tombstone, link.attempt) == (True, 2)


def test_deleting_leaves_a_link_alone_that_proved_to_be_anothers(store: JobStore) -> None:
    thief = store.create(a_dispatched_job(shop=OTHER_SHOP))
    owner = store.create(a_job())
    learnt = owner.with_attempt(replace(owner.attempt, provider_job_id="pk_1"))
    store.save(owner, learnt, take_links=True)
    store.delete(thief)
    link = store.find_link("pikcel", "pk_1")
    assert link is not None
    assert (link.ref, link.is_tombstone) == (owner.ref, False)


def test_an_id_that_proved_to_be_anothers_is_free_again(store: JobStore) -> None:
    thief = store.create(a_dispatched_job(shop=OTHER_SHOP))
    store.save(thief, thief.with_attempt(replace(thief.attempt, provider_job_id=None)))
    assert store.find_link("pikcel", "pk_1") is None
    owner = store.create(a_dispatched_job())
    link = store.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == owner.ref


def test_giving_up_an_id_leaves_its_owners_link_alone(store: JobStore) -> None:
    thief = store.create(a_dispatched_job(shop=OTHER_SHOP))
    owner = store.create(a_job())
    learnt = owner.with_attempt(replace(owner.attempt, provider_job_id="pk_1"))
    store.save(owner, learnt, take_links=True)
    given_up = thief.with_attempt(replace(thief.attempt, provider_job_id=None))
    assert store.save(thief, given_up).provider_job_id is None
    link = store.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == owner.ref


def test_a_tombstone_keeps_the_provider_id_taken(store: JobStore) -> None:
    store.delete(store.create(a_dispatched_job()))
    with pytest.raises(LinkTakenError):
        store.create(a_dispatched_job())


def test_a_job_that_changed_meanwhile_is_not_deleted(store: JobStore) -> None:
    job = store.create(a_job(), entry=an_entry())
    changed = store.save(job, replace(job, name="New"))
    with pytest.raises(VersionConflictError):
        store.delete(job)
    assert store.get(job.ref) == changed
    assert len(store.log(job.ref, limit=10).entries) == 1


def test_a_job_of_very_many_attempts_is_deleted_with_all_its_links(store: JobStore) -> None:
    attempts = tuple(
        Attempt(number=n, created_at=START, provider_job_id=f"pk_{n}") for n in range(1, 71)
    )
    job = store.create(a_job(attempts=attempts))
    store.delete(job)
    links = [store.find_link("pikcel", f"pk_{n}") for n in range(1, 71)]
    assert all(link is not None and link.is_tombstone for link in links)


# --- idempotency -----------------------------------------------------------------------


def test_the_same_key_and_body_give_the_job_made_before(store: JobStore) -> None:
    job = store.create(a_job(), idempotency=idempotency())
    again = a_job()
    assert store.create(again, idempotency=idempotency()) == job
    with pytest.raises(NotFoundError):
        store.get(again.ref)


def test_the_job_made_before_is_returned_as_it_is_by_now(store: JobStore) -> None:
    job = store.create(a_job(), idempotency=idempotency())
    saved = store.save(job, replace(job, name="New"))
    assert store.create(a_job(), idempotency=idempotency()) == saved


def test_a_repeated_registration_is_the_same_job_not_a_taken_link(store: JobStore) -> None:
    job = store.create(a_dispatched_job(), idempotency=idempotency())
    assert store.create(a_dispatched_job(), idempotency=idempotency()) == job


def test_the_same_key_with_another_body_is_refused(store: JobStore) -> None:
    store.create(a_job(), idempotency=idempotency())
    with pytest.raises(IdempotencyKeyReusedError):
        store.create(a_job(), idempotency=idempotency(body="other"))


def test_two_shops_may_use_the_same_key(store: JobStore) -> None:
    store.create(a_job(), idempotency=idempotency())
    other = a_job(shop=OTHER_SHOP)
    assert store.create(other, idempotency=idempotency()) == other


def test_a_key_is_forgotten_after_24_hours(store: JobStore, clock: FakeClock) -> None:
    first = store.create(a_job(), idempotency=idempotency())
    clock.advance(24 * 3600 - 1)
    assert store.create(a_job(), idempotency=idempotency()) == first
    clock.advance(1)
    second = a_job()
    assert store.create(second, idempotency=idempotency(body="other")) == second


def test_a_key_whose_job_was_deleted_makes_no_second_one(store: JobStore) -> None:
    store.delete(store.create(a_job(), idempotency=idempotency()))
    with pytest.raises(ConflictError):
        store.create(a_job(), idempotency=idempotency())


def test_a_creation_that_was_refused_uses_up_no_key(store: JobStore) -> None:
    store.create(a_dispatched_job())
    with pytest.raises(LinkTakenError):
        store.create(a_dispatched_job(), idempotency=idempotency())
    job = a_job()
    assert store.create(job, idempotency=idempotency()) == job


# --- exclusive jobs --------------------------------------------------------------------


def test_an_exclusive_job_waits_for_none_of_its_type(store: JobStore) -> None:
    first = store.create(a_worker_job(exclusive=True))
    with pytest.raises(ConflictError) as refused:
        store.create(a_worker_job(exclusive=True))
    assert refused.value.code == "already_running"
    assert refused.value.details == ({"runningJobId": first.job_id},)


def test_an_exclusive_job_is_refused_beside_an_ordinary_one(store: JobStore) -> None:
    first = store.create(a_worker_job(status=JobStatus.PROCESSING))
    with pytest.raises(ConflictError) as refused:
        store.create(a_worker_job(exclusive=True))
    assert refused.value.details == ({"runningJobId": first.job_id},)


def test_an_exclusive_job_runs_beside_other_types_and_other_shops(store: JobStore) -> None:
    store.create(a_worker_job(exclusive=True))
    for job in (
        a_worker_job(exclusive=True, type="bulk_sync"),
        a_worker_job(exclusive=True, shop=OTHER_SHOP),
    ):
        assert store.create(job) == job


@pytest.mark.parametrize("fate", ["ended", "deleted"])
def test_an_exclusive_job_follows_one_that_is_over(store: JobStore, fate: str) -> None:
    first = store.create(a_worker_job(exclusive=True))
    if fate == "ended":
        store.save(first, lifecycle.cancel(first, START))
    else:
        store.delete(first)
    second = a_worker_job(exclusive=True)
    assert store.create(second, entry=an_entry(), idempotency=idempotency()) == second
    third = a_worker_job(exclusive=True)
    with pytest.raises(ConflictError):
        store.create(third)


def test_an_exclusive_creation_asked_for_again_is_the_same_job(store: JobStore) -> None:
    first = store.create(a_worker_job(exclusive=True), idempotency=idempotency())
    assert store.create(a_worker_job(exclusive=True), idempotency=idempotency()) == first


@pytest.mark.parametrize("exclusive", [False, True])
def test_an_exclusive_bulk_job_waits_for_others_of_its_kind(
    store: JobStore, exclusive: bool
) -> None:
    first = store.create(a_worker_job(type="bulk.retry", exclusive=exclusive))
    with pytest.raises(ConflictError) as refused:
        store.create(a_worker_job(type="bulk.retry", exclusive=True))
    assert refused.value.details == ({"runningJobId": first.job_id},)


def test_push_states_are_kept_apart_from_the_jobs_own(store: JobStore) -> None:
    job = store.create(a_kept_job())
    saved = store.save(job, lifecycle.request_push(job, START + timedelta(microseconds=7)))
    assert store.get(job.ref) == saved
    assert saved.push.status is PushStatus.QUEUED


def test_what_was_made_with_a_key_can_be_asked_for(store: JobStore, clock: FakeClock) -> None:
    assert store.made_before(SHOP, idempotency()) is None
    job = store.create(a_job(), idempotency=idempotency())
    assert store.made_before(SHOP, idempotency()) == job
    assert store.made_before(OTHER_SHOP, idempotency()) is None
    with pytest.raises(IdempotencyKeyReusedError):
        store.made_before(SHOP, idempotency(body="another"))
    clock.advance(24 * 3600)
    assert store.made_before(SHOP, idempotency()) is None
