"""The two status tables are complete, and nothing in them goes backwards."""

import itertools

import pytest

from shared.domain.status import (
    PUSH_TRANSITIONS,
    TRANSITIONS,
    JobEvent,
    JobState,
    JobStatus,
    Outcome,
    PushEvent,
    PushStatus,
    read_status,
)

PROVIDER_EVENTS = (
    JobEvent.QUEUED,
    JobEvent.STARTED,
    JobEvent.COMPLETED,
    JobEvent.FAILED,
    JobEvent.CANCELLED,
    JobEvent.UNKNOWN,
    JobEvent.TIME_OUT,
)
TERMINAL = (JobState.COMPLETED, JobState.FAILED, JobState.PRESUMED, JobState.CANCELLED)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, JobEvent)))
def test_every_state_declares_every_event(state: JobState, event: JobEvent) -> None:
    row = TRANSITIONS[state][event]
    moves = row.to is not state
    assert not moves or row.outcome is Outcome.APPLIED


@pytest.mark.parametrize(("status", "event"), list(itertools.product(PushStatus, PushEvent)))
def test_every_push_status_declares_every_event(status: PushStatus, event: PushEvent) -> None:
    row = PUSH_TRANSITIONS[status][event]
    assert row.to is status or row.outcome is Outcome.APPLIED


@pytest.mark.parametrize(("state", "event"), list(itertools.product(TERMINAL, PROVIDER_EVENTS)))
def test_a_terminal_state_moves_only_when_it_was_a_guess(state: JobState, event: JobEvent) -> None:
    row = TRANSITIONS[state][event]
    overrides = state is JobState.PRESUMED and event in (JobEvent.COMPLETED, JobEvent.FAILED)
    assert (row.to is not state) == overrides


@pytest.mark.parametrize("state", JobState)
def test_only_what_failed_or_was_cancelled_can_be_retried(state: JobState) -> None:
    row = TRANSITIONS[state][JobEvent.RETRY]
    retryable = state in (JobState.FAILED, JobState.PRESUMED, JobState.CANCELLED)
    assert (row.to is JobState.PENDING and row.outcome is Outcome.APPLIED) == retryable


@pytest.mark.parametrize("status", PushStatus)
def test_only_a_request_moves_a_push_that_has_ended(status: PushStatus) -> None:
    if status.is_active:
        return
    moved = {e for e in PushEvent if PUSH_TRANSITIONS[status][e].to is not status}
    assert moved <= {PushEvent.REQUEST, PushEvent.UNDO}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("queued", JobStatus.PENDING),
        ("ASSIGNED", JobStatus.PENDING),
        ("Running", JobStatus.PROCESSING),
        ("in_progress", JobStatus.PROCESSING),
        ("IN-PROGRESS", JobStatus.PROCESSING),
        ("starting", JobStatus.PROCESSING),
        ("succeeded", JobStatus.COMPLETED),
        ("success", JobStatus.COMPLETED),
        ("canceled", JobStatus.CANCELLED),
        ("aborted", JobStatus.CANCELLED),
        (" completed ", JobStatus.COMPLETED),
        ("exploded", None),
        ("", None),
    ],
)
def test_statuses_are_read_in_every_accepted_spelling(word: str, status: JobStatus | None) -> None:
    assert read_status(word) is status
