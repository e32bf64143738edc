"""Remove a job and everything kept for it."""

from contextlib import suppress
from dataclasses import replace

from shared.domain.bulk import file_key
from shared.domain.errors import ConflictError, StoreUnavailableError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.plan import may_need_stop
from shared.domain.storage import job_folder
from shared.usecases.conflicts import retry_on_conflict
from shared.usecases.ports import Files
from shared.usecases.tracker import Tracker


def delete_job(tracker: Tracker, files: Files, ref: JobRef) -> None:
    """Delete an ended job: its files, then its item, timeline and share of the statistics.

    First, if it has any, it is written down that they go: whoever wants the image pushed before
    that keeps the job as it was, and nothing begins with it after that. The files go before the
    item: a crash in between leaves a job that can be deleted again, never files
    that nothing refers to. They are all that lies in the job's folder (images, documents,
    payloads): also documents that a crash left there when they had been replaced. Those of
    entries that came meanwhile follow.

    Raises NotFoundError; ConflictError `job_active` while somebody still works on it.
    """

    def delete() -> list[str]:
        job = tracker.store.get(ref)
        check_deletable(tracker, job)
        named = [job.documents_key, file_key(job), *(output.key for output in job.outputs)]
        keys = {*files.keys(job_folder(ref)), *(key for key in named if key is not None)}
        if keys and not job.delete_wanted:
            job = tracker.store.save(job, replace(job, delete_wanted=True))
        if keys:
            files.delete(sorted(keys))
        return sorted(set(tracker.store.delete(job)) - keys)

    left = retry_on_conflict("job", delete)
    if left:
        # The job is gone, whatever becomes of these: nobody could repeat it.
        with suppress(StoreUnavailableError):
            files.delete(left)


def check_deletable(tracker: Tracker, job: Job) -> None:
    """Raise ConflictError `job_active` while somebody still works on the job."""
    if job.status.is_active:
        raise ConflictError(
            f"This job is {job.status}; cancel it before deleting it.", code="job_active"
        )
    if job.push.status.is_active or job.push.undo:
        raise ConflictError(
            "This job is on its way to or from Shopify; delete it when that has ended.",
            code="job_active",
        )
    if may_need_stop(job, tracker.now(), tracker.patience(job)):
        raise ConflictError(
            "This job is still to be stopped at its provider; delete it in a moment.",
            code="job_active",
        )
