"""Big documents lie in the bucket: shelved once, fetched by whoever needs them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import lifecycle
from shared.domain.errors import DocumentsLostError, StoreUnavailableError
from shared.domain.job import Job
from shared.usecases.documents import (
    FETCHED_AT_ONCE,
    INLINE_BYTES,
    fetch,
    fetch_to_show,
    shelve,
    with_documents_of,
)
from tests.builders import OTHER_SHOP, a_job
from tests.fakes.clock import START
from tests.fakes.files import FakeFiles

BIG = {"prompt": "é" * 600}
FRAME = len('{"parameters":{"x":""},"metadata":{},"result":null}')


def a_job_of(size: int, **changes: Any) -> Job:
    """Return a job whose three documents are so many bytes of JSON."""
    return a_job(parameters={"x": "y" * (size - FRAME)}, **changes)


@pytest.fixture
def files() -> FakeFiles:
    return FakeFiles()


def test_documents_of_just_a_kilobyte_stay_on_the_item(files: FakeFiles) -> None:
    job = a_job_of(INLINE_BYTES)
    assert shelve(files, job) is job
    assert files.stored == {}


def test_documents_of_one_byte_more_go_into_the_bucket(files: FakeFiles) -> None:
    job = a_job_of(INLINE_BYTES + 1)
    shelved = shelve(files, job)
    assert shelved == replace(job, parameters={}, documents_key=shelved.documents_key)
    ((key, (body, content_type)),) = files.stored.items()
    assert (key, content_type) == (shelved.documents_key, "application/json")
    assert len(body) == INLINE_BYTES + 1
    assert json.loads(body) == {"parameters": job.parameters, "metadata": {}, "result": None}


def test_bytes_are_counted_not_characters(files: FakeFiles) -> None:
    assert shelve(files, a_job(parameters=BIG)).documents_key is not None


def test_all_three_count_together(files: FakeFiles) -> None:
    part = {"x": "y" * 400}
    assert shelve(files, a_job(parameters=part, metadata=part)).documents_key is None
    job = a_job(parameters=part, metadata=part, result=part)
    assert shelve(files, job).documents_key is not None


def test_the_key_is_in_the_jobs_own_folder_and_says_what_it_holds(files: FakeFiles) -> None:
    job = a_job(parameters=BIG)
    key = shelve(files, job).documents_key
    assert key is not None
    folder, _, name = key.rpartition("/")
    assert folder == f"shops/{job.shop}/jobs/{job.job_id}"
    assert name.startswith("documents-")
    assert len(name) == len("documents-0123456789abcdef.json")
    assert shelve(files, job).documents_key == key
    assert shelve(files, replace(job, metadata={"a": 1})).documents_key != key
    assert shelve(files, replace(job, shop=OTHER_SHOP)).documents_key not in (key, None)


def test_a_shelved_job_stays_as_it_is(files: FakeFiles) -> None:
    shelved = shelve(files, a_job(parameters=BIG))
    assert shelve(files, shelved) is shelved
    assert len(files.stored) == 1


def test_a_bucket_that_is_out_stores_nothing_anywhere(files: FakeFiles) -> None:
    files.broken = True
    with pytest.raises(StoreUnavailableError):
        shelve(files, a_job(parameters=BIG))


def test_small_documents_ask_no_bucket(files: FakeFiles) -> None:
    files.broken = True
    job = a_job()
    assert fetch(files, shelve(files, job)) is job


DOCUMENTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=2_000)
    | st.lists(st.integers(), max_size=300),
    max_size=5,
)


@given(parameters=DOCUMENTS, metadata=DOCUMENTS, result=st.none() | DOCUMENTS)
def test_what_is_fetched_is_what_was_shelved(
    parameters: dict[str, Any], metadata: dict[str, Any], result: dict[str, Any] | None
) -> None:
    files = FakeFiles()
    job = a_job(parameters=parameters, metadata=metadata, result=result)
    shelved = shelve(files, job)
    assert fetch(files, shelved) == job
    assert fetch_to_show(files, [shelved], {}) == [job]
    assert with_documents_of(shelved, job) == job
    assert shelve(files, fetch(files, shelved)) == shelved
    assert (shelved.result is None) == (result is None)
    assert shelved.documents_key is None or (shelved.parameters, shelved.metadata) == ({}, {})


def test_a_retried_job_keeps_its_parameters_and_loses_its_result(files: FakeFiles) -> None:
    job = a_job(parameters=BIG, metadata={"a": 1}, result={"count": 3})
    failed = lifecycle.fail_dispatch(shelve(files, job), "provider_refused", "No.", START)
    retried = lifecycle.retry(failed, START)
    files_read = fetch(files, retried)
    assert (files_read.parameters, files_read.metadata) == (BIG, {"a": 1})
    assert files_read.result is None


def test_documents_that_are_gone_are_lost_for_good(files: FakeFiles) -> None:
    shelved = shelve(files, a_job(parameters=BIG))
    files.stored.clear()
    with pytest.raises(DocumentsLostError) as caught:
        fetch(files, shelved)
    assert caught.value.code == "documents_lost"


def test_a_bucket_that_is_out_says_nothing_about_documents(files: FakeFiles) -> None:
    shelved = shelve(files, a_job(parameters=BIG))
    files.broken = True
    with pytest.raises(StoreUnavailableError):
        fetch(files, shelved)
    with pytest.raises(StoreUnavailableError):
        fetch_to_show(files, [shelved, shelved], {})


def test_a_page_is_shown_in_its_order_big_and_small(files: FakeFiles) -> None:
    jobs = [
        a_job(parameters={"n": n, "x": "y" * 2_000 * (n % 3)}) for n in range(3 * FETCHED_AT_ONCE)
    ]
    shelved = [shelve(files, job) for job in jobs]
    assert len(files.stored) == 2 * FETCHED_AT_ONCE
    assert fetch_to_show(files, shelved, {}) == jobs


def test_a_shorter_page_reads_nothing_again(files: FakeFiles) -> None:
    jobs = [a_job(parameters=BIG), a_job(parameters=BIG)]
    shelved = [shelve(files, job) for job in jobs]
    read: dict[str, bytes] = {}
    fetch_to_show(files, shelved, read)
    files.broken = True
    assert fetch_to_show(files, shelved[:1], read) == jobs[:1]


def test_a_job_with_lost_documents_does_not_hide_the_page(
    files: FakeFiles, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [a_job(parameters=BIG), a_job(parameters=BIG)]
    lost, there = (shelve(files, job) for job in jobs)
    assert lost.documents_key is not None
    del files.stored[lost.documents_key]
    assert fetch_to_show(files, [lost, there], {}) == [lost, jobs[1]]
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "documents lost")
