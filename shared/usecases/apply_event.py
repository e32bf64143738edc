"""Bring what a provider said to the job it is about: by webhook, by poll, or from the park."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from shared.domain import lifecycle
from shared.domain.errors import LinkTakenError, NotFoundError
from shared.domain.events import Proof, ProviderEvent, Source
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.status import JobEvent, Outcome
from shared.providers.base import MalformedDeliveryError, UnrelatedDeliveryError
from shared.usecases.tracker import Note, Tracker


def apply_event(
    tracker: Tracker,
    ref: JobRef,
    event: ProviderEvent,
    *,
    body: bytes | None = None,
    received_at: datetime | None = None,
    polled: bool = False,
) -> Outcome:
    """Apply an event to a job, whatever else is happening to the job meanwhile.

    Parameters
        event: `attempt` is known (from our reference or from the link).
        body: the raw delivery, for the timeline; received_at: when it came in, if not just now.
        polled: it is the answer to a poll of the job: the poll itself is noted on the job
            in the same write, and an answer that says nothing new is not on the timeline.

    Returns what it amounted to; `gone` when the job no longer exists.
    Raises StoreUnavailableError: nothing was written, deliver it again.
    """
    note = partial(_note, event, body=body, received_at=received_at)
    if tracker.belongs(event, ref) is False:
        return _refuse_foreign(tracker, ref, note(Outcome.MISMATCH), polled=polled)
    outcome = Outcome.GONE
    learnt = False
    is_hint = is_hint_only(tracker, event)

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal outcome, learnt
        decide_on = lifecycle.take_hint if is_hint else lifecycle.apply_event
        decision = decide_on(job, event, now)
        outcome = decision.outcome
        learnt = _ids(decision.job) != _ids(job)
        after = decision.job
        if polled:
            after = _polled(after, outcome, now)
        elif outcome is Outcome.UNKNOWN_STATUS:
            after = replace(after, poll_wanted=True)
        is_silent = polled and not learnt and outcome in _NO_NEWS
        if is_silent:
            return after, None
        return after, note(outcome, learnt=learnt and not is_hint)

    try:
        job = tracker.change(ref, decide)
    except NotFoundError:
        return Outcome.GONE
    except LinkTakenError:
        if not _is_proven(tracker, ref, event):
            return _refuse_foreign(tracker, ref, note(Outcome.MISMATCH), polled=polled)
        # Somebody registered the id of our job before we learnt it ourselves.
        job = tracker.change(ref, decide, take_links=True)
    if learnt:
        adopt_parked(tracker, job, event.attempt)
    return outcome


def _ids(job: Job) -> list[str | None]:
    return [attempt.provider_job_id for attempt in job.attempts]


_ENDS = frozenset({JobEvent.COMPLETED, JobEvent.FAILED, JobEvent.CANCELLED})


def is_hint_only(tracker: Tracker, event: ProviderEvent) -> bool:
    """Whether the event is a delivery that would end a job and proves, or says, too little."""
    if event.source is not Source.WEBHOOK or event.event not in _ENDS:
        return False
    adapter = tracker.adapters.get(event.provider)
    is_trusted = adapter is None or adapter.trusts_deliveries
    return event.is_thin or (event.proof is not Proof.BODY_TIME and not is_trusted)


def _is_proven(tracker: Tracker, ref: JobRef, event: ProviderEvent) -> bool:
    """Whether the id in the event is this job's beyond doubt: it answers our own create
    call, or the provider's job carries our reference of this very job."""
    return event.source is Source.DISPATCH or tracker.belongs(event, ref) is True


def _refuse_foreign(tracker: Tracker, ref: JobRef, note: Note, *, polled: bool) -> Outcome:
    """Note an event that is about somebody else's job; a job that follows it ends here."""

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        if not polled:
            return job, note
        asked = _polled(job, Outcome.MISMATCH, now)
        if not job.status.is_active:
            return asked, note
        sentence = "This provider job belongs to another job."
        ended = lifecycle.fail_dispatch(asked, LinkTakenError.code, sentence, now)
        # The id goes back to whoever it belongs to: they may want to register it.
        return ended.with_attempt(replace(ended.attempt, provider_job_id=None)), note

    try:
        tracker.change(ref, decide)
    except NotFoundError:
        return Outcome.GONE
    return Outcome.MISMATCH


def adopt_parked(tracker: Tracker, job: Job, number: int | None = None) -> None:
    """Apply the events that came before the job (or its provider id) was known here.

    Parameters
        number: of the attempt whose id was learnt; None for the current one.
    """
    attempt = job.attempt if number is None else job.attempts[number - 1]
    provider_job_id = attempt.provider_job_id
    adapter = tracker.adapters.get(job.provider)
    if provider_job_id is None or adapter is None:
        return
    for parked in tracker.store.parked(job.provider, provider_job_id):
        try:
            parsed = adapter.parse(parked.body, {}, parked.received_at, parked.proof)
        except (MalformedDeliveryError, UnrelatedDeliveryError):
            # It was readable when it was parked; only a changed adapter can bring us here.
            continue
        event = replace(parsed.event, attempt=attempt.number)
        apply_event(tracker, job.ref, event, body=parked.body, received_at=parked.received_at)
        tracker.store.unpark(parked)


def want_poll(tracker: Tracker, ref: JobRef, note: Note) -> None:
    """Note a delivery that is not applied, and have the provider asked instead."""

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        return (job if job.poll_wanted else replace(job, poll_wanted=True)), note

    tracker.change(ref, decide)


def _polled(job: Job, outcome: Outcome, now: datetime) -> Job:
    """Note on the job that the provider was asked; ask less often while nothing changes."""
    has_moved = outcome in (Outcome.APPLIED, Outcome.PROGRESSED)
    due_tries = 0 if has_moved else job.due_tries + 1
    return replace(job, polled_at=now, poll_wanted=False, due_tries=due_tries)


def _note(
    event: ProviderEvent,
    outcome: Outcome,
    *,
    body: bytes | None,
    received_at: datetime | None,
    learnt: bool = False,
) -> Note:
    is_only_learnt = learnt and outcome in _NO_NEWS
    sentence = _LEARNT if is_only_learnt else _SENTENCES[outcome]
    if outcome is Outcome.NOTED and event.is_thin:
        sentence = _THIN
    return Note(
        source=event.source,
        outcome=Outcome.NOTED if is_only_learnt else outcome,
        message=sentence.format(native=event.native[:60], id=(event.provider_job_id or "")[:60]),
        attempt=event.attempt,
        proof=event.proof,
        body=body,
        received_at=received_at,
    )


# What a poll finds most of the time.
_NO_NEWS = frozenset({Outcome.DUPLICATE, Outcome.LOWER, Outcome.PROGRESSED})

_LEARNT = "The provider has the job as {id} and says {native}."
_THIN = "A delivery says {native}, and not why; the provider is asked."
_SENTENCES = {
    Outcome.APPLIED: "The provider says {native}.",
    Outcome.PROGRESSED: "The provider reports progress.",
    Outcome.DUPLICATE: "The provider says {native} again; nothing changes.",
    Outcome.LATE: "The provider says {native}, but the job has ended already; nothing changes.",
    Outcome.LOWER: "The provider says {native}, but the job is further already; nothing changes.",
    Outcome.STALE: "The provider says {native} of an earlier attempt; the job does not move.",
    Outcome.MISMATCH: "This is about another job of the provider; nothing changes.",
    Outcome.NOTED: "A delivery that proves too little says {native}; the provider is asked.",
    Outcome.UNKNOWN_STATUS: "The provider says {native}, a word we do not know; we ask it.",
}
