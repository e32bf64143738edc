"""What must be true of a job that nobody is working on."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.audit import (
    SETTLED_AFTER,
    TOO_LATE,
    Difference,
    Evidence,
    Wrong,
    counter_differences,
    day_differences,
    evidence_differences,
    is_settled,
    name_differences,
    place_differences,
    recount,
    type_differences,
)
from shared.domain.budget import Spending
from shared.domain.duties import Duty, new_duty
from shared.domain.events import Link, LogEntry, Source
from shared.domain.ids import JobRef
from shared.domain.job import Attempt, Job, Push
from shared.domain.plan import Patience
from shared.domain.statistics import OTHER, TOOL, TYPE, Scope, Tally, total
from shared.domain.status import JobStatus, Outcome, PushStatus
from tests.builders import (
    OTHER_SHOP,
    SHOP,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_job_id,
    a_kept_job,
    a_kept_output,
    a_worker_job,
    later,
)
from tests.fakes.clock import START

PENDING, PROCESSING, COMPLETED = JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.COMPLETED


def wrong_in_place(job: Job, now_s: float = 1, misplaced: tuple[str, ...] = ()) -> list[Wrong]:
    found = place_differences(job, misplaced, later(now_s), Patience())
    return [each.wrong for each in found]


def an_entry(
    before: JobStatus | None, after: JobStatus | None, at_s: float = 0, **more: Any
) -> LogEntry:
    values: dict[str, Any] = {"source": Source.USER, "outcome": Outcome.APPLIED, "message": "x"}
    values |= {"entry_id": a_job_id(later(at_s)), "at": later(at_s), "attempt": 1}
    return LogEntry(**(values | {"from_status": before, "to_status": after} | more))


def wrong_by(job: Job, **evidence: Any) -> list[Wrong]:
    name = job.attempt.provider_job_id
    link = Link(provider="pikcel", provider_job_id=name or "", ref=job.ref, attempt=1)
    known: dict[str, Any] = {
        "entries": [an_entry(None, job.status)],
        "links": {name: link} if name else {},
        "files": {output.key for output in job.outputs},
    }
    return [each.wrong for each in evidence_differences(job, Evidence(**(known | evidence)))]


def test_a_job_that_was_written_within_minutes_is_not_judged() -> None:
    job = a_job()
    assert not is_settled(job, START + SETTLED_AFTER - timedelta(seconds=1))
    assert is_settled(job, START + SETTLED_AFTER)


# --- its own item --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "job",
    [
        a_job(),
        a_dispatched_job(),
        a_completed_job(),
        a_kept_job(),
        a_worker_job(),
        a_worker_job(status=PROCESSING, started_at=START),
        a_kept_job(push=Push(status=PushStatus.QUEUED, number=1)),
        new_duty(Duty.RETAIN, SHOP, a_job_id(), START, start_at=later(60)),
    ],
    ids=lambda job: f"{job.type}-{job.status}-{job.push.status}",
)
def test_sound_jobs_are_sound_and_lose_it_with_their_due_instant(job: Job) -> None:
    if job.due_at is not None:
        assert wrong_in_place(job) == []
        assert wrong_in_place(replace(job, due_at=None)) == [Wrong.NEVER_DUE]
        far = job.due_at + TOO_LATE + timedelta(minutes=10)
        assert wrong_in_place(replace(job, due_at=far)) == [Wrong.OVERDUE]
    elif job.type == Duty.RETAIN.job_type:
        assert wrong_in_place(job) == [Wrong.NEVER_DUE]  # not planned yet
    else:
        assert wrong_in_place(job) == []


def test_a_job_that_nobody_looked_at_for_an_hour_is_overdue() -> None:
    job = a_job()
    assert job.due_at is not None
    waited_s = (job.due_at - START + TOO_LATE).total_seconds()
    assert wrong_in_place(job, waited_s) == []
    assert wrong_in_place(job, waited_s + 1) == [Wrong.OVERDUE]


def test_a_long_wait_that_was_asked_for_is_no_difference() -> None:
    at = later(90 * 24 * 3600)
    scheduled = a_job(scheduled_at=at)
    assert scheduled.due_at == at
    assert wrong_in_place(scheduled) == []


def test_every_index_that_has_it_wrong_is_a_difference() -> None:
    assert wrong_in_place(a_job(), misplaced=("due_pk", "status_pk")) == [Wrong.MISPLACED] * 2


def test_an_end_has_its_instant_and_nothing_else_has() -> None:
    assert wrong_in_place(a_kept_job(completed_at=None)) == [Wrong.END]
    assert wrong_in_place(a_dispatched_job(completed_at=START)) == [Wrong.END]


def a_pushed_job(output: dict[str, Any], **push: Any) -> Job:
    return a_kept_job(
        outputs=(a_kept_output(push_status=PushStatus.PUSHED, **output),),
        push=Push(status=PushStatus.PUSHED, number=1, pushed_at=START, **push),
    )


def test_what_is_pushed_has_a_media() -> None:
    assert wrong_in_place(a_pushed_job({"media_id": "gid://shopify/MediaImage/1"})) == []
    assert wrong_in_place(a_pushed_job({})) == [Wrong.PUSH]
    # Taking it off found its file gone: it stays pushed, with a reason.
    assert wrong_in_place(a_pushed_job({}, error_code="media_gone", error="It is gone.")) == []


def test_a_result_on_its_way_is_somebodys_business() -> None:
    outputs = (a_kept_output(push_status=PushStatus.STAGING),)
    assert wrong_in_place(a_kept_job(outputs=outputs)) == [Wrong.PUSH]
    under_way = a_kept_job(outputs=outputs, push=Push(status=PushStatus.STAGING, number=1))
    assert wrong_in_place(under_way) == []


# --- what is stored beside it --------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "is_sound"),
    [
        ([an_entry(None, PENDING), an_entry(PENDING, COMPLETED, 9)], True),
        ([an_entry(PENDING, COMPLETED, 9), an_entry(COMPLETED, COMPLETED, 20)], True),
        # Written without a look at what happened meanwhile: it tells of no move.
        ([an_entry(PENDING, COMPLETED, 9), an_entry(PROCESSING, PROCESSING, 20)], True),
        # At the same moment, by two functions whose clocks differ a little.
        ([an_entry(PENDING, COMPLETED, 9), an_entry(None, PENDING, 11)], True),
        ([an_entry(None, PENDING)], False),
        ([an_entry(PENDING, COMPLETED, 9), an_entry(COMPLETED, PENDING, 60)], False),
        ([], False),
    ],
)
def test_an_end_is_on_the_timeline(entries: list[LogEntry], is_sound: bool) -> None:
    found = wrong_by(a_kept_job(), entries=entries)
    assert found == ([] if is_sound else [Wrong.TIMELINE])


def test_work_may_begin_without_a_word() -> None:
    assert wrong_by(a_dispatched_job(), entries=[an_entry(None, PENDING)]) == []
    ended = [an_entry(None, PENDING), an_entry(PENDING, JobStatus.FAILED, 9)]
    assert wrong_by(a_dispatched_job(), entries=ended) == [Wrong.TIMELINE]


def test_a_part_of_a_timeline_proves_no_absence() -> None:
    assert wrong_by(a_kept_job(), entries=[], is_whole=False) == []


def test_attempts_are_numbered_and_none_is_told_of_that_is_not_there() -> None:
    first, third = (Attempt(number=number, created_at=START) for number in (1, 3))
    assert wrong_by(a_job(attempts=(first, third))) == [Wrong.ATTEMPTS]
    told = [an_entry(None, PENDING, attempt=2)]
    assert wrong_by(a_job(), entries=told) == [Wrong.ATTEMPTS]


@pytest.mark.parametrize(
    ("booked", "said", "is_sound"),
    [(2, {2}, True), (2, {2, 3}, True), (None, {2}, False), (4, {2}, False), (4, set(), True)],
)
def test_what_a_delivery_charged_is_booked(
    booked: int | None, said: set[int], is_sound: bool
) -> None:
    job = a_kept_job(attempt={"credits": booked})
    found = wrong_by(job, charges={1: frozenset(said)})
    assert found == ([] if is_sound else [Wrong.COST])


def test_an_answer_that_came_first_may_have_charged_otherwise() -> None:
    charges = {1: frozenset({2})}
    polled = a_kept_job(attempt={"credits": 4}, polled_at=START)
    assert wrong_by(polled, charges=charges) == []
    answered = [an_entry(PROCESSING, COMPLETED, source=Source.DISPATCH)]
    assert wrong_by(a_kept_job(attempt={"credits": 4}), charges=charges, entries=answered) == []


def test_the_providers_id_leads_to_the_job() -> None:
    job = a_kept_job()
    own = Link(provider="pikcel", provider_job_id="pk_1", ref=job.ref, attempt=1)
    other = replace(own, ref=JobRef(OTHER_SHOP, a_job_id()))
    assert wrong_by(job, links={"pk_1": own}) == []
    for link in (None, replace(own, is_tombstone=True), replace(own, attempt=2), other):
        assert wrong_by(job, links={"pk_1": link}) == [Wrong.LINK]
    assert wrong_by(job, links={"pk_1": other}, elsewhere=frozenset({"pk_1"})) == []


def test_what_is_kept_is_in_the_bucket() -> None:
    assert wrong_by(a_kept_job(), files=frozenset()) == [Wrong.OUTPUT]
    shelved = a_worker_job(documents_key="shops/a/jobs/b/documents-1.json")
    assert wrong_by(shelved, files=frozenset()) == [Wrong.OUTPUT]
    assert wrong_by(shelved, files=frozenset({shelved.documents_key})) == []


def test_of_our_own_bulk_jobs_no_timeline_is_wanted() -> None:
    assert wrong_by(new_duty(Duty.RESUME, SHOP, a_job_id(), START), entries=[]) == []


# --- counters ------------------------------------------------------------------------------

ALL = Scope(name=f"SHOP#{SHOP}", bucket="ALL")
SPRING = Scope(name=f"PROJECT#{SHOP}", bucket="spring")


def jobs() -> list[Job]:
    charged = a_kept_job(attempt={"credits": 2, "reserved_credits": 3}, project_id="spring")
    return [charged, a_kept_job(attempt={"credits": 1}), a_job(), a_worker_job()]


def test_counters_that_equal_a_recount_are_right() -> None:
    found = recount(jobs(), is_whole=True)
    assert (found.tallies[ALL].completed, found.tallies[ALL].credits) == (2, 3)
    assert counter_differences(found, found.tallies, {}) == []


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("off", [Tally(completed=1), Tally(credits=-1)])
def test_a_counter_that_is_off_is_told_with_by_how_much(off: Tally, is_whole: bool) -> None:
    found = recount(jobs(), is_whole=is_whole)
    counted = dict(found.tallies) | {SPRING: found.tallies[SPRING] + off}
    told = [each.what for each in counter_differences(found, counted, {})]
    if off.completed and not is_whole:
        assert told == []  # the rest of the shop's jobs may be in it
    else:
        amount = "completed +1" if off.completed else "credits -1"
        assert told == [f"PROJECT#{SHOP} spring: {amount}."]


def test_a_counter_of_nothing_is_told_if_all_was_counted() -> None:
    found = recount([], is_whole=True)
    assert len(counter_differences(found, {ALL: Tally(failed=1)}, {})) == 1
    assert counter_differences(recount([], is_whole=False), {ALL: Tally(failed=1)}, {}) == []


@pytest.mark.parametrize(("spent", "is_sound"), [(2, True), (9, True), (1, False)])
def test_a_month_has_no_less_than_its_attempts_took(spent: int, is_sound: bool) -> None:
    found = recount(jobs(), is_whole=True)
    months = {"2026-11": Spending(credits=spent)}
    told = counter_differences(found, found.tallies, months)
    wanted = Difference(Wrong.BUDGET, "2026-11: credits -1, cost +0.")
    assert told == ([] if is_sound else [wanted])


TOOLS, TYPES = ("2026-11-22", TOOL), ("2026-11-22", TYPE)


def test_statistics_by_tool_and_by_type_that_equal_a_recount_are_right() -> None:
    found = recount(jobs(), is_whole=True)
    assert {day for day, _ in found.names} == {"2026-11-22"}
    assert name_differences(found, found.names) == []
    assert sum(tally.completed for tally in found.names[TYPES].values()) == 2


@pytest.mark.parametrize("day", [TOOLS, TYPES])
def test_a_name_that_is_counted_too_often_or_not_at_all_is_told(day: tuple[str, str]) -> None:
    found = recount(jobs(), is_whole=True)
    (name,) = found.names[day]
    more = dict(found.names) | {day: {name: found.names[day][name] + Tally(failed=1)}}
    assert [each.what for each in name_differences(found, more)] == [
        f"2026-11-22 by {day[1]}, {name}: failed +1."
    ]
    assert len(name_differences(found, dict(found.names) | {day: {}})) == 1


def test_of_some_jobs_a_name_may_count_more_and_never_less() -> None:
    some = recount(jobs(), is_whole=False)
    (name,) = some.names[TYPES]
    for off, is_sound in ((Tally(completed=1), True), (Tally(completed=-1), False)):
        counted = dict(some.names) | {TYPES: {name: some.names[TYPES][name] + off}}
        assert (name_differences(some, counted) == []) is is_sound


def test_names_that_a_day_has_no_room_for_are_compared_in_sum() -> None:
    found = recount(jobs(), is_whole=True)
    summed = dict(found.names) | {TYPES: {OTHER: total(found.names[TYPES].values())}}
    assert name_differences(found, summed) == []
    less = dict(found.names) | {TYPES: {OTHER: Tally(completed=1)}}
    assert len(name_differences(found, less)) == 1


def test_a_day_is_the_sum_of_its_types() -> None:
    day = {"ALL": Tally(failed=9), "DAY#2026-11-22": Tally(failed=2)}
    types = {"image": Tally(failed=1), OTHER: Tally(failed=1)}
    assert type_differences(day, {TYPES: types}) == []
    (told,) = type_differences(day, {TYPES: {"image": Tally(failed=1)}, TOOLS: types})
    assert told.what == "The types of 2026-11-22: failed -1."


def test_all_is_the_sum_of_the_days() -> None:
    days = {"DAY#2026-11-21": Tally(failed=2), "DAY#2026-11-22": Tally(completed=1)}
    assert day_differences(days | {"ALL": Tally(failed=2, completed=1)}) == []
    (told,) = day_differences(days | {"ALL": Tally(failed=2)})
    assert told.what == "ALL and its days: completed -1."
