"""The `Quarantine` on DynamoDB: pk `QUARANTINE#{provider}`, sk the place of a delivery.

Shape: `body` as it came, `headers` JSON text in ASCII, `received_at` microseconds, `size` bytes.
How many places of an hour were taken is at pk `QUARANTINE_HOURS#{provider}`, sk the hour: `kept`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from shared.domain.quarantine import (
    HELD_FOR,
    MAX_AN_HOUR,
    HeldDelivery,
    HeldNote,
    hour_of,
    oldest_place,
    place_of,
    read_headers,
    write_headers,
)
from shared.gateways.dynamo_errors import ConditionFailedError
from shared.gateways.dynamo_items import expiry, from_microseconds, microseconds
from shared.gateways.dynamo_table import (
    Item,
    Request,
    Table,
    Terms,
    key,
    number,
    text,
    update_expression,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from shared.gateways.dynamo_table import Value
    from shared.usecases.ports import Clock

# An hour's count must outlive the last delivery that has a place in it.
_COUNT_OUTLIVES = timedelta(hours=1)
_SHOWN = ("sk", "received_at", "reason", "size")


class DynamoQuarantine:
    """Deliveries that failed their check, for a day."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def hold(self, delivery: HeldDelivery) -> bool:
        """Keep a delivery; False when the hour is full (see Quarantine).

        Two writes; one that fails when the hour is full. They are not one transaction: that
        would cost twice as much, and fail whenever two deliveries come at the same moment.
        """
        number_taken = self._take_place(delivery)
        if number_taken is None:
            return False
        place = place_of(delivery.received_at, number_taken)
        self._table.put({"Item": key(_pk(delivery.provider), place) | _write(delivery)})
        return True

    def _take_place(self, delivery: HeldDelivery) -> int | None:
        terms = Terms()
        until = delivery.received_at + HELD_FOR + _COUNT_OUTLIVES
        added = update_expression(terms, put={"expires_at": expiry(until)}, add={"kept": number(1)})
        has_room = f"{terms.name('kept')} < {terms.value(number(MAX_AN_HOUR))}"
        request: Request = {
            "Key": key(_hours_pk(delivery.provider), hour_of(delivery.received_at)),
            "UpdateExpression": added,
            "ConditionExpression": f"{terms.absent('kept')} OR {has_room}",
            "ReturnValues": "UPDATED_NEW",
        }
        try:
            after = self._table.update(terms.attach(request))
        except ConditionFailedError:
            return None
        return int(after["kept"]["N"]) - 1

    def held(
        self, provider: str, now: datetime, *, until: str | None, limit: int
    ) -> list[HeldNote]:
        """List what is kept, the latest first (see Quarantine)."""
        first, last = oldest_place(now), until or "~"
        if last < first:
            return []  # DynamoDB takes no span that ends before it begins
        terms = Terms()
        shown = ", ".join(terms.name(attribute) for attribute in _SHOWN)
        span = [terms.value(text(first)), terms.value(text(last))]
        request: Request = {
            "KeyConditionExpression": f"{terms.equals('pk', text(_pk(provider)))} AND "
            f"{terms.name('sk')} BETWEEN {' AND '.join(span)}",
            "ProjectionExpression": shown,
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        found = self._table.query(terms.attach(request))
        return [HeldNote(**_read_note(provider, item)) for item in islice(found, limit)]

    def take(self, provider: str, now: datetime, *, after: str | None) -> list[HeldDelivery]:
        """Read what is kept, the earliest first (see Quarantine). One Query."""
        terms = Terms()
        start = max(after or "", oldest_place(now))
        request: Request = {
            "KeyConditionExpression": f"{terms.equals('pk', text(_pk(provider)))} AND "
            f"{terms.name('sk')} > {terms.value(text(start))}",
            "ConsistentRead": True,
        }
        page = self._table.query_page(terms.attach(request))
        return [_read(provider, item) for item in page["Items"]]

    def release(self, provider: str, place: str) -> None:
        """Keep it no longer."""
        self._table.delete(key(_pk(provider), place))

    def taken(self, provider: str, now: datetime) -> Mapping[str, int]:
        """Return how many places were taken by the hour (see Quarantine). One Query."""
        found = self._table.query_from(_hours_pk(provider), hour_of(now - HELD_FOR))
        return {item["sk"]["S"]: int(item["kept"]["N"]) for item in found}


def _pk(provider: str) -> str:
    return f"QUARANTINE#{provider}"


def _hours_pk(provider: str) -> str:
    return f"QUARANTINE_HOURS#{provider}"


def _write(delivery: HeldDelivery) -> Item:
    item: Item = {
        "received_at": number(microseconds(delivery.received_at)),
        "reason": text(delivery.reason),
        "size": number(delivery.size_bytes),
        "body": {"B": delivery.body},
        "headers": text(write_headers(delivery.headers)),
        "expires_at": expiry(delivery.ends_at),
    }
    if delivery.reference is not None:
        item["reference"] = text(delivery.reference)
    return item


def _read(provider: str, item: Mapping[str, Value]) -> HeldDelivery:
    return HeldDelivery(
        **_read_note(provider, item),
        body=bytes(item["body"]["B"]),
        headers=read_headers(item["headers"]["S"]),
        reference=item["reference"]["S"] if "reference" in item else None,
    )


def _read_note(provider: str, item: Mapping[str, Value]) -> dict[str, Any]:
    return {
        "provider": provider,
        "place": item["sk"]["S"],
        "received_at": from_microseconds(int(item["received_at"]["N"])),
        "reason": item["reason"]["S"],
        "size_bytes": int(item["size"]["N"]),
    }
