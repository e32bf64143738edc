"""Do some of a duty: what is written on it, then find and write down what comes next.

A message is only a hint, as everywhere: the duty's own item says where it is, and every write
is on condition that nobody else went on with it meanwhile.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from shared.domain import duties
from shared.domain.duties import Duty, Haul, read_haul
from shared.domain.errors import QueueUnavailableError, VersionConflictError
from shared.domain.job import Job
from shared.usecases.cancel_uninstalled import UninstallWork
from shared.usecases.duty_lane import DutyLane, Ended, Found, Resting
from shared.usecases.erase_shop import EraseWork
from shared.usecases.ports import BulkRequest
from shared.usecases.resume_pushes import ResumeWork
from shared.usecases.retain_jobs import RetainWork

log = logging.getLogger(__name__)

CHUNK = 100
BUDGET_S = 40.0


class Did(StrEnum):
    """What became of a look at a duty: a closed set, all of it normal life."""

    GOES_ON = "goes_on"  # some of it is done
    DONE = "done"  # all of it is
    NOTHING = "nothing"  # it had ended, or somebody else was faster


class Work(Protocol):
    """What one kind of duty does."""

    def begin(self, job: Job) -> Job | None:
        """Return the duty to go on with; None when it ended here (and that is written)."""
        ...

    def do(self, job: Job, haul: Haul) -> None:
        """Do what a haul names. Again changes nothing more. Raises RetryableError."""
        ...

    def look(self, job: Job, haul: Haul) -> Found | Resting | Ended:
        """Find what comes after a haul that is done."""
        ...


def run_duty(lane: DutyLane, job: Job, duty: Duty) -> Did:
    """Do up to a hundred deeds of a duty, and ask for more.

    Raises RetryableError: deliver the message again; what was done is not counted twice.
    """
    if not job.status.is_active:
        return Did.NOTHING
    now = lane.tracker.now()
    if job.scheduled_at is not None and now < job.scheduled_at:
        return Did.NOTHING
    work = _WORKS[duty](lane)
    try:
        return _run(lane, job, work, now + timedelta(seconds=BUDGET_S))
    except VersionConflictError:
        # Another delivery went on with it; if not, it is due, and the sweep sends it.
        return Did.NOTHING


_WORKS: Mapping[Duty, Callable[[DutyLane], Work]] = {
    Duty.UNINSTALL: UninstallWork,
    Duty.RESUME: ResumeWork,
    Duty.ERASE: EraseWork,
    Duty.RETAIN: RetainWork,
}


def _run(lane: DutyLane, seen: Job, work: Work, ends_at: datetime) -> Did:
    job = work.begin(seen)
    done = 0
    while job is not None:
        haul = read_haul(job)
        work.do(job, haul)
        done += len(haul.names)
        found = work.look(job, haul)
        now = lane.tracker.now()
        if isinstance(found, Ended):
            return Did.DONE
        after = duties.take_on(job, found.haul, found.counts, now)
        if isinstance(found, Resting):
            lane.tracker.write(job, duties.wait_until(after, found.until, now), None)
            return Did.GOES_ON
        job = lane.tracker.write(job, after, None)
        if done >= CHUNK or now >= ends_at:
            _ask_for_more(lane, job)
            return Did.GOES_ON
    return Did.DONE


def _ask_for_more(lane: DutyLane, job: Job) -> None:
    try:
        lane.tracker.outbox.send_bulk([BulkRequest(ref=job.ref)])
    except QueueUnavailableError as error:
        log.warning("message not sent, the sweep will", extra={"reason": str(error)})
