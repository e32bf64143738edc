"""Keep a delivery that failed its check for a day: the secret that is wrong may be ours."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.errors import JobTrackerError
from shared.domain.quarantine import HeldDelivery, fits, headers_to_hold, hour_of
from shared.domain.references import has_form_of_reference
from shared.providers.base import Check, Delivery, KeySource, Receiver
from shared.usecases.quarantine_ports import Quarantine

log = logging.getLogger(__name__)


class Held(StrEnum):
    """What became of a delivery that was refused: a closed set."""

    KEPT = "kept"
    POINTLESS = "pointless"  # no secret of ours will ever make it genuine
    TOO_LARGE = "too_large"  # only counted
    FULL = "full"  # 500 of its provider and hour are kept: only counted
    FAILED = "failed"  # the table did not take it


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """What keeping deliveries needs.

    receivers: by the sender's name; one that is not among them signs with a secret of ours.
    full: the hour that this process knows to be full, by sender: until it ends nothing is asked.
    """

    quarantine: Quarantine
    receivers: Mapping[str, Receiver]
    full: dict[str, str] = field(default_factory=dict)


def hold_delivery(ward: Ward, delivery: Delivery, check: Check) -> Held:
    """Keep a delivery that failed its check, if another secret could make it genuine.

    Never raises: the sender is answered the same, whatever becomes of this. Nothing is parsed.

    Guarantees
        What is kept is bounded (see `domain.quarantine`). Nothing is called for what is not
        signed or is too large, nor in an hour of which this process knows that it is full.
    """
    if check is Check.MISSING or not _may_be_genuine(ward, delivery):
        return Held.POINTLESS
    headers = headers_to_hold(delivery.headers)
    if not fits(delivery.body, headers):
        return Held.TOO_LARGE
    hour = hour_of(delivery.received_at)
    if ward.full.get(delivery.provider) == hour:
        return Held.FULL
    try:
        is_kept = ward.quarantine.hold(_held(delivery, headers, check))
    except JobTrackerError as trouble:
        log.error("delivery not kept", extra={"code": trouble.code, "reason": trouble.message})
        return Held.FAILED
    if not is_kept:
        ward.full[delivery.provider] = hour
        return Held.FULL
    return Held.KEPT


def _may_be_genuine(ward: Ward, delivery: Delivery) -> bool:
    """Tell whether there is anything to check: some senders are known by our reference alone."""
    receiver = ward.receivers.get(delivery.provider)
    if receiver is None or receiver.key_source is not KeySource.CALLBACK:
        return True
    return has_form_of_reference(delivery.reference)


def _held(delivery: Delivery, headers: Mapping[str, str], check: Check) -> HeldDelivery:
    is_reference = has_form_of_reference(delivery.reference)
    return HeldDelivery(
        provider=delivery.provider,
        received_at=delivery.received_at,
        reason=check.value,
        size_bytes=len(delivery.body),
        body=delivery.body,
        headers=headers,
        reference=delivery.reference if is_reference else None,
    )
