"""Change a job once for one Idempotency-Key: the job bears the call's mark.

For calls that were done and could not be answered. Those that were answered are not made again:
their answer is kept.
"""

from shared.domain.bulk import marked
from shared.domain.job import Job
from shared.usecases.ports import Idempotency


def was_done(job: Job, idempotency: Idempotency | None) -> bool:
    """Whether this very call has changed the job before."""
    return idempotency is not None and idempotency.mark in job.bulk_marks


def done_by(job: Job, idempotency: Idempotency | None) -> Job:
    """Return a job that a call changed, with the call's mark (the same without a key)."""
    return job if idempotency is None else marked(job, idempotency.mark)
