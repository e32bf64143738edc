"""Look after whatever the webhooks and messages missed."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import batched

from shared.domain import lifecycle
from shared.domain.duties import is_standing
from shared.domain.errors import (
    InvariantError,
    JobTrackerError,
    QueueUnavailableError,
    RetryableError,
    VersionConflictError,
)
from shared.domain.events import Source
from shared.domain.ids import JobRef
from shared.domain.job import DISPATCH_UNKNOWN, TIMED_OUT, Job
from shared.domain.plan import (
    DISPATCH_STEPS,
    SWEEP_STEPS,
    Step,
    moved_on,
    owed_results,
    owed_stops,
)
from shared.domain.status import JobStatus, Outcome
from shared.usecases.keep_outputs import give_up_outputs, is_overdue
from shared.usecases.ports import (
    BulkRequest,
    DispatchMessage,
    DispatchRequest,
    PollManyRequest,
    PushRequest,
)
from shared.usecases.tracker import Note, Tracker

log = logging.getLogger(__name__)

PAGE = 100
BUDGET_S = 40.0
# From here on one listing is cheaper than single calls.
MANY = 3
POLLED_TOGETHER = 50

# Waits between repeated looks of the push lane, which has no deadline of its own.
FIRST_WAIT_S, LONGEST_WAIT_S = 120.0, 1800.0
# Some six hours of looks that changed nothing: the push lane dies on this job. (Below that
# it may only be waiting behind others, while Shopify is out.)
MAX_PUSH_LOOKS = 16
MAX_KEEP_LOOKS = 12
# Some four hours: a provider that cannot be asked about a job that has ended by a guess.
MAX_ENDED_POLLS = 12
PUSH_STUCK = "push_stuck"
# Some four hours of chunks that never came to their end.
MAX_BULK_LOOKS = 12
BULK_STUCK = "bulk_stuck"
# The table is out, it is not one job's trouble.
FAILURES_IN_A_ROW = 5

DISPATCH_FAILED = "dispatch_failed"


@dataclass(slots=True)
class SweepReport:
    """What one run found and did.

    steps: how many jobs were seen to, by their step. overtaken: somebody else was at them.
    given_up: jobs ended by their try count. failed: writes that did not succeed.
    unsent: messages that could not be sent (they are due again). backlog_age_s: how long
    the oldest of them had been due, 0 when nothing was. is_complete: nothing due was left.
    """

    steps: Counter[Step] = field(default_factory=Counter)
    overtaken: int = 0
    given_up: int = 0
    failed: int = 0
    unsent: int = 0
    backlog_age_s: float = 0.0
    is_complete: bool = True


def sweep_due_jobs(tracker: Tracker, *, budget_s: float = BUDGET_S) -> SweepReport:
    """Claim every due job by a conditional write that moves its `due_at`, then do or send.

    Parameters
        budget_s: how long one run may take; what is left is the next run's.

    Raises StoreUnavailableError when what is due cannot be read.
    Guarantees
        A job is sent only by the run that claimed it. One read per hundred due jobs and one
        write per job: nothing is spent on jobs that are not due.
    """
    return _Sweep(tracker, budget_s).run()


class _Sweep:
    def __init__(self, tracker: Tracker, budget_s: float) -> None:
        self._tracker = tracker
        self._began_at = tracker.now()
        self._ends_at = self._began_at + timedelta(seconds=budget_s)
        self._report = SweepReport()
        self._failures_in_a_row = 0

    def run(self) -> SweepReport:
        seen: set[str] = set()
        while True:
            rows = self._tracker.store.due(self._tracker.now(), limit=PAGE)
            # The index lags: what was just claimed may be told again.
            refs = [row.ref for row in rows if row.ref.job_id not in seen][:PAGE]
            if not refs:
                return self._report
            seen.update(ref.job_id for ref in refs)
            self._send(self._claim_all(self._read(refs)))
            if self._must_stop():
                self._report.is_complete = False
                return self._report

    def _read(self, refs: Sequence[JobRef]) -> list[Job]:
        try:
            return self._tracker.store.get_many(refs)
        except InvariantError:
            return [job for ref in refs for job in self._read_one(ref)]

    def _read_one(self, ref: JobRef) -> list[Job]:
        """Read one job of a page that has an unreadable one, written by a newer version of us."""
        try:
            return self._tracker.store.get_many([ref])
        except InvariantError as error:
            log.exception("job not swept", extra={"job_id": ref.job_id, "code": error.code})
            self._report.failed += 1
            return []

    def _must_stop(self) -> bool:
        is_late = self._tracker.now() >= self._ends_at
        return is_late or self._failures_in_a_row >= FAILURES_IN_A_ROW

    def _claim_all(self, jobs: Sequence[Job]) -> list[tuple[Step, Job]]:
        claimed = []
        for job in jobs:
            if self._must_stop():
                break
            now = self._tracker.now()
            if job.due_at is None or job.due_at > now:
                continue
            age_s = (self._began_at - job.due_at) / timedelta(seconds=1)
            self._report.backlog_age_s = max(self._report.backlog_age_s, age_s)
            try:
                claimed.append(self._claim(job, now))
                self._failures_in_a_row = 0
            except VersionConflictError:
                self._report.overtaken += 1
            except RetryableError:
                self._report.failed += 1
                self._failures_in_a_row += 1
            except JobTrackerError as error:
                # A bug of ours meets this job: it must not stop the sweep of all the others.
                log.exception("job not swept", extra={"job_id": job.job_id, "code": error.code})
                self._report.failed += 1
        return claimed

    def _claim(self, job: Job, now: datetime) -> tuple[Step, Job]:
        step = self._tracker.step(job, now)
        if step in SWEEP_STEPS:
            after, note = _end(job, step, now)
            claimed = self._tracker.write(job, after, note)
        elif _has_no_deadline(job, step) and _is_hopeless(job, step, now):
            after, note = _give_up(job, step, now)
            claimed = self._tracker.write(job, after, note)
            self._report.given_up += 1
            step = Step.NOTHING
        elif step is Step.WAIT and _has_come(job, now):
            # Nobody is sent to a worker: whoever looks finds out by this.
            after = replace(job, updated_at=now)
            note = Note(source=Source.SWEEP, outcome=Outcome.NOTED, message=_HAS_COME)
            claimed = self._tracker.write(job, after, note)
        else:
            claimed = self._tracker.store.save(job, self._moved(job, step, now))
        self._report.steps[step] += 1
        return step, claimed

    def _moved(self, job: Job, step: Step, now: datetime) -> Job:
        """Move `due_at` on, so that the next run leaves the job alone while it is seen to."""
        moved = moved_on(job, now, self._tracker.patience(job))
        if not _has_no_deadline(job, step):
            # Deadlines and tries of their own bound these.
            return moved
        # The lanes set it back to 0 whenever they get to see the job in earnest.
        moved = replace(moved, due_tries=job.due_tries + 1)
        if step is not Step.PUSH:
            return moved
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(job.due_tries, 20), LONGEST_WAIT_S)
        # The queue swallows equal numbers for five minutes.
        push = replace(job.push, number=job.push.number + 1)
        return replace(moved, due_at=now + timedelta(seconds=wait_s), push=push)

    def _send(self, claimed: Sequence[tuple[Step, Job]]) -> None:
        outbox = self._tracker.outbox
        pushes = [
            PushRequest(ref=job.ref, number=job.push.number)
            for step, job in claimed
            if step is Step.PUSH
        ]
        bulk = [BulkRequest(ref=job.ref) for step, job in claimed if step is Step.BULK]
        self._send_all(outbox.send_dispatch, _dispatches(claimed, self._tracker))
        self._send_all(outbox.send_push, pushes)
        self._send_all(outbox.send_bulk, bulk)

    def _send_all[Message](
        self, send: Callable[[Sequence[Message]], None], messages: Sequence[Message]
    ) -> None:
        try:
            if messages:
                send(messages)
        except QueueUnavailableError:
            self._report.unsent += len(messages)


def _dispatches(claimed: Sequence[tuple[Step, Job]], tracker: Tracker) -> list[DispatchMessage]:
    """Write the messages: polls of one provider together, where one listing answers many."""
    polls: dict[str, list[Job]] = {}
    messages: list[DispatchMessage] = []
    for step, job in claimed:
        if step is Step.POLL:
            polls.setdefault(job.provider, []).append(job)
        elif step in DISPATCH_STEPS or owed_results(job):
            # Whatever the push waits for, links die.
            messages.append(DispatchRequest(ref=job.ref))
    for provider, jobs in polls.items():
        # Only of jobs at a provider that can list them, one call answers for many.
        can_list = tracker.patience(jobs[0]).list_gap_s is not None
        if len(jobs) < MANY or not can_list:
            messages += [DispatchRequest(ref=job.ref) for job in jobs]
            continue
        for chunk in batched(jobs, POLLED_TOGETHER, strict=False):
            refs = tuple(job.ref for job in chunk)
            messages.append(PollManyRequest(provider=provider, refs=refs))
    return messages


def _has_come(job: Job, now: datetime) -> bool:
    """Whether a worker's job waited for this very time."""
    is_waiting = job.is_worker_job and job.status is JobStatus.PENDING
    return is_waiting and job.scheduled_at is not None and job.scheduled_at <= now


def _has_no_deadline(job: Job, step: Step) -> bool:
    is_ended_poll = step is Step.POLL and not job.status.is_active
    return is_ended_poll or step in (Step.KEEP, Step.PUSH, Step.BULK, Step.STOP)


def _is_hopeless(job: Job, step: Step, now: datetime) -> bool:
    if step is Step.PUSH:
        return job.due_tries >= MAX_PUSH_LOOKS
    if step is Step.BULK:
        return job.due_tries >= MAX_BULK_LOOKS and not is_standing(job)
    if step in (Step.POLL, Step.STOP):
        return job.due_tries >= MAX_ENDED_POLLS
    return job.due_tries >= MAX_KEEP_LOOKS and is_overdue(job, now)


def _give_up(job: Job, step: Step, now: datetime) -> tuple[Job, Note]:
    if step is Step.PUSH:
        wanted = "Taking the image off" if job.push.undo else "Putting the image on"
        sentence = f"{wanted} the product was tried many times without success. Please try again."
        after = lifecycle.fail_push(job, PUSH_STUCK, sentence, now)
        return after, Note(source=Source.SWEEP, outcome=Outcome.APPLIED, message=sentence)
    if step is Step.BULK:
        sentence = (
            "This bulk job could not go on for hours, and is given up. Retry goes on with it."
        )
        after = lifecycle.fail_dispatch(job, BULK_STUCK, sentence, now)
        return after, Note(source=Source.SWEEP, outcome=Outcome.APPLIED, message=sentence)
    if step is Step.POLL:
        sentence = "The provider could not be asked about this job for hours; it stays as it is."
        after = replace(job, poll_wanted=False, due_tries=0)
        return after, Note(source=Source.SWEEP, outcome=Outcome.NOTED, message=sentence)
    if step is Step.STOP:
        sentence = "The provider could not be asked to stop for hours: it may charge for this job."
        after = replace(job, due_tries=0)
        for attempt in owed_stops(job):
            after = after.with_attempt(replace(attempt, stop_wanted=False))
        return after, Note(source=Source.SWEEP, outcome=Outcome.NOTED, message=sentence)
    sentence = "The result could not be fetched for a day, and is given up."
    after = give_up_outputs(job, now)
    return after, Note(source=Source.SWEEP, outcome=Outcome.APPLIED, message=sentence)


def _end(job: Job, step: Step, now: datetime) -> tuple[Job, Note]:
    """End a job whose time is up: by guess, unless it is known that it never started."""
    if step is Step.TIME_OUT:
        sentence = _TIMED_OUT_WORKER if job.is_worker_job else _TIMED_OUT_PROVIDER
        after = lifecycle.presume_failed(job, TIMED_OUT, sentence, now)
    elif job.attempt.intent_at is not None:
        sentence = _UNKNOWN
        after = lifecycle.presume_failed(job, DISPATCH_UNKNOWN, sentence, now)
    else:
        trouble = f": {job.attempt.trouble}" if job.attempt.trouble else ""
        sentence = f"The provider could not be given this job in time{trouble}".rstrip(".") + "."
        after = lifecycle.fail_dispatch(job, DISPATCH_FAILED, sentence, now)
    return after, Note(source=Source.SWEEP, outcome=Outcome.APPLIED, message=sentence)


_HAS_COME = "The time that this job was scheduled for has come; it waits for its worker."
_TIMED_OUT_WORKER = "The worker has not reported for too long."
_TIMED_OUT_PROVIDER = (
    "The provider has not finished in time. If it still does, its result is taken."
)
_UNKNOWN = (
    "The provider's answer was lost, and whether it has the job could not be found out. "
    "If it has, its result is still taken; a retry may be charged again."
)
