"""The app's webhooks: what Shopify says, how it is signed, and how long it waits.

Headers, signature and waiting as on shopify.dev [D]: the signature is base64 of HMAC-SHA256 over
the raw body with the app's client secret, and covers no header; connecting may take 1 s, all of
it 5 s; redirects are not followed. Shopify tries eight more times in four hours unless it is
answered 2xx [D]; here every try is asked for, with the same id, so that no test waits.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from .state import Shop, iso

API_VERSION = "2026-10"
CUSTOMER = {"id": 191_167, "email": "john@example.com", "phone": "555-625-1199"}

TOPICS = (
    "app/uninstalled",
    "app/scopes_update",
    "customers/data_request",
    "customers/redact",
    "shop/redact",
)


@dataclass(frozen=True)
class Answer:
    """What the app said; ``status`` is None when it said nothing in time."""

    status: int | None
    body: str


type Deliver = Callable[[str, Mapping[str, str], bytes], Answer]
"""Sends a body with headers to a URL."""


def deliver(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Send over the network, as patiently as Shopify does."""
    timeout = httpx.Timeout(5.0, connect=1.0)
    try:
        answer = httpx.post(url, content=body, headers=dict(headers), timeout=timeout)
    except httpx.HTTPError as error:
        return Answer(None, type(error).__name__)
    return Answer(answer.status_code, answer.text)


def sign(secret: str, body: bytes) -> str:
    """The signature of a body.

    >>> sign("test-secret", b'{"event":"job.completed","job_id":"123"}')
    '5sy7v6AveH6ZEX48+OLJBw/IRvVjrtq+H9vNfqI/wPs='
    """
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def body_of(topic: str, shop: Shop, now: float, scopes: frozenset[str]) -> dict[str, Any]:
    """What Shopify says of a shop under a topic; of any other topic, nothing."""
    if topic == "app/uninstalled":
        # The shop resource, shortened to what anybody reads.
        return {
            "id": shop.number,
            "name": shop.domain.partition(".")[0],
            "email": f"owner@{shop.domain}",
            "domain": shop.domain,
            "created_at": iso(now),
            "updated_at": iso(now),
            "plan_name": "basic",
            "myshopify_domain": shop.domain,
        }
    if topic == "app/scopes_update":
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        return {
            "id": 1234,
            "previous": [],
            "current": sorted(scopes),
            "updated_at": at.replace("+00:00", "Z"),
            "shop_id": shop.number,
        }
    told = {"shop_id": shop.number, "shop_domain": shop.domain}
    more: dict[str, dict[str, Any]] = {
        "customers/data_request": {
            "orders_requested": [299_938, 280_263],
            "customer": CUSTOMER,
            "data_request": {"id": 9_999},
        },
        "customers/redact": {"customer": CUSTOMER, "orders_to_redact": [299_938, 280_263]},
        "shop/redact": {},
    }
    return told | more[topic] if topic in more else {}


def headers_of(topic: str, shop: Shop, now: float, signature: str) -> dict[str, str]:
    """The headers of a new delivery; Shopify writes the instant with nanoseconds [L]."""
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")
    return {
        "Content-Type": "application/json",
        "User-Agent": "Shopify-Captain-Hook",
        "X-Shopify-API-Version": API_VERSION,
        "X-Shopify-Event-Id": str(uuid.uuid4()),
        "X-Shopify-Hmac-Sha256": signature,
        "X-Shopify-Shop-Domain": shop.domain,
        "X-Shopify-Topic": topic,
        "X-Shopify-Triggered-At": at.replace("+00:00", "000Z"),
        "X-Shopify-Webhook-Id": str(uuid.uuid4()),
    }


def encode(body: Mapping[str, Any]) -> bytes:
    """The bytes of a body."""
    return json.dumps(body, separators=(",", ":")).encode()
