"""What a write of a job is worth telling: one thing, once, thinly."""

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.batch import Batch, BatchSums, BatchView
from shared.domain.bulk import BulkAction
from shared.domain.job import Counts, Job, Push
from shared.domain.notice_types import CHOICES, NoticeType
from shared.domain.notices import Notice, batch_notice, batch_to_look_at, job_notices
from shared.domain.statistics import Tally
from shared.domain.status import JobStatus, PushStatus
from tests.builders import SHOP, a_completed_job, a_dispatched_job, a_job, a_kept_job, later
from tests.fakes.clock import START

TOLD_OF_STATUS = {JobStatus.COMPLETED: "job.completed", JobStatus.FAILED: "job.failed"}
TOLD_OF_PUSH = {PushStatus.PUSHED: "job.pushed", PushStatus.FAILED: "job.push_failed"}


def kinds(before: Job | None, after: Job) -> list[str]:
    return [notice.type.value for notice in job_notices(before, after)]


@pytest.mark.parametrize(("old", "new"), list(product([None, *JobStatus], JobStatus)))
def test_an_end_is_told_of_when_the_status_becomes_it(
    old: JobStatus | None, new: JobStatus
) -> None:
    before = a_job(status=old) if old is not None else None
    wanted = [TOLD_OF_STATUS[new]] if new is not old and new in TOLD_OF_STATUS else []
    assert kinds(before, a_job(status=new)) == wanted


@pytest.mark.parametrize(("old", "new"), list(product(PushStatus, PushStatus)))
def test_a_push_is_told_of_when_its_status_becomes_an_end(old: PushStatus, new: PushStatus) -> None:
    before, after = a_kept_job(push=Push(status=old)), a_kept_job(push=Push(status=new))
    wanted = [TOLD_OF_PUSH[new]] if new is not old and new in TOLD_OF_PUSH else []
    assert kinds(before, after) == wanted


def test_a_job_that_is_made_at_its_end_is_told_of_too() -> None:
    assert kinds(None, a_completed_job()) == ["job.completed"]
    pushed = a_kept_job(push=Push(status=PushStatus.PUSHED))
    assert kinds(None, pushed) == ["job.completed", "job.pushed"]


def test_a_guess_that_comes_true_is_told_of_once_and_one_that_does_not_twice() -> None:
    guessed = a_job(status=JobStatus.FAILED, error_code="timed_out")
    assert kinds(guessed, replace(guessed, error_code="no_face")) == []
    assert kinds(guessed, a_completed_job()) == ["job.completed"]


@pytest.mark.parametrize("action", BulkAction)
def test_our_own_bulk_jobs_are_told_of_to_nobody(action: BulkAction) -> None:
    running = a_job(type=action.job_type, status=JobStatus.PROCESSING)
    assert kinds(running, replace(running, status=JobStatus.COMPLETED)) == []


def test_the_id_is_made_of_the_write_and_fits_the_signature_scheme() -> None:
    job = a_completed_job(version=7, updated_at=later(3))
    (notice,) = job_notices(a_dispatched_job(), job)
    assert notice.notice_id == f"{job.job_id}:7:job.completed"
    assert notice.webhook_id == f"{job.job_id}:7:job_completed"
    assert notice.at == later(3)
    assert job_notices(a_dispatched_job(), job) == (notice,)


def test_a_notice_is_thin_and_says_what_a_receiver_needs() -> None:
    job = a_completed_job(batch_id="b1", attempt={"credits": 2}, updated_at=later(3))
    (notice,) = job_notices(None, job)
    told = json.loads(notice.body)
    assert (told["type"], told["timestamp"]) == ("job.completed", "2026-11-22T12:00:03.000Z")
    data = told["data"]
    assert (data["id"], data["shop"], data["status"]) == (job.job_id, SHOP, "completed")
    assert (data["productId"], data["batchId"], data["creditsUsed"]) == (job.product_id, "b1", 2)
    # No links: they die, and whoever reads the job gets fresh ones. No parameters, no results.
    assert "http" not in notice.body
    assert "colour" not in notice.body


WIDE = "\U0001f600"


def test_the_largest_notice_stays_far_below_twenty_kilobytes() -> None:
    ids = dict.fromkeys(("type", "tool_id", "project_id", "batch_id", "agent_id"), WIDE * 128)
    texts = dict.fromkeys(("name", "product_title", "error_message"), WIDE * 5000)
    job = a_job(
        **ids,
        **texts,
        product_id="gid://shopify/Product/" + "9" * 20,
        provider=WIDE * 128,
        status=JobStatus.FAILED,
        error_code="x" * 200,
        push=Push(status=PushStatus.FAILED, error=WIDE * 5000, error_code="y" * 200),
    )
    for notice in job_notices(None, job):
        assert len(notice.body.encode()) < 16 * 1024


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), st.integers(0, 2**70))
def test_a_notice_is_json_whatever_people_wrote(name: str, cost: int) -> None:
    job = a_completed_job(name=name, attempt={"cost_micros": cost})
    (notice,) = job_notices(None, job)
    data = json.loads(notice.body)["data"]
    assert int(data["costMicros"]) == cost
    assert isinstance(data["costMicros"], str) is (cost > 2**53)
    assert len(data["name"] or "") <= 300


def test_everything_but_a_test_can_be_asked_for() -> None:
    assert set(CHOICES) == set(NoticeType) - {NoticeType.ENDPOINT_TEST}


# --- batches --------------------------------------------------------------------------


def test_the_end_of_a_batchs_job_or_of_their_making_is_a_reason_to_look_at_it() -> None:
    job = a_completed_job(batch_id="b1")
    assert batch_to_look_at(a_dispatched_job(batch_id="b1"), job) == "b1"
    assert batch_to_look_at(None, job) == "b1"
    assert batch_to_look_at(job, replace(job, push=Push(status=PushStatus.PUSHED))) is None
    assert batch_to_look_at(None, a_job(batch_id="b1")) is None
    assert batch_to_look_at(None, a_completed_job()) is None
    making = a_job(type="bulk.expand", status=JobStatus.PROCESSING)
    made = replace(making, status=JobStatus.COMPLETED)
    assert batch_to_look_at(making, made) == making.job_id
    other = replace(made, type="bulk.retry", batch_id="b1")
    assert batch_to_look_at(making, other) is None


def a_view(**tally: int) -> BatchView:
    batch = Batch(
        shop=SHOP, batch_id="b1", created_at=START, tool_id="t", total=4, name="Spring chairs"
    )
    making = a_job(
        type="bulk.expand",
        status=JobStatus.COMPLETED,
        started_at=later(1),
        completed_at=later(2),
        counts=Counts(total=4, processed=4, successful=4, failed=0),
    )
    sums = BatchSums(tally=Tally(**tally), jobs=4, ended_at=later(60))
    return BatchView(batch=batch, sums=sums, expansion=making)


def test_a_batch_is_told_of_by_its_exact_sums() -> None:
    notice = batch_notice(a_view(completed=3, failed=1, credits=7), later(60))
    assert notice == Notice(
        notice_id="b1:1:batch.finished",
        type=NoticeType.BATCH_FINISHED,
        shop=SHOP,
        at=later(60),
        batch_id="b1",
        data={
            "id": "b1",
            "shop": SHOP,
            "status": "partial",
            "name": "Spring chairs",
            "toolId": "t",
            "totalJobs": 4,
            "completedJobs": 3,
            "failedJobs": 1,
            "cancelledJobs": 0,
            "creditsUsed": 7,
            "costMicros": 0,
            "createdAt": "2026-11-22T12:00:00.000Z",
            "startedAt": "2026-11-22T12:00:01.000Z",
            "completedAt": "2026-11-22T12:01:00.000Z",
        },
    )
    assert not notice.is_of_one_in_many
    (one,) = job_notices(None, a_completed_job(batch_id="b1"))
    assert one.is_of_one_in_many
