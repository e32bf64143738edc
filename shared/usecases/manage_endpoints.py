"""A shop's own webhook endpoints: make, change, remove, test; and what was delivered to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from shared.domain import endpoints as rules
from shared.domain.addresses import is_numeric, is_public
from shared.domain.cursors import make_cursor, read_cursor
from shared.domain.endpoints import Delivery, Endpoint
from shared.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermanentError,
)
from shared.domain.ids import is_job_id
from shared.domain.notice_types import NoticeType
from shared.domain.standard_webhooks import SECRET_BYTES, write_secret
from shared.usecases.conflicts import retry_on_conflict
from shared.usecases.create_job import is_fetchable
from shared.usecases.deliver_notice import send_owed
from shared.usecases.notice_ports import EndpointStore
from shared.usecases.ports import (
    Clock,
    DeliveryRef,
    Idempotency,
    Outbox,
    Randomness,
    TokenBox,
)

_LOCAL_NAMES = ("localhost", ".localhost", ".local", ".internal")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDesk:
    """What endpoints are managed with.

    is_allowed_http: whether a `host[:port]` may be plain http and private (a laptop's own).
    new_id: makes a time-ordered id.
    """

    endpoints: EndpointStore
    outbox: Outbox
    box: TokenBox
    clock: Clock
    random: Randomness
    new_id: Callable[[], str]
    is_allowed_http: Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """What is asked for."""

    url: str
    types: tuple[NoticeType, ...]
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An endpoint and its secret, which is shown this once."""

    endpoint: Endpoint
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryList:
    """A page of an endpoint's deliveries, newest first."""

    deliveries: tuple[Delivery, ...]
    next_cursor: str | None


def create_endpoint(
    desk: EndpointDesk, shop: str, wish: NewEndpoint, *, idempotency: Idempotency | None = None
) -> Issued:
    """Make an endpoint with a secret of its own.

    Parameters
        idempotency: the same key with the same body gives the endpoint made then, with the secret
            that it has now: what was sent to it meanwhile is signed with it.

    Raises InvalidRequestError for an address that is not https (or not public, as far as it
    shows: its name is looked up at every delivery), ConflictError when the shop has 10, or when
    that one was removed.
    """
    _check_url(desk, wish.url)
    now = desk.clock.now()
    endpoint = Endpoint(
        shop=shop,
        endpoint_id=desk.new_id(),
        url=wish.url,
        types=wish.types,
        description=wish.description,
        secret=desk.box.seal(_new_secret(desk)),
        created_at=now,
        updated_at=now,
    )
    stored = desk.endpoints.add_endpoint(endpoint, idempotency=idempotency)
    return Issued(endpoint=stored, secret=_secret_of(desk, stored))


def find_endpoint(store: EndpointStore, shop: str, endpoint_id: str) -> Endpoint:
    """Read an endpoint of a shop. Raises NotFoundError."""
    found = store.get_endpoint(shop, endpoint_id) if is_job_id(endpoint_id) else None
    if found is None:
        raise NotFoundError("There is no such webhook endpoint.")
    return found


def change_endpoint(
    desk: EndpointDesk, shop: str, endpoint_id: str, changes: Mapping[str, Any]
) -> Endpoint:
    """Change fields of an endpoint (url, types, description, is_enabled).

    A new address, and enabling it, begin anew: earlier failures count no more.
    Raises NotFoundError, InvalidRequestError.
    """
    if "url" in changes:
        _check_url(desk, changes["url"])
    fields = {name: value for name, value in changes.items() if name != "is_enabled"}

    def decide(endpoint: Endpoint) -> Endpoint:
        after = replace(endpoint, **fields)
        if after.url != endpoint.url:
            after = replace(after, failing_since=None)
        after = rules.enable(
            after, desk.clock.now(), is_enabled=changes.get("is_enabled", after.is_enabled)
        )
        return after if after == endpoint else replace(after, updated_at=desk.clock.now())

    return _change(desk.endpoints, shop, endpoint_id, decide)


def remove_endpoint(store: EndpointStore, shop: str, endpoint_id: str) -> None:
    """Remove an endpoint; what is under way to it is dropped. Raises NotFoundError."""
    if not is_job_id(endpoint_id) or not store.remove_endpoint(shop, endpoint_id):
        raise NotFoundError("There is no such webhook endpoint.")


def rotate_secret(
    desk: EndpointDesk,
    shop: str,
    endpoint_id: str,
    *,
    at_once: bool,
    idempotency: Idempotency | None = None,
) -> Issued:
    """Give an endpoint a new secret. Raises NotFoundError.

    Parameters
        at_once: the old one, which would sign beside it for 24 hours, is void (it has leaked).
        idempotency: the same key with the same body gives the secret of then, while the old one
            signs beside it.
    """
    sealed = desk.box.seal(_new_secret(desk))
    changed = _change(
        desk.endpoints,
        shop,
        endpoint_id,
        lambda found: rules.rotate(
            found,
            sealed,
            desk.clock.now(),
            at_once=at_once,
            mark=idempotency.mark if idempotency else None,
        ),
    )
    return Issued(endpoint=changed, secret=_secret_of(desk, changed))


def send_trial(desk: EndpointDesk, shop: str, endpoint_id: str) -> Delivery:
    """Send a notice that says nothing, whatever types the endpoint asks for.

    Raises NotFoundError, ConflictError `wrong_status` for a disabled one.
    """
    endpoint = _enabled(desk.endpoints, shop, endpoint_id)
    now = desk.clock.now()
    delivery = rules.new_delivery(endpoint, rules.trial_notice(endpoint, desk.new_id(), now), now)
    desk.endpoints.add_delivery(delivery)
    send_owed(desk.outbox, [delivery])
    return delivery


def list_deliveries(
    store: EndpointStore,
    shop: str,
    endpoint_id: str,
    *,
    limit: int,
    cursor: str | None,
    cursor_secrets: Sequence[str],
) -> DeliveryList:
    """Return a page of an endpoint's deliveries.

    Raises NotFoundError, InvalidRequestError for another list's cursor.
    """
    find_endpoint(store, shop, endpoint_id)
    scope = f"deliveries\n{shop}\n{endpoint_id}"
    position = read_cursor(scope, cursor, cursor_secrets) if cursor is not None else None
    page = store.deliveries(shop, endpoint_id, limit=limit, position=position)
    last = page.position
    more = make_cursor(scope, last, cursor_secrets) if last is not None else None
    return DeliveryList(deliveries=page.deliveries, next_cursor=more)


def redeliver(desk: EndpointDesk, shop: str, endpoint_id: str, delivery_id: str) -> Delivery:
    """Try a delivery (again) at once, whatever became of it, with all its tries before it.

    Raises NotFoundError, ConflictError `wrong_status` when its endpoint is disabled.
    """
    _enabled(desk.endpoints, shop, endpoint_id)
    ref = DeliveryRef(shop=shop, endpoint_id=endpoint_id, delivery_id=delivery_id)

    def change() -> Delivery:
        before = desk.endpoints.get_delivery(ref) if is_job_id(delivery_id) else None
        if before is None:
            raise NotFoundError("There is no such delivery.")
        after = rules.asked_again(before, desk.clock.now())
        return desk.endpoints.save_delivery(before, after)

    saved = retry_on_conflict("delivery", change)
    send_owed(desk.outbox, [saved])
    return saved


def _enabled(store: EndpointStore, shop: str, endpoint_id: str) -> Endpoint:
    endpoint = find_endpoint(store, shop, endpoint_id)
    if not endpoint.is_enabled:
        raise ConflictError("This webhook endpoint is disabled. Enable it first.")
    return endpoint


def _change(
    store: EndpointStore,
    shop: str,
    endpoint_id: str,
    decide: Callable[[Endpoint], Endpoint],
) -> Endpoint:
    def change() -> Endpoint:
        before = find_endpoint(store, shop, endpoint_id)
        after = decide(before)
        return before if after == before else store.save_endpoint(before, after)

    return retry_on_conflict("endpoint", change)


def _secret_of(desk: EndpointDesk, endpoint: Endpoint) -> str:
    try:
        return desk.box.open(endpoint.secret)
    except PermanentError:
        raise ConflictError(
            "This was done, but the secret cannot be read any more. Give the endpoint a new one."
        ) from None


def _new_secret(desk: EndpointDesk) -> str:
    return write_secret(desk.random.token_bytes(SECRET_BYTES))


def _check_url(desk: EndpointDesk, url: str) -> None:
    if is_fetchable(url, desk.is_allowed_http):
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        is_local = host.endswith(_LOCAL_NAMES) or (is_numeric(host) and not is_public(host))
        if not is_local or desk.is_allowed_http(parts.netloc.lower()):
            return
    raise InvalidRequestError(
        "A webhook endpoint is a public https address.",
        details=[{"field": "url", "message": "must be a public https address"}],
    )
