"""Bulk work and batches, in memory and on the table alike."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from shared.domain.batch import Batch, BatchSums
from shared.domain.errors import InvalidRequestError
from shared.domain.ids import JobRef
from shared.domain.statistics import Tally
from shared.domain.status import JobStatus
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.dynamo_works import DynamoWorkStore
from shared.usecases.ports import JobStore, WorkStore
from tests.builders import OTHER_SHOP, SHOP, a_dispatched_job, a_job, a_job_id, later
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory import InMemoryWorkStore
from tests.fakes.table import ProbedClient, dynamo_client, make_table


@pytest.fixture(params=["memory", "moto"])
def works(request: pytest.FixtureRequest) -> Iterator[WorkStore]:
    if request.param == "memory":
        yield InMemoryWorkStore()
        return
    with mock_aws():
        client = dynamo_client()
        make_table(client, "jobs")
        yield DynamoWorkStore(client, "jobs", clock=FakeClock())


def test_a_page_is_what_the_first_said(works: WorkStore) -> None:
    ref = JobRef(SHOP, a_job_id())
    first: dict[str, Any] = {"ids": ["a"], "after": "a"}
    second: dict[str, Any] = {"ids": [], "after": None}
    assert works.keep_page(ref, "", first, later(60)) == first
    assert works.keep_page(ref, "", second, later(60)) == first
    assert works.keep_page(ref, "a", second, later(60)) == second
    assert works.keep_page(JobRef(OTHER_SHOP, ref.job_id), "", second, later(60)) == second
    assert works.get_work(ref) is None


def a_batch(number: int = 1, **changes: Any) -> Batch:
    values: dict[str, Any] = {
        "shop": SHOP,
        "batch_id": a_job_id(later(number)),
        "created_at": later(number),
        "tool_id": "t",
        "total": 2,
        "name": "Mugs",
        "parameters": {"x": [1, 0.5, None, 2**60]},
    }
    return Batch(**(values | changes))


def test_work_comes_back_as_it_was_and_is_one_shops(works: WorkStore) -> None:
    ref = JobRef(SHOP, a_job_id())
    work = {"ids": ["a", "é"], "actor": "x", "common": {"n": 2**60, "f": 0.5}}
    works.put_work(ref, work, later(60))
    assert works.get_work(ref) == work
    assert works.get_work(JobRef(OTHER_SHOP, ref.job_id)) is None
    assert works.get_work(JobRef(SHOP, a_job_id())) is None


def test_a_thousand_images_fit_and_what_does_not_is_refused_by_name() -> None:
    with mock_aws():
        client = dynamo_client()
        make_table(client, "jobs")
        works = DynamoWorkStore(client, "jobs", clock=FakeClock())
        ref = JobRef(SHOP, a_job_id())
        # Signed links to a store of one's own; what differs in them cannot be packed.
        images = [an_image_with_a_signed_link(number) for number in range(1000)]
        assert len(json.dumps(images)) > 1_000_000
        works.put_work(ref, {"images": images}, later(60))
        assert works.get_work(ref) == {"images": images}
        noise = random.Random(1)
        with pytest.raises(InvalidRequestError):
            works.put_work(ref, {"images": noise.randbytes(450_000).hex()}, later(60))


def an_image_with_a_signed_link(number: int) -> dict[str, str]:
    noise = random.Random(number)
    link = (
        f"https://my-photos.s3.eu-central-1.amazonaws.com/{noise.randbytes(16).hex()}.jpg"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261122T120000Z&X-Amz-Expires=86400"
        f"&X-Amz-Security-Token={'IQoJb3JpZ2luX2VjEJ' * 40}&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={noise.randbytes(32).hex()}"
    )
    return {"input_image_url": link, "product_id": f"gid://shopify/Product/{8 * 10**12 + number}"}


def test_batches_come_newest_first_by_pages(works: WorkStore) -> None:
    made = [a_batch(number) for number in range(5)]
    for batch in made:
        works.put_batch(batch)
    works.put_batch(a_batch(9, shop=OTHER_SHOP))
    assert works.get_batch(SHOP, made[2].batch_id) == made[2]
    assert works.get_batch(OTHER_SHOP, made[2].batch_id) is None
    first, position = works.list_batches(SHOP, limit=3)
    rest, end = works.list_batches(SHOP, limit=3, position=position)
    assert first + rest == made[::-1]
    assert end is None


def test_batches_of_much_each_are_all_reached_page_by_page(works: WorkStore) -> None:
    # A Query answers with at most 1 MB.
    made = [a_batch(number, parameters={"x": "y" * 60_000}) for number in range(30)]
    for batch in made:
        works.put_batch(batch)
    seen, position = works.list_batches(SHOP, limit=20)
    while position is not None:
        page, position = works.list_batches(SHOP, limit=20, position=position)
        seen += page
    assert seen == made[::-1]


def test_a_batch_is_summed_over_its_jobs(store: JobStore) -> None:
    mine = {"batch_id": "b"}
    jobs = [
        store.create(a_dispatched_job(**mine, attempt={"provider_job_id": f"p{n}", "credits": 2}))
        for n in range(3)
    ]
    store.create(a_job(batch_id="bb"))
    store.create(a_job(batch_id="b", shop=OTHER_SHOP))
    assert store.batch_sums(SHOP, "b") == BatchSums(jobs=3)
    for number, job in enumerate(jobs[:2]):
        ended = replace(job, status=JobStatus.FAILED, completed_at=later(10 + number))
        jobs[number] = store.save(job, ended)
    wanted = BatchSums(
        tally=Tally(failed=2, credits=4, failed_credits=4), jobs=3, ended_at=later(11)
    )
    assert store.batch_sums(SHOP, "b") == wanted
    assert wanted.ended_at is not None
    assert wanted.ended_at > START


def test_a_charge_that_comes_late_does_not_turn_a_batchs_end_back(store: JobStore) -> None:
    jobs = [
        store.create(a_dispatched_job(batch_id="b", attempt={"provider_job_id": f"p{n}"}))
        for n in range(20)
    ]
    ended = [
        store.save(job, replace(job, status=JobStatus.CANCELLED, completed_at=later(number)))
        for number, job in enumerate(jobs, start=1)
    ]
    for job in ended[:-1]:
        store.save(job, job.with_attempt(replace(job.attempt, credits=1)))
    assert store.batch_sums(SHOP, "b").ended_at == later(20)


def test_a_batch_whose_name_begins_alike_is_another(store: JobStore) -> None:
    for number, name in enumerate(("b", "b#1", "b#1#2")):
        job = store.create(a_dispatched_job(batch_id=name, attempt={"provider_job_id": name}))
        ended = replace(job, status=JobStatus.FAILED, completed_at=later(number))
        store.save(job, ended)
    wanted = BatchSums(tally=Tally(failed=1), jobs=1, ended_at=later(0))
    assert store.batch_sums(SHOP, "b") == wanted


def test_a_batch_is_summed_with_two_queries(client: ProbedClient, dynamo: DynamoJobStore) -> None:
    dynamo.create(a_dispatched_job(batch_id="b"))
    client.calls.clear()
    dynamo.batch_sums(SHOP, "b")
    assert client.operations == ["query", "query"]


def test_a_batch_is_finished_by_one_write_however_often_it_is_looked_at(works: WorkStore) -> None:
    batch = a_batch()
    works.put_batch(batch)
    assert works.finish_batch(SHOP, batch.batch_id, "j1:3")
    assert works.finish_batch(SHOP, batch.batch_id, "j1:3")
    assert not works.finish_batch(SHOP, batch.batch_id, "j2:5")
    assert works.get_batch(SHOP, batch.batch_id) == replace(
        batch, finished_by="j1:3", finished_round=1
    )
    assert works.list_batches(SHOP, limit=5)[0] == [
        replace(batch, finished_by="j1:3", finished_round=1)
    ]


def test_a_batch_whose_making_is_retried_is_finished_once_more(works: WorkStore) -> None:
    batch = a_batch()
    works.put_batch(batch)
    assert works.finish_batch(SHOP, batch.batch_id, "j1:3")
    assert works.finish_batch(SHOP, batch.batch_id, "j2:5", 2)
    assert works.finish_batch(SHOP, batch.batch_id, "j2:5", 2)
    assert not works.finish_batch(SHOP, batch.batch_id, "j3:2", 2)
    assert not works.finish_batch(SHOP, batch.batch_id, "j1:3")
    (found,), _ = works.list_batches(SHOP, limit=5)
    assert (found.finished_by, found.finished_round) == ("j2:5", 2)


def test_a_batch_that_does_not_exist_is_finished_by_nobody(works: WorkStore) -> None:
    assert not works.finish_batch(SHOP, "none", "j1:3")
    works.put_batch(a_batch())
    assert not works.finish_batch(OTHER_SHOP, a_batch().batch_id, "j1:3")
    assert works.get_batch(SHOP, "none") is None
