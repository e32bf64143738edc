"""Webhook endpoints, their deliveries, and whom of a shop we write to, as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.domain.endpoints import Delivery, Endpoint, Try
from shared.domain.shop import Notifications
from shared.serializers.values import instant
from shared.usecases.notice_ports import AddressState


def endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    """Describe an endpoint, without its secret."""
    reason = endpoint.disabled_reason
    return {
        "id": endpoint.endpoint_id,
        "url": endpoint.url,
        "types": [kind.value for kind in endpoint.types],
        "description": endpoint.description,
        "isEnabled": endpoint.is_enabled,
        "disabledAt": instant(endpoint.disabled_at),
        "disabledReason": reason.value if reason else None,
        "failingSince": instant(endpoint.failing_since),
        "oldSecretUntil": instant(endpoint.old_secret_until),
        "createdAt": instant(endpoint.created_at),
        "updatedAt": instant(endpoint.updated_at),
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Describe a delivery, with what it carries and what came back."""
    return {
        "id": delivery.delivery_id,
        "webhookId": delivery.webhook_id,
        "type": delivery.type.value,
        "status": delivery.status.value,
        "code": delivery.code,
        "createdAt": instant(delivery.created_at),
        "nextAt": instant(delivery.next_at),
        "tryCount": delivery.number,
        "tries": [_try_json(each) for each in delivery.tries],
        "answer": delivery.excerpt,
        "payload": json.loads(delivery.body),
    }


def notifications_json(
    wanted: Notifications | None, states: Mapping[str, AddressState]
) -> dict[str, Any] | None:
    """Describe whom of a shop we write to."""
    if wanted is None:
        return None
    return {
        "emails": _addresses(wanted.emails, states),
        "phones": _addresses(wanted.phones, states),
        "types": [kind.value for kind in wanted.types],
    }


def _addresses(
    addresses: Sequence[str], states: Mapping[str, AddressState]
) -> list[dict[str, str]]:
    return [{"address": each, "state": states[each].value} for each in addresses]


def _try_json(one: Try) -> dict[str, Any]:
    return {
        "at": instant(one.at),
        "status": one.status,
        "code": one.code,
        "durationMs": one.duration_ms,
    }
