"""Receive Shopify's own webhooks: verify them on their raw bytes, then write down what they owe.

What takes long (cancelling, erasing) is owed by a bulk job that is created here; Shopify waits
no longer than five seconds for its answer.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain import duties
from shared.domain.duties import Duty
from shared.domain.errors import (
    InvalidRequestError,
    SecretUnavailableError,
    TooLargeError,
    VersionConflictError,
)
from shared.domain.plan import schedule
from shared.domain.shop import (
    Redaction,
    Shop,
    is_older_than_installation,
    judge_redaction,
    uninstall,
)
from shared.providers.base import (
    Check,
    Delivery,
    MalformedDeliveryError,
    ShopNotice,
    ShopSender,
    ShopTopic,
    Verdict,
)
from shared.usecases.conflicts import CONFLICT_TRIES, contended
from shared.usecases.ports import Erasures, Secrets, ShopStore
from shared.usecases.receive_webhook import (
    MAX_BODY_BYTES,
    SECRET_IS_FRESH_S,
    KeyWatch,
    SignatureError,
    UncheckedError,
    said_without_key,
)
from shared.usecases.tracker import Tracker

SECRET = "SHOPIFY_API_SECRET"  # noqa: S105 - the name of one
# Shopify tries for four hours; what is older than this was not sent by it now.
SCOPES_ARE_NEWS = timedelta(days=7)
# A shop that we were never told had uninstalled the app shows by its next login that it has not.
DOUBT_LASTS = timedelta(days=7)


class Heard(StrEnum):
    """What a genuine delivery amounted to: a closed set, all of it normal life."""

    UNINSTALLED = "uninstalled"  # the token is gone, a bulk job cancels what was under way
    SCOPES_STORED = "scopes_stored"
    ERASURE_OWED = "erasure_owed"  # a bulk job erases the shop
    ACKNOWLEDGED = "acknowledged"  # about a customer: there is nothing of customers here
    DUPLICATE = "duplicate"  # it was heard before
    OUTDATED = "outdated"  # it is about an earlier installation, or older than what is known
    UNKNOWN_TOPIC = "unknown_topic"  # somebody subscribed us to more than we act on


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopReceipt:
    """What a delivery amounted to; topic and shop as far as they are known."""

    heard: Heard
    topic: ShopTopic | None = None
    shop: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopDesk:
    """The collaborators of Shopify's webhooks. watch: as that of `Seals`."""

    tracker: Tracker
    shops: ShopStore
    erasures: Erasures
    secrets: Secrets
    sender: ShopSender
    watch: KeyWatch | None = None


def receive_shop_webhook(desk: ShopDesk, delivery: Delivery) -> ShopReceipt:
    """Verify a delivery and write down what follows from it.

    Raises
        SignatureError: not genuine; nothing was parsed.
        TooLargeError, InvalidRequestError: genuine, but not readable, or not what its headers
            say: nothing was done.
        SecretUnavailableError, StoreUnavailableError: our fault; Shopify must try again.
    Guarantees
        Once it returns, what is owed is in the table. Every delivery may come again, at any
        time and in any order. What is signed for one shop changes no other.
    """
    verdict = _verify(desk, delivery)
    if not verdict.is_accepted:
        raise SignatureError(verdict.check)
    topic = desk.sender.topic(delivery.headers)
    if topic is None:
        return ShopReceipt(heard=Heard.UNKNOWN_TOPIC)
    if len(delivery.body) > MAX_BODY_BYTES:
        raise TooLargeError("The body is larger than 1 MiB.")
    try:
        notice = desk.sender.read(topic, delivery.body, delivery.headers, delivery.received_at)
    except MalformedDeliveryError as error:
        raise InvalidRequestError(str(error)) from None
    heard = _ACTIONS[topic](desk, notice, delivery)
    return ShopReceipt(heard=heard, topic=topic, shop=notice.shop)


def _verify(desk: ShopDesk, delivery: Delivery) -> Verdict:
    secrets, verify = desk.secrets, desk.sender.verify
    try:
        values = secrets.get("signing", SECRET)
    except SecretUnavailableError as error:
        without = verify(delivery.body, delivery.headers, ())
        raise UncheckedError(error.message, said_without_key(without)) from error
    verdict = verify(delivery.body, delivery.headers, values)
    if verdict.check is Check.WRONG and secrets.refresh("signing", older_than_s=SECRET_IS_FRESH_S):
        values = secrets.get("signing", SECRET)
        verdict = verify(delivery.body, delivery.headers, values)
    if not values:
        raise UncheckedError(f"{SECRET} is not set.", said_without_key(verdict))
    if len(values) > 1 and desk.watch is not None and verdict.key is not None:
        desk.watch.note(SECRET, values[verdict.key], delivery.received_at)
    return verdict


def _uninstalled(desk: ShopDesk, notice: ShopNotice, _delivery: Delivery) -> Heard:
    shop = desk.shops.get_shop(notice.shop)
    if is_older_than_installation(shop, notice.triggered_at):
        return Heard.OUTDATED
    if shop is None and not desk.tracker.store.refs(notice.shop, limit=1):
        return Heard.OUTDATED  # nothing is known of it, or it has been erased since
    # First what would not be owed any more once the token is gone and the shop back again.
    is_first = _owe(desk, Duty.UNINSTALL, notice)

    def leave(found: Shop) -> Shop:
        is_back = is_older_than_installation(found, notice.triggered_at)
        return found if is_back else uninstall(found, notice.triggered_at)

    _change(desk, shop, notice.shop, leave)
    return Heard.UNINSTALLED if is_first else Heard.DUPLICATE


def _scopes_updated(desk: ShopDesk, notice: ShopNotice, delivery: Delivery) -> Heard:
    updated_at = notice.updated_at or notice.triggered_at
    now = delivery.received_at
    shop = desk.shops.get_shop(notice.shop)
    if shop is None or shop.known_installed_at is None or now - updated_at > SCOPES_ARE_NEWS:
        return Heard.OUTDATED
    # Its body names no shop, only its header does, which is not signed.
    digest = hashlib.sha256(delivery.body).hexdigest()
    if not desk.shops.bind_delivery(digest, notice.shop, now + 2 * SCOPES_ARE_NEWS):
        raise InvalidRequestError("This delivery was for another shop.")
    is_news = False

    def store(found: Shop) -> Shop:
        nonlocal is_news
        known = [at for at in (found.exchanged_at, found.scopes_at) if at is not None]
        is_news = all(at < updated_at for at in known) and found.known_installed_at is not None
        changed = replace(found, scopes=",".join(notice.scopes), scopes_at=updated_at)
        return changed if is_news else found

    _change(desk, shop, notice.shop, store)
    return Heard.SCOPES_STORED if is_news else Heard.OUTDATED


def _customer(_desk: ShopDesk, _notice: ShopNotice, _delivery: Delivery) -> Heard:
    """Nothing here is about a shop's customers: there is nothing to show or to delete."""
    return Heard.ACKNOWLEDGED


def _redacted(desk: ShopDesk, notice: ShopNotice, delivery: Delivery) -> Heard:
    done = {report.erasure_id for report in desk.erasures.reports(notice.shop)}
    if _duty_id(Duty.ERASE, notice) in done:
        return Heard.DUPLICATE
    shop = desk.shops.get_shop(notice.shop)
    judged = judge_redaction(shop, notice.triggered_at)
    if judged is Redaction.OUTDATED:
        return Heard.OUTDATED
    start_at = None
    if judged is Redaction.DOUBTFUL:
        start_at = delivery.received_at + DOUBT_LASTS
        # The next login, if there is one, gets a new token: a sign of life.
        _change(desk, shop, notice.shop, lambda found: replace(found, token_dead=True))
    is_first = _owe(desk, Duty.ERASE, notice, start_at=start_at, at=delivery.received_at)
    return Heard.ERASURE_OWED if is_first else Heard.DUPLICATE


_ACTIONS: Mapping[ShopTopic, Callable[[ShopDesk, ShopNotice, Delivery], Heard]] = {
    ShopTopic.UNINSTALLED: _uninstalled,
    ShopTopic.SCOPES_UPDATE: _scopes_updated,
    ShopTopic.DATA_REQUEST: _customer,
    ShopTopic.CUSTOMER_REDACT: _customer,
    ShopTopic.SHOP_REDACT: _redacted,
}


def _owe(
    desk: ShopDesk,
    duty: Duty,
    notice: ShopNotice,
    *,
    start_at: datetime | None = None,
    at: datetime | None = None,
) -> bool:
    """Create the bulk job that a notice owes; False when it is there already."""
    tracker = desk.tracker
    facts = {"triggeredAt": notice.triggered_at.isoformat()}
    if at is not None:
        facts["requestedAt"] = at.isoformat()
    job = duties.new_duty(
        duty,
        notice.shop,
        _duty_id(duty, notice),
        notice.triggered_at,
        start_at=start_at,
        facts=facts,
    )
    now = tracker.now()
    job = schedule(job, now, tracker.patience(job))
    try:
        created = tracker.store.create(job)
    except VersionConflictError:
        return False
    tracker.send_owed(None, created, now)
    return True


def _duty_id(duty: Duty, notice: ShopNotice) -> str:
    return duties.duty_id(duty, notice.shop, notice.webhook_id, notice.triggered_at)


def _change(desk: ShopDesk, shop: Shop | None, name: str, change: Callable[[Shop], Shop]) -> None:
    """Change what is known of a shop, over whatever happens to it meanwhile."""
    for _ in range(CONFLICT_TRIES):
        if shop is None or (after := change(shop)) == shop:
            return
        try:
            desk.shops.save_shop(shop, after)
        except VersionConflictError:
            shop = desk.shops.get_shop(name)
        else:
            return
    raise contended("shop")
