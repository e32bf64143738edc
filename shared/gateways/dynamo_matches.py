"""The `SecretMatches` on DynamoDB: pk `MATCHES#{name}`, sk the UTC hour.

Shape: for each secret that fitted, `n_{fingerprint}` deliveries, the last one at
`at_{fingerprint}` (milliseconds). No secret is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.ids import instant, milliseconds
from shared.domain.quarantine import hour_of
from shared.domain.rotation import COUNTED_FOR, HourOfMatches, Matched
from shared.gateways.dynamo_items import expiry
from shared.gateways.dynamo_table import (
    Request,
    Table,
    Terms,
    key,
    number,
    update_expression,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from shared.gateways.dynamo_table import Value
    from shared.usecases.ports import Clock

_COUNT, _AT = "n_", "at_"


class DynamoSecretMatches:
    """Which of several secrets deliveries fitted."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def add(self, name: str, hour: str, matched: Mapping[str, Matched]) -> None:
        """Add to what fitted in an hour. One update, however many secrets fitted."""
        terms = Terms()
        latest = max(each.last_at for each in matched.values())
        put = {f"{_AT}{mark}": number(milliseconds(each.last_at)) for mark, each in matched.items()}
        request: Request = {
            "Key": key(_pk(name), hour),
            "UpdateExpression": update_expression(
                terms,
                put=put | {"expires_at": expiry(latest + COUNTED_FOR)},
                add={f"{_COUNT}{mark}": number(each.count) for mark, each in matched.items()},
            ),
        }
        self._table.update(terms.attach(request))

    def hours(self, name: str, now: datetime) -> list[HourOfMatches]:
        """Read the hours of the last week, the earliest first. One Query."""
        since = hour_of(now - COUNTED_FOR)
        return [_read(item) for item in self._table.query_from(_pk(name), since)]


def _pk(name: str) -> str:
    return f"MATCHES#{name}"


def _read(item: Mapping[str, Value]) -> HourOfMatches:
    matched = {}
    for attribute, value in item.items():
        if attribute.startswith(_COUNT):
            mark = attribute.removeprefix(_COUNT)
            last_at = instant(int(item[f"{_AT}{mark}"]["N"]))
            matched[mark] = Matched(int(value["N"]), last_at)
    return HourOfMatches(item["sk"]["S"], matched)
