"""JobStore: pages of jobs, and what is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.filters import JobFilter
from shared.domain.job import Job, Push
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.ports import JobStore
from tests.builders import (
    OTHER_SHOP,
    PRODUCT,
    SHOP,
    TOOL,
    a_dispatched_job,
    a_job,
    a_worker_job,
    later,
)
from tests.fakes.clock import START

PUSH_FAILED = Push(status=PushStatus.FAILED, error_code="token_dead", error="No token.")


def fill(store: JobStore, count: int, **changes: object) -> list[Job]:
    """Create jobs a second apart; returns them newest first."""
    jobs = [store.create(a_job(created_at=later(n), **changes)) for n in range(count)]
    return jobs[::-1]


def walk(store: JobStore, wanted: JobFilter, *, limit: int) -> list[Job]:
    """Read all pages."""
    found: list[Job] = []
    position = None
    while True:
        page = store.list_jobs(wanted, limit=limit, position=position)
        assert len(page.jobs) <= limit
        found += page.jobs
        position = page.position
        if position is None:
            return found


def test_jobs_are_listed_newest_first(store: JobStore) -> None:
    jobs = fill(store, 3)
    page = store.list_jobs(JobFilter(shop=SHOP), limit=10)
    assert list(page.jobs) == jobs
    assert (page.position, page.is_complete) == (None, True)


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("condition", [{}, {"product_id": PRODUCT}, {"text": "mug"}])
def test_pages_join_without_gap_or_repetition(
    store: JobStore, condition: dict[str, str], ascending: bool
) -> None:
    jobs = fill(store, 7)
    wanted = JobFilter(shop=SHOP, ascending=ascending, **condition)  # type: ignore[arg-type]
    assert walk(store, wanted, limit=3) == (jobs[::-1] if ascending else jobs)


def test_a_page_that_just_holds_all_is_the_last(store: JobStore) -> None:
    fill(store, 3)
    page = store.list_jobs(JobFilter(shop=SHOP, tool_id=TOOL), limit=3)
    assert (len(page.jobs), page.position, page.is_complete) == (3, None, True)


def test_a_later_page_is_not_the_whole_answer(store: JobStore) -> None:
    fill(store, 3)
    first = store.list_jobs(JobFilter(shop=SHOP), limit=2)
    second = store.list_jobs(JobFilter(shop=SHOP), limit=2, position=first.position)
    assert not first.is_complete
    assert not second.is_complete
    assert second.position is None


@pytest.mark.parametrize(
    "condition",
    [
        {"status": JobStatus.PROCESSING},
        {"push_status": PushStatus.FAILED},
        {"push_status": PushStatus.QUEUED},
        {"push_status": PushStatus.STAGING},
        {"push_status": PushStatus.PROCESSING},
        {"push_status": PushStatus.NONE, "type": "special"},
        {"type": "special"},
        {"tool_id": "special"},
        {"product_id": "special"},
        {"batch_id": "special"},
        {"project_id": "special"},
        {"agent_id": "special"},
        {"text": "SPECIAL"},
        {"status": JobStatus.PENDING, "tool_id": "special", "product_id": PRODUCT},
        {"batch_id": "special", "project_id": "special", "text": "mug"},
    ],
)
def test_filters_find_exactly_the_jobs_that_match(
    store: JobStore, condition: dict[str, object]
) -> None:
    jobs = [
        a_job(),
        a_job(status=JobStatus.PROCESSING),
        a_job(push=PUSH_FAILED),
        *(a_job(push=Push(status=status)) for status in PushStatus if status.is_active),
        a_job(type="special"),
        a_job(tool_id="special"),
        a_job(product_id="special"),
        a_job(batch_id="special"),
        a_job(project_id="special"),
        a_job(batch_id="special", project_id="special"),
        a_job(agent_id="special", tool_id=None, product_id=None),
        a_job(name="This is special."),
        a_job(shop=OTHER_SHOP, tool_id="special", batch_id="special"),
    ]
    for job in jobs:
        store.create(job)
    wanted = JobFilter(shop=SHOP, **condition)  # type: ignore[arg-type]
    expected = [job for job in jobs if wanted.matches(job)]
    assert expected
    found = walk(store, wanted, limit=2)
    assert sorted(found, key=lambda job: job.job_id) == sorted(expected, key=lambda job: job.job_id)


def test_a_job_is_found_by_what_it_is_now(store: JobStore) -> None:
    job = store.create(a_job())
    store.save(job, replace(job, status=JobStatus.PROCESSING, product_id=None))
    assert walk(store, JobFilter(shop=SHOP, status=JobStatus.PENDING), limit=5) == []
    assert walk(store, JobFilter(shop=SHOP, product_id=PRODUCT), limit=5) == []
    assert len(walk(store, JobFilter(shop=SHOP, status=JobStatus.PROCESSING), limit=5)) == 1


@pytest.mark.parametrize("condition", [{}, {"tool_id": TOOL}])
def test_a_period_is_inclusive_at_its_start_and_exclusive_at_its_end(
    store: JobStore, condition: dict[str, str]
) -> None:
    step = timedelta(microseconds=250)
    jobs = [store.create(a_job(created_at=START + n * step)) for n in range(12)]
    wanted = JobFilter(
        shop=SHOP,
        created_from=START + 2 * step,
        created_to=START + 9 * step,
        ascending=True,
        **condition,  # type: ignore[arg-type]
    )
    assert {job.job_id for job in walk(store, wanted, limit=50)} == {
        job.job_id for job in jobs[2:9]
    }


def test_a_period_that_ends_before_it_starts_is_empty(store: JobStore) -> None:
    fill(store, 2)
    wanted = JobFilter(shop=SHOP, created_from=later(3600), created_to=later(-3600))
    page = store.list_jobs(wanted, limit=5)
    assert (page.jobs, page.position) == ((), None)


def test_deleted_jobs_are_not_listed(store: JobStore) -> None:
    job, *others = fill(store, 3)
    store.delete(job)
    assert walk(store, JobFilter(shop=SHOP, tool_id=TOOL), limit=1) == others


def test_bulk_jobs_are_listed_only_when_asked_for(store: JobStore) -> None:
    ordinary = store.create(a_worker_job())
    bulk = store.create(a_worker_job(type="bulk.retry"))
    assert walk(store, JobFilter(shop=SHOP), limit=5) == [ordinary]
    assert walk(store, JobFilter(shop=SHOP, status=JobStatus.PENDING), limit=5) == [ordinary]
    assert walk(store, JobFilter(shop=SHOP, type="bulk.retry"), limit=5) == [bulk]
    by_both = JobFilter(shop=SHOP, type="bulk.retry", status=JobStatus.PENDING)
    assert walk(store, by_both, limit=5) == [bulk]


def test_failed_pushes_are_found_a_page_at_a_time(store: JobStore) -> None:
    jobs = fill(store, 3, push=PUSH_FAILED)
    store.create(a_job())
    first = store.failed_pushes(SHOP, limit=2)
    second = store.failed_pushes(SHOP, limit=2, position=first.position)
    assert list(first.jobs + second.jobs) == jobs
    assert second.position is None


# --- what is due -----------------------------------------------------------------------


def test_only_what_is_due_is_found_oldest_first(store: JobStore) -> None:
    jobs = [store.create(a_job(due_at=later(60 - n))) for n in range(20)]
    store.create(a_job(due_at=later(3600)))
    store.create(a_job(due_at=None))
    found = store.due(later(60), limit=100)
    assert [due.ref for due in found] == [job.ref for job in jobs[::-1]]
    assert found[0].due_at == later(41)


def test_no_more_is_read_than_asked_for_and_no_less_while_there_is_more(
    store: JobStore,
) -> None:
    for n in range(30):
        store.create(a_job(due_at=later(n)))
    for limit in (1, 7, 20, 30):
        assert len(store.due(later(60), limit=limit)) == limit
    assert len(store.due(later(60), limit=31)) == 30


def test_a_claimed_job_is_no_longer_due(store: JobStore) -> None:
    job = store.create(a_job(due_at=START))
    store.save(job, replace(job, due_at=later(120)))
    assert store.due(later(1), limit=5) == []


def test_jobs_of_every_shop_are_due_together(store: JobStore) -> None:
    for shop in (SHOP, OTHER_SHOP):
        store.create(a_dispatched_job(shop=shop, due_at=START, attempt={"provider_job_id": shop}))
    assert {due.ref.shop for due in store.due(START, limit=5)} == {SHOP, OTHER_SHOP}
