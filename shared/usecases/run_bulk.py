"""Do one chunk of a bulk job, and ask for the next one.

Exactly once per job, whatever crashes: the cursor is on the bulk job and moves in one write
with the counts, every job that was acted on carries the bulk job's mark, put there by the write
that acted, and which jobs a filter finds is kept before any of them is acted on. A file that is
written has a draft, booked together with the cursor.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import batched
from typing import Any

from shared.domain import bulk
from shared.domain.bulk import BulkAction, ChunkResult, action_of, read_filter
from shared.domain.duties import duty_of
from shared.domain.errors import (
    InvariantError,
    JobTrackerError,
    NotFoundError,
    QueueUnavailableError,
    RetryableError,
    UploadLostError,
)
from shared.domain.events import Source
from shared.domain.ids import JobRef, is_job_id
from shared.domain.job import Job
from shared.domain.status import Outcome
from shared.usecases.bulk_actions import AlreadyActedError, act, marking, planning
from shared.usecases.duty_lane import DutyLane
from shared.usecases.expand_batch import cancel_made, expand, keep_batch
from shared.usecases.identify_caller import Caller, CallerKind
from shared.usecases.ports import (
    BulkRequest,
    Files,
    PollManyRequest,
    ShopStore,
    Uploads,
    WorkStore,
)
from shared.usecases.run_duty import run_duty
from shared.usecases.start_bulk import WORK_KEPT_FOR, until
from shared.usecases.tracker import Note, Tracker
from shared.usecases.write_files import Place, forget_draft, write_chunk

log = logging.getLogger(__name__)

CHUNK = 100
PAGE = 25  # of a filter's walk: the cursor stands at the end of a page
MAX_PAGES = 8  # without many hits a walk is read in more messages, not in a longer one
BUDGET_S = 40.0
POLLED_TOGETHER = 50
# A chunk of paid attempts takes as long as the providers' limit does (90 a minute), or those
# at the end would be given up before their turn.
PAID_A_MINUTE = 80
# A file that still cannot be finished then has trouble that will not pass.
MAX_RESTARTS = 3


class Bulk(StrEnum):
    """What became of a look at a bulk job: a closed set, all of it normal life."""

    GOES_ON = "goes_on"  # a chunk is done, there are more
    DONE = "done"  # that was the last one
    NOTHING = "nothing"  # ended, cancelled, or another worker was faster
    GONE = "gone"  # the bulk job was deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkLane:
    """The collaborators of bulk work. duties: of those that nobody starts by hand."""

    tracker: Tracker
    works: WorkStore
    shops: ShopStore
    files: Files
    uploads: Uploads
    duties: DutyLane | None = None


@dataclass(slots=True)
class _Tally:
    """What a chunk has done so far. polls: whom to ask, by provider."""

    successful: int = 0
    paid: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    polls: dict[str, list[JobRef]] = field(default_factory=dict)


def run_bulk(lane: BulkLane, request: BulkRequest) -> Bulk:
    """Do the next chunk of a bulk job.

    Raises RetryableError: deliver the message again; what was done is not done twice.
    """
    try:
        job = lane.tracker.store.get(request.ref)
        duty = duty_of(job)
        if duty is not None and lane.duties is not None:
            return Bulk(run_duty(lane.duties, job, duty).value)
        return _run(lane, job)
    except NotFoundError:
        # Deleted with its shop, perhaps while this chunk was under way.
        return Bulk.GONE


def _run(lane: BulkLane, job: Job) -> Bulk:
    action = action_of(job)
    if action is None:
        return Bulk.NOTHING
    work = lane.works.get_work(job.ref)
    if not job.status.is_active:
        if action is BulkAction.EXPAND and work is not None:
            cancel_made(lane.tracker, _caller(job, work), job, work)
        return Bulk.NOTHING
    if work is None:
        _fail(lane.tracker, job, "What this bulk job was to do is no longer kept.", bulk.WORK_GONE)
        return Bulk.DONE
    if action.writes_file:
        return _write_file(lane, job, action, work)
    if action is BulkAction.EXPAND:
        caller = _caller(job, work)
        if job.bulk_cursor is None:
            keep_batch(lane.works, job, work)
        chunk = expand(planning(lane.tracker), lane.shops, lane.files, caller, job, work)
    else:
        chunk = _act_on_chunk(lane, job, action, work)
    return _book(lane, job, work, chunk)


def _write_file(lane: BulkLane, job: Job, action: BulkAction, work: Mapping[str, Any]) -> Bulk:
    try:
        chunk = write_chunk(lane.tracker, lane.files, lane.uploads, job, action, work)
    except UploadLostError:
        return _begin_again(lane, job)
    outcome = _book(lane, job, work, chunk)
    if outcome is not Bulk.NOTHING:
        forget_draft(lane.files, job)
    return outcome


def _begin_again(lane: BulkLane, job: Job) -> Bulk:
    """Have a file begun anew: what was uploaded is cleared away after a day."""
    restarts = Place.read(job.bulk_cursor).restarts + 1
    if restarts > MAX_RESTARTS:
        _fail(lane.tracker, job, "The file could not be finished, several times.", bulk.FILE_STUCK)
        return Bulk.DONE

    def decide(found: Job, now: datetime) -> tuple[Job, Note | None]:
        if _place(found) != _place(job) or not found.status.is_active:
            return found, None
        note = Note(
            source=Source.BULK,
            outcome=Outcome.NOTED,
            message="What was written of the file is lost: it is begun anew.",
        )
        return bulk.begin_again(found, Place(restarts=restarts).write(), now), note

    lane.tracker.change(job.ref, decide)
    return _send_next(lane, job, 0)


def _book(lane: BulkLane, job: Job, work: Mapping[str, Any], chunk: ChunkResult) -> Bulk:
    is_ours = False

    def decide(found: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal is_ours
        # Another delivery of this chunk may have been faster: what both did is counted once.
        is_ours = _place(found) == _place(job)
        if not is_ours:
            return found, None
        after = bulk.book(found, chunk, now)
        return after, None if after.status.is_active else _ended(after)

    after = lane.tracker.change(job.ref, decide)
    if action_of(job) is BulkAction.EXPAND and after.cancel_requested:
        cancel_made(lane.tracker, _caller(job, work), job, work)
    if not is_ours or not after.status.is_active:
        return Bulk.DONE if is_ours else Bulk.NOTHING
    return _send_next(lane, job, math.ceil(chunk.paid * 60 / PAID_A_MINUTE))


def _send_next(lane: BulkLane, job: Job, wait_s: int) -> Bulk:
    try:
        lane.tracker.outbox.send_bulk([BulkRequest(ref=job.ref)], delay_s=wait_s)
    except QueueUnavailableError as error:
        log.warning("message not sent, the sweep will", extra={"reason": str(error)})
    return Bulk.GOES_ON


def _place(job: Job) -> object:
    return job.attempt, job.bulk_cursor, job.counts


def _ended(after: Job) -> Note:
    counts = after.counts
    message = f"{counts.successful} of {counts.processed} done."
    return Note(source=Source.BULK, outcome=Outcome.APPLIED, message=message)


def _fail(tracker: Tracker, job: Job, sentence: str, code: str) -> None:
    def decide(found: Job, now: datetime) -> tuple[Job, Note | None]:
        if not found.status.is_active:
            return found, None
        note = Note(source=Source.BULK, outcome=Outcome.APPLIED, message=sentence)
        return bulk.give_up(found, sentence, now, code), note

    tracker.change(job.ref, decide)


def _caller(job: Job, work: Mapping[str, Any]) -> Caller:
    """Return who asked for it: what is done is theirs on every timeline."""
    return Caller(kind=CallerKind(work["kind"]), shop=job.shop, actor=work["actor"])


def _act_on_chunk(
    lane: BulkLane, job: Job, action: BulkAction, work: Mapping[str, Any]
) -> ChunkResult:
    tally = _Tally()
    doing = _Doing(lane, job, action, work)
    position = job.bulk_cursor
    ends_at = lane.tracker.now() + timedelta(seconds=BUDGET_S)
    done = 0
    for names, after in doing.pages():
        for name in names:
            doing.do(name, tally)
        done += len(names)
        position = after
        if after is None or done + PAGE > CHUNK or lane.tracker.now() >= ends_at:
            break
    doing.ask(tally)
    return ChunkResult(
        successful=tally.successful, refused=tally.refused, position=position, paid=tally.paid
    )


class _Doing:
    def __init__(
        self, lane: BulkLane, job: Job, action: BulkAction, work: Mapping[str, Any]
    ) -> None:
        self._lane = lane
        self._job = job
        self._action = action
        self._work = work
        self._missing = frozenset(work.get("missing", ()))
        self._tracker = marking(lane.tracker, job.job_id)
        self._caller = _caller(job, work)

    def pages(self) -> Iterator[tuple[Sequence[str], str | None]]:
        """Yield some jobs at a time, and where it goes on after them (None: that was all)."""
        if "ids" in self._work:
            yield from self._named()
        else:
            yield from self._found()

    def _named(self) -> Iterator[tuple[Sequence[str], str | None]]:
        names: Sequence[str] = self._work["ids"]
        for start in range(int(self._job.bulk_cursor or 0), max(len(names), 1), PAGE):
            end = start + PAGE
            yield names[start:end], str(end) if end < len(names) else None

    def _found(self) -> Iterator[tuple[Sequence[str], str | None]]:
        wanted = until(self._job.created_at, read_filter(self._job.shop, self._work["filter"]))
        position = self._job.bulk_cursor
        tracker, works = self._lane.tracker, self._lane.works
        for _ in range(MAX_PAGES):
            page = tracker.store.list_jobs(wanted, limit=PAGE, position=position)
            found = {"ids": [job.job_id for job in page.jobs], "after": page.position}
            # What is acted on may fit the filter no more: a delivery that comes again must see
            # what the one before it saw, or it would not count what that one did.
            kept_until = tracker.now() + WORK_KEPT_FOR
            # (A bulk job that is retried looks anew.)
            place = f"{self._job.attempt.number}#{position or ''}"
            kept = works.keep_page(self._job.ref, place, found, kept_until)
            position = kept["after"]
            yield kept["ids"], position

    def do(self, name: str, tally: _Tally) -> None:
        """Act on one job, or count why not. Raises RetryableError."""
        try:
            if not is_job_id(name) or name in self._missing:
                raise NotFoundError("There is no such job.")
            ref = JobRef(self._job.shop, name)
            after = act(self._tracker, self._lane.files, self._caller, self._action, ref)
        except AlreadyActedError:
            tally.successful += 1
            return
        except RetryableError:
            raise
        except JobTrackerError as error:
            if isinstance(error, InvariantError):
                log.exception("job not acted on", extra={"job_id": name})
            tally.refused[error.code] += 1
            return
        tally.successful += 1
        if after is not None and self._action is BulkAction.RETRY and not after.is_worker_job:
            tally.paid += 1
        if after is not None and self._action is BulkAction.SYNC:
            tally.polls.setdefault(after.provider, []).append(after.ref)

    def ask(self, tally: _Tally) -> None:
        """Have the providers asked: one listing answers for many jobs. They are due anyway."""
        messages = [
            PollManyRequest(provider=provider, refs=tuple(refs))
            for provider, found in tally.polls.items()
            for refs in batched(found, POLLED_TOGETHER, strict=False)
        ]
        if not messages:
            return
        try:
            self._lane.tracker.outbox.send_dispatch(messages)
        except QueueUnavailableError as error:
            log.warning("message not sent, the sweep will", extra={"reason": str(error)})
