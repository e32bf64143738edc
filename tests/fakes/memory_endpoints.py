"""Webhook endpoints and their deliveries in memory, for tests."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from shared.domain.endpoints import DELIVERY_KEPT_FOR, MAX_ENDPOINTS, Delivery, Endpoint
from shared.domain.errors import VersionConflictError
from shared.gateways.store_rules import too_many
from shared.usecases.notice_ports import DeliveryPage
from shared.usecases.ports import Clock, DeliveryRef, Idempotency
from tests.fakes.memory_once import Makings, made_before, remember


class InMemoryEndpointStore:
    """An `EndpointStore` without a table."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._deliveries: dict[DeliveryRef, Delivery] = {}
        self._made: Makings[str] = {}

    def add_endpoint(
        self, endpoint: Endpoint, *, idempotency: Idempotency | None = None
    ) -> Endpoint:
        """Store an endpoint; see `EndpointStore.add_endpoint`."""
        now = self._clock.now()
        find = partial(self.get_endpoint, endpoint.shop)
        earlier = made_before(
            self._made, endpoint.shop, idempotency, now, find=find, one="webhook endpoint"
        )
        if earlier is not None:
            return earlier
        if len(self.endpoints(endpoint.shop)) >= MAX_ENDPOINTS:
            raise too_many("webhook endpoints", MAX_ENDPOINTS)
        self._endpoints[endpoint.shop, endpoint.endpoint_id] = endpoint
        remember(self._made, endpoint.shop, idempotency, endpoint.endpoint_id, now)
        return endpoint

    def get_endpoint(self, shop: str, endpoint_id: str) -> Endpoint | None:
        """Read an endpoint; None when the shop has no such."""
        return self._endpoints.get((shop, endpoint_id))

    def endpoints(self, shop: str) -> list[Endpoint]:
        """Read the shop's endpoints, the oldest first."""
        found = [each for each in self._endpoints.values() if each.shop == shop]
        return sorted(found, key=lambda each: each.endpoint_id)

    def save_endpoint(self, before: Endpoint, after: Endpoint) -> Endpoint:
        """Write on condition of the version. Raises VersionConflictError."""
        stored = self.get_endpoint(before.shop, before.endpoint_id)
        if stored is None or stored.version != before.version:
            raise VersionConflictError("The endpoint was changed meanwhile.")
        saved = replace(after, version=before.version + 1)
        self._endpoints[saved.shop, saved.endpoint_id] = saved
        return saved

    def remove_endpoint(self, shop: str, endpoint_id: str) -> bool:
        """Remove it; False when there is none."""
        return self._endpoints.pop((shop, endpoint_id), None) is not None

    def add_delivery(self, delivery: Delivery) -> bool:
        """Store a delivery; False when it is there already."""
        return self._deliveries.setdefault(ref_of(delivery), delivery) is delivery

    def get_delivery(self, ref: DeliveryRef) -> Delivery | None:
        """Read a delivery; None when there is none (any more)."""
        found = self._deliveries.get(ref)
        return found if found is not None and self._is_kept(found) else None

    def save_delivery(self, before: Delivery, after: Delivery) -> Delivery:
        """Write on condition of the version. Raises VersionConflictError."""
        stored = self._deliveries.get(ref_of(before))
        if stored is None or stored.version != before.version:
            raise VersionConflictError("The delivery was changed meanwhile.")
        saved = replace(after, version=before.version + 1)
        self._deliveries[ref_of(saved)] = saved
        return saved

    def deliveries(
        self, shop: str, endpoint_id: str, *, limit: int, position: str | None = None
    ) -> DeliveryPage:
        """Read a page of an endpoint's deliveries, newest first."""
        mine = [
            each
            for each in self._deliveries.values()
            if (each.shop, each.endpoint_id) == (shop, endpoint_id)
            and (position is None or each.delivery_id < position)
        ]
        left = sorted(mine, key=lambda each: each.delivery_id, reverse=True)
        page = left[:limit]
        return DeliveryPage(
            deliveries=tuple(each for each in page if self._is_kept(each)),
            position=page[-1].delivery_id if len(left) > limit else None,
        )

    def due_deliveries(self, now: datetime, *, limit: int) -> list[DeliveryRef]:
        """Read which deliveries are due at `now`."""
        due = [
            (each.due_at, ref_of(each))
            for each in self._deliveries.values()
            if each.due_at is not None and each.due_at <= now
        ]
        return [ref for _, ref in sorted(due, key=lambda pair: pair[0])[:limit]]

    def _is_kept(self, delivery: Delivery) -> bool:
        return self._clock.now() < delivery.asked_at + DELIVERY_KEPT_FOR


def ref_of(delivery: Delivery) -> DeliveryRef:
    """Return which delivery that is."""
    return DeliveryRef(
        shop=delivery.shop,
        endpoint_id=delivery.endpoint_id,
        delivery_id=delivery.delivery_id,
    )
