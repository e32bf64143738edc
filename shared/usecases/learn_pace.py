"""Learn how long a provider's tool takes, and say how long it will."""

from datetime import timedelta

from shared.domain.errors import StoreUnavailableError
from shared.domain.job import Job
from shared.domain.status import JobState
from shared.usecases.dispatch_lane import DispatchLane

# Of a tool that is known, every so many jobs is enough: what is learnt costs a write.
LEARN_ONE_IN = 8


def expected_ms(lane: DispatchLane, job: Job) -> int | None:
    """Return how long the job will take, as far as its tool is known. One read."""
    if lane.paces is None or job.tool_id is None:
        return None
    try:
        return lane.paces.expected_ms(job.provider, job.tool_id, lane.tracker.now())
    except StoreUnavailableError:
        # Nothing depends on it.
        return None


def learn_pace(lane: DispatchLane, job: Job) -> None:
    """Count how long a completed job took, from its create call to when we learnt of its end.

    Of jobs whose end was found by a poll that is somewhat too long: by no more than the time
    between two polls, which never depends on what is learnt alone.
    """
    duration = _duration(job)
    if lane.paces is None or job.tool_id is None or duration is None:
        return
    is_known = job.attempt.expected_ms is not None
    if is_known and lane.tracker.random.fraction() * LEARN_ONE_IN >= 1:
        return
    try:
        lane.paces.learn(
            job.provider, job.tool_id, duration // timedelta(milliseconds=1), lane.tracker.now()
        )
    except StoreUnavailableError:
        return


def _duration(job: Job) -> timedelta | None:
    begun_at, ended_at = job.attempt.intent_at, job.completed_at
    if job.state is not JobState.COMPLETED or begun_at is None or ended_at is None:
        return None
    return max(ended_at - begun_at, timedelta())
