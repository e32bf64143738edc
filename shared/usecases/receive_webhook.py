"""Receive a provider's webhook: verify it on its raw bytes, then bring it to its job."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from shared.domain.errors import (
    InvalidRequestError,
    NotFoundError,
    SecretUnavailableError,
    TooLargeError,
    UnauthorizedError,
)
from shared.domain.events import ParkedEvent, Source
from shared.domain.references import Reference, delivery_key, read_reference
from shared.domain.status import JobEvent, Outcome
from shared.providers.base import (
    Check,
    Delivery,
    Keys,
    KeySource,
    MalformedDeliveryError,
    ParsedDelivery,
    Receiver,
    UnrelatedDeliveryError,
    Verdict,
)
from shared.usecases.apply_event import apply_event, want_poll
from shared.usecases.ports import FindOwnerRequest, KeySets, Secrets
from shared.usecases.tracker import Note, Tracker

MAX_BODY_BYTES = 1024 * 1024
# A secret that was just changed may be newer than our copy of it.
SECRET_IS_FRESH_S = 30
APP_SECRET = "APP_SECRET"  # noqa: S105 - the name of one

_GONE_OR_REFUSED = "The signature is missing or wrong."


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a genuine delivery amounted to.

    event: what it said, if it was read. cancel_requested: a worker is to stop.
    """

    outcome: Outcome
    event: JobEvent | None = None
    cancel_requested: bool = False


class SignatureError(UnauthorizedError):
    """Not genuine. `check` says why, for our metrics only: the answer is always the same."""

    def __init__(self, check: Check) -> None:
        super().__init__(_GONE_OR_REFUSED)
        self.check = check


class UncheckedError(SecretUnavailableError):
    """It could not be checked, because a key of ours is missing, unreadable or no key.

    check: what can be said of it without: `missing` if it is not even signed.
    """

    def __init__(self, message: str, check: Check) -> None:
        super().__init__(message)
        self.check = check


class KeyWatch(Protocol):
    """Whoever counts which of several secrets deliveries fit."""

    def note(self, name: str, secret: str, received_at: datetime) -> None:
        """Note that a delivery fitted this value of the secret of that name. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seals:
    """What deliveries are checked with.

    accounts: our own account at a provider, where we were told it. watch: told which secret
    fitted, while there are several.
    """

    secrets: Secrets
    key_sets: KeySets
    accounts: Mapping[str, str] = field(default_factory=dict)
    watch: KeyWatch | None = None


def receive_webhook(tracker: Tracker, seals: Seals, delivery: Delivery) -> Receipt:
    """Verify a delivery and bring it to its job; park it when the job is not known (yet).

    Returns what it amounted to; duplicates and late deliveries are normal, and so is one about
    nothing of ours (`noted`).
    Raises
        NotFoundError: no such provider. SignatureError: not genuine; nothing was parsed.
        TooLargeError, InvalidRequestError: genuine, but not readable; when our reference
            tells which job it is about, that job is polled instead.
        SecretUnavailableError, StoreUnavailableError, QueueUnavailableError: our fault (or the
            provider's, whose public keys cannot be had); the sender must try again.
    Guarantees
        Once it returns, the delivery's effect is in the table; or it is parked there, and a
        provider that can tell will be asked whose it is. One consistent read and one write when
        our reference came with it; a forged delivery costs no call at all.
    """
    adapter = tracker.adapters.get(delivery.provider)
    if adapter is None:
        raise NotFoundError("There is no such provider.")
    verdict = verify_delivery(adapter, seals, delivery)
    app_secrets = _app_secrets(seals.secrets)
    reference = read_reference(delivery.provider, delivery.reference, app_secrets)
    if len(delivery.body) > MAX_BODY_BYTES:
        _poll_instead(tracker, reference, verdict, Outcome.TOO_LARGE)
        raise TooLargeError("The body is larger than 1 MiB.")
    try:
        parsed = adapter.parse(delivery.body, delivery.headers, delivery.received_at, verdict.proof)
    except UnrelatedDeliveryError:
        return Receipt(Outcome.NOTED)
    except MalformedDeliveryError as error:
        _poll_instead(tracker, reference, verdict, Outcome.UNKNOWN_STATUS)
        raise InvalidRequestError(str(error)) from None
    if reference is None:
        reference = read_reference(delivery.provider, parsed.reference, app_secrets)
    elif parsed.event.reference is None:
        # The callback address proves whose job it is as well as an echo in the body does.
        event = replace(parsed.event, reference=delivery.reference)
        parsed = replace(parsed, event=event)
    if not verdict.is_accepted:
        parsed = replace(parsed, in_window=False)
    outcome = _deliver(tracker, delivery, parsed, reference)
    return Receipt(outcome, parsed.event.event)


def verify_delivery(receiver: Receiver, seals: Seals, delivery: Delivery) -> Verdict:
    """Check a delivery: accepted, or at least rightly signed (`out_of_window`).

    Raises SignatureError: not genuine. UncheckedError: it could not be checked, because our
    secret, or the provider's public keys, are missing or unreadable.
    Guarantees
        Of what failed, the keys are read once more if our copy is older than 30 s.
    """
    keys = _keys(receiver, seals, delivery)
    verdict = receiver.verify(delivery.body, delivery.headers, keys, delivery.received_at)
    if verdict.check is Check.WRONG and _refresh(receiver, seals):
        keys = _keys(receiver, seals, delivery)
        verdict = receiver.verify(delivery.body, delivery.headers, keys, delivery.received_at)
    is_unset = not keys.texts and receiver.key_source is KeySource.SECRET
    if is_unset or verdict.check is Check.NO_KEY:
        reason = f"{secret_name(receiver)} is not set, or is no key."
        raise UncheckedError(reason, _check_without_key(receiver, delivery))
    if not verdict.is_genuine:
        raise SignatureError(verdict.check)
    name = secret_name(receiver)
    is_rotating = len(keys.texts) > 1 and receiver.key_source is KeySource.SECRET
    if is_rotating and seals.watch is not None and name and verdict.key is not None:
        seals.watch.note(name, keys.texts[verdict.key], delivery.received_at)
    return verdict


def secret_name(receiver: Receiver) -> str | None:
    """Return the name of the secret that a sender's deliveries are checked with; None: none."""
    match receiver.key_source:
        case KeySource.SECRET:
            return f"{receiver.name.upper()}_WEBHOOK_SECRET"
        case KeySource.CALLBACK:
            return APP_SECRET
        case KeySource.KEY_SET:
            return None


def said_without_key(verdict: Verdict) -> Check:
    """Tell, of a check without a key, what is not signed at all from what only lacks our key."""
    return Check.MISSING if verdict.check is Check.MISSING else Check.NO_KEY


def _check_without_key(receiver: Receiver, delivery: Delivery) -> Check:
    none = Keys(texts=())
    verdict = receiver.verify(delivery.body, delivery.headers, none, delivery.received_at)
    return said_without_key(verdict)


def _keys(receiver: Receiver, seals: Seals, delivery: Delivery) -> Keys:
    try:
        return _read_keys(receiver, seals, delivery)
    except SecretUnavailableError as error:
        raise UncheckedError(error.message, _check_without_key(receiver, delivery)) from error


def _read_keys(receiver: Receiver, seals: Seals, delivery: Delivery) -> Keys:
    texts: Sequence[str]
    match receiver.key_source:
        case KeySource.SECRET:
            texts = seals.secrets.get("signing", secret_name(receiver) or "")
        case KeySource.KEY_SET:
            texts = seals.key_sets.get(receiver.name)
        case KeySource.CALLBACK:
            app_secrets = _app_secrets(seals.secrets)
            reference = read_reference(receiver.name, delivery.reference, app_secrets)
            # Nobody but us and the provider knows the reference of an attempt.
            texts = [
                delivery_key(receiver.name, reference, secret)
                for secret in app_secrets
                if reference is not None
            ]
    return Keys(texts=texts, account=seals.accounts.get(receiver.name))


def _refresh(receiver: Receiver, seals: Seals) -> bool:
    if receiver.key_source is KeySource.KEY_SET:
        return seals.key_sets.refresh(receiver.name, older_than_s=SECRET_IS_FRESH_S)
    audience = "signing" if receiver.key_source is KeySource.SECRET else "app"
    return seals.secrets.refresh(audience, older_than_s=SECRET_IS_FRESH_S)


def _app_secrets(secrets: Secrets) -> tuple[str, ...]:
    found = secrets.get("app", APP_SECRET)
    if not found:
        raise SecretUnavailableError("APP_SECRET is not set.")
    return found


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
                _ask_whose(tracker, event.provider, event.provider_job_id)
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
    return apply_event(
        tracker, reference.ref, told, body=delivery.body, received_at=delivery.held_since
    )


def _ask_whose(tracker: Tracker, provider: str, provider_job_id: str) -> None:
    """Have a provider that can tell asked whose job it is that was parked for.

    Not before the answer to its create call, if that is under way, must have come.
    """
    adapter = tracker.adapters[provider]
    if adapter.tells_owner:
        request = FindOwnerRequest(provider=provider, provider_job_id=provider_job_id)
        tracker.outbox.send_dispatch([request], delay_s=math.ceil(adapter.patience.call_s))


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
