"""The `EndpointStore` on DynamoDB.

| item | pk | sk |
| --- | --- | --- |
| endpoint | `SHOP#{shop}` | `HOOK#{endpoint id}` |
| delivery | `SHOP#{shop}` | `DELIVERY#{endpoint id}#{delivery id}` |
| how many endpoints a shop has | `SHOP#{shop}` | `HOOKS` |

A pending delivery is in the index of what is due, in partitions of its own. Delivery ids are
time-ordered, so an endpoint's deliveries are read newest first by their key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.domain.endpoints import (
    DELIVERY_KEPT_FOR,
    MAX_ENDPOINTS,
    Delivery,
    DeliveryStatus,
    DisabledReason,
    Endpoint,
    Try,
)
from shared.domain.ids import instant, milliseconds_up
from shared.domain.notice_types import NoticeType
from shared.gateways.dynamo_errors import (
    ConditionFailedError,
)
from shared.gateways.dynamo_items import (
    expiry,
    from_microseconds,
    has_expired,
    microseconds,
    shard_of,
    shop_pk,
    to_json,
)
from shared.gateways.dynamo_quotas import Making, add_once, quota_row, write_counted
from shared.gateways.dynamo_table import (
    Item,
    Request,
    Role,
    Row,
    Table,
    Terms,
    check_size,
    flag,
    key,
    number,
    text,
)
from shared.usecases.notice_ports import DeliveryPage
from shared.usecases.ports import DeliveryRef

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from shared.gateways.dynamo_table import Value
    from shared.usecases.ports import Clock, Idempotency

ENDPOINT_PREFIX, _DELIVERY_PREFIX = "HOOK#", "DELIVERY#"
DUE_SHARDS = 4


class DynamoEndpointStore:
    """The shops' webhook endpoints, and what is delivered to them."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)
        self._clock = clock

    def add_endpoint(
        self, endpoint: Endpoint, *, idempotency: Idempotency | None = None
    ) -> Endpoint:
        """Store an endpoint; see `EndpointStore.add_endpoint`."""
        item = endpoint_item(endpoint)
        check_size(item)
        rows = [
            quota_row(endpoint.shop, "HOOKS", MAX_ENDPOINTS),
            Row(Role.KEY, "Put", {"Item": item}),
        ]
        making = Making(
            shop=endpoint.shop,
            thing=endpoint,
            thing_id=endpoint.endpoint_id,
            find=partial(self.get_endpoint, endpoint.shop),
            one="webhook endpoint",
            many="webhook endpoints",
            most=MAX_ENDPOINTS,
            idempotency=idempotency,
        )
        return add_once(self._table, self._clock, rows, making)

    def get_endpoint(self, shop: str, endpoint_id: str) -> Endpoint | None:
        """Read consistently; None when the shop has no such endpoint."""
        item = self._table.get(_endpoint_key(shop, endpoint_id))
        return read_endpoint(item) if item is not None else None

    def endpoints(self, shop: str) -> list[Endpoint]:
        """Read the shop's endpoints consistently, the oldest first (ids are time-ordered)."""
        request = _those_of(shop, ENDPOINT_PREFIX) | {"ConsistentRead": True}
        return [read_endpoint(item) for item in self._table.query(request)]

    def save_endpoint(self, before: Endpoint, after: Endpoint) -> Endpoint:
        """Write on condition of the version. Raises VersionConflictError."""
        saved = replace(after, version=before.version + 1)
        self._put(endpoint_item(saved), before.version)
        return saved

    def remove_endpoint(self, shop: str, endpoint_id: str) -> bool:
        """Remove it; False when there is none."""
        terms = Terms()
        gone = {"Key": _endpoint_key(shop, endpoint_id), "ConditionExpression": terms.present()}
        rows = [Row(Role.KEY, "Delete", terms.attach(gone)), quota_row(shop, "HOOKS", None)]
        return write_counted(self._table, self._clock, rows)

    def add_delivery(self, delivery: Delivery) -> bool:
        """Store a delivery; False when it is there already."""
        terms = Terms()
        item = _delivery_item(delivery)
        check_size(item)
        try:
            self._table.put(terms.attach({"Item": item, "ConditionExpression": terms.absent()}))
        except ConditionFailedError:
            return False
        return True

    def get_delivery(self, ref: DeliveryRef) -> Delivery | None:
        """Read consistently; None when there is none (any more)."""
        item = self._table.get(_delivery_key(ref.shop, ref.endpoint_id, ref.delivery_id))
        if item is None or has_expired(item, self._clock.now()):
            return None
        return _read_delivery(item)

    def save_delivery(self, before: Delivery, after: Delivery) -> Delivery:
        """Write on condition of the version. Raises VersionConflictError."""
        saved = replace(after, version=before.version + 1)
        self._put(_delivery_item(saved), before.version)
        return saved

    def deliveries(
        self, shop: str, endpoint_id: str, *, limit: int, position: str | None = None
    ) -> DeliveryPage:
        """Read a page of an endpoint's deliveries, newest first: one Query.

        It may be shorter than `limit`: a Query ends at 1 MB.
        """
        request = _those_of(shop, f"{_DELIVERY_PREFIX}{endpoint_id}#") | {
            "ScanIndexForward": False,
            "Limit": limit + 1,
        }
        if position is not None:
            request["ExclusiveStartKey"] = _delivery_key(shop, endpoint_id, position)
        answer = self._table.query_page(request)
        has_more = len(answer["Items"]) > limit or "LastEvaluatedKey" in answer
        page, now = answer["Items"][:limit], self._clock.now()
        last = _read_delivery(page[-1]).delivery_id if has_more else None
        kept = tuple(_read_delivery(item) for item in page if not has_expired(item, now))
        return DeliveryPage(deliveries=kept, position=last)

    def due_deliveries(self, now: datetime, *, limit: int) -> list[DeliveryRef]:
        """Read which deliveries are due at `now`: one Query per shard."""
        found: list[DeliveryRef] = []
        for shard in range(DUE_SHARDS):
            terms = Terms()
            partition = terms.equals("due_pk", text(_due_pk(shard)))
            until = terms.value(number(milliseconds_up(now)))
            request: Request = {
                "IndexName": "by_due",
                "KeyConditionExpression": f"{partition} AND {terms.name('due_at')} <= {until}",
                "Limit": limit,
            }
            items = self._table.query_page(terms.attach(request))["Items"]
            found += map(_ref_of, items)
        return found[:limit]

    def _put(self, item: Item, version: int) -> None:
        check_size(item)
        terms = Terms()
        condition = terms.equals("version", number(version))
        self._table.put(terms.attach({"Item": item, "ConditionExpression": condition}))


def _those_of(shop: str, prefix: str) -> Request:
    terms = Terms()
    partition = terms.equals("pk", text(shop_pk(shop)))
    starts = f"begins_with({terms.name('sk')}, {terms.value(text(prefix))})"
    return terms.attach({"KeyConditionExpression": f"{partition} AND {starts}"})


def _endpoint_key(shop: str, endpoint_id: str) -> Item:
    return key(shop_pk(shop), ENDPOINT_PREFIX + endpoint_id)


def _delivery_key(shop: str, endpoint_id: str, delivery_id: str) -> Item:
    return key(shop_pk(shop), f"{_DELIVERY_PREFIX}{endpoint_id}#{delivery_id}")


def _due_pk(shard: int) -> str:
    return f"DUE-DELIVERY#{shard}"


def _ref_of(item: Mapping[str, Value]) -> DeliveryRef:
    endpoint_id, _, delivery_id = item["sk"]["S"].removeprefix(_DELIVERY_PREFIX).partition("#")
    shop = item["pk"]["S"].removeprefix(shop_pk(""))
    return DeliveryRef(shop=shop, endpoint_id=endpoint_id, delivery_id=delivery_id)


def endpoint_item(endpoint: Endpoint) -> Item:
    """Return the item of an endpoint; its secrets are sealed."""
    item = _endpoint_key(endpoint.shop, endpoint.endpoint_id) | {
        "url": text(endpoint.url),
        "types": text(to_json(endpoint.types)),
        "is_enabled": flag(endpoint.is_enabled),
        "secret": text(endpoint.secret),
        "created_at": number(microseconds(endpoint.created_at)),
        "updated_at": number(microseconds(endpoint.updated_at)),
        "version": number(endpoint.version),
    }
    for name in ("description", "old_secret", "rotated_with", "disabled_reason"):
        value = getattr(endpoint, name)
        if value is not None:
            item[name] = text(value)
    return item | _instants(endpoint, ("old_secret_until", "disabled_at", "failing_since"))


def read_endpoint(item: Mapping[str, Value]) -> Endpoint:
    """Read the item of an endpoint."""
    reason = _text(item, "disabled_reason")
    return Endpoint(
        shop=item["pk"]["S"].removeprefix(shop_pk("")),
        endpoint_id=item["sk"]["S"].removeprefix(ENDPOINT_PREFIX),
        url=item["url"]["S"],
        types=tuple(NoticeType(name) for name in json.loads(item["types"]["S"])),
        description=_text(item, "description"),
        is_enabled=item["is_enabled"]["BOOL"],
        secret=item["secret"]["S"],
        old_secret=_text(item, "old_secret"),
        old_secret_until=_at(item, "old_secret_until"),
        rotated_with=_text(item, "rotated_with"),
        created_at=from_microseconds(int(item["created_at"]["N"])),
        updated_at=from_microseconds(int(item["updated_at"]["N"])),
        disabled_at=_at(item, "disabled_at"),
        disabled_reason=DisabledReason(reason) if reason else None,
        failing_since=_at(item, "failing_since"),
        version=int(item["version"]["N"]),
    )


def _delivery_item(delivery: Delivery) -> Item:
    item = _delivery_key(delivery.shop, delivery.endpoint_id, delivery.delivery_id) | {
        "webhook_id": text(delivery.webhook_id),
        "type": text(delivery.type.value),
        "body": text(delivery.body),
        "created_at": number(microseconds(delivery.created_at)),
        "asked_at": number(microseconds(delivery.asked_at)),
        "status": text(delivery.status.value),
        "number": number(delivery.number),
        "round_tries": number(delivery.round_tries),
        "tries": text(to_json([_pack(each) for each in delivery.tries])),
        "version": number(delivery.version),
        "expires_at": expiry(delivery.asked_at + DELIVERY_KEPT_FOR),
    }
    for name in ("excerpt", "code"):
        value = getattr(delivery, name)
        if value is not None:
            item[name] = text(value)
    if delivery.due_at is not None:
        item["due_pk"] = text(_due_pk(shard_of(delivery.delivery_id, DUE_SHARDS)))
        item["due_at"] = number(milliseconds_up(delivery.due_at))
        item["due_looks"] = number(delivery.due_looks)
    return item | _instants(delivery, ("next_at",))


def _read_delivery(item: Mapping[str, Value]) -> Delivery:
    ref = _ref_of(item)
    return Delivery(
        shop=ref.shop,
        endpoint_id=ref.endpoint_id,
        delivery_id=ref.delivery_id,
        webhook_id=item["webhook_id"]["S"],
        type=NoticeType(item["type"]["S"]),
        body=item["body"]["S"],
        created_at=from_microseconds(int(item["created_at"]["N"])),
        asked_at=from_microseconds(int(item["asked_at"]["N"])),
        status=DeliveryStatus(item["status"]["S"]),
        number=int(item["number"]["N"]),
        round_tries=int(item["round_tries"]["N"]),
        tries=tuple(map(_unpack, json.loads(item["tries"]["S"]))),
        next_at=_at(item, "next_at"),
        due_at=instant(int(item["due_at"]["N"])) if "due_at" in item else None,
        due_looks=int(item["due_looks"]["N"]) if "due_looks" in item else 0,
        excerpt=_text(item, "excerpt"),
        code=_text(item, "code"),
        version=int(item["version"]["N"]),
    )


def _pack(one: Try) -> list[Any]:
    return [microseconds(one.at), one.status, one.code, one.duration_ms]


def _unpack(packed: Sequence[Any]) -> Try:
    at, status, code, duration_ms = packed
    return Try(at=from_microseconds(at), status=status, code=code, duration_ms=duration_ms)


def _instants(record: object, names: Sequence[str]) -> Item:
    found = {name: getattr(record, name) for name in names}
    return {name: number(microseconds(at)) for name, at in found.items() if at is not None}


def _at(item: Mapping[str, Value], name: str) -> datetime | None:
    return from_microseconds(int(item[name]["N"])) if name in item else None


def _text(item: Mapping[str, Value], name: str) -> str | None:
    found: str | None = item[name]["S"] if name in item else None
    return found
