"""Webhooks of providers, of the user's own programs (`worker`), and Shopify's own (see `shopify`).

Trigger: `POST /webhooks/{provider}`, `POST /webhooks/shopify` (API Gateway HTTP API, payload
format 2.0). Samples: events/webhook_pikcel_completed.json, events/webhook_shopify_uninstalled.json.

| answer | when |
| --- | --- |
| 200 `{"success": true, "outcome"}` | genuine, and its effect (or a parked copy) is in the table |
| 400 `invalid_request` | genuine, but not readable; of a worker: signed over 300 s from now |
| 401 `unauthorized` | no signature, or a wrong one: always this same answer |
| 404 `not_found` | no such provider; no such job of a worker |
| 409 `not_a_worker_job` | a worker's report on a job that is not one's own |
| 413 `too_large` | genuine, but over 1 MiB |
| 503 `unavailable` | our secret or table is missing or down: the sender tries again |

A worker whose job was cancelled also reads `"cancelRequested": true` in a 200.

Delivery: at least once, in any order; every delivery may come again without harm.

In Lambda's init what the first delivery would wait for is done already; nowhere else.
"""

import base64
import binascii
from typing import Any

from shared import wiring
from shared.domain.errors import InvalidRequestError, JobTrackerError
from shared.domain.status import JobEvent, Outcome
from shared.observability import count, logger, metrics
from shared.providers.base import Delivery
from shared.responses import HttpResponse, error_response, error_status, json_response
from shared.usecases.receive_webhook import Receipt, SignatureError, receive_webhook

SHOPIFY = "shopify"


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> HttpResponse:
    """Translate one delivery in, and its receipt out."""
    # The route of Shopify's own webhooks has no parameter.
    provider = (event.get("pathParameters") or {}).get("provider", SHOPIFY)
    if provider == SHOPIFY:
        # Not imported for anybody else: providers' webhooks are many, and waited for.
        from functions.webhook import shopify

        return shopify.receive(event)
    request_id = event["requestContext"]["requestId"]
    try:
        app = wiring.webhook_app()
        delivery = Delivery(
            provider=provider,
            body=body_of(event),
            headers=headers_of(event),
            received_at=app.clock.now(),
            reference=(event.get("queryStringParameters") or {}).get("ref"),
        )
        receipt = _receive(app, delivery)
    except JobTrackerError as error:
        return _refuse(error, provider, request_id)
    return _acknowledge(receipt, provider)


def _receive(app: wiring.WebhookApp, delivery: Delivery) -> Receipt:
    desk = app.desk
    if delivery.provider != desk.receiver.name:
        return receive_webhook(app.tracker, app.seals, delivery)
    # What reads reports (pydantic) is no provider's to wait for.
    from shared.usecases.receive_report import receive_report

    return receive_report(app.tracker, app.seals, desk, delivery)


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


def _acknowledge(receipt: Receipt, provider: str) -> HttpResponse:
    logger.info("webhook", extra={"provider": provider, "outcome": receipt.outcome})
    count(_METRICS.get(receipt.outcome, "WebhookWithoutEffect"))
    if receipt.outcome in _TOLD and receipt.event is JobEvent.COMPLETED:
        count("CompletedByWebhook")
    body: dict[str, Any] = {"success": True, "outcome": receipt.outcome}
    if receipt.cancel_requested:
        body["cancelRequested"] = True
    return json_response(200, body)


def _refuse(error: JobTrackerError, provider: str, request_id: str) -> HttpResponse:
    reason = error.check if isinstance(error, SignatureError) else error.code
    is_ours = error_status(error) >= 500
    log = logger.error if is_ours else logger.info
    log("webhook refused", extra={"provider": provider, "code": error.code, "reason": reason})
    count(_REFUSALS.get(error.code, "WebhookUnavailable" if is_ours else "WebhookUnreadable"))
    return error_response(error, request_id)


# A hint that is confirmed by asking was told by webhook all the same.
_TOLD = frozenset({Outcome.APPLIED, Outcome.NOTED})
_METRICS = {
    Outcome.APPLIED: "WebhookApplied",
    Outcome.PROGRESSED: "WebhookApplied",
    Outcome.PARKED: "WebhookParked",
    Outcome.UNKNOWN_STATUS: "UnknownStatus",
}
_REFUSALS = {"secret_unavailable": "SecretUnavailable", "unauthorized": "WebhookRejected"}

wiring.prepare_webhook()
