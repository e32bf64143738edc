"""The two axes of a job's status, as tables.

Every state × event is declared: nothing raises "no transition". A row says where the
job goes and what the event amounted to. Order is by this lattice, never by a
provider's timestamps.
"""

from dataclasses import dataclass
from enum import StrEnum


class JobStatus(StrEnum):
    """What the user sees of the work."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_active(self) -> bool:
        """Whether somebody is still at it."""
        return self in (JobStatus.PENDING, JobStatus.PROCESSING)


ACTIVE = (JobStatus.PENDING, JobStatus.PROCESSING)
ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)

SPELLINGS = {
    **{status.value: status for status in JobStatus},
    "queued": JobStatus.PENDING,
    "assigned": JobStatus.PENDING,
    "running": JobStatus.PROCESSING,
    "in_progress": JobStatus.PROCESSING,
    "starting": JobStatus.PROCESSING,
    "succeeded": JobStatus.COMPLETED,
    "success": JobStatus.COMPLETED,
    "canceled": JobStatus.CANCELLED,
    "aborted": JobStatus.CANCELLED,
    "error": JobStatus.FAILED,
    "rejected": JobStatus.FAILED,
    "resubmission_required": JobStatus.FAILED,
    "timed_out": JobStatus.FAILED,
}


def read_status(word: str) -> JobStatus | None:
    """Read a status in any accepted spelling, or None for an unknown word.

    >>> read_status("RUNNING"), read_status("canceled").value, read_status("exploded")
    (<JobStatus.PROCESSING: 'processing'>, 'cancelled', None)
    """
    return SPELLINGS.get(word.strip().lower().replace("-", "_"))


class JobState(StrEnum):
    """A status, with what we know about a failure.

    A *reported* failure was said by the provider; a *presumed* one is our guess
    (time-out, lost dispatch), which a real completion overrides.
    """

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    PRESUMED = "presumed"
    CANCELLED = "cancelled"

    @property
    def status(self) -> JobStatus:
        """The status that this state is shown as."""
        return JobStatus.FAILED if self is JobState.PRESUMED else JobStatus(self.value)


class JobEvent(StrEnum):
    """What can happen to the current attempt of a job."""

    # Said by a provider or a worker.
    QUEUED = "queued"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    # Done by us or by a user.
    RETRY = "retry"
    CANCEL = "cancel"
    FORCE_COMPLETE = "force_complete"
    TIME_OUT = "time_out"


class Outcome(StrEnum):
    """What an event amounted to. All of them are normal life, none is an error."""

    APPLIED = "applied"
    PROGRESSED = "progressed"
    DUPLICATE = "duplicate"
    LATE = "late"
    LOWER = "lower"
    STALE = "stale"
    MISMATCH = "mismatch"
    UNKNOWN_STATUS = "unknown_status"
    OUT_OF_WINDOW = "out_of_window"
    TOO_LARGE = "too_large"
    PARKED = "parked"
    GONE = "gone"
    REFUSED = "refused"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Row:
    """Where the job goes, and what the event amounted to."""

    to: JobState
    outcome: Outcome


_PENDING, _PROCESSING = JobState.PENDING, JobState.PROCESSING
_COMPLETED, _FAILED = JobState.COMPLETED, JobState.FAILED
_PRESUMED, _CANCELLED = JobState.PRESUMED, JobState.CANCELLED


def _stay(state: JobState, **outcomes: Outcome) -> dict[JobEvent, Row]:
    return {JobEvent(event): Row(state, outcome) for event, outcome in outcomes.items()}


def _go(**targets: JobState) -> dict[JobEvent, Row]:
    return {JobEvent(event): Row(to, Outcome.APPLIED) for event, to in targets.items()}


TRANSITIONS: dict[JobState, dict[JobEvent, Row]] = {
    _PENDING: {
        **_stay(_PENDING, queued=Outcome.DUPLICATE, unknown=Outcome.UNKNOWN_STATUS),
        **_stay(_PENDING, retry=Outcome.REFUSED),
        **_go(started=_PROCESSING, completed=_COMPLETED, failed=_FAILED, cancelled=_CANCELLED),
        **_go(cancel=_CANCELLED, force_complete=_COMPLETED, time_out=_PRESUMED),
    },
    _PROCESSING: {
        **_stay(_PROCESSING, queued=Outcome.LOWER, started=Outcome.DUPLICATE),
        **_stay(_PROCESSING, unknown=Outcome.UNKNOWN_STATUS, retry=Outcome.REFUSED),
        **_go(completed=_COMPLETED, failed=_FAILED, cancelled=_CANCELLED),
        **_go(cancel=_CANCELLED, force_complete=_COMPLETED, time_out=_PRESUMED),
    },
    _COMPLETED: {
        **_stay(_COMPLETED, queued=Outcome.LATE, started=Outcome.LATE, failed=Outcome.LATE),
        **_stay(_COMPLETED, completed=Outcome.DUPLICATE, cancelled=Outcome.LATE),
        **_stay(_COMPLETED, unknown=Outcome.UNKNOWN_STATUS, time_out=Outcome.LATE),
        **_stay(_COMPLETED, retry=Outcome.REFUSED, cancel=Outcome.REFUSED),
        **_stay(_COMPLETED, force_complete=Outcome.REFUSED),
    },
    _FAILED: {
        **_stay(_FAILED, queued=Outcome.LATE, started=Outcome.LATE, completed=Outcome.LATE),
        **_stay(_FAILED, failed=Outcome.DUPLICATE, cancelled=Outcome.LATE),
        **_stay(_FAILED, unknown=Outcome.UNKNOWN_STATUS, time_out=Outcome.LATE),
        **_stay(_FAILED, cancel=Outcome.REFUSED),
        **_go(retry=_PENDING, force_complete=_COMPLETED),
    },
    # A guess gives way to what the provider really says.
    _PRESUMED: {
        **_stay(_PRESUMED, queued=Outcome.LATE, started=Outcome.LATE, cancelled=Outcome.LATE),
        **_stay(_PRESUMED, unknown=Outcome.UNKNOWN_STATUS, time_out=Outcome.DUPLICATE),
        **_stay(_PRESUMED, cancel=Outcome.REFUSED),
        **_go(completed=_COMPLETED, failed=_FAILED, retry=_PENDING, force_complete=_COMPLETED),
    },
    _CANCELLED: {
        **_stay(_CANCELLED, queued=Outcome.LATE, started=Outcome.LATE, completed=Outcome.LATE),
        **_stay(_CANCELLED, failed=Outcome.LATE, cancelled=Outcome.DUPLICATE),
        **_stay(_CANCELLED, unknown=Outcome.UNKNOWN_STATUS, time_out=Outcome.LATE),
        **_stay(_CANCELLED, cancel=Outcome.DUPLICATE),
        **_go(retry=_PENDING, force_complete=_COMPLETED),
    },
}


class PushStatus(StrEnum):
    """How far a kept output is on its way to the product."""

    NONE = "none"
    QUEUED = "queued"
    STAGING = "staging"
    PROCESSING = "processing"
    PUSHED = "pushed"
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        """Whether the push function still owes something."""
        return self in (PushStatus.QUEUED, PushStatus.STAGING, PushStatus.PROCESSING)


class PushEvent(StrEnum):
    """What can happen to a push."""

    REQUEST = "request"  # somebody wants it on the product
    STAGE = "stage"  # the file's name is claimed, the create call may follow
    CREATE = "create"  # Shopify has the media, and works on it
    RESTART = "restart"  # Shopify's media failed; another file name is tried
    ATTACH = "attach"  # it was seen on the product
    FAIL = "fail"  # it will not heal by itself
    UNDO = "undo"  # the reference was removed on request


@dataclass(frozen=True, slots=True)
class PushRow:
    """Where the push goes, and what the event amounted to."""

    to: PushStatus
    outcome: Outcome


def _push(**targets: PushStatus | None) -> dict[PushEvent, PushStatus | None]:
    return {PushEvent(event): to for event, to in targets.items()}


_N, _Q, _S = PushStatus.NONE, PushStatus.QUEUED, PushStatus.STAGING
_P, _D, _F = PushStatus.PROCESSING, PushStatus.PUSHED, PushStatus.FAILED

# None: late, no effect. A push that was ended or undone is moved only by a new request.
_PUSH_TARGETS: dict[PushStatus, dict[PushEvent, PushStatus | None]] = {
    _N: _push(request=_Q, stage=None, create=None, restart=None, attach=None, fail=None, undo=None),
    _Q: _push(request=_Q, stage=_S, create=_P, restart=_S, attach=_D, fail=_F, undo=_N),
    _S: _push(request=_Q, stage=_S, create=_P, restart=_S, attach=_D, fail=_F, undo=_N),
    _P: _push(request=_Q, stage=None, create=_P, restart=_S, attach=_D, fail=_F, undo=_N),
    _D: _push(request=_Q, stage=None, create=None, restart=None, attach=_D, fail=None, undo=_N),
    _F: _push(request=_Q, stage=None, create=None, restart=None, attach=None, fail=_F, undo=_N),
}

PUSH_TRANSITIONS: dict[PushStatus, dict[PushEvent, PushRow]] = {
    status: {
        event: PushRow(status, Outcome.LATE) if to is None else PushRow(to, Outcome.APPLIED)
        for event, to in targets.items()
    }
    for status, targets in _PUSH_TARGETS.items()
}
