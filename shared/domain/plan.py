"""What a job needs next, and when somebody must look at it again.

Nothing is remembered about what was planned: it follows from the job itself, so a lost
message, a crash or a restart cannot make a job forget its next step.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.job import Attempt, Job
from shared.domain.statistics import is_uncounted
from shared.domain.status import JobState, JobStatus


class Step(StrEnum):
    """The one thing to do now."""

    NOTHING = "nothing"  # ended, and nothing is owed
    WAIT = "wait"  # somebody else's turn, until due_at
    CREATE = "create"  # ask the provider to do the work
    LOOK_UP = "look_up"  # find out whether a create call with a lost answer was executed
    GIVE_UP = "give_up"  # the dispatch time-out has passed
    POLL = "poll"  # ask the provider how far it is
    TIME_OUT = "time_out"  # the provider or worker has been silent too long
    KEEP = "keep"  # fetch the result before its link dies
    PUSH = "push"  # bring the kept result to the product, or take it off
    STOP = "stop"  # have the provider stop what was cancelled here
    BULK = "bulk"  # do the next chunk of a bulk job


DISPATCH_STEPS = frozenset({Step.CREATE, Step.LOOK_UP, Step.POLL, Step.KEEP, Step.STOP})
SWEEP_STEPS = frozenset({Step.GIVE_UP, Step.TIME_OUT})

LONGEST_KEEP_WAIT_S = 1800
# The sweep's minute, a call, and a download.
EXPIRY_MARGIN_S = 120
DONE_MARGIN_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for whom, in seconds.

    outbox_s: how long a sent message may take before the sweep sends it again.
    call_s: how long a create call can be under way (above the client's own time-out).
    dispatch_s, provider_s, heartbeat_s: until a silent attempt is given up. Time in which
        a rate limit keeps us from calling does not count for the first, up to held_s.
    first_poll_s, max_poll_s: the polls' spacing, while nothing better is known.
    result_life_s: how long a result lives after the end; None when that is not known, or long.
        Polls are never so far apart that one could be born and die between them.
    list_gap_s: how far apart two listings must be to prove an absence; None when the
        provider cannot list.
    """

    outbox_s: float = 120
    call_s: float = 45
    dispatch_s: float = 15 * 60
    held_s: float = 24 * 60 * 60
    provider_s: float = 60 * 60
    heartbeat_s: float = 300
    first_poll_s: float = 60
    max_poll_s: float = 240
    result_life_s: float | None = None
    list_gap_s: float | None = 60


def next_step(job: Job, now: datetime, patience: Patience) -> Step:
    """Return what `job` needs at `now`."""
    return _seen(job, now, patience)[1]


def next_look(job: Job, now: datetime, patience: Patience) -> datetime | None:
    """Return when somebody must look at `job` again, or None if never."""
    return _seen(job, now, patience)[2]


def schedule(job: Job, now: datetime, patience: Patience) -> Job:
    """Return the job with `due_at` set for its next look.

    A due instant that already serves is left as it is: each change costs two index writes.
    """
    job, _, due_at = _seen(job, now, patience)
    if due_at == job.due_at or _serves(job.due_at, due_at, now, patience):
        return job
    return replace(job, due_at=due_at)


def moved_on(job: Job, now: datetime, patience: Patience) -> Job:
    """Return the job with `due_at` at its next look, also where the present one would serve."""
    job, _, due_at = _seen(job, now, patience)
    return replace(job, due_at=due_at)


def _seen(job: Job, now: datetime, patience: Patience) -> tuple[Job, Step, datetime | None]:
    """Look at a job: returns it as it is after that, what it needs, and when to look again."""
    job = _begun_late(job, now)
    return job, *_look(job, now, patience)


def _begun_late(job: Job, now: datetime) -> Job:
    """Return a provider's job whose time came while nobody looked as begun now: its time-out
    counts from its first look. Whether anybody has looked shows by `due_at`, which every look
    moves on."""
    start, due_at = job.scheduled_at, job.due_at
    if start is None or now < start or due_at is None:
        return job
    if job.is_worker_job or not job.status.is_active or job.attempt.held_until is not None:
        return job
    # As it is stored, it is rounded up.
    is_seen = due_at >= start + timedelta(milliseconds=1) or job.attempt.tries > 0
    return job if is_seen else job.with_attempt(replace(job.attempt, held_until=now))


def _serves(
    present: datetime | None, wanted: datetime | None, now: datetime, patience: Patience
) -> bool:
    if present is None or wanted is None:
        return False
    return max(now, wanted - timedelta(seconds=patience.outbox_s)) < present <= wanted


def _look(job: Job, now: datetime, patience: Patience) -> tuple[Step, datetime | None]:
    if job.push.undo or (job.push.status.is_active and job.state is JobState.COMPLETED):
        return _act(Step.PUSH, job.push.not_before, now, patience)
    step, due_at = _look_at_attempt(job, now, patience)
    if not (owed_results(job) or _lacks_outputs(job)) or step not in (Step.WAIT, Step.NOTHING):
        return step, due_at
    # The result of an earlier attempt must not keep us from the present one.
    again_at = now + timedelta(seconds=keep_wait_s(job.due_tries, patience))
    return Step.KEEP, min(again_at, due_at or again_at)


def is_abandoned(job: Job, now: datetime, patience: Patience) -> bool:
    """Whether nobody has begun a program's exclusive job for as long as a heartbeat may take.

    It may wait for a worker all the same, so it ends only when another one wants its place.
    """
    if not (job.is_worker_job and job.exclusive and job.status is JobStatus.PENDING):
        return False
    known = (job.attempt.created_at, job.scheduled_at, job.reported_at)
    heard_at = max(at for at in known if at is not None)
    return job.agent_id is None and now >= heard_at + timedelta(seconds=patience.heartbeat_s)


def owed_results(job: Job) -> int:
    """Return how many results, of whatever attempt, must still be fetched."""
    return sum(output.is_owed for output in job.outputs)


def owed_stops(job: Job) -> tuple[Attempt, ...]:
    """Return the attempts that were cancelled here and go on, for all we know, at the provider."""
    return tuple(
        attempt
        for attempt in job.attempts
        if attempt.stop_wanted and attempt.provider_job_id is not None
    )


def may_need_stop(job: Job, now: datetime, patience: Patience) -> bool:
    """Whether a provider is to be asked to stop what was cancelled here, now or as soon as the
    create call that tells its id, and may be under way, is answered."""
    call_takes = timedelta(seconds=patience.call_s)
    return bool(owed_stops(job)) or any(
        attempt.stop_wanted
        and attempt.provider_job_id is None
        and attempt.intent_at is not None
        and now < attempt.intent_at + call_takes
        for attempt in job.attempts
    )


def keep_wait_s(tries: int, patience: Patience) -> float:
    """Return the wait after look number `tries` + 1 at what has no deadline of its own, in seconds:
    results that cannot be fetched, a provider that cannot be asked about a job that has ended.

    >>> [keep_wait_s(n, Patience()) for n in (0, 1, 3, 4, 99)]
    [120.0, 240.0, 960.0, 1800, 1800]
    """
    return min(patience.outbox_s * 2.0 ** min(tries, 20), LONGEST_KEEP_WAIT_S)


def _look_at_attempt(job: Job, now: datetime, patience: Patience) -> tuple[Step, datetime | None]:
    if job.state is JobState.PRESUMED and job.poll_wanted and job.provider_job_id is not None:
        wait_s = keep_wait_s(job.due_tries, patience)
        return _act(Step.POLL, None, now, replace(patience, outbox_s=wait_s))
    if not job.status.is_active:
        if owed_stops(job):
            return Step.STOP, now + timedelta(seconds=keep_wait_s(job.due_tries, patience))
        return Step.NOTHING, None
    if is_uncounted(job):
        if job.scheduled_at is not None and now < job.scheduled_at:
            return Step.WAIT, job.scheduled_at
        # Ours, and without a heartbeat: a lost message is sent again until it is done.
        return Step.BULK, now + timedelta(seconds=keep_wait_s(job.due_tries, patience))
    if job.is_worker_job:
        return _look_at_worker(job, now, patience)
    if job.attempt.provider_job_id is None:
        return _look_at_dispatch(job, now, patience)
    return _look_at_provider(job, now, patience)


def _act(
    step: Step, not_before: datetime | None, now: datetime, patience: Patience
) -> tuple[Step, datetime | None]:
    """Do it now (and look again in case the message is lost), or wait until it may be done."""
    if not_before is not None and now < not_before:
        return Step.WAIT, not_before
    return step, now + timedelta(seconds=patience.outbox_s)


def _lacks_outputs(job: Job) -> bool:
    """Whether an image job is completed and no result link was told yet (nor given up)."""
    return (
        job.status is JobStatus.COMPLETED
        and not job.is_worker_job
        and not job.current_outputs
        and job.error_code is None
        and job.result is None
    )


def _look_at_worker(job: Job, now: datetime, patience: Patience) -> tuple[Step, datetime | None]:
    if job.status is JobStatus.PENDING:
        # Nobody here starts it; a start in the past would be due for ever.
        is_ahead = job.scheduled_at is not None and now < job.scheduled_at
        return Step.WAIT, job.scheduled_at if is_ahead else None
    deadline = (job.reported_at or job.started_at or job.created_at) + timedelta(
        seconds=patience.heartbeat_s
    )
    return (Step.TIME_OUT, now) if now >= deadline else (Step.WAIT, deadline)


def _look_at_dispatch(job: Job, now: datetime, patience: Patience) -> tuple[Step, datetime | None]:
    attempt = job.attempt
    if job.scheduled_at is not None and now < job.scheduled_at:
        return Step.WAIT, job.scheduled_at
    begun = max(attempt.created_at, job.scheduled_at or attempt.created_at)
    held_until = min(attempt.held_until or begun, begun + timedelta(seconds=patience.held_s))
    deadline = max(begun, held_until) + timedelta(seconds=patience.dispatch_s)
    if attempt.intent_at is None:
        if now >= deadline:
            return Step.GIVE_UP, now
        # However long we are asked to wait: at the deadline the user is told.
        not_before = attempt.not_before and min(attempt.not_before, deadline)
        # First as long as the call itself may take: its beginning then moves no due date.
        is_new = now < begun + timedelta(seconds=patience.call_s)
        wait_s = patience.call_s if is_new else patience.outbox_s
        return _act(Step.CREATE, not_before, now, replace(patience, outbox_s=wait_s))
    # A call was begun, and we do not know (yet) what became of it.
    known_at = attempt.intent_at + timedelta(seconds=patience.call_s)
    if now < known_at:
        return Step.WAIT, known_at
    # The proof that it was not executed takes two listings; never give up before them.
    if now >= max(deadline, known_at + timedelta(seconds=3 * (patience.list_gap_s or 0))):
        return Step.GIVE_UP, now
    if patience.list_gap_s is None:
        return Step.WAIT, deadline
    if attempt.missed_at is not None:
        return _act(
            Step.LOOK_UP,
            attempt.missed_at + timedelta(seconds=patience.list_gap_s),
            now,
            replace(patience, outbox_s=patience.list_gap_s),
        )
    return _act(Step.LOOK_UP, None, now, replace(patience, outbox_s=patience.list_gap_s))


def _look_at_provider(job: Job, now: datetime, patience: Patience) -> tuple[Step, datetime | None]:
    attempt = job.attempt
    linked_at = attempt.linked_at or attempt.created_at
    deadline = linked_at + timedelta(seconds=patience.provider_s)
    if now >= deadline:
        return Step.TIME_OUT, now
    if job.poll_wanted:
        return _act(Step.POLL, None, now, patience)
    poll_at = _next_poll(job, max(job.polled_at or linked_at, linked_at), patience)
    if now < poll_at:
        return Step.WAIT, min(poll_at, deadline)
    return Step.POLL, min(now + timedelta(seconds=patience.outbox_s), deadline)


def _next_poll(job: Job, since: datetime, patience: Patience) -> datetime:
    """Return when the provider is asked next, if it says nothing by itself: at the earliest of
    when the job looks stale, when it should be done by now, and when a result could be dying."""
    wanted = [since + timedelta(seconds=poll_wait_s(job.due_tries, patience))]
    done_at = should_be_done_at(job)
    if done_at is not None and done_at > since:
        wanted.append(done_at)
    if patience.result_life_s is not None:
        wanted.append(since + timedelta(seconds=patience.result_life_s - EXPIRY_MARGIN_S))
    return min(wanted)


def should_be_done_at(job: Job) -> datetime | None:
    """Return when the current attempt should have ended, as far as its tool is known: later than
    half of the others, so that a webhook that is merely slow is not asked about."""
    attempt = job.attempt
    if attempt.expected_ms is None or attempt.intent_at is None:
        return None
    return attempt.intent_at + timedelta(milliseconds=attempt.expected_ms * 1.5 + DONE_MARGIN_MS)


def poll_wait_s(tries: int, patience: Patience) -> float:
    """Return the wait before poll number `tries` + 1, in seconds.

    >>> [poll_wait_s(n, Patience()) for n in (0, 1, 2, 3, 9)]
    [60.0, 90.0, 135.0, 202.5, 240]
    """
    return min(patience.first_poll_s * 1.5 ** min(tries, 20), patience.max_poll_s)
