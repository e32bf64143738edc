"""Bring one notice to one endpoint of a shop: a try, and what follows from its outcome."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain import endpoints
from shared.domain.endpoints import (
    LONGEST_DELAY_S,
    Delivery,
    DeliveryStatus,
    DisabledReason,
    Endpoint,
    Try,
)
from shared.domain.errors import (
    PermanentError,
    QueueUnavailableError,
    VersionConflictError,
)
from shared.domain.standard_webhooks import signed_headers
from shared.usecases.conflicts import retry_on_conflict
from shared.usecases.notice_ports import EndpointStore, Posted, Posts
from shared.usecases.ports import Clock, DeliverRequest, DeliveryRef, Outbox, Randomness, TokenBox

log = logging.getLogger(__name__)

SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - an error code
HTTP_GONE = 410
# Clocks differ a little; a message is not sent again for that.
_EARLY = timedelta(seconds=1)


class Outcome(StrEnum):
    """What became of a message: a closed set, all of it normal life."""

    DELIVERED = "delivered"
    RETRIED = "retried"  # it failed, and is tried again later
    GIVEN_UP = "given_up"
    DISABLED = "disabled"  # it failed, and its endpoint is disabled now
    DROPPED = "dropped"  # the endpoint was removed or disabled
    EARLY = "early"  # sent again, for its time
    STALE = "stale"  # done already, or a message of an earlier try
    GONE = "gone"  # there is no such delivery (any more)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverLane:
    """The collaborators of delivering."""

    endpoints: EndpointStore
    outbox: Outbox
    box: TokenBox
    posts: Posts
    clock: Clock
    random: Randomness


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of it. answer: what the endpoint did, None if it was not called."""

    outcome: Outcome
    answer: Try | None = None


def deliver_notice(lane: DeliverLane, request: DeliverRequest) -> Report:
    """See to one message.

    Raises RetryableError (table or secret out): deliver the message again.
    Guarantees
        A delivery is tried until its endpoint takes it, about a day long. Its endpoint may get
        it more than once, always under the same `webhook-id`.
    """
    delivery = lane.endpoints.get_delivery(request.ref)
    if delivery is None:
        return Report(outcome=Outcome.GONE)
    if not delivery.is_pending or delivery.number != request.number:
        return Report(outcome=Outcome.STALE)
    now = lane.clock.now()
    if delivery.next_at is not None and delivery.next_at - now > _EARLY:
        _send(lane, delivery, now)
        return Report(outcome=Outcome.EARLY)
    endpoint = lane.endpoints.get_endpoint(delivery.shop, delivery.endpoint_id)
    if endpoint is None:
        return _drop(lane, delivery, endpoints.ENDPOINT_GONE)
    if not endpoint.is_enabled:
        return _drop(lane, delivery, endpoints.ENDPOINT_DISABLED)
    return _try(lane, endpoint, delivery, now)


def _drop(lane: DeliverLane, delivery: Delivery, code: str) -> Report:
    dropped = endpoints.ended(delivery, DeliveryStatus.DROPPED, code)
    is_ours = _save(lane, delivery, dropped) is not None
    return Report(outcome=Outcome.DROPPED if is_ours else Outcome.STALE)


def _try(lane: DeliverLane, endpoint: Endpoint, delivery: Delivery, now: datetime) -> Report:
    posted = _post(lane, endpoint, delivery, now)
    outcome = Try(at=now, status=posted.status, code=posted.code, duration_ms=posted.duration_ms)
    over_at = lane.clock.now()
    after = endpoints.tried(
        delivery,
        outcome,
        posted.excerpt,
        over_at,
        random=lane.random.fraction(),
        retry_after_s=posted.retry_after_s,
    )
    if posted.status == HTTP_GONE:
        after = endpoints.ended(after, DeliveryStatus.FAILED)
    # The endpoint first: should we die in between, the delivery is looked at again.
    is_disabled = _conclude(lane, endpoint, after, outcome, over_at)
    saved = _save(lane, delivery, after)
    if saved is None:
        return Report(outcome=Outcome.STALE, answer=outcome)
    if saved.is_pending and not is_disabled:
        _send(lane, saved, over_at)
    return Report(outcome=_outcome(saved, is_disabled), answer=outcome)


def _outcome(delivery: Delivery, is_disabled: bool) -> Outcome:
    if is_disabled:
        return Outcome.DISABLED
    return {
        DeliveryStatus.DELIVERED: Outcome.DELIVERED,
        DeliveryStatus.PENDING: Outcome.RETRIED,
        DeliveryStatus.FAILED: Outcome.GIVEN_UP,
        DeliveryStatus.DROPPED: Outcome.DROPPED,
    }[delivery.status]


def _post(lane: DeliverLane, endpoint: Endpoint, delivery: Delivery, now: datetime) -> Posted:
    try:
        secrets = [lane.box.open(sealed) for sealed in endpoint.sealed_secrets(now)]
    except PermanentError:
        # APP_SECRET has lost what it was sealed with. Its owner must rotate it.
        return Posted(status=None, code=SECRET_UNREADABLE, duration_ms=0)
    body = delivery.body.encode()
    return lane.posts.post(
        endpoint.url, signed_headers(secrets, delivery.webhook_id, now, body), body
    )


def _conclude(
    lane: DeliverLane, endpoint: Endpoint, after: Delivery, answer: Try, now: datetime
) -> bool:
    """Note on the endpoint what an answer shows; True when it is disabled by it.

    An endpoint that is well costs no write.
    """
    reason = _reason_to_disable(endpoint, after, answer, now)
    if reason is not None:
        return _change(lane, endpoint, lambda found: endpoints.disable(found, reason, now))
    if answer.has_succeeded and endpoint.failing_since is not None:
        _change(lane, endpoint, lambda found: replace(found, failing_since=None))
    elif not answer.has_succeeded and endpoint.failing_since is None:
        _change(lane, endpoint, lambda found: _failing(found, answer.at))
    return False


def _failing(endpoint: Endpoint, since: datetime) -> Endpoint:
    return replace(endpoint, failing_since=endpoint.failing_since or since)


def _reason_to_disable(
    endpoint: Endpoint, after: Delivery, answer: Try, now: datetime
) -> DisabledReason | None:
    if answer.status == HTTP_GONE:
        return DisabledReason.GONE
    return DisabledReason.FAILING if endpoints.is_dead(endpoint, after, now) else None


def _change(lane: DeliverLane, endpoint: Endpoint, decide: Callable[[Endpoint], Endpoint]) -> bool:
    """Change the endpoint as it now is; False if there was nothing to change.

    Raises StoreUnavailableError.
    """

    def change() -> bool:
        before = lane.endpoints.get_endpoint(endpoint.shop, endpoint.endpoint_id)
        # Its address is another by now: this answer says nothing of that.
        if before is None or before.url != endpoint.url:
            return False
        after = decide(before)
        if after == before:
            return False
        lane.endpoints.save_endpoint(before, after)
        return True

    return retry_on_conflict("endpoint", change)


def _save(lane: DeliverLane, before: Delivery, after: Delivery) -> Delivery | None:
    """Write the outcome; None when another message of the same try was faster."""
    try:
        return lane.endpoints.save_delivery(before, after)
    except VersionConflictError:
        return None


def _send(lane: DeliverLane, delivery: Delivery, now: datetime) -> None:
    """Send the message of the next try; if it is far away the sweep does, in time."""
    wait_s = (delivery.next_at - now) / timedelta(seconds=1) if delivery.next_at else 0.0
    if wait_s <= LONGEST_DELAY_S:
        send_owed(lane.outbox, [delivery], delay_s=max(0, math.ceil(wait_s)))


def send_owed(outbox: Outbox, deliveries: Sequence[Delivery], *, delay_s: int = 0) -> None:
    """Send the messages that deliveries are owed. One that cannot be sent is no error: the
    delivery is due, and the sweep sends it."""
    if not deliveries:
        return
    try:
        outbox.send_deliver([request_of(each) for each in deliveries], delay_s=delay_s)
    except QueueUnavailableError as error:
        log.warning("message not sent, the sweep will", extra={"reason": str(error)})


def request_of(delivery: Delivery) -> DeliverRequest:
    """Return the message that a delivery is owed."""
    ref = DeliveryRef(
        shop=delivery.shop,
        endpoint_id=delivery.endpoint_id,
        delivery_id=delivery.delivery_id,
    )
    return DeliverRequest(ref=ref, number=delivery.number)
