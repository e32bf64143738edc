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
from shared.domain.references import Reference, delivery_key, make_reference
from shared.domain.status import Outcome
from shared.providers.base import Callback, ProviderAdapter, Request
from shared.usecases.apply_event import apply_event
from shared.usecases.dispatch_lane import (
    LONGEST_DELAY_S,
    MESSAGE_WITHIN_S,
    SLOT_LASTS,
    Advance,
    Advanced,
    DispatchLane,
)
from shared.usecases.documents import fetch
from shared.usecases.learn_pace import expected_ms
from shared.usecases.tracker import Note

BASE_S, CAP_S = 2.0, 120.0
# After the intent; with the 30 s of a call that is less than the 45 s (`Patience.call_s`)
# after which the first listing may begin.
CALL_BEGINS_WITHIN = timedelta(seconds=10)
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
    is_our_turn = _has_slot(job.attempt, lane.tracker.now())
    if not is_our_turn and not lane.has_share(adapter, adapter.create_ceiling):
        return _queue(lane, job, adapter)
    try:
        whole = fetch(lane.files, job)
    except DocumentsLostError as error:
        return _fail(lane, job, error, Advance.UNSENDABLE)
    begun = _begin(lane, job, expected_ms(lane, job))
    if begun is None:
        return Advanced(advance=Advance.NOTHING)
    request = _request(lane, whole, adapter, secret)
    if _is_late(lane, begun):
        late = ProviderUnreachableError("Our own table was too slow for a call to be safe.")
        return _not_executed(lane, begun, late)
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


def _is_late(lane: DispatchLane, begun: Job) -> bool:
    """Whether a call that began now might still be under way when it is looked for."""
    intent_at = begun.attempt.intent_at
    return intent_at is None or lane.tracker.now() - intent_at > CALL_BEGINS_WITHIN


def _has_slot(attempt: Attempt, now: datetime) -> bool:
    """Whether a call was reserved for this attempt, and may still be made."""
    return attempt.slot_at is not None and now - attempt.slot_at < SLOT_LASTS


def _queue(lane: DispatchLane, job: Job, adapter: ProviderAdapter) -> Advanced:
    """Have the job wait for a minute of the limit that has a call for it."""
    slot_at, not_before = lane.reserve(adapter)
    trouble = "the provider's rate limit is used up"
    return _postpone(
        lane,
        job,
        replace(job.attempt, not_before=not_before, slot_at=slot_at, held_until=not_before),
        Advanced(advance=Advance.POSTPONED, reason=trouble),
        within_s=LONGEST_DELAY_S,
    )


def _request(lane: DispatchLane, job: Job, adapter: ProviderAdapter, secret: str) -> Request:
    reference = make_reference(adapter.name, job.ref, job.attempt.number, secret)
    base = lane.public_url.rstrip("/")
    callback = Callback(
        url=f"{base}/webhooks/{adapter.name}?ref={quote(reference, safe='')}",
        reference=reference,
        secret=delivery_key(adapter.name, Reference(job.ref, job.attempt.number), secret),
    )
    return adapter.create_request(job, callback)


def _begin(lane: DispatchLane, seen: Job, expected: int | None) -> Job | None:
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
            job.attempt,
            intent_at=now,
            missed_at=None,
            not_before=None,
            slot_at=None,
            tries=job.attempt.tries + 1,
            expected_ms=expected,
        )
        return job.with_attempt(attempt), None

    try:
        written = lane.tracker.change(seen.ref, decide, seen=seen)
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
    tries, advance = begun.attempt.tries, Advance.POSTPONED
    if error.code == UNAUTHORIZED:
        advance = Advance.UNAUTHORIZED
        wait_s = lane.wait_s(error, tries, base_s=KEY_BASE_S, cap_s=KEY_CAP_S)
    else:
        wait_s = lane.wait_s(error, tries, base_s=BASE_S, cap_s=CAP_S)
    not_before = lane.tracker.now() + timedelta(seconds=wait_s)
    attempt = replace(begun.attempt, not_before=not_before)
    if isinstance(error, ProviderBusyError):
        # It is there, and has us wait: that is no outage.
        attempt = replace(attempt, held_until=not_before)
    return _postpone(lane, begun, attempt, Advanced(advance=advance, reason=error.message))


def _postpone(
    lane: DispatchLane,
    seen: Job,
    waiting: Attempt,
    result: Advanced,
    *,
    within_s: float = MESSAGE_WITHIN_S,
) -> Advanced:
    """Note that nothing was executed, and that the same attempt is due after a wait."""
    is_due = False

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal is_due
        mine = _same_try(job, seen)
        is_due = mine is not None and job.status.is_active
        if mine is None:
            return job, None
        attempt = replace(waiting, intent_at=None, missed_at=None, trouble=result.reason)
        return job.with_attempt(attempt), None

    try:
        lane.tracker.change(seen.ref, decide)
    except NotFoundError:
        return Advanced(advance=Advance.GONE)
    if is_due and waiting.not_before is not None:
        wait_s = (waiting.not_before - lane.tracker.now()) / timedelta(seconds=1)
        lane.remind(seen.ref, wait_s, within_s=within_s)
    return result


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
