"""The budget of a month, counted with the jobs themselves; and jobs across shops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain import lifecycle
from shared.domain.budget import Budget, Spending, month_of
from shared.domain.errors import BudgetExceededError
from shared.domain.job import Job
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.usecases.ports import Idempotency, JobStore
from tests.builders import OTHER_SHOP, SHOP, a_job, an_event, later
from tests.contract.conftest import TABLE
from tests.fakes.clock import START, FakeClock
from tests.fakes.randomness import FakeRandomness

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

MONTH = month_of(START)
TEN = Budget(10, 1_000)


def reserved(price: int, cost_micros: int = 0, **changes: Any) -> Job:
    attempt = {"reserved_credits": price, "reserved_cost_micros": cost_micros}
    return a_job(attempt=attempt | changes.pop("attempt", {}), **changes)


def completed(store: JobStore, job: Job, charge: int) -> Job:
    event = an_event(credits=charge)
    return store.save(job, lifecycle.apply_event(job, event, later(5)).job)


def test_what_is_under_way_is_counted_and_the_rest_refused(store: JobStore) -> None:
    store.create(reserved(6), ceiling=TEN)
    with pytest.raises(BudgetExceededError):
        store.create(reserved(5), ceiling=TEN)
    store.create(reserved(4), ceiling=TEN)
    assert store.spent(SHOP, MONTH) == Spending(10, 0)
    store.create(reserved(5, shop=OTHER_SHOP), ceiling=TEN)
    assert store.spent(OTHER_SHOP, MONTH) == Spending(5, 0)


@pytest.mark.parametrize("price", [(11, 0), (0, 1_001)])
def test_the_first_job_of_a_month_must_fit_too(store: JobStore, price: tuple[int, int]) -> None:
    job = reserved(*price)
    with pytest.raises(BudgetExceededError):
        store.create(job, ceiling=TEN)
    assert store.get_many([job.ref]) == []
    assert store.spent(SHOP, MONTH) == Spending()


def test_cost_has_a_limit_of_its_own(store: JobStore) -> None:
    store.create(reserved(1, 600), ceiling=TEN)
    with pytest.raises(BudgetExceededError):
        store.create(reserved(1, 401), ceiling=TEN)
    store.create(reserved(1, 401), ceiling=Budget(10, None))
    assert store.spent(SHOP, MONTH) == Spending(2, 1_001)


def test_what_costs_nothing_is_never_refused(store: JobStore) -> None:
    store.create(reserved(10), ceiling=TEN)
    store.create(reserved(0), ceiling=TEN)


def test_the_real_charge_takes_the_place_of_the_expected_one(store: JobStore) -> None:
    job = store.create(reserved(5), ceiling=TEN)
    completed(store, job, 2)
    assert store.spent(SHOP, MONTH) == Spending(2, 0)
    assert store.last_price(SHOP, job.provider, job.tool_id or "") == 2
    assert store.last_price(OTHER_SHOP, job.provider, job.tool_id or "") is None


def test_an_attempt_that_ends_without_a_charge_leaves_nothing(store: JobStore) -> None:
    job = store.create(reserved(5, 300), ceiling=TEN)
    failed = lifecycle.fail_dispatch(job, "provider_refused", "No.", later(1))
    store.save(job, failed)
    assert store.spent(SHOP, MONTH) == Spending()


def test_deletion_lowers_nothing(store: JobStore) -> None:
    job = completed(store, store.create(reserved(5), ceiling=TEN), 5)
    store.delete(job)
    assert store.spent(SHOP, MONTH) == Spending(5, 0)


def test_a_retry_must_fit_too_and_counts_in_its_own_month(store: JobStore) -> None:
    job = store.create(reserved(8), ceiling=TEN)
    failed = store.save(job, lifecycle.fail_dispatch(job, "x", "No.", later(1)))
    store.create(reserved(5), ceiling=TEN)

    def retried(seconds: float) -> Job:
        again = lifecycle.retry(failed, later(seconds))
        attempt = replace(again.attempt, reserved_credits=8, reserved_cost_micros=0)
        return again.with_attempt(attempt)

    with pytest.raises(BudgetExceededError):
        store.save(failed, retried(2), ceiling=TEN)
    month = 40 * 86_400
    store.save(failed, retried(month), ceiling=TEN)
    assert store.spent(SHOP, MONTH) == Spending(5, 0)
    assert store.spent(SHOP, month_of(later(month))) == Spending(8, 0)


def test_a_repeated_creation_is_answered_also_when_the_budget_is_used_up(store: JobStore) -> None:
    key = Idempotency(key="k", body_sha256="a")
    job = store.create(reserved(10), idempotency=key, ceiling=TEN)
    assert store.create(reserved(10), idempotency=key, ceiling=TEN) == job


def test_without_a_ceiling_it_is_counted_only(store: JobStore) -> None:
    store.create(reserved(50))
    assert store.spent(SHOP, MONTH) == Spending(50, 0)


@pytest.mark.slow
def test_many_at_once_never_spend_more_than_the_budget(
    ministack_client: DynamoDBClient, clock: FakeClock
) -> None:
    dynamo = DynamoJobStore(ministack_client, TABLE, clock=clock, random=FakeRandomness())
    jobs = [reserved(3) for _ in range(12)]

    def create(job: Job) -> bool:
        try:
            dynamo.create(job, ceiling=TEN)
        except BudgetExceededError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(create, jobs))
    assert made.count(True) == 3
    assert dynamo.spent(SHOP, MONTH) == Spending(9, 0)
    assert len(dynamo.get_many([job.ref for job in jobs])) == 3


def test_the_jobs_of_a_day_come_newest_first_whosever_they_are(store: JobStore) -> None:
    jobs = [a_job(shop=shop) for shop in (SHOP, OTHER_SHOP) * 5]
    for job in jobs:
        store.create(job)
    day = f"{START:%Y-%m-%d}"
    found, position = [], None
    while True:
        page = store.list_day(day, limit=3, position=position)
        found += [job.job_id for job in page.jobs]
        position = page.position
        if position is None:
            break
    assert found == sorted((job.job_id for job in jobs), reverse=True)
    assert store.list_day("2001-01-01", limit=3).jobs == ()


def test_a_job_is_found_by_its_id_alone(store: JobStore) -> None:
    job = store.create(a_job(shop=OTHER_SHOP))
    assert store.find_job(job.job_id) == job.ref
    assert store.find_job(a_job().job_id) is None
    assert store.find_job("ffffffff-ffff-7fff-bfff-ffffffffffff") is None
