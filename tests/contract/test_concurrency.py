"""DynamoJobStore under real concurrency, on ministack: many threads, one table."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from shared.domain import lifecycle
from shared.domain.errors import (
    ConflictError,
    JobTrackerError,
    LinkTakenError,
    VersionConflictError,
)
from shared.domain.job import Job
from shared.domain.statistics import Tally
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.dynamo_limiter import DynamoLimiter
from shared.usecases.ports import Idempotency
from tests.builders import SHOP, a_dispatched_job, a_job, a_worker_job
from tests.contract.entries import an_entry
from tests.contract.test_parking import a_parked_event
from tests.fakes.clock import START, FakeClock
from tests.fakes.table import make_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

pytestmark = pytest.mark.slow

THREADS = 8


class SeededRandomness:
    """Implements Randomness, the same in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def token_bytes(self, count: int) -> bytes:
        """Return bytes."""
        return self._random.randbytes(count)

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()


@pytest.fixture
def table_name(emulator_client: DynamoDBClient) -> str:
    name = f"jobs-{uuid4().hex[:8]}"
    make_table(emulator_client, name)
    return name


@pytest.fixture
def shared_store(emulator_client: DynamoDBClient, table_name: str) -> DynamoJobStore:
    return DynamoJobStore(emulator_client, table_name, clock=FakeClock(), random=SeededRandomness())


def at_once[T](acts: list[Callable[[], T]]) -> list[T | JobTrackerError]:
    """Run all of them in threads; returns what each answered or raised, in order."""

    def guarded(act: Callable[[], T]) -> T | JobTrackerError:
        try:
            return act()
        except JobTrackerError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(guarded, acts))


def test_of_many_writers_of_one_version_exactly_one_wins(shared_store: DynamoJobStore) -> None:
    job = shared_store.create(a_dispatched_job())
    answers = at_once(
        [
            lambda n=n: shared_store.save(  # type: ignore[misc]
                job, replace(lifecycle.cancel(job, START), name=str(n)), entry=an_entry()
            )
            for n in range(16)
        ]
    )
    (winner,) = [answer for answer in answers if isinstance(answer, Job)]
    losers = [answer for answer in answers if not isinstance(answer, Job)]
    assert all(isinstance(loser, VersionConflictError) for loser in losers)
    assert shared_store.get(job.ref) == winner
    assert shared_store.tally(f"SHOP#{SHOP}", "ALL") == Tally(cancelled=1)
    assert len(shared_store.log(job.ref, limit=50).entries) == 1


def test_counters_are_exact_when_many_jobs_end_at_once(shared_store: DynamoJobStore) -> None:
    jobs = [
        shared_store.create(
            a_dispatched_job(attempt={"provider_job_id": f"pk_{n}"}, tool_id=f"tool-{n % 25:02}")
        )
        for n in range(50)
    ]
    answers = at_once(
        [
            lambda job=job: shared_store.save(job, lifecycle.cancel(job, START))  # type: ignore[misc]
            for job in jobs
        ]
    )
    ended = [answer for answer in answers if isinstance(answer, Job)]
    assert len(ended) == 50
    (day,) = shared_store.days(SHOP, "2026-11-22", "2026-11-22")
    assert day.tally == shared_store.tally(f"SHOP#{SHOP}", "ALL") == Tally(cancelled=50)
    assert sum(tally.cancelled for tally in day.by_tool.values()) == 50
    assert len(day.by_tool) <= 21
    at_once([lambda job=job: shared_store.delete(job) for job in ended])  # type: ignore[misc]
    assert shared_store.tallies(f"SHOP#{SHOP}") == {}
    assert shared_store.days(SHOP, "2026-11-22", "2026-11-22") == []


def test_one_provider_job_is_registered_once(shared_store: DynamoJobStore) -> None:
    jobs = [a_dispatched_job() for _ in range(16)]
    answers = at_once([lambda job=job: shared_store.create(job) for job in jobs])  # type: ignore[misc]
    assert sum(isinstance(answer, Job) for answer in answers) == 1
    assert sum(isinstance(answer, LinkTakenError) for answer in answers) == 15


def test_one_idempotency_key_makes_one_job(shared_store: DynamoJobStore) -> None:
    key = Idempotency(key="k", body_sha256="b")
    answers = at_once([lambda: shared_store.create(a_job(), idempotency=key) for _ in range(16)])
    assert len({answer.job_id for answer in answers if isinstance(answer, Job)}) == 1
    assert all(isinstance(answer, Job) for answer in answers)


def test_one_exclusive_job_of_a_type_runs(shared_store: DynamoJobStore) -> None:
    answers = at_once([lambda: shared_store.create(a_worker_job(exclusive=True))] * 16)
    (winner,) = [answer for answer in answers if isinstance(answer, Job)]
    losers = [answer for answer in answers if isinstance(answer, ConflictError)]
    assert len(losers) == 15
    assert {str(loser.details) for loser in losers} == {str(({"runningJobId": winner.job_id},))}


def test_an_event_is_parked_before_the_link_or_refused_after_it(
    shared_store: DynamoJobStore,
) -> None:
    """Whoever is first: the event is parked and seen, or sent on to the job."""
    for n in range(10):
        job = a_dispatched_job(attempt={"provider_job_id": f"pk_{n}"})
        event = a_parked_event(provider_job_id=f"pk_{n}")

        def register(job: Job = job) -> bool:
            shared_store.create(job)
            return bool(shared_store.parked("pikcel", job.provider_job_id or ""))

        was_parked, was_seen = at_once(
            [lambda event=event: shared_store.park(event), register]  # type: ignore[misc]
        )
        assert was_parked == was_seen


def test_threads_together_take_no_more_than_the_ceiling(
    emulator_client: DynamoDBClient, table_name: str
) -> None:
    limiter = DynamoLimiter(emulator_client, table_name, clock=FakeClock())
    answers = at_once([lambda: limiter.take("pikcel", "key", START, ceiling=20)] * 50)
    assert answers.count(True) == 20


def test_notes_and_changes_at_once_are_all_kept(shared_store: DynamoJobStore) -> None:
    job = shared_store.create(a_job())
    acts: list[Callable[[], object]] = [
        lambda: shared_store.note(job.ref, an_entry()) for _ in range(12)
    ]
    acts.append(lambda: shared_store.save(job, replace(job, name="New"), entry=an_entry()))
    at_once(acts)
    assert shared_store.get(job.ref).name == "New"
    assert len(shared_store.log(job.ref, limit=50).entries) == 13


def test_the_cap_of_a_timeline_holds_on_a_real_engine(
    shared_store: DynamoJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.gateways.dynamo_jobs.MAX_LOG_ENTRIES", 5)
    job = shared_store.create(a_dispatched_job(), entry=an_entry())
    at_once([lambda: shared_store.note(job.ref, an_entry()) for _ in range(12)])
    shared_store.save(job, lifecycle.cancel(job, START), entry=an_entry())
    page = shared_store.log(job.ref, limit=50)
    assert (len(page.entries), page.dropped) == (5, 9)
