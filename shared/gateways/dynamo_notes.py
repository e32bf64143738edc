"""Entries of a timeline that lie on their job's own item, a line of text each.

An entry apart makes a write a transaction: four units instead of one. So the short ones that a
job's change brings with it (created, at the provider, kept, pushed) lie on its item, as long as
there are few; whatever has a raw delivery or a payload, and what changes nothing, is an item of
its own.

Shape: `{version} {microseconds} {letters}{attempt} {actor} {words}`; the version of the job that
the change made, from which with the instant the entry's id follows; the instant, counted from the
job's creation; letters for source, outcome, proof, status before and after; `-` where there is
none; and as words the message, or one of `SENTENCES` by its sign. Example:
`7 31412000 dn-cc1 - ~k`.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum

from shared.domain.events import LogEntry, Proof, Source
from shared.domain.ids import change_id
from shared.domain.job import Job
from shared.domain.status import JobStatus, Outcome

# All of a job's notes together, in bytes: what is left of its first KB.
MAX_NOTES_BYTES = 200
NONE = "-"
_MICROSECOND = timedelta(microseconds=1)

_SOURCES: Mapping[Source | None, str] = {
    Source.WEBHOOK: "w",
    Source.POLL: "q",
    Source.DISPATCH: "d",
    Source.PUSH: "p",
    Source.SWEEP: "s",
    Source.BULK: "b",
    Source.USER: "u",
    Source.ADMIN: "a",
    Source.WORKER: "k",
}
_OUTCOMES: Mapping[Outcome | None, str] = {Outcome.APPLIED: "a", Outcome.NOTED: "n"}
_PROOFS: Mapping[Proof | None, str] = {None: NONE, Proof.POLL: "q"}
_STATUSES: Mapping[JobStatus | None, str] = {
    None: NONE,
    JobStatus.PENDING: "p",
    JobStatus.PROCESSING: "r",
    JobStatus.COMPLETED: "c",
    JobStatus.FAILED: "f",
    JobStatus.CANCELLED: "x",
}
# What is said of nearly every job. {provider} and {id} are the job's own and its attempt's;
# {word} is written behind the sign.
SENTENCES = {
    "~c": "Created for {provider}.",
    "~h": "The provider has the job as {id} and says {word}.",
    "~k": "1 result is kept.",
    "~p": "The image is on the product.",
}


def note_of(job: Job, entry: LogEntry) -> str | None:
    """Write the entry of the change that made this version of a job; None if it is too much for a
    line, or for this job."""
    if entry.body_sha256 is not None or entry.body is not None or entry.has_payload:
        return None
    letters = (
        _SOURCES.get(entry.source),
        _OUTCOMES.get(entry.outcome),
        _PROOFS.get(entry.proof),
        _STATUSES.get(entry.from_status),
        _STATUSES.get(entry.to_status),
    )
    if entry.attempt is None or None in letters:
        return None
    since = (entry.at - job.created_at) // _MICROSECOND
    letters_and_attempt = "".join(filter(None, letters)) + str(entry.attempt)
    words = _words(job, entry.attempt, entry.message)
    line = f"{job.version} {since} {letters_and_attempt} {entry.actor or NONE} {words}"
    # Whatever a line cannot say is found out by reading it.
    is_whole = "\n" not in line and _read_back(job, line) == entry
    size = len("\n".join([*job.notes, line]).encode(errors="surrogatepass"))
    return line if is_whole and size <= MAX_NOTES_BYTES else None


def read_note(job: Job, line: str) -> LogEntry:
    """Read a line. Raises ValueError for what is none."""
    version, since, told, actor, words = line.split(" ", 4)
    at = job.created_at + int(since) * _MICROSECOND
    source, outcome, proof, before, after = tuple(told[:5])
    attempt = int(told[5:])
    return LogEntry(
        entry_id=change_id(job.job_id, int(version), at),
        at=at,
        source=_of(_SOURCES, source),
        outcome=_of(_OUTCOMES, outcome),
        message=_message(job, attempt, words),
        actor=None if actor == NONE else actor,
        attempt=attempt,
        from_status=_status(before),
        to_status=_status(after),
        proof=None if proof == NONE else _of(_PROOFS, proof),
    )


def rewritten(notes: Sequence[str], before: Job, after: Job) -> tuple[str, ...]:
    """Return the lines of a job after a change of it, so that they say what they said."""
    ids = [attempt.provider_job_id for attempt in before.attempts]
    if ids == [attempt.provider_job_id for attempt in after.attempts[: len(ids)]]:
        return tuple(notes)
    return tuple(_rewrite(line, before, after) for line in notes)


def _rewrite(line: str, before: Job, after: Job) -> str:
    said, says = read_note(before, line), read_note(after, line)
    if said == says:
        return line
    head = line.split(" ", 4)[:4]
    return " ".join([*head, said.message])


def _read_back(job: Job, line: str) -> LogEntry | None:
    try:
        return read_note(job, line)
    except ValueError:
        return None


def _of[T: StrEnum](letters: Mapping[T | None, str], letter: str) -> T:
    found = next((word for word, own in letters.items() if own == letter), None)
    if found is None:
        raise ValueError(letter)
    return found


def _status(letter: str) -> JobStatus | None:
    return None if letter == NONE else _of(_STATUSES, letter)


def _words(job: Job, attempt: int, message: str) -> str:
    for sign, sentence in SENTENCES.items():
        begin, gap, end = _filled(job, attempt, sentence).partition("{word}")
        if not gap and message == begin:
            return sign
        is_long = len(message) >= len(begin) + len(end)
        if gap and is_long and message.startswith(begin) and message.endswith(end):
            return sign + message[len(begin) : len(message) - len(end)]
    return message


def _message(job: Job, attempt: int, words: str) -> str:
    sentence = SENTENCES.get(words[:2])
    if sentence is None:
        return words
    return _filled(job, attempt, sentence).replace("{word}", words[2:])


def _filled(job: Job, attempt: int, sentence: str) -> str:
    known = job.attempts[attempt - 1].provider_job_id if attempt <= len(job.attempts) else None
    return sentence.replace("{provider}", job.provider).replace("{id}", known or "")
