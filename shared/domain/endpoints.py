"""A shop's own webhook endpoints, and what is delivered to them: plain data and pure changes.

A delivery is owed until it is delivered, given up or dropped; it says itself when it is next
tried. A message is only a hint to look at it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from shared.domain.ids import uuid7
from shared.domain.notice_types import NoticeType
from shared.domain.notices import Notice

MAX_ENDPOINTS = 10
# Both secrets sign for so long after a rotation.
OLD_SECRET_SIGNS_FOR = timedelta(hours=24)
# Waits before the second, third, … try: a day and three and a half hours in all.
# Source: the schedule that Standard Webhooks suggests and Svix uses.
WAITS_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
MAX_TRIES = len(WAITS_S) + 1
# A wait is longer by up to this share of it, by chance: a thousand deliveries that failed
# together do not come back together.
JITTER = 0.2
# A delivery was given up, and nothing has come through for so long: the endpoint is dead.
FAILING_FOR = timedelta(days=3)
DELIVERY_KEPT_FOR = timedelta(days=30)
# Somebody must look at a delivery again if nothing has become of its message after this.
GRACE = timedelta(minutes=10)
# A delivery that could not even be tried for so long (we crash on it) is given up.
NEVER_TRIED_FOR = timedelta(days=3)
# The longest that a message can be delayed; for longer waits the sweep sends it in time.
LONGEST_DELAY_S = 900
TRIES_KEPT = 20
MAX_EXCERPT_BYTES = 1024

NEVER_TRIED = "never_tried"
ENDPOINT_GONE = "endpoint_gone"
ENDPOINT_DISABLED = "endpoint_disabled"


class DisabledReason(StrEnum):
    """Why we disabled an endpoint."""

    GONE = "gone"  # it answered 410
    FAILING = "failing"  # nothing came through for days


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a shop wants to be told.

    secret, old_secret: sealed. old_secret_until: until when the old one signs too. rotated_with:
    the mark of the call that rotated it last, if it had an Idempotency-Key.
    disabled_reason: why we disabled it; None while it is enabled, or when its owner did it.
    failing_since: the first failure since something last came through.
    """

    shop: str
    endpoint_id: str
    url: str
    types: tuple[NoticeType, ...]
    description: str | None = None
    is_enabled: bool = True
    secret: str = field(repr=False)
    old_secret: str | None = field(default=None, repr=False)
    old_secret_until: datetime | None = None
    rotated_with: str | None = None
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None
    disabled_reason: DisabledReason | None = None
    failing_since: datetime | None = None
    version: int = 1

    def wants(self, kind: NoticeType) -> bool:
        """Whether it is to be told of such things."""
        return self.is_enabled and kind in self.types

    def sealed_secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that sign at this instant, the newest first."""
        if self.old_secret is None or self.old_secret_until is None:
            return (self.secret,)
        return (self.secret, self.old_secret) if now < self.old_secret_until else (self.secret,)


def rotate(
    endpoint: Endpoint, sealed: str, now: datetime, *, at_once: bool, mark: str | None = None
) -> Endpoint:
    """Give the endpoint a new secret; the old one signs beside it for a day, or no more.

    mark: of the call that wants it. While its old secret signs beside the new one, the same call
    changes nothing: the secret in use would be void, and one that nobody was told of sign.
    """
    is_signing = endpoint.old_secret_until is not None and now < endpoint.old_secret_until
    if mark is not None and mark == endpoint.rotated_with and is_signing:
        return endpoint
    return replace(
        endpoint,
        secret=sealed,
        old_secret=None if at_once else endpoint.secret,
        old_secret_until=None if at_once else now + OLD_SECRET_SIGNS_FOR,
        rotated_with=mark,
        updated_at=now,
    )


def enable(endpoint: Endpoint, now: datetime, *, is_enabled: bool) -> Endpoint:
    """Enable or disable the endpoint, as its owner wishes; enabled, it begins anew."""
    if endpoint.is_enabled == is_enabled:
        return endpoint
    return replace(
        endpoint,
        is_enabled=is_enabled,
        disabled_at=None if is_enabled else now,
        disabled_reason=None,
        failing_since=None,
        updated_at=now,
    )


def disable(endpoint: Endpoint, reason: DisabledReason, now: datetime) -> Endpoint:
    """Disable the endpoint because it is dead; one that is disabled already stays as it is."""
    if not endpoint.is_enabled:
        return endpoint
    disabled = enable(endpoint, now, is_enabled=False)
    return replace(disabled, disabled_reason=reason, failing_since=endpoint.failing_since)


def disabled_notice(before: Endpoint | None, after: Endpoint) -> Notice | None:
    """Return what is told when we disabled an endpoint, None for any other write."""
    if after.disabled_reason is None or (before is not None and before.disabled_reason is not None):
        return None
    return _endpoint_notice(
        f"{after.endpoint_id}:{after.version}",
        NoticeType.ENDPOINT_DISABLED,
        after,
        after.updated_at,
    )


def trial_notice(endpoint: Endpoint, name: str, now: datetime) -> Notice:
    """Return what is sent for a test. name: unique to this test."""
    return _endpoint_notice(f"{name}:1", NoticeType.ENDPOINT_TEST, endpoint, now)


def _endpoint_notice(name: str, kind: NoticeType, endpoint: Endpoint, at: datetime) -> Notice:
    reason = endpoint.disabled_reason
    data = {
        "id": endpoint.endpoint_id,
        "shop": endpoint.shop,
        # Not its whole address, which may carry a token of the receiver's.
        "host": urlsplit(endpoint.url).hostname,
        "description": endpoint.description,
        "isEnabled": endpoint.is_enabled,
        "disabledReason": reason.value if reason else None,
    }
    return Notice(notice_id=f"{name}:{kind.value}", type=kind, shop=endpoint.shop, at=at, data=data)


class DeliveryStatus(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up after its last try
    DROPPED = "dropped"  # the endpoint was gone or disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One call of an endpoint.

    status: what it answered; code: why there was no answer. duration_ms: how long it took.
    """

    at: datetime
    status: int | None = None
    code: str | None = None
    duration_ms: int = 0

    @property
    def has_succeeded(self) -> bool:
        """Whether the endpoint took it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notice on its way to one endpoint.

    delivery_id: made from both, so a notice is one delivery to an endpoint however often it is
    handed over. body: what is sent, at every try. number: tries so far, ever; tries: the last of
    them. round_tries: since it was last asked for, at asked_at. next_at: the earliest instant of
    the next try, while it is pending. due_at: when the sweep must look whether its message was
    lost; due_looks: how often it did in a row. excerpt: the beginning of the last answer.
    code: why it was dropped or given up without a try.
    """

    shop: str
    endpoint_id: str
    delivery_id: str
    webhook_id: str
    type: NoticeType
    body: str = field(repr=False)
    created_at: datetime
    asked_at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    number: int = 0
    round_tries: int = 0
    tries: tuple[Try, ...] = ()
    next_at: datetime | None = None
    due_at: datetime | None = None
    due_looks: int = 0
    excerpt: str | None = field(default=None, repr=False)
    code: str | None = None
    version: int = 1

    @property
    def is_pending(self) -> bool:
        """Whether it is still owed."""
        return self.status is DeliveryStatus.PENDING


def delivery_id(endpoint_id: str, notice: Notice) -> str:
    """Return the id of a notice's delivery to an endpoint, ordered by when it happened.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> told = Notice(notice_id="j:3:x", type=NoticeType.JOB_FAILED, shop="s", at=at, data={})
    >>> delivery_id("e", told)[:18], delivery_id("e", told) == delivery_id("f", told)
    ('019b76da-a800-7b6e', False)
    """
    digest = hashlib.sha256(f"{endpoint_id}\n{notice.notice_id}".encode()).digest()
    return uuid7(notice.at, digest)


def new_delivery(endpoint: Endpoint, notice: Notice, now: datetime) -> Delivery:
    """Return a notice's delivery to an endpoint, to be tried at once."""
    return Delivery(
        shop=endpoint.shop,
        endpoint_id=endpoint.endpoint_id,
        delivery_id=delivery_id(endpoint.endpoint_id, notice),
        webhook_id=notice.webhook_id,
        type=notice.type,
        body=notice.body,
        created_at=now,
        asked_at=now,
        next_at=now,
        due_at=now + GRACE,
    )


def tried(
    delivery: Delivery,
    outcome: Try,
    excerpt: str | None,
    now: datetime,
    *,
    random: float,
    retry_after_s: float | None = None,
) -> Delivery:
    """Return the delivery after a try: delivered, given up, or to be tried again later.

    Parameters
        now: when the try was over. random: a number in [0, 1). retry_after_s: the wait that the
        endpoint asked for.
    """
    after = replace(
        delivery,
        number=delivery.number + 1,
        round_tries=delivery.round_tries + 1,
        tries=(*delivery.tries, outcome)[-TRIES_KEPT:],
        excerpt=excerpt,
        next_at=None,
        due_at=None,
        due_looks=0,
    )
    if outcome.has_succeeded:
        return replace(after, status=DeliveryStatus.DELIVERED)
    if after.round_tries >= MAX_TRIES:
        return replace(after, status=DeliveryStatus.FAILED)
    planned_s = WAITS_S[after.round_tries - 1] * (1 + JITTER * random)
    wait_s = max(planned_s, retry_after_s or 0.0)
    next_at = now + timedelta(seconds=wait_s)
    grace = GRACE if wait_s <= LONGEST_DELAY_S else timedelta()
    return replace(after, next_at=next_at, due_at=next_at + grace)


def ended(delivery: Delivery, status: DeliveryStatus, code: str | None = None) -> Delivery:
    """Return the delivery, not to be tried any more."""
    return replace(delivery, status=status, code=code, next_at=None, due_at=None, due_looks=0)


def asked_again(delivery: Delivery, now: datetime) -> Delivery:
    """Return the delivery, to be tried at once with all its tries before it."""
    return replace(
        delivery,
        status=DeliveryStatus.PENDING,
        code=None,
        asked_at=now,
        round_tries=0,
        next_at=now,
        due_at=now + GRACE,
        due_looks=0,
    )


def looked_at(delivery: Delivery, now: datetime) -> Delivery:
    """Return the delivery after the sweep sent its message (again); given up after days."""
    if now - delivery.asked_at >= _longest_life(delivery):
        return ended(delivery, DeliveryStatus.FAILED, NEVER_TRIED)
    wait = GRACE * 2 ** min(delivery.due_looks, 5)
    return replace(delivery, due_at=now + wait, due_looks=delivery.due_looks + 1)


def _longest_life(delivery: Delivery) -> timedelta:
    planned_s = sum(WAITS_S[: delivery.round_tries]) * (1 + JITTER)
    return NEVER_TRIED_FOR + timedelta(seconds=planned_s)


def is_dead(endpoint: Endpoint, delivery: Delivery, now: datetime) -> bool:
    """Tell whether a delivery that was given up shows that its endpoint is dead."""
    if delivery.status is not DeliveryStatus.FAILED or endpoint.failing_since is None:
        return False
    return now - endpoint.failing_since >= FAILING_FOR


def wanting(endpoints: Sequence[Endpoint], kind: NoticeType) -> list[Endpoint]:
    """Return the endpoints that are to be told of such things."""
    return [endpoint for endpoint in endpoints if endpoint.wants(kind)]
