"""Wait for another function to do what it was asked for, while the caller waits for us."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.domain.job import Job

if TYPE_CHECKING:
    from shared.usecases.tracker import Tracker

# API Gateway gives up after 30 s; people do much earlier.
PATIENCE_S = 8.0
STEP_S = 0.4


def wait_until(tracker: "Tracker", job: Job, is_done: Callable[[Job], bool]) -> Job:
    """Read the job again and again until it is done, for at most eight seconds.

    Returns the job as it then is. Raises NotFoundError when it was deleted meanwhile.
    """
    waited = 0.0
    while not is_done(job) and waited < PATIENCE_S:
        tracker.clock.sleep(STEP_S)
        waited += STEP_S
        job = tracker.store.get(job.ref)
    return job
