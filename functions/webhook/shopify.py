"""Shopify's own webhooks: about the app's installation, and about privacy.

Trigger: `POST /webhooks/shopify`. Samples: events/webhook_shopify_*.json.

| answer | when |
| --- | --- |
| 200 `{"success": true, "outcome"}` | genuine, and what it owes is in the table |
| 400 `invalid_request` | genuine, but not readable, or its headers say something else |
| 401 `unauthorized` | no signature, or a wrong one: always this same answer |
| 413 `too_large` | genuine, but over 1 MiB |
| 503 `unavailable` | our secret or table is missing or down: Shopify tries again |

Delivery: at least once, in any order; every delivery may come again without harm. The log line
is what shows that a request about a customer was taken: it has the topic and the shop, and
nothing of the customer.
"""

from typing import Any

from functions.webhook.deliveries import delivery_in, refuse
from shared import wiring
from shared.domain.errors import JobTrackerError
from shared.observability import count, logger
from shared.responses import HttpResponse, json_response
from shared.usecases.receive_shop_webhook import Heard, ShopReceipt, receive_shop_webhook


def receive(event: dict[str, Any]) -> HttpResponse:
    """Translate one delivery in, and its receipt out."""
    delivery = None
    try:
        desk = wiring.shop_desk()
        delivery = delivery_in(event, wiring.SHOPIFY, desk.tracker.now())
        receipt = receive_shop_webhook(desk, delivery)
    except JobTrackerError as error:
        request_id = event["requestContext"]["requestId"]
        return refuse("shopify webhook refused", error, delivery, request_id, {})
    return _acknowledge(receipt)


def _acknowledge(receipt: ShopReceipt) -> HttpResponse:
    told = {"topic": receipt.topic, "shop": receipt.shop, "outcome": receipt.heard}
    logger.info("shopify webhook", extra=told)
    count(_METRICS.get(receipt.heard, "ShopWebhookWithoutEffect"))
    return json_response(200, {"success": True, "outcome": receipt.heard})


_METRICS = {
    Heard.UNINSTALLED: "ShopUninstalled",
    Heard.SCOPES_STORED: "ShopScopesStored",
    Heard.ERASURE_OWED: "ShopErasureOwed",
    Heard.ACKNOWLEDGED: "CustomerRequestAcknowledged",
    Heard.UNKNOWN_TOPIC: "ShopWebhookUnknownTopic",
}
