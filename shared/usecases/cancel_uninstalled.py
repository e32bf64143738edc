"""Cancel what was under way in a shop when its app was uninstalled."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import duties
from shared.domain.bulk import BulkAction
from shared.domain.duties import Haul
from shared.domain.errors import NotFoundError
from shared.domain.events import Source
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import JobStatus, Outcome
from shared.usecases.cancel_job import cancelled
from shared.usecases.duty_lane import PAGE, QUIET, DutyLane, Ended, Found, Resting
from shared.usecases.tracker import Note

SENTENCE = "Cancelled: the app was uninstalled from the shop."


_BULK_JOBS, _JOBS = 0, 1


class UninstallWork:
    """Cancels every active job that existed when the app was uninstalled.

    First the bulk jobs, which would begin more of them: what they make or retry is paid for. A
    chunk that is under way does so for a while yet, so after those it looks again, later. It ends
    with a look that finds none: a job that went from pending to processing under the first look's
    eyes is found by a later one.
    """

    def __init__(self, lane: DutyLane) -> None:
        self._tracker = lane.tracker

    def begin(self, job: Job) -> Job:
        """Go on as it is."""
        return job

    def do(self, job: Job, haul: Haul) -> None:
        """Cancel those that are still active."""
        for name in haul.names:
            try:
                self._tracker.change(JobRef(job.shop, name), self._cancel)
            except NotFoundError:
                continue

    def look(self, job: Job, haul: Haul) -> Found | Resting | Ended:
        """Find active jobs: the index of each status lists few others."""
        names = self._bulk_jobs(job, haul.names) if haul.part == _BULK_JOBS else []
        if names:
            found = Haul(names=tuple(names), has_found=True)
            return Found(haul=found, counts={"bulkJobs": len(names)})
        for status in (JobStatus.PENDING, JobStatus.PROCESSING):
            names = self._active(job, status, haul.names)
            if names:
                found = Haul(names=tuple(names), part=_JOBS, has_found=haul.has_found)
                return Found(haul=found, counts={"jobs": len(names)})
        now = self._tracker.now()
        if haul.has_found:
            return Resting(haul=Haul(part=_JOBS), until=now + QUIET)
        self._tracker.write(job, duties.finish(job, now), None)
        return Ended()

    def _bulk_jobs(self, job: Job, done: Sequence[str]) -> list[str]:
        """Name active bulk jobs, which are in no index of a status."""
        return [
            found.job_id
            for action in BulkAction
            for found in self._tracker.store.active_jobs(job.shop, action.job_type)
            if found.created_at < _until(job) and found.job_id not in done
        ][:PAGE]

    def _active(self, job: Job, status: JobStatus, done: Sequence[str]) -> list[str]:
        """Name active jobs; the index and the read may not know yet of those just done."""
        wanted = JobFilter(shop=job.shop, status=status, created_to=_until(job))
        page = self._tracker.store.list_jobs(wanted, limit=PAGE + len(done))
        return [found.job_id for found in page.jobs if found.job_id not in done][:PAGE]

    def _cancel(self, job: Job, now: datetime) -> tuple[Job, Note | None]:
        if not job.status.is_active:
            return job, None
        after = cancelled(self._tracker, job, now)
        note = Note(source=Source.BULK, outcome=Outcome.APPLIED, actor="shopify", message=SENTENCE)
        return replace(after, poll_wanted=False), note


def _until(job: Job) -> datetime:
    return job.created_at + timedelta(milliseconds=1)
