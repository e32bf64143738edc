"""Queue the pushes again that failed for want of a token, once a login has brought one."""

from datetime import datetime

from shared.domain import duties, lifecycle
from shared.domain.duties import Haul
from shared.domain.errors import NotFoundError
from shared.domain.events import Source
from shared.domain.ids import JobRef
from shared.domain.job import RESUMABLE_PUSH_CODES, Job
from shared.domain.status import Outcome, PushStatus
from shared.usecases.duty_lane import PAGE, DutyLane, Ended, Found
from shared.usecases.install_shop import has_working_token
from shared.usecases.tracker import Note

SENTENCE = "The shop's login works again: the push is queued again."
_OVER = 1


class ResumeWork:
    """Walks once through a shop's failed pushes, and queues those that waited for a token.

    Owed by the installer before it stores the token; without a working one there is nothing to do.
    """

    def __init__(self, lane: DutyLane) -> None:
        self._tracker = lane.tracker
        self._shops = lane.shops

    def begin(self, job: Job) -> Job | None:
        """Go on while the shop has a token."""
        shop = self._shops.get_shop(job.shop)
        if shop is not None and has_working_token(shop, self._tracker.now()):
            return job
        self._finish(job)
        return None

    def do(self, job: Job, haul: Haul) -> None:
        """Queue those that are still waiting."""
        for name in haul.names:
            try:
                self._tracker.change(JobRef(job.shop, name), _resume)
            except NotFoundError:
                continue

    def look(self, job: Job, haul: Haul) -> Found | Ended:
        """Read the next page of failed pushes; what was queued is in none."""
        if haul.part == _OVER:
            self._finish(job)
            return Ended()
        page = self._tracker.store.failed_pushes(job.shop, limit=PAGE, position=haul.after)
        names = tuple(each.job_id for each in page.jobs if _is_waiting(each))
        part = _OVER if page.position is None else 0
        found = Haul(names=names, after=page.position, part=part)
        return Found(haul=found, counts={"pushes": len(names)})

    def _finish(self, job: Job) -> None:
        self._tracker.write(job, duties.finish(job, self._tracker.now()), None)


def _is_waiting(job: Job) -> bool:
    return (
        job.push.status is PushStatus.FAILED
        and job.push.error_code in RESUMABLE_PUSH_CODES
        and lifecycle.can_push(job)
    )


def _resume(job: Job, now: datetime) -> tuple[Job, Note | None]:
    if not _is_waiting(job):
        return job, None
    note = Note(source=Source.PUSH, outcome=Outcome.NOTED, message=SENTENCE)
    return lifecycle.request_push(job, now), note
