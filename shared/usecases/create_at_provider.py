"""Have the provider start a job's current attempt, without ever paying for it twice."""

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

from shared.domain import lifecycle
from shared.domain.errors import (
    DocumentsLostError,
    NotFoundError,
    ProviderBusyError,
    ProviderRefusedError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
    RetryableError,
    SecretUnavailableError,
)
from shared.domain.events import ProviderEvent, Source
from shared.domain.job import Attempt, Job
from shared.domain.plan import Step
from shared.domain.references import make_reference
from shared.domain.status import Outcome
from shared.providers.base import ProviderAdapter, Request
from shared.usecases.apply_event import apply_event
from shared.usecases.dispatch_lane import Advance, Advanced, DispatchLane
from shared.usecases.documents import fetch
from shared.usecases.tracker import Note

BASE_S, CAP_S = 2.0, 120.0
# A wrong key heals when somebody changes it, not by being tried often.
KEY_BASE_S, KEY_CAP_S = 60.0, 300.0
UNAUTHORIZED = "provider_unauthorized"


def create_at_provider(lane: DispatchLane, job: Job, adapter: ProviderAdapter) -> Advanced:
    """Start the current attempt of a job whose next step is CREATE.

    Returns created, refused or unsendable (the job failed), postponed or unauthorized (proven not
    executed: it is due later), answer_lost (it is due to be looked up), or nothing when
    another worker was faster.
    Raises SecretUnavailableError, StoreUnavailableError (table, or bucket: nothing was begun).
    Guarantees
        The intent is written, on condition, before the call: of any number of workers one
        makes it, and a crash at any point leaves either no intent (nothing was sent) or an
        intent that is looked up before anything is sent again.
    """
    secret = lane.app_secrets()[0]
    now = lane.tracker.now()
    if not lane.has_share(adapter, adapter.create_ceiling):
        wait_s = lane.next_minute_s(now)
        trouble = "the provider's rate limit is used up"
        return _postpone(lane, job, trouble, wait_s, Advance.POSTPONED)
    try:
        whole = fetch(lane.files, job)
    except DocumentsLostError as error:
        return _fail(lane, job, error, Advance.UNSENDABLE)
    begun = _begin(lane, job)
    if begun is None:
        return Advanced(advance=Advance.NOTHING)
    request = _request(lane, whole, adapter, secret)
    try:
        event = adapter.read_created(lane.apis[adapter.name].call(request))
    except ProviderRefusedError as error:
        return _fail(lane, begun, error, Advance.REFUSED)
    except ProviderUnknownOutcomeError as error:
        return _answer_lost(lane, begun, adapter, error)
    except (ProviderBusyError, ProviderUnreachableError) as error:
        return _not_executed(lane, begun, error)
    except SecretUnavailableError as error:
        _not_executed(lane, begun, error)
        raise
    return _created(lane, begun, event)


def _request(lane: DispatchLane, job: Job, adapter: ProviderAdapter, secret: str) -> Request:
    reference = make_reference(adapter.name, job.ref, job.attempt.number, secret)
    base = lane.public_url.rstrip("/")
    callback_url = f"{base}/webhooks/{adapter.name}?ref={quote(reference, safe='')}"
    return adapter.create_request(job, callback_url, reference)


def _begin(lane: DispatchLane, seen: Job) -> Job | None:
    """Write the intent; None when it is not ours to make (any more)."""
    is_ours = False

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal is_ours
        is_ours = (
            lane.tracker.step(job, now) is Step.CREATE
            and job.attempt.number == seen.attempt.number
            and job.attempt.tries == seen.attempt.tries
            and job.documents_key == seen.documents_key
        )
        if not is_ours:
            return job, None
        attempt = replace(
            job.attempt, intent_at=now, missed_at=None, not_before=None, tries=job.attempt.tries + 1
        )
        return job.with_attempt(attempt), None

    try:
        written = lane.tracker.change(seen.ref, decide)
    except NotFoundError:
        return None
    return written if is_ours else None


def _created(lane: DispatchLane, begun: Job, event: ProviderEvent) -> Advanced:
    event = replace(event, attempt=begun.attempt.number, source=Source.DISPATCH)
    outcome = apply_event(lane.tracker, begun.ref, event)
    if outcome is Outcome.GONE:
        return Advanced(advance=Advance.GONE)
    # A mismatch: the provider's id belongs to another job. Ours is looked up, like a lost answer.
    is_ours = outcome is not Outcome.MISMATCH
    return Advanced(advance=Advance.CREATED if is_ours else Advance.ANSWER_LOST, reason=outcome)


def _answer_lost(
    lane: DispatchLane, begun: Job, adapter: ProviderAdapter, error: RetryableError
) -> Advanced:
    """Leave the intent: what became of the call is found out by a look-up, or by a webhook."""
    note = Note(
        source=Source.DISPATCH,
        outcome=Outcome.NOTED,
        message="The provider's answer was lost; whether it has the job is being found out.",
        attempt=begun.attempt.number,
    )
    lane.tracker.store.note(begun.ref, lane.tracker.entry(note, begun, begun, lane.tracker.now()))
    if adapter.patience.list_gap_s is not None:
        lane.remind(begun.ref, adapter.patience.call_s + 1)
    return Advanced(advance=Advance.ANSWER_LOST, reason=error.message)


def _not_executed(lane: DispatchLane, begun: Job, error: RetryableError) -> Advanced:
    tries = begun.attempt.tries
    if error.code == UNAUTHORIZED:
        wait_s = lane.wait_s(error, tries, base_s=KEY_BASE_S, cap_s=KEY_CAP_S)
        return _postpone(lane, begun, error.message, wait_s, Advance.UNAUTHORIZED)
    wait_s = lane.wait_s(error, tries, base_s=BASE_S, cap_s=CAP_S)
    return _postpone(lane, begun, error.message, wait_s, Advance.POSTPONED)


def _postpone(
    lane: DispatchLane, seen: Job, trouble: str, wait_s: float, advance: Advance
) -> Advanced:
    """Note that nothing was executed, and that the same attempt is due after a wait."""
    is_due = False

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal is_due
        mine = _same_try(job, seen)
        is_due = mine is not None and job.status.is_active
        if mine is None:
            return job, None
        not_before = now + timedelta(seconds=wait_s)
        return job.with_attempt(
            replace(mine, intent_at=None, missed_at=None, not_before=not_before, trouble=trouble)
        ), None

    try:
        lane.tracker.change(seen.ref, decide)
    except NotFoundError:
        return Advanced(advance=Advance.GONE)
    if is_due:
        lane.remind(seen.ref, wait_s)
    return Advanced(advance=advance, reason=trouble)


def _same_try(job: Job, seen: Job) -> Attempt | None:
    """Return the attempt if it stands exactly where this worker saw it last."""
    number = seen.attempt.number
    is_same = number <= len(job.attempts) and job.attempts[number - 1] == seen.attempt
    return seen.attempt if is_same else None


def _fail(
    lane: DispatchLane,
    begun: Job,
    error: ProviderRefusedError | DocumentsLostError,
    advance: Advance,
) -> Advanced:
    is_refusal = isinstance(error, ProviderRefusedError)
    said = "The provider refused the job" if is_refusal else "The job cannot be sent"

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        mine = _same_try(job, begun)
        if mine is None:
            return job, None
        job = job.with_attempt(replace(mine, intent_at=None, trouble=error.message))
        if not job.status.is_active or job.attempt.number != begun.attempt.number:
            return job, None
        note = Note(
            source=Source.DISPATCH,
            outcome=Outcome.APPLIED,
            message=f"{said}: {error.message}",
        )
        return lifecycle.fail_dispatch(job, error.code, error.message, now), note

    try:
        lane.tracker.change(begun.ref, decide)
    except NotFoundError:
        return Advanced(advance=Advance.GONE)
    return Advanced(advance=advance, reason=error.code)
