"""JobStore: the timeline of a job."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from shared.domain.errors import NotFoundError, VersionConflictError
from shared.domain.events import LogEntry, Proof, Source
from shared.domain.filters import LogFilter
from shared.domain.ids import JobRef, change_id
from shared.domain.job import Job
from shared.domain.status import JobStatus, Outcome
from shared.gateways.store_rules import MAX_LOG_ENTRIES
from shared.usecases.ports import JobStore
from tests.builders import OTHER_SHOP, SHOP, a_completed_job, a_job, a_job_id, later
from tests.contract.entries import an_entry
from tests.fakes.clock import START, FakeClock


def test_an_entry_is_read_back_as_it_was_said(store: JobStore) -> None:
    entry = an_entry(
        START.replace(microsecond=123456),
        source=Source.ADMIN,
        outcome=Outcome.REFUSED,
        actor="key 1a2b",
        attempt=2,
        from_status=JobStatus.FAILED,
        to_status=JobStatus.PENDING,
        proof=Proof.BODY_TIME,
        body_sha256="ab" * 32,
        message="Grüße, 図",
        native_status="MATCHING_FAILED",
    )
    job = store.create(a_job(), entry=entry)
    assert store.log(job.ref, limit=10).entries == (entry,)
    assert store.entry(job.ref, entry.entry_id) == entry


def test_the_timeline_is_read_newest_first_a_page_at_a_time(store: JobStore) -> None:
    entries = [an_entry(later(n)) for n in range(5)]
    job = store.create(a_job(), entry=entries[0])
    job = store.save(job, replace(job, name="New"), entry=entries[1])
    for entry in entries[2:]:
        store.note(job.ref, entry)
    first = store.log(job.ref, limit=3)
    second = store.log(job.ref, limit=3, position=first.position)
    assert list(first.entries + second.entries) == entries[::-1]
    assert second.position is None
    assert first.dropped == 0


def test_a_page_that_holds_all_has_no_next_one(store: JobStore) -> None:
    job = store.create(a_job(), entry=an_entry())
    store.note(job.ref, an_entry())
    assert store.log(job.ref, limit=2).position is None


def test_a_note_does_not_change_the_job(store: JobStore) -> None:
    job = store.create(a_job())
    store.note(job.ref, an_entry())
    assert store.get(job.ref) == job
    assert store.save(job, replace(job, name="New")).name == "New"


def test_a_note_for_a_job_that_is_gone_does_nothing(store: JobStore) -> None:
    ref = JobRef(SHOP, a_job_id())
    store.note(ref, an_entry(body=b"raw"))
    assert store.log(ref, limit=10).entries == ()
    with pytest.raises(NotFoundError):
        store.get(ref)


def test_another_shop_reads_an_empty_timeline(store: JobStore) -> None:
    job = store.create(a_job(), entry=an_entry())
    assert store.log(JobRef(OTHER_SHOP, job.job_id), limit=10).entries == ()


def test_a_raw_delivery_is_kept_beside_its_entry_for_thirty_days(
    store: JobStore, clock: FakeClock
) -> None:
    entry = an_entry(body=b'{"id": "pk_1"}', body_sha256="ab" * 32)
    job = store.create(a_job(), entry=entry)
    assert store.body(job.ref, entry.entry_id) == b'{"id": "pk_1"}'
    assert store.log(job.ref, limit=1).entries == (replace(entry, body=None, has_body=True),)
    clock.advance(30 * 86_400 - 1)
    assert store.body(job.ref, entry.entry_id) is not None
    clock.advance(1)
    assert store.body(job.ref, entry.entry_id) is None
    assert store.log(job.ref, limit=1).entries == (replace(entry, body=None),)


def test_a_raw_delivery_over_16_kb_gzipped_is_known_by_its_digest_only(store: JobStore) -> None:
    noise = random.Random(1).randbytes(16 * 1024)
    entry = an_entry(body=noise, body_sha256="cd" * 32)
    job = store.create(a_job(), entry=entry)
    assert store.body(job.ref, entry.entry_id) is None
    (read,) = store.log(job.ref, limit=1).entries
    assert (read.body_sha256, read.has_body) == ("cd" * 32, False)


def test_a_large_delivery_that_packs_well_is_kept(store: JobStore) -> None:
    entry = an_entry(body=b" " * 200_000)
    job = store.create(a_job(), entry=entry)
    assert store.body(job.ref, entry.entry_id) == b" " * 200_000


def test_an_entry_without_a_delivery_has_none(store: JobStore) -> None:
    entry = an_entry()
    job = store.create(a_job(), entry=entry)
    assert store.body(job.ref, entry.entry_id) is None


def test_a_payload_is_kept_beside_its_entry_as_long_as_the_job(
    store: JobStore, clock: FakeClock
) -> None:
    entry = an_entry(later(1), payload=b'{"request":{"a":1}}', native_status="ASSIGNED")
    job = store.create(a_job(), entry=an_entry())
    assert store.note(job.ref, entry) is True
    clock.advance(400 * 86_400)
    assert store.payload(job.ref, entry.entry_id) == b'{"request":{"a":1}}'
    kept = replace(entry, payload=None, has_payload=True)
    assert store.entry(job.ref, entry.entry_id) == kept
    assert store.log(job.ref, limit=1).entries == (kept,)
    assert store.payload(JobRef(OTHER_SHOP, job.job_id), entry.entry_id) is None
    assert store.entry(JobRef(OTHER_SHOP, job.job_id), entry.entry_id) is None


def test_a_payload_in_the_bucket_is_known_by_its_key(store: JobStore) -> None:
    entry = an_entry(later(1), payload_key="shops/s/jobs/j/logs/1.json")
    job = store.create(a_completed_job(), entry=an_entry(payload=b"{}"))
    store.note(job.ref, entry)
    (read, _) = store.log(job.ref, limit=2).entries
    assert read == replace(entry, has_payload=True)
    assert store.payload(job.ref, entry.entry_id) is None
    assert store.log_files(job.ref) == ["shops/s/jobs/j/logs/1.json"]
    assert store.delete(job) == ["shops/s/jobs/j/logs/1.json"]
    assert store.log_files(job.ref) == []


def test_an_entry_with_body_and_payload_is_one_of_many_only(store: JobStore) -> None:
    job = store.create(a_job(), entry=an_entry(body=b"raw", payload=b"{}"))
    store.note(job.ref, an_entry(body=b"raw", payload=b"{}"))
    page = store.log(job.ref, limit=1)
    assert len(page.entries) == 1
    rest = store.log(job.ref, limit=5, position=page.position)
    assert (len(rest.entries), rest.position) == (1, None)


def test_entries_are_filtered_before_the_limit(store: JobStore) -> None:
    sources = [Source.USER, Source.WORKER, Source.WORKER, Source.POLL, Source.WORKER]
    actors = ["user:1", "agent:a", "agent:b", None, "agent:a"]
    entries = [
        an_entry(later(n), source=source, actor=actor)
        for n, (source, actor) in enumerate(zip(sources, actors, strict=True))
    ]
    job = store.create(a_job(), entry=entries[0])
    for entry in entries[1:]:
        store.note(job.ref, entry)
    wanted = LogFilter(source=Source.WORKER)
    first = store.log(job.ref, limit=2, wanted=wanted)
    second = store.log(job.ref, limit=2, wanted=wanted, position=first.position)
    assert first.entries + second.entries == (entries[4], entries[2], entries[1])
    assert second.position is None
    own = store.log(job.ref, limit=9, wanted=LogFilter(actor="a")).entries
    assert own == (entries[4], entries[1])
    assert store.log(job.ref, limit=9, wanted=LogFilter(actor="agent:b")).entries == (entries[2],)
    neither = LogFilter(source=Source.USER, actor="a")
    assert store.log(job.ref, limit=9, wanted=neither).entries == ()


def test_a_note_says_whether_it_is_kept(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tests.fakes.memory", "shared.gateways.dynamo_jobs"):
        monkeypatch.setattr(f"{module}.MAX_LOG_ENTRIES", 1)
    job = store.create(a_job())
    assert store.note(job.ref, an_entry()) is True
    late = an_entry(payload=b"{}")
    assert store.note(job.ref, late) is False
    assert store.entry(job.ref, late.entry_id) is None
    assert store.payload(job.ref, late.entry_id) is None
    assert store.note(JobRef(SHOP, a_job_id()), an_entry()) is False


def test_beyond_the_cap_entries_are_counted_and_changes_still_saved(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tests.fakes.memory", "shared.gateways.dynamo_jobs"):
        monkeypatch.setattr(f"{module}.MAX_LOG_ENTRIES", 3)
    job = store.create(a_job(), entry=an_entry())
    for _ in range(3):
        store.note(job.ref, an_entry())
    ended = store.save(job, a_completed_job(job_id=job.job_id), entry=an_entry(body=b"raw"))
    ended = store.save(ended, replace(ended, name="New"), entry=an_entry())
    page = store.log(job.ref, limit=10)
    assert (len(page.entries), page.dropped) == (3, 3)
    assert store.get(job.ref) == ended
    assert store.find_link("pikcel", "pk_1") is not None
    assert store.tally(f"SHOP#{SHOP}", "ALL").completed == 1


def test_five_hundred_entries_are_kept() -> None:
    assert MAX_LOG_ENTRIES == 500


# --- entries of changes, which may lie on the job itself -----------------------------------


def a_change(job: Job, version: int, **changes: object) -> LogEntry:
    """Return the entry of the change that makes a version of the job."""
    at = later(version)
    entry_id = change_id(job.job_id, version, at)
    return an_entry(at, entry_id=entry_id, source=Source.DISPATCH, **changes)


def a_job_with_changes(store: JobStore, count: int) -> tuple[Job, list[LogEntry]]:
    """Create a job and change it, each with an entry, and a remark after each."""
    entries: list[LogEntry] = []
    job = a_job()
    for version in range(1, count + 1):
        entry = a_change(job, version, message=f"Change {version}.")
        if version == 1:
            job = store.create(job, entry=entry)
        else:
            job = store.save(job, replace(job, name=f"Name {version}"), entry=entry)
        remark = an_entry(later(version + 0.5), message=f"Remark {version}.")
        store.note(job.ref, remark)
        entries += [entry, remark]
    return job, entries[::-1]


@pytest.mark.parametrize("count", [2, 20])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_entries_of_changes_and_others_are_one_timeline(
    store: JobStore, count: int, limit: int
) -> None:
    job, entries = a_job_with_changes(store, count)
    found: list[LogEntry] = []
    position = None
    while True:
        page = store.log(job.ref, limit=limit, position=position)
        assert len(page.entries) <= limit
        found += page.entries
        position = page.position
        if position is None:
            break
    assert found == entries
    assert [store.entry(job.ref, entry.entry_id) for entry in entries] == entries
    assert store.get(job.ref) == job


def test_entries_of_changes_are_filtered_as_others_are(store: JobStore) -> None:
    job, entries = a_job_with_changes(store, 3)
    wanted = LogFilter(source=Source.DISPATCH)
    assert store.log(job.ref, limit=10, wanted=wanted).entries == tuple(entries[1::2])


def test_an_entry_of_a_change_goes_with_its_job(store: JobStore) -> None:
    job, entries = a_job_with_changes(store, 2)
    store.delete(store.get(job.ref))
    assert store.log(job.ref, limit=10).entries == ()
    assert store.entry(job.ref, entries[-1].entry_id) is None


def test_a_full_timeline_only_counts_the_entry_of_a_change(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("tests.fakes.memory", "shared.gateways.dynamo_jobs"):
        monkeypatch.setattr(f"{module}.MAX_LOG_ENTRIES", 2)
    job = store.create(a_job())
    for _ in range(2):
        store.note(job.ref, an_entry())
    saved = store.save(job, replace(job, name="New"), entry=a_change(job, 2))
    assert store.get(job.ref) == saved
    page = store.log(job.ref, limit=10)
    assert (len(page.entries), page.dropped) == (2, 1)


def test_the_loser_of_two_changes_leaves_no_entry(store: JobStore) -> None:
    job = store.create(a_job())
    won = a_change(job, 2, message="Won.")
    store.save(job, replace(job, name="First"), entry=won)
    with pytest.raises(VersionConflictError):
        store.save(job, replace(job, name="Second"), entry=a_change(job, 2, message="Lost."))
    assert store.log(job.ref, limit=10).entries == (won,)
