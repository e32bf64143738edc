"""What is answered about a shop's webhook endpoints.

Imported for the OpenAPI document only.
"""

from typing import Any

from pydantic import Field

from shared.bodies.answers import Instant, _Answer, _Success
from shared.domain.endpoints import DeliveryStatus, DisabledReason
from shared.domain.notice_types import NoticeType
from shared.usecases.notice_ports import AddressState


class AddressJson(_Answer):
    """Somebody of a shop to write to. state: whether they have agreed."""

    address: str
    state: AddressState


class NotificationsJson(_Answer):
    """Whom of a shop we write to, and of what."""

    emails: list[AddressJson]
    phones: list[AddressJson]
    types: list[NoticeType]


class EndpointJson(_Answer):
    """A webhook endpoint, without its secret. oldSecretUntil: until when the one before it signs
    too. disabledReason: why we disabled it; null when its owner did. failingSince: the first
    failure since something last came through."""

    id: str
    url: str
    types: list[NoticeType]
    description: str | None
    is_enabled: bool
    disabled_at: Instant | None
    disabled_reason: DisabledReason | None
    failing_since: Instant | None
    old_secret_until: Instant | None
    created_at: Instant
    updated_at: Instant


class EndpointsAnswer(_Success):
    """The shop's webhook endpoints."""

    endpoints: list[EndpointJson]


class EndpointAnswer(_Success):
    """The endpoint as it now is."""

    endpoint: EndpointJson


class EndpointSecretAnswer(EndpointAnswer):
    """The endpoint, and its new secret, which is shown this once."""

    secret: str = Field(description="What deliveries are signed with (Standard Webhooks).")


class TryJson(_Answer):
    """One call of an endpoint. status: what it answered; code: why there was no answer."""

    at: Instant
    status: int | None
    code: str | None
    duration_ms: int


class DeliveryJson(_Answer):
    """One notice on its way to one endpoint. tryCount: ever; tries: the last of them, the oldest
    first. nextAt: when it is tried next, while it is pending. answer: the beginning of the last
    answer. code: why it was dropped, or given up without a try."""

    id: str
    webhook_id: str
    type: NoticeType
    status: DeliveryStatus
    code: str | None
    created_at: Instant
    next_at: Instant | None
    try_count: int
    tries: list[TryJson]
    answer: str | None
    payload: dict[str, Any]


class DeliveryAnswer(_Success):
    """The delivery as it now is."""

    delivery: DeliveryJson


class DeliveriesAnswer(_Success):
    """A page of deliveries, the newest first. They are kept for 30 days."""

    deliveries: list[DeliveryJson]
    next_cursor: str | None = Field(description="null at the end.")
