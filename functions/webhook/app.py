"""Webhooks of providers, of the user's own programs (`worker`), and Shopify's own (see `shopify`).
What the API asks of us, since we alone hold the secrets, is in `asked`.

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
| 503 `unavailable` | our secret, table or queue is missing or down: the sender tries again |

A worker whose job was cancelled also reads `"cancelRequested": true` in a 200.

Delivery: at least once, in any order; every delivery may come again without harm. What fails its
check is kept for a day, within bounds: the wrong secret may be ours (`hold_delivery`).

In Lambda's init what the first delivery would wait for is done already; nowhere else.
"""

from typing import Any

from functions.webhook.deliveries import delivery_in, refuse
from shared import wiring
from shared.domain.errors import JobTrackerError
from shared.domain.job import WORKER
from shared.domain.status import JobEvent, Outcome
from shared.observability import completion, count, logger, metrics
from shared.providers.base import Delivery
from shared.responses import HttpResponse, json_response
from shared.usecases.receive_webhook import Receipt, receive_webhook


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> HttpResponse:
    """Translate one delivery in, and its receipt out."""
    if "asked" in event:
        from functions.webhook import asked

        return asked.answer(event)
    # The route of Shopify's own webhooks has no parameter.
    provider = (event.get("pathParameters") or {}).get("provider", wiring.SHOPIFY)
    if provider == wiring.SHOPIFY:
        # Not imported for anybody else: providers' webhooks are many, and waited for.
        from functions.webhook import shopify

        return shopify.receive(event)
    request_id = event["requestContext"]["requestId"]
    delivery = None
    try:
        app = wiring.webhook_app()
        delivery = delivery_in(event, provider, app.clock.now())
        receipt = _receive(app, delivery)
    except JobTrackerError as error:
        told = {"provider": provider}
        return refuse("webhook refused", error, delivery, request_id, told)
    return _acknowledge(receipt, provider)


def _receive(app: wiring.WebhookApp, delivery: Delivery) -> Receipt:
    desk = app.desk
    if delivery.provider != desk.receiver.name:
        return receive_webhook(app.tracker, app.seals, delivery)
    # What reads reports (pydantic) is no provider's to wait for.
    from shared.usecases.receive_report import receive_report

    return receive_report(app.tracker, app.seals, desk, delivery)


def _acknowledge(receipt: Receipt, provider: str) -> HttpResponse:
    logger.info("webhook", extra={"provider": provider, "outcome": receipt.outcome})
    count(_METRICS.get(receipt.outcome, "WebhookWithoutEffect"))
    if _tells_completion(receipt, provider):
        count("CompletedByWebhook")
        completion(provider, by_poll=False)
    body: dict[str, Any] = {"success": True, "outcome": receipt.outcome}
    if receipt.cancel_requested:
        body["cancelRequested"] = True
    return json_response(200, body)


def _tells_completion(receipt: Receipt, provider: str) -> bool:
    # Nobody polls a worker: its word says nothing about how well providers keep theirs.
    is_of_a_provider = provider != WORKER
    is_told = receipt.outcome in _TOLD and receipt.event is JobEvent.COMPLETED
    return is_of_a_provider and is_told


# A hint that is confirmed by asking was told by webhook all the same.
_TOLD = frozenset({Outcome.APPLIED, Outcome.NOTED})
_METRICS = {
    Outcome.APPLIED: "WebhookApplied",
    Outcome.PROGRESSED: "WebhookApplied",
    Outcome.PARKED: "WebhookParked",
    Outcome.UNKNOWN_STATUS: "UnknownStatus",
}

wiring.prepare_webhook()
