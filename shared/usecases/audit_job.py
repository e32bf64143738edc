"""Judge one job by what is stored beside it: its timeline, the deliveries, its links, its files."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.audit import (
    Difference,
    Evidence,
    Wrong,
    evidence_differences,
    place_differences,
)
from shared.domain.errors import NotFoundError
from shared.domain.events import Link, LogEntry, Source
from shared.domain.job import Job
from shared.domain.status import JobEvent, Outcome
from shared.domain.storage import job_folder
from shared.providers.base import MalformedDeliveryError, UnrelatedDeliveryError
from shared.usecases.apply_event import is_hint_only
from shared.usecases.ports import Files, Samples, Sighting
from shared.usecases.tracker import Tracker

ENTRIES = 100  # of a timeline, the newest
BODIES = 4  # deliveries of a job that are read again


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLane:
    """The collaborators of the audit."""

    tracker: Tracker
    samples: Samples
    files: Files


def judge_place(lane: AuditLane, seen: Sighting) -> list[Difference]:
    """Judge what the job's own item says. Reads nothing."""
    if seen.job is None:
        return [Difference(Wrong.UNREADABLE, "No version of ours that is deployed can read it.")]
    patience = lane.tracker.patience(seen.job)
    return place_differences(seen.job, seen.misplaced, lane.tracker.now(), patience)


def judge_job(lane: AuditLane, seen: Sighting) -> list[Difference]:
    """Judge a job by its item and by what is stored beside it.

    Reads its timeline, a link per attempt, at most four deliveries, and the names of its files.
    Raises StoreUnavailableError.
    """
    found = judge_place(lane, seen)
    if seen.job is not None:
        found += evidence_differences(seen.job, _gather(lane, seen.job))
    return found


def _gather(lane: AuditLane, job: Job) -> Evidence:
    store = lane.tracker.store
    page = store.log(job.ref, limit=ENTRIES)
    links = {
        attempt.provider_job_id: store.find_link(job.provider, attempt.provider_job_id)
        for attempt in job.attempts
        if attempt.provider_job_id is not None
    }
    has_files = job.documents_key is not None or any(output.is_kept for output in job.outputs)
    return Evidence(
        # What came when a timeline was full is not on it: its end tells nothing for sure.
        entries=() if page.dropped else page.entries,
        is_whole=page.position is None and not page.dropped,
        links=links,
        elsewhere=frozenset(
            n for n, link in links.items() if _is_rightly_elsewhere(lane, job, link)
        ),
        files=frozenset(lane.files.keys(job_folder(job.ref)) if has_files else ()),
        charges=_charges(lane.tracker, job, page.entries),
    )


def _is_rightly_elsewhere(lane: AuditLane, job: Job, link: Link | None) -> bool:
    """Whether an id was proven to be another job's, while this one, ended, has it still."""
    if link is None or link.ref == job.ref:
        return False
    try:
        other = lane.tracker.store.get(link.ref)
    except NotFoundError:
        return link.is_tombstone
    return any(attempt.provider_job_id == link.provider_job_id for attempt in other.attempts)


# A delivery that came to one of these had its charge taken down.
_TAKEN_DOWN = frozenset({Outcome.APPLIED, Outcome.DUPLICATE, Outcome.LATE, Outcome.STALE})
_ENDS = frozenset({JobEvent.COMPLETED, JobEvent.FAILED, JobEvent.CANCELLED})


def _charges(
    tracker: Tracker, job: Job, entries: Sequence[LogEntry]
) -> Mapping[int, frozenset[int]]:
    """Read the deliveries that told of an end once more, for what they charged."""
    found: defaultdict[int, frozenset[int]] = defaultdict(frozenset)
    told = [e for e in entries if e.source is Source.WEBHOOK and e.outcome in _TAKEN_DOWN]
    for entry in [e for e in told if e.has_body][:BODIES]:
        charge = _charge(tracker, job, entry)
        if charge is not None and entry.attempt is not None:
            found[entry.attempt] |= {charge}
    return found


def _charge(tracker: Tracker, job: Job, entry: LogEntry) -> int | None:
    adapter = tracker.adapters.get(job.provider)
    if adapter is None or entry.proof is None:
        return None
    body = tracker.store.body(job.ref, entry.entry_id)
    if body is None:
        return None
    try:
        event = adapter.parse(body, {}, entry.at, entry.proof).event
    except (MalformedDeliveryError, UnrelatedDeliveryError):
        # It could be read when it came; only a changed adapter can bring us here.
        return None
    is_taken = event.event in _ENDS and not is_hint_only(tracker, event)
    return event.credits if is_taken else None
