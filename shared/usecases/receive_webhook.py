"""Receive a provider's webhook: verify it on its raw bytes, then bring it to its job."""

from dataclasses import dataclass, replace

from shared.domain.errors import (
    InvalidRequestError,
    NotFoundError,
    SecretUnavailableError,
    TooLargeError,
    UnauthorizedError,
)
from shared.domain.events import ParkedEvent, Source
from shared.domain.references import Reference, read_reference
from shared.domain.status import JobEvent, Outcome
from shared.providers.base import (
    Check,
    Delivery,
    MalformedDeliveryError,
    ParsedDelivery,
    ProviderAdapter,
    Verdict,
)
from shared.usecases.apply_event import apply_event, want_poll
from shared.usecases.ports import Secrets
from shared.usecases.tracker import Note, Tracker

MAX_BODY_BYTES = 1024 * 1024
# A secret that was just changed may be newer than our copy of it.
SECRET_IS_FRESH_S = 30

_GONE_OR_REFUSED = "The signature is missing or wrong."


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a genuine delivery amounted to. event: what it said, if it was read."""

    outcome: Outcome
    event: JobEvent | None = None


class SignatureError(UnauthorizedError):
    """Not genuine. `check` says why, for our metrics only: the answer is always the same."""

    def __init__(self, check: Check) -> None:
        super().__init__(_GONE_OR_REFUSED)
        self.check = check


def receive_webhook(tracker: Tracker, secrets: Secrets, delivery: Delivery) -> Receipt:
    """Verify a delivery and bring it to its job; park it when the job is not known (yet).

    Returns what it amounted to; duplicates and late deliveries are normal.
    Raises
        NotFoundError: no such provider. SignatureError: not genuine; nothing was parsed.
        TooLargeError, InvalidRequestError: genuine, but not readable; when our reference
            tells which job it is about, that job is polled instead.
        SecretUnavailableError, StoreUnavailableError: our fault; the sender must try again.
    Guarantees
        Once it returns, the delivery's effect is in the table. One consistent read and one
        write when our reference came with it; a forged delivery costs no call at all.
    """
    adapter = tracker.adapters.get(delivery.provider)
    if adapter is None:
        raise NotFoundError("There is no such provider.")
    verdict = _verify(adapter, secrets, delivery)
    if not verdict.is_accepted:
        raise SignatureError(verdict.check)
    app_secrets = secrets.get("app", "APP_SECRET")
    if not app_secrets:
        raise SecretUnavailableError("APP_SECRET is not set.")
    reference = read_reference(delivery.provider, delivery.reference, app_secrets)
    if len(delivery.body) > MAX_BODY_BYTES:
        _poll_instead(tracker, reference, verdict, Outcome.TOO_LARGE)
        raise TooLargeError("The body is larger than 1 MiB.")
    try:
        parsed = adapter.parse(delivery.body, delivery.received_at, verdict.proof)
    except MalformedDeliveryError as error:
        _poll_instead(tracker, reference, verdict, Outcome.UNKNOWN_STATUS)
        raise InvalidRequestError(str(error)) from None
    if reference is None:
        reference = read_reference(delivery.provider, parsed.reference, app_secrets)
    elif parsed.event.reference is None:
        # The callback address proves whose job it is as well as an echo in the body does.
        event = replace(parsed.event, reference=delivery.reference)
        parsed = replace(parsed, event=event)
    outcome = _deliver(tracker, delivery, parsed, reference)
    return Receipt(outcome, parsed.event.event)


def _verify(adapter: ProviderAdapter, secrets: Secrets, delivery: Delivery) -> Verdict:
    name = f"{adapter.name.upper()}_WEBHOOK_SECRET"
    values = secrets.get("signing", name)
    verdict = _verdict(adapter, delivery, values)
    if verdict.check is Check.WRONG and secrets.refresh("signing", older_than_s=SECRET_IS_FRESH_S):
        values = secrets.get("signing", name)
        verdict = _verdict(adapter, delivery, values)
    if not values:
        raise SecretUnavailableError(f"{name} is not set.")
    return verdict


def _verdict(adapter: ProviderAdapter, delivery: Delivery, values: tuple[str, ...]) -> Verdict:
    return adapter.verify(delivery.body, delivery.headers, values, delivery.received_at)


def _deliver(
    tracker: Tracker, delivery: Delivery, parsed: ParsedDelivery, reference: Reference | None
) -> Outcome:
    event = parsed.event
    if reference is None:
        if event.provider_job_id is None:
            raise InvalidRequestError("The delivery does not name a job.")
        link = tracker.store.find_link(event.provider, event.provider_job_id)
        if link is None and parsed.in_window:
            if tracker.store.park(_parked(delivery, parsed)):
                return Outcome.PARKED
            # Its job was registered between our look and the parking.
            link = tracker.store.find_link(event.provider, event.provider_job_id)
        if link is None:
            return Outcome.OUT_OF_WINDOW
        if link.is_tombstone:
            return Outcome.GONE
        reference = Reference(link.ref, link.attempt)
    if not parsed.in_window:
        note = Note(
            source=Source.WEBHOOK,
            outcome=Outcome.OUT_OF_WINDOW,
            message="A signed delivery from another time came in; the provider is asked instead.",
            attempt=reference.attempt,
            proof=event.proof,
            body=delivery.body,
        )
        return _want_poll(tracker, reference, note)
    told = replace(event, attempt=reference.attempt)
    return apply_event(tracker, reference.ref, told, body=delivery.body)


def _parked(delivery: Delivery, parsed: ParsedDelivery) -> ParkedEvent:
    event = parsed.event
    return ParkedEvent(
        provider=event.provider,
        provider_job_id=event.provider_job_id or "",
        key=event.key,
        received_at=delivery.received_at,
        proof=event.proof,
        body=delivery.body,
    )


def _poll_instead(
    tracker: Tracker, reference: Reference | None, verdict: Verdict, outcome: Outcome
) -> None:
    if reference is None:
        return
    note = Note(
        source=Source.WEBHOOK,
        outcome=outcome,
        message="A signed delivery could not be read; the provider is asked instead.",
        attempt=reference.attempt,
        proof=verdict.proof,
    )
    _want_poll(tracker, reference, note)


def _want_poll(tracker: Tracker, reference: Reference, note: Note) -> Outcome:
    try:
        want_poll(tracker, reference.ref, note)
    except NotFoundError:
        return Outcome.GONE
    return note.outcome
