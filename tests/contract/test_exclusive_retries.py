"""Of an exclusive type one job runs at a time, also when one that had ended is tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shared.domain import lifecycle
from shared.domain.errors import ConflictError
from shared.domain.status import JobStatus
from shared.gateways.dynamo_jobs import DynamoJobStore
from tests.builders import OTHER_SHOP, a_worker_job, later
from tests.contract.entries import an_entry

if TYPE_CHECKING:
    from shared.domain.job import Job
    from shared.usecases.ports import JobStore


def ended(store: JobStore, **changes: object) -> Job:
    job = store.create(a_worker_job(exclusive=True, **changes))
    return store.save(job, lifecycle.cancel(job, later(1)), entry=an_entry())


def test_a_retry_beside_a_running_job_is_refused(store: JobStore) -> None:
    first = ended(store)
    second = store.create(a_worker_job(exclusive=True))
    with pytest.raises(ConflictError) as caught:
        store.save(first, lifecycle.retry(first, later(2)), entry=an_entry())
    assert caught.value.code == "already_running"
    assert caught.value.details == ({"runningJobId": second.job_id},)
    assert store.get(first.ref) == first


def test_a_retry_runs_alone(store: JobStore) -> None:
    first = ended(store)
    again = store.save(first, lifecycle.retry(first, later(2)), entry=an_entry())
    assert store.get(again.ref).status is JobStatus.PENDING
    with pytest.raises(ConflictError) as caught:
        store.create(a_worker_job(exclusive=True))
    assert caught.value.details == ({"runningJobId": again.job_id},)


def test_a_retry_after_another_job_has_ended_is_accepted(store: JobStore) -> None:
    first = ended(store)
    ended(store)
    again = store.save(first, lifecycle.retry(first, later(2)))
    with pytest.raises(ConflictError):
        store.create(a_worker_job(exclusive=True))
    # What changes while it runs takes no marker.
    moved = store.save(again, replace(again, progress=5), entry=an_entry())
    assert store.get(again.ref) == moved


def test_jobs_of_other_shops_and_types_and_shared_ones_are_retried_freely(
    store: JobStore,
) -> None:
    first = ended(store)
    store.create(a_worker_job(exclusive=True, shop=OTHER_SHOP))
    store.create(a_worker_job(exclusive=True, type="another"))
    again = store.save(first, lifecycle.retry(first, later(2)))
    shared = store.create(a_worker_job())
    shared = store.save(shared, lifecycle.cancel(shared, later(3)))
    store.save(shared, lifecycle.retry(shared, later(4)))
    assert store.get(again.ref) == again


def test_an_index_that_lags_lets_no_second_job_run(
    dynamo: DynamoJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ended(dynamo)
    second = dynamo.create(a_worker_job(exclusive=True))
    monkeypatch.setattr(dynamo, "_check_nothing_runs", lambda _: None)
    with pytest.raises(ConflictError) as caught:
        dynamo.save(first, lifecycle.retry(first, later(2)))
    assert caught.value.details == ({"runningJobId": second.job_id},)
