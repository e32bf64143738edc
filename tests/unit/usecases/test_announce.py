"""Who is told what: webhooks once, the bus always, people as they wish, a batch in one digest."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.domain.bulk import BulkAction
from shared.domain.errors import InvariantError, RetryableError
from shared.domain.job import Job, Push
from shared.domain.notice_types import NoticeType
from shared.domain.shop import Shop
from shared.domain.status import JobStatus, PushStatus
from shared.usecases.batches import retry_batch
from shared.usecases.cancel_job import cancel_job
from shared.usecases.delete_job import delete_job
from shared.usecases.notice_ports import EndpointChange, JobChange
from tests.builders import OTHER_SHOP, SHOP, a_completed_job, a_dispatched_job, a_job, later
from tests.unit.usecases.notice_world import NoticeWorld, finished
from tests.unit.usecases.test_run_bulk import CALLER


@pytest.fixture
def world() -> NoticeWorld:
    return NoticeWorld()


def end(status: JobStatus) -> Callable[[Job], Job]:
    def make(job: Job) -> Job:
        message = "No face was found." if status is JobStatus.FAILED else None
        now = job.updated_at
        return replace(job, status=status, completed_at=now, error_message=message, due_at=None)

    return make


def test_a_jobs_end_goes_to_endpoints_bus_and_people(world: NoticeWorld) -> None:
    endpoint = world.endpoint()
    world.people()
    ref = world.has(a_dispatched_job())
    world.write(ref, end(JobStatus.FAILED))
    told = world.announce()
    assert [dict(one.notices) for one in told] == [{}, {NoticeType.JOB_FAILED: 1}]
    assert world.told() == [f"{ref.job_id}:2:job.failed"]
    (delivery,) = world.deliveries(endpoint)
    assert delivery.webhook_id == f"{ref.job_id}:2:job_failed"
    assert [request.ref.delivery_id for request, _ in world.outbox.delivers] == [
        delivery.delivery_id
    ]
    ((notice, letter),) = world.letters.sent
    assert (notice.notice_id, letter.subject) == (
        f"{ref.job_id}:2:job.failed",
        f'{SHOP}: "Blue mug" has failed',
    )


def test_looking_at_a_write_again_tells_nothing_under_another_id(world: NoticeWorld) -> None:
    endpoint = world.endpoint()
    world.has(a_completed_job())
    changes = list(world.stream)
    for _ in range(3):
        world.announce_again(changes)
    assert len(set(world.told())) == 1
    assert len(world.deliveries(endpoint)) == 1
    # Its message may have been lost with us: each look sends it once more.
    assert len({request for request, _ in world.outbox.delivers}) == 1


def test_every_endpoint_hears_what_it_asks_for_and_of_its_own_shop_only(
    world: NoticeWorld,
) -> None:
    failures = world.endpoint(1, types=(NoticeType.JOB_FAILED,))
    everything = world.endpoint(2)
    off = world.endpoint(3, is_enabled=False)
    others = world.endpoint(4, shop=OTHER_SHOP)
    world.has(a_completed_job(attempt={"provider_job_id": "pk_1"}))
    world.has(a_job(status=JobStatus.FAILED))
    world.has(a_job(shop=OTHER_SHOP, status=JobStatus.FAILED))
    world.announce()
    heard = {
        each.url: sorted(delivery.type.value for delivery in world.deliveries(each))
        for each in (failures, everything, off, others)
    }
    assert heard == {
        failures.url: ["job.failed"],
        everything.url: ["job.completed", "job.failed"],
        off.url: [],
        others.url: ["job.failed"],
    }
    assert [d.shop for d in world.deliveries(others)] == [OTHER_SHOP]
    assert SHOP not in world.deliveries(others)[0].body


def test_people_are_written_to_about_what_they_chose(world: NoticeWorld) -> None:
    world.people(NoticeType.JOB_PUSH_FAILED)
    job = a_completed_job()
    ref = world.has(job)
    world.write(ref, lambda found: replace(found, push=Push(status=PushStatus.FAILED, error="x")))
    world.announce()
    assert [notice.type for notice, _ in world.letters.sent] == [NoticeType.JOB_PUSH_FAILED]
    assert world.kinds() == ["job.completed", "job.push_failed"]


def test_a_shop_without_people_costs_no_letter(world: NoticeWorld) -> None:
    world.has(a_completed_job())
    world.letters.error = InvariantError("must not be called")
    world.announce()
    assert world.kinds() == ["job.completed"]


def test_a_message_that_cannot_be_sent_is_no_error_and_the_sweep_sends_it(
    world: NoticeWorld,
) -> None:
    endpoint = world.endpoint()
    world.has(a_completed_job())
    world.outbox.broken = True
    world.announce()
    (delivery,) = world.deliveries(endpoint)
    world.outbox.broken = False
    assert delivery.due_at is not None
    world.clock.set(delivery.due_at)
    assert world.sweep_deliveries().sent == 1
    assert [request.ref.delivery_id for request, _ in world.outbox.delivers] == [
        delivery.delivery_id
    ]


def test_a_bus_that_is_out_is_an_error_that_comes_again(world: NoticeWorld) -> None:
    endpoint = world.endpoint()
    world.has(a_completed_job())
    changes = list(world.stream)
    world.bus.error = RetryableError("out")
    with pytest.raises(RetryableError):
        world.announce_again(changes)
    world.bus.error = None
    world.announce_again(changes)
    assert world.kinds() == ["job.completed"]
    assert len(world.deliveries(endpoint)) == 1


def test_a_bug_of_ours_is_told_from_an_outage(
    world: NoticeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.has(a_completed_job())
    monkeypatch.setattr(world.bus, "put", lambda notices: notices[7])
    with pytest.raises(InvariantError):
        world.announce()


# --- batches --------------------------------------------------------------------------


def jobs_of(world: NoticeWorld, batch_id: str) -> list[Job]:
    found = [
        change.after
        for change in world.stream
        if isinstance(change, JobChange) and change.before is None
    ]
    return [job for job in found if job.batch_id == batch_id]


def test_a_batch_is_told_of_once_when_the_last_of_its_jobs_has_ended(world: NoticeWorld) -> None:
    world.people()
    ref = world.batch(4)
    world.finish(ref)
    jobs = jobs_of(world, ref.job_id)
    for number, job in enumerate(jobs):
        assert finished(world.bus) == []
        world.at(10 + number)
        world.write(job.ref, end(JobStatus.FAILED if number == 1 else JobStatus.COMPLETED))
        world.announce()
    (notice,) = finished(world.bus)
    assert notice.notice_id == f"{ref.job_id}:1:batch.finished"
    assert notice.data["status"] == "partial"
    assert (notice.data["completedJobs"], notice.data["failedJobs"]) == (3, 1)
    assert notice.data["totalJobs"] == 4
    # People get one digest, with what failed; programs get every job.
    ((digest, letter),) = world.letters.sent
    assert digest == notice
    assert "No face was found." in letter.text
    assert world.kinds().count("job.completed") == 3


def test_a_batch_that_ends_with_its_making_is_told_of_too(world: NoticeWorld) -> None:
    ref = world.batch(2)
    world.finish(ref)
    jobs = jobs_of(world, ref.job_id)
    for job in jobs:
        world.write(job.ref, end(JobStatus.COMPLETED))
    making, ends = world.stream[:-2], world.stream[-2:]
    # As if the making had ended last: its write is looked at after those of its jobs.
    world.announce_again([*ends, *making])
    (notice,) = finished(world.bus)
    assert notice.data["completedJobs"] == 2


def test_jobs_that_end_while_others_are_still_to_be_made_do_not_end_the_batch(
    world: NoticeWorld,
) -> None:
    ref = world.batch(101)
    world.run(ref)
    for job in jobs_of(world, ref.job_id):
        world.write(job.ref, end(JobStatus.COMPLETED))
    world.announce()
    assert finished(world.bus) == []
    world.finish(ref)
    (last,) = jobs_of(world, ref.job_id)
    world.write(last.ref, end(JobStatus.COMPLETED))
    world.announce()
    assert [notice.data["completedJobs"] for notice in finished(world.bus)] == [101]


def test_a_batch_that_was_told_of_is_not_told_of_again_after_a_retry(world: NoticeWorld) -> None:
    ref = world.batch(2)
    world.finish(ref)
    jobs = jobs_of(world, ref.job_id)
    for job in jobs:
        world.write(job.ref, end(JobStatus.FAILED))
    world.announce()
    retried = world.start(BulkAction.RETRY, batch_id=ref.job_id)
    world.finish(retried)
    for job in jobs:
        world.write(job.ref, end(JobStatus.COMPLETED))
    world.announce()
    assert len(finished(world.bus)) == 1


def test_a_batch_whose_making_is_retried_is_told_of_when_that_is_over_too(
    world: NoticeWorld,
) -> None:
    """Nothing could be made, which was told; what is made of it now is news."""
    world.shops.save_shop(None, Shop(shop=SHOP, budget_credits=0))
    ref = world.batch(2)
    world.finish(ref)
    world.announce()
    (first,) = finished(world.bus)
    assert (first.data["status"], first.data["failedJobs"]) == ("failed", 2)
    before = world.shops.get_shop(SHOP)
    world.shops.save_shop(before, replace(before or Shop(shop=SHOP), budget_credits=None))
    retry_batch(world.tracker, world.works, CALLER, ref.job_id)
    world.finish(ref)
    jobs = jobs_of(world, ref.job_id)
    for job in jobs:
        world.announce()
        assert len(finished(world.bus)) == 1
        world.write(job.ref, end(JobStatus.COMPLETED))
    changes = list(world.stream)
    world.announce()
    world.announce_again(changes)
    again = {notice.notice_id: notice for notice in finished(world.bus)}
    assert list(again) == [f"{ref.job_id}:{n}:batch.finished" for n in (1, 2)]
    assert again[f"{ref.job_id}:2:batch.finished"].data["completedJobs"] == 2


def test_a_crash_after_the_mark_tells_of_the_batch_when_the_write_comes_again(
    world: NoticeWorld,
) -> None:
    ref = world.batch(1)
    world.finish(ref)
    (job,) = jobs_of(world, ref.job_id)
    world.write(job.ref, end(JobStatus.COMPLETED))
    world.bus.error = RetryableError("out")
    changes = list(world.stream)
    with pytest.raises(RetryableError):
        world.announce_again(changes)
    world.bus.error = None
    world.announce_again(changes)
    world.announce_again(changes)
    assert {notice.notice_id for notice in finished(world.bus)} == {
        f"{ref.job_id}:1:batch.finished"
    }


def test_a_lagging_index_does_not_end_a_batch_too_early(
    world: NoticeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = world.batch(3)
    world.finish(ref)
    jobs = jobs_of(world, ref.job_id)
    sums = world.store.batch_sums

    def lagging(shop: str, batch_id: str) -> object:
        found = sums(shop, batch_id)
        return replace(found, jobs=found.tally.ended)  # as if the others were not made

    monkeypatch.setattr(world.store, "batch_sums", lagging)
    for job in jobs[:2]:
        world.write(job.ref, end(JobStatus.COMPLETED))
    world.announce()
    assert finished(world.bus) == []
    world.write(jobs[2].ref, end(JobStatus.COMPLETED))
    world.announce()
    assert [notice.data["completedJobs"] for notice in finished(world.bus)] == [3]


def test_jobs_that_were_deleted_after_their_end_do_not_keep_a_batch_open(
    world: NoticeWorld,
) -> None:
    ref = world.batch(3)
    world.finish(ref)
    jobs = jobs_of(world, ref.job_id)
    world.write(jobs[0].ref, end(JobStatus.COMPLETED))
    delete_job(world.tracker, world.files, jobs[0].ref)
    for job in jobs[1:]:
        world.write(job.ref, end(JobStatus.COMPLETED))
    world.announce()
    assert [notice.data["completedJobs"] for notice in finished(world.bus)] == [2]


def test_a_cancelled_batch_is_told_of_with_what_was_never_made(world: NoticeWorld) -> None:
    ref = world.batch(150)
    world.run(ref)
    cancel_job(world.tracker, CALLER, ref)
    world.run(ref)
    for job in jobs_of(world, ref.job_id):
        cancel_job(world.tracker, CALLER, job.ref)
    world.announce()
    (notice,) = finished(world.bus)
    assert (notice.data["status"], notice.data["cancelledJobs"]) == ("cancelled", 150)


def test_jobs_that_name_a_batch_of_nobody_end_none(world: NoticeWorld) -> None:
    world.has(a_completed_job(batch_id="my-own-name"))
    world.announce()
    assert world.kinds() == ["job.completed"]


# --- endpoints ------------------------------------------------------------------------


def test_people_hear_of_jobs_whose_batch_is_only_a_name(world: NoticeWorld) -> None:
    """No digest will ever tell of them."""
    world.people()
    ref = world.has(a_dispatched_job(batch_id="spring"))
    world.write(ref, end(JobStatus.FAILED))
    world.announce()
    assert [notice.type for notice, _ in world.letters.sent] == [NoticeType.JOB_FAILED]


def test_an_endpoint_that_we_disabled_is_told_of_to_people_and_other_endpoints(
    world: NoticeWorld,
) -> None:
    world.people(NoticeType.JOB_FAILED)
    dead, alive = world.endpoint(1), world.endpoint(2)
    world.has(a_completed_job())
    world.announce()
    world.posts.answer(410)
    world.deliver()
    world.announce()
    assert world.kinds() == ["job.completed", "endpoint.disabled"]
    assert world.told()[1] == f"{dead.endpoint_id}:2:endpoint.disabled"
    assert [delivery.type.value for delivery in world.deliveries(alive)][-1] == "endpoint.disabled"
    assert [notice.type for notice, _ in world.letters.sent] == [NoticeType.ENDPOINT_DISABLED]


def test_an_endpoint_that_its_owner_disables_is_told_of_to_nobody(world: NoticeWorld) -> None:
    endpoint = world.endpoint()
    off = replace(endpoint, is_enabled=False, disabled_at=later(1))
    world.announce_again([EndpointChange(before=endpoint, after=off)])
    assert world.kinds() == []
