"""The envelope of a delivery, whoever sent it, and the answer to one that is refused."""

import base64
import binascii
from datetime import datetime
from typing import Any

from shared import wiring
from shared.domain.errors import InvalidRequestError, JobTrackerError
from shared.observability import count, logger
from shared.providers.base import Delivery
from shared.responses import HttpResponse, error_response, error_status
from shared.usecases.receive_webhook import SignatureError, UncheckedError


def delivery_in(event: dict[str, Any], sender: str, received_at: datetime) -> Delivery:
    """Open the envelope of a delivery. Raises InvalidRequestError."""
    return Delivery(
        provider=sender,
        body=body_of(event),
        headers=headers_of(event),
        received_at=received_at,
        reference=(event.get("queryStringParameters") or {}).get("ref"),
    )


def headers_of(event: dict[str, Any]) -> dict[str, str]:
    """Return the headers, names in lower case."""
    return {name.lower(): value for name, value in event.get("headers", {}).items()}


def body_of(event: dict[str, Any]) -> bytes:
    """Return the bytes as they were sent. Raises InvalidRequestError."""
    text: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequestError("The body is not what it is said to be.") from None


def refuse(
    line: str,
    error: JobTrackerError,
    delivery: Delivery | None,
    request_id: str,
    told: dict[str, str],
) -> HttpResponse:
    """Answer with why a delivery is refused, and keep it if it failed its check.

    line: what the log says, and told: what it tells besides. delivery: None when its envelope
    could not be opened.
    """
    held = _hold(delivery, error)
    reason = error.check if isinstance(error, SignatureError) else error.code
    is_ours = error_status(error) >= 500
    log = logger.error if is_ours else logger.info
    log(line, extra=told | {"code": error.code, "reason": reason, "held": held})
    count(_REFUSALS.get(error.code, "WebhookUnavailable" if is_ours else "WebhookUnreadable"))
    return error_response(error, request_id)


def _hold(delivery: Delivery | None, error: JobTrackerError) -> str:
    if delivery is None or not isinstance(error, SignatureError | UncheckedError):
        return "no"
    from shared.usecases.hold_delivery import hold_delivery

    held = hold_delivery(wiring.ward(), delivery, error.check)
    if held in HELD_METRICS:
        count(HELD_METRICS[held])
    return held


# By the values of `Held`, which is not imported for deliveries that pass.
HELD_METRICS = {
    "kept": "DeliveryQuarantined",
    "too_large": "QuarantineTooLarge",
    "full": "QuarantineFull",
    "failed": "QuarantineFailed",
}
_REFUSALS = {"secret_unavailable": "SecretUnavailable", "unauthorized": "WebhookRejected"}
