"""Entries as lines on their job: what fits is read as it was, whatever else is refused."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import LogEntry, Proof, Source
from shared.domain.ids import change_id
from shared.domain.job import Job
from shared.domain.status import JobStatus, Outcome
from shared.gateways.dynamo_notes import (
    _SOURCES,
    _STATUSES,
    MAX_NOTES_BYTES,
    SENTENCES,
    note_of,
    read_note,
    rewritten,
)
from tests.builders import a_dispatched_job, later


def an_entry(job: Job, **changes: Any) -> LogEntry:
    """Return the entry of the change that made the job's version."""
    at = changes.get("at", later(31))
    values: dict[str, Any] = {
        "entry_id": change_id(job.job_id, job.version, at),
        "at": at,
        "source": Source.DISPATCH,
        "outcome": Outcome.NOTED,
        "message": "1 result is kept.",
        "attempt": 1,
        "from_status": JobStatus.COMPLETED,
        "to_status": JobStatus.COMPLETED,
    }
    return LogEntry(**(values | changes))


TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "",
        " ",
        "-",
        "~k",
        "~hpending",
        "a b",
        "two\nlines",
        "The provider has the job as pk_1 and says .",
    ]
)


@given(
    version=st.integers(1, 10_000),
    seconds=st.floats(-10, 10_000_000),
    source=st.sampled_from(Source),
    outcome=st.sampled_from(Outcome),
    message=TEXTS,
    actor=st.none() | TEXTS,
    attempt=st.none() | st.integers(1, 30),
    statuses=st.tuples(st.sampled_from([None, *JobStatus]), st.sampled_from([None, *JobStatus])),
    proof=st.sampled_from([None, *Proof]),
)
def test_a_line_says_all_that_the_entry_says(
    version: int,
    seconds: float,
    source: Source,
    outcome: Outcome,
    message: str,
    actor: str | None,
    attempt: int | None,
    statuses: tuple[JobStatus | None, JobStatus | None],
    proof: Proof | None,
) -> None:
    job = a_dispatched_job(version=version)
    entry = an_entry(
        job,
        at=later(seconds),
        source=source,
        outcome=outcome,
        message=message,
        actor=actor,
        attempt=attempt,
        from_status=statuses[0],
        to_status=statuses[1],
        proof=proof,
    )
    line = note_of(job, entry)
    assert line is None or read_note(job, line) == entry


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {
                "source": Source.ADMIN,
                "outcome": Outcome.APPLIED,
                "message": "Created for pikcel.",
                "actor": "admin:6d843254",
                "from_status": None,
                "to_status": JobStatus.PENDING,
                "at": later(0),
            },
            "7 0 aa--p1 admin:6d843254 ~c",
        ),
        (
            {
                "message": "The provider has the job as pk_1 and says pending.",
                "proof": Proof.POLL,
                "from_status": JobStatus.PENDING,
                "to_status": JobStatus.PENDING,
            },
            "7 31000000 dnqpp1 - ~hpending",
        ),
        ({}, "7 31000000 dn-cc1 - ~k"),
        ({"message": "Something else."}, "7 31000000 dn-cc1 - Something else."),
    ],
)
def test_what_is_said_of_every_job_takes_little_room(changes: dict[str, Any], line: str) -> None:
    job = a_dispatched_job(version=7)
    assert note_of(job, an_entry(job, **changes)) == line


@pytest.mark.parametrize(
    "changes",
    [
        {"body_sha256": "ab" * 32},
        {"body": b"{}"},
        {"payload": b"{}"},
        {"payload_key": "a/key"},
        {"native_status": "thinking"},
        {"outcome": Outcome.DUPLICATE},
        {"entry_id": "019b76da-a800-7000-8000-000000000000"},
        {"attempt": None},
        {"message": "x" * (MAX_NOTES_BYTES + 1)},
        {"message": "two\nlines"},
        {"message": "~k"},
        {"actor": "two words"},
        {"actor": "-"},
    ],
)
def test_what_a_line_cannot_say_is_an_item_of_its_own(changes: dict[str, Any]) -> None:
    job = a_dispatched_job()
    assert note_of(job, an_entry(job, **changes)) is None


def test_a_job_takes_only_so_many() -> None:
    job = a_dispatched_job()
    while (line := note_of(job, an_entry(job))) is not None:
        job = replace(job, version=job.version + 1, notes=(*job.notes, line))
    assert MAX_NOTES_BYTES - 30 < len("\n".join(job.notes)) <= MAX_NOTES_BYTES


def test_a_line_says_what_it_said_when_the_job_says_something_else() -> None:
    job = a_dispatched_job()
    entry = an_entry(job, message="The provider has the job as pk_1 and says pending.")
    line = note_of(job, entry)
    assert line is not None
    other = job.with_attempt(replace(job.attempt, provider_job_id=None))
    (kept,) = rewritten([line], job, other)
    assert read_note(other, kept) == entry
    assert rewritten([line], job, replace(job, name="New")) == (line,)


def test_every_letter_is_one_things_alone() -> None:
    for letters in (_SOURCES, _STATUSES):
        assert len(set(letters.values())) == len(letters)
    assert set(_SOURCES) == set(Source)
    assert set(_STATUSES) == {None, *JobStatus}
    assert all(len(sign) == 2 for sign in SENTENCES)
