"""Work that other programs do, on the stores: what it costs, and that both say the same."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.events import Source
from shared.domain.job import Counts, Job
from shared.domain.reports import Report
from shared.domain.status import JobStatus
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.usecases.identify_caller import Caller, CallerKind
from shared.usecases.ports import JobStore
from shared.usecases.read_work import read_latest, read_work_page
from shared.usecases.report_progress import report_progress
from shared.usecases.tracker import Tracker
from tests.builders import OTHER_SHOP, SHOP, a_worker_job
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.outbox import FakeOutbox
from tests.fakes.randomness import FakeRandomness
from tests.fakes.table import ProbedClient

CALLER = Caller(kind=CallerKind.ADMIN, shop=SHOP, actor="admin:1")


def tracker_of(store: JobStore, clock: FakeClock) -> Tracker:
    return Tracker(
        store=store, outbox=FakeOutbox(), clock=clock, random=FakeRandomness(), adapters={}
    )


def a_running_job(**changes: Any) -> Job:
    return a_worker_job(status=JobStatus.PROCESSING, started_at=FakeClock().now(), **changes)


def test_a_report_of_progress_is_one_read_and_one_plain_update(
    dynamo: DynamoJobStore, client: ProbedClient, clock: FakeClock
) -> None:
    job, tracker = dynamo.create(a_running_job()), tracker_of(dynamo, clock)
    clock.advance(1)
    client.calls.clear()
    report = Report(counts=Counts(total=9, processed=1), message="page 1", metadata={"a": 1})
    report_progress(tracker, FakeFiles(), CALLER, job.ref, report)
    assert client.operations == ["get_item", "update_item"]


def test_a_heartbeat_writes_nothing_but_its_instant(
    dynamo: DynamoJobStore, client: ProbedClient, clock: FakeClock
) -> None:
    job, tracker = dynamo.create(a_running_job()), tracker_of(dynamo, clock)
    clock.advance(30)
    client.calls.clear()
    report_progress(tracker, FakeFiles(), CALLER, job.ref, Report())
    assert client.operations == ["get_item", "update_item"]
    names = client.calls[1][1]["ExpressionAttributeNames"].values()
    assert sorted(names) == ["reported_at", "version"]


def test_an_end_is_one_read_and_one_transaction_with_the_statistics(
    dynamo: DynamoJobStore, client: ProbedClient, clock: FakeClock
) -> None:
    job, tracker = dynamo.create(a_running_job()), tracker_of(dynamo, clock)
    clock.advance(8)
    client.calls.clear()
    done = report_progress(
        tracker, FakeFiles(), CALLER, job.ref, Report(status=JobStatus.COMPLETED)
    )
    assert client.operations == ["get_item", "transact_write_items"]
    tally = dynamo.tally(f"SHOP#{SHOP}", "ALL")
    assert (tally.completed, tally.processing_ms, tally.timed) == (1, 8000, 1)
    assert [entry.source for entry in dynamo.log(done.ref, limit=9).entries] == [Source.WORKER]


def test_a_report_after_a_cancel_is_one_read_and_no_write(
    dynamo: DynamoJobStore, client: ProbedClient, clock: FakeClock
) -> None:
    cancelled = lifecycle.cancel(a_running_job(), clock.now())
    job, tracker = dynamo.create(cancelled), tracker_of(dynamo, clock)
    client.calls.clear()
    found = report_progress(
        tracker, FakeFiles(), CALLER, job.ref, Report(counts=Counts(processed=5))
    )
    assert found.cancel_requested
    assert client.operations == ["get_item"]


@pytest.mark.parametrize("others", [5, 150])
def test_a_page_and_the_latest_cost_the_same_however_many_jobs_ended(
    dynamo: DynamoJobStore, client: ProbedClient, clock: FakeClock, others: int
) -> None:
    for number in range(others):
        created_at = clock.advance(1)
        dynamo.create(
            a_worker_job(
                created_at=created_at,
                status=JobStatus.COMPLETED,
                completed_at=created_at,
                type=f"old-{number % 3}",
            )
        )
    clock.advance(48 * 3600)
    for _ in range(5):
        dynamo.create(a_running_job(created_at=clock.advance(1)))
    client.calls.clear()
    page = read_work_page(dynamo, SHOP, clock.now(), page=1, limit=5)
    assert (len(page.jobs), page.total, page.running) == (5, others + 5, 5)
    assert page.by_type == {"catalog_pull": 5}
    assert len(client.operations) <= 5
    client.calls.clear()
    latest, is_running = read_latest(dynamo, SHOP, "catalog_pull")
    assert (latest, is_running) == (page.jobs[0], True)
    assert client.operations == ["query", "batch_get_item"]


def test_the_active_jobs_of_a_type_are_those_of_this_shop(stores: Any) -> None:
    store: JobStore = stores.jobs
    mine = {
        store.create(a_running_job()).job_id,
        store.create(a_worker_job()).job_id,
    }
    store.create(a_running_job(type="other"))
    store.create(a_running_job(shop=OTHER_SHOP))
    ended = store.create(a_running_job())
    store.save(ended, lifecycle.cancel(ended, ended.created_at))
    assert {job.job_id for job in store.active_jobs(SHOP, "catalog_pull")} == mine
