"""Shopify's own webhooks: about the app's installation, and about privacy.

The signature covers the body and nothing else: no header of a genuine delivery is proven. So
the shop is taken from the signed body; a header may only confirm it. (`app/scopes_update` has
only the shop's number: there the header is believed, and whoever receives it remembers which
shop a body came for first.) The topic must be believed too: each one's body has fields that no
other's has. So must the instant of the trigger, though never one after the reception.

Source: shopify.dev, "Webhooks" and "Privacy law compliance", the changelog on
`app/scopes_update` (2024-10, `shop_id` since 2025-07), read 2026-11. Compliance topics have come
without X-Shopify-Shop-Domain (Shopify/shopify-api-ruby issue 1261).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.domain.events import Proof
from shared.domain.ids import is_shop
from shared.providers.base import (
    Check,
    MalformedDeliveryError,
    ShopNotice,
    ShopTopic,
    Verdict,
)
from shared.providers.reading import identifier, instant, read_object

SIGNATURE_HEADER = "x-shopify-hmac-sha256"
TOPIC_HEADER = "x-shopify-topic"
SHOP_HEADER = "x-shopify-shop-domain"
TRIGGERED_HEADER = "x-shopify-triggered-at"
ID_HEADER = "x-shopify-webhook-id"
# Shopify tries for four hours.
OLDEST = timedelta(days=30)
# Base64 of 32 bytes.
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{43}=")
_SCOPE = re.compile(r"[a-z0-9_]{1,100}")
_MAX_SCOPES = 200


class ShopifyWebhooks:
    """How Shopify tells of a shop."""

    def verify(self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> Verdict:
        """Check base64(HMAC-SHA256(client secret, raw body)): total, constant time, any secret."""
        given = headers.get(SIGNATURE_HEADER, "").strip()
        if not given:
            return Verdict(Check.MISSING)
        if _SIGNATURE.fullmatch(given) is None:
            return Verdict(Check.MALFORMED)
        fitting: int | None = None
        for number, secret in enumerate(secrets):
            digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
            fits = hmac.compare_digest(base64.b64encode(digest), given.encode())
            if fits and fitting is None:
                fitting = number
        if fitting is None:
            return Verdict(Check.WRONG)
        return Verdict(Check.ACCEPTED, Proof.BODY, fitting)

    def topic(self, headers: Mapping[str, str]) -> ShopTopic | None:
        """Return the topic; None for one that means nothing to us."""
        named = headers.get(TOPIC_HEADER, "").strip().lower()
        return ShopTopic(named) if named in list(ShopTopic) else None

    def read(
        self, topic: ShopTopic, body: bytes, headers: Mapping[str, str], received_at: datetime
    ) -> ShopNotice:
        """Read a genuine delivery of that topic.

        Raises MalformedDeliveryError: it does not look like this topic, names no shop, or another
        one than its header.
        """
        told = read_object(body)
        named = headers.get(SHOP_HEADER, "").strip().lower()
        shop = _shop(named) if topic is ShopTopic.SCOPES_UPDATE else _SIGNED_SHOPS[topic](told)
        if shop is None:
            raise MalformedDeliveryError(f"This is no delivery of {topic}: it names no shop.")
        if named not in ("", shop):
            raise MalformedDeliveryError(
                "The shop in the header is not the one in the signed body."
            )
        is_scopes = topic is ShopTopic.SCOPES_UPDATE
        return ShopNotice(
            topic=topic,
            shop=shop,
            webhook_id=identifier(headers.get(ID_HEADER)) or hashlib.sha256(body).hexdigest(),
            triggered_at=_triggered_at(headers, received_at),
            scopes=_scopes(told) if is_scopes else (),
            updated_at=_signed_instant(told) if is_scopes else None,
        )


def _triggered_at(headers: Mapping[str, str], received_at: datetime) -> datetime:
    """Read when it happened: not after it was received, nor absurdly long before."""
    told = instant(headers.get(TRIGGERED_HEADER)) or received_at
    return max(min(told, received_at), received_at - OLDEST)


def _shop(value: object) -> str | None:
    name = value.strip().lower() if isinstance(value, str) else ""
    return name if is_shop(name) else None


def _of_shop_resource(told: Mapping[str, Any]) -> str | None:
    return _shop(told.get("myshopify_domain"))


def _of_customer_topic(told: Mapping[str, Any]) -> str | None:
    return _shop(told.get("shop_domain")) if "customer" in told else None


# What a delivery about a customer has and one about the whole shop has not.
_OF_A_CUSTOMER = ("customer", "orders_requested", "orders_to_redact", "data_request")


def _of_shop_redact(told: Mapping[str, Any]) -> str | None:
    """A delivery about a customer, told as one about the shop, must not erase the shop."""
    is_about_customer = any(name in told for name in _OF_A_CUSTOMER)
    return None if is_about_customer else _shop(told.get("shop_domain"))


_SIGNED_SHOPS = {
    ShopTopic.UNINSTALLED: _of_shop_resource,
    ShopTopic.DATA_REQUEST: _of_customer_topic,
    ShopTopic.CUSTOMER_REDACT: _of_customer_topic,
    ShopTopic.SHOP_REDACT: _of_shop_redact,
}


def _scopes(told: Mapping[str, Any]) -> tuple[str, ...]:
    current = told.get("current")
    if not isinstance(current, list) or len(current) > _MAX_SCOPES:
        raise MalformedDeliveryError("`current` is not a list of scopes.")
    if not all(isinstance(scope, str) and _SCOPE.fullmatch(scope) for scope in current):
        raise MalformedDeliveryError("`current` is not a list of scopes.")
    return tuple(dict.fromkeys(current))


def _signed_instant(told: Mapping[str, Any]) -> datetime:
    at = instant(told.get("updated_at"))
    if at is None:
        raise MalformedDeliveryError("`updated_at` is not an instant.")
    return at
