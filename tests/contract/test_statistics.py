"""JobStore: exact statistics, whatever happens to the jobs that they sum."""

from __future__ import annotations

from dataclasses import replace

from shared.domain import lifecycle
from shared.domain.job import Job
from shared.domain.statistics import Tally
from shared.domain.status import JobStatus
from shared.usecases.ports import JobStore
from tests.builders import OTHER_SHOP, SHOP, a_completed_job, a_dispatched_job, a_job, later
from tests.fakes.clock import START

DAY = 86_400
ALL = f"SHOP#{SHOP}"


def a_charged_job(**changes: object) -> Job:
    """Return a completed job that took 9 s and cost 2 credits."""
    job = a_completed_job(**changes)
    return job.with_attempt(replace(job.attempt, credits=2, cost_micros=50, processing_ms=9000))


CHARGED = Tally(completed=1, processing_ms=9000, timed=1, credits=2, cost_micros=50)


def end(store: JobStore, number: int, **changes: object) -> Job:
    """Create a job with a provider id of its own and end it."""
    attempt = {"provider_job_id": f"pk_{number}"}
    job = store.create(a_dispatched_job(attempt=attempt, **changes))
    return store.save(job, a_charged_job(job_id=job.job_id, attempt=attempt, **changes))


def test_active_jobs_are_not_summed(store: JobStore) -> None:
    store.create(a_job())
    assert store.tally(ALL, "ALL") == Tally()
    assert store.tallies(ALL) == {}
    assert store.days(SHOP, "2026-01-01", "2026-12-31") == []


def test_an_ended_job_is_counted_in_every_scope_it_belongs_to(store: JobStore) -> None:
    end(store, 1, project_id="p", batch_id="b")
    assert store.tally(ALL, "ALL") == CHARGED
    assert store.tally(ALL, "DAY#2026-11-22") == CHARGED
    assert store.tally(f"PROJECT#{SHOP}", "p") == CHARGED
    assert store.tally(f"BATCH#{SHOP}", "b") == CHARGED


def test_a_job_that_was_made_ended_is_counted(store: JobStore) -> None:
    store.create(a_charged_job())
    assert store.tally(ALL, "ALL") == CHARGED


def test_what_failed_attempts_cost_moves_with_the_job(store: JobStore) -> None:
    job = store.create(a_dispatched_job())
    paid = job.with_attempt(replace(job.attempt, credits=2, cost_micros=50))
    failed = replace(paid, status=JobStatus.FAILED, completed_at=later(9))
    job = store.save(job, failed)
    sums = store.tally(ALL, "ALL")
    assert (sums.failed_credits, sums.failed_cost_micros) == (2, 50)
    assert sums.of(JobStatus.FAILED) == sums
    job = store.save(job, lifecycle.retry(job, START))
    assert store.tally(ALL, "ALL") == Tally()
    job = store.save(job, replace(job, status=JobStatus.COMPLETED, completed_at=later(20)))
    sums = store.tally(ALL, "ALL")
    assert sums == Tally(completed=1, credits=2, cost_micros=50) == sums.of(JobStatus.COMPLETED)
    job = store.save(job, replace(job, status=JobStatus.CANCELLED))
    cancelled = store.tally(ALL, "ALL")
    assert (cancelled.cancelled_credits, cancelled.cancelled_cost_micros) == (2, 50)
    assert cancelled.of(JobStatus.COMPLETED) == cancelled.of(JobStatus.PENDING) == Tally()


def test_a_cost_that_arrives_late_is_added_once(store: JobStore) -> None:
    job = end(store, 1)
    job = store.save(job, job.with_attempt(replace(job.attempt, credits=7)))
    store.save(job, replace(job, name="New"))
    assert store.tally(ALL, "ALL") == replace(CHARGED, credits=7)


def test_a_reopened_job_is_taken_out_and_counted_anew_on_its_new_day(store: JobStore) -> None:
    job = store.create(a_dispatched_job(project_id="p"))
    job = store.save(job, lifecycle.fail_dispatch(job, "no", "No.", START))
    assert store.tally(ALL, "ALL") == Tally(failed=1)
    job = store.save(job, lifecycle.retry(job, later(60)))
    assert store.tallies(ALL) == {}
    assert store.tallies(f"PROJECT#{SHOP}") == {}
    store.save(job, lifecycle.cancel(job, later(DAY)))
    found = store.days(SHOP, "2026-11-01", "2026-11-30")
    assert [(day.date, day.tally) for day in found] == [("2026-11-23", Tally(cancelled=1))]


def test_deletion_lowers_every_scope(store: JobStore) -> None:
    kept, gone = end(store, 1, project_id="p"), end(store, 2, project_id="p")
    store.delete(gone)
    assert store.tally(ALL, "ALL") == CHARGED
    assert store.tally(f"PROJECT#{SHOP}", "p") == CHARGED
    (day,) = store.days(SHOP, "2026-11-22", "2026-11-22")
    assert (day.tally, day.by_tool, day.by_type) == (
        CHARGED,
        {"background-removal": CHARGED},
        {"image": CHARGED},
    )
    store.delete(kept)
    assert store.days(SHOP, "2026-11-22", "2026-11-22") == []


def test_projects_are_told_apart_whatever_their_names(store: JobStore) -> None:
    for number, project in enumerate(["a", "a", "a#0", "a#b", "b"]):
        end(store, number, project_id=project)
    counted = {name: tally.ended for name, tally in store.tallies(f"PROJECT#{SHOP}").items()}
    assert counted == {"a": 2, "a#0": 1, "a#b": 1, "b": 1}
    assert store.tally(f"PROJECT#{SHOP}", "a").ended == 2
    assert store.tally(f"PROJECT#{SHOP}", "c") == Tally()


def test_shops_are_summed_apart(store: JobStore) -> None:
    end(store, 1)
    assert store.tally(f"SHOP#{OTHER_SHOP}", "ALL") == Tally()
    assert store.days(OTHER_SHOP, "2026-01-01", "2026-12-31") == []


def test_days_are_read_from_the_first_to_the_last_in_order(store: JobStore) -> None:
    for number, days_later in enumerate((2, 0, 1, 3)):
        end(store, number, completed_at=later(days_later * DAY))
    found = store.days(SHOP, "2026-11-23", "2026-11-24")
    assert [day.date for day in found] == ["2026-11-23", "2026-11-24"]


def test_a_day_counts_by_tool_and_by_type(store: JobStore) -> None:
    end(store, 1, tool_id="up#scale", type="image")
    end(store, 2, tool_id="up#scale", type="video")
    end(store, 3, tool_id=None, type="sync")
    (day,) = store.days(SHOP, "2026-11-22", "2026-11-22")
    assert day.by_tool == {"up#scale": CHARGED + CHARGED}
    assert day.by_type == dict.fromkeys(("image", "video", "sync"), CHARGED)


def test_a_day_names_twenty_tools_and_counts_the_rest_as_other(store: JobStore) -> None:
    jobs = [end(store, n, tool_id=f"tool-{n:02}", type=f"type-{n:02}") for n in range(23)]
    (day,) = store.days(SHOP, "2026-11-22", "2026-11-22")
    for names, word in ((day.by_tool, "tool"), (day.by_type, "type")):
        assert set(names) == {*(f"{word}-{n:02}" for n in range(20)), "other"}
        assert names["other"].ended == 3
    for job in jobs[20:]:
        store.delete(job)
    (day,) = store.days(SHOP, "2026-11-22", "2026-11-22")
    assert "other" not in day.by_tool
    assert sum(tally.ended for tally in day.by_type.values()) == 20


def test_a_tool_that_is_counted_already_is_named_on_a_full_day(store: JobStore) -> None:
    for n in range(20):
        end(store, n, tool_id=f"tool-{n:02}")
    end(store, 20, tool_id="tool-07")
    (day,) = store.days(SHOP, "2026-11-22", "2026-11-22")
    assert day.by_tool["tool-07"].ended == 2
    assert "other" not in day.by_tool


def test_a_job_counted_as_other_is_taken_off_there_when_it_reopens(store: JobStore) -> None:
    for n in range(20):
        end(store, n, tool_id=f"tool-{n:02}")
    job = store.create(a_dispatched_job(tool_id="tool-99", attempt={"provider_job_id": "x"}))
    job = store.save(job, lifecycle.cancel(job, START))
    job = store.save(job, job.with_attempt(replace(job.attempt, credits=3)))
    (day,) = store.days(SHOP, "2026-11-22", "2026-11-22")
    assert day.by_tool["other"] == Tally(cancelled=1, credits=3, cancelled_credits=3)
    job = store.save(job, lifecycle.retry(job, START))
    assert (job.counted_tool, job.counted_type) == (None, None)
    (day,) = store.days(SHOP, "2026-11-22", "2026-11-22")
    assert "other" not in day.by_tool


def test_our_own_bulk_jobs_are_in_no_statistics(store: JobStore) -> None:
    job = store.create(a_job(type="bulk.retry", status=JobStatus.PROCESSING))
    assert store.count_active(SHOP) == (0, 0)
    store.save(job, lifecycle.cancel(job, START))
    assert store.tallies(ALL) == {}


def test_active_jobs_are_counted_by_status(store: JobStore) -> None:
    for _ in range(2):
        store.create(a_job())
    store.create(a_dispatched_job())
    store.create(a_job(shop=OTHER_SHOP))
    assert store.count_active(SHOP) == (2, 1)
    assert store.count_processing(SHOP) == 1
