"""How long tools take, on DynamoDB: pk `PACE#{provider}#{tool}`, sk the month, `b{n}` counts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.pace import bucket_of, expected_ms
from shared.gateways.dynamo_items import bounded, expiry
from shared.gateways.dynamo_table import Table, Terms, key, number, text, update_expression
from shared.gateways.store_rules import PACE_KEPT_FOR, pace_months
from shared.usecases.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_BUCKET = "b"


class DynamoPaces:
    """What was learnt of each provider's tools: one item a month, to which counts are added.

    No read before a write and no condition: any number of functions may learn at once.
    """

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def learn(self, provider: str, tool_id: str, duration_ms: int, now: datetime) -> None:
        """Count one duration."""
        terms = Terms()
        request = {
            "Key": key(_partition(provider, tool_id), pace_months(now)[-1]),
            "UpdateExpression": update_expression(
                terms,
                put={"expires_at": expiry(now + PACE_KEPT_FOR)},
                add={f"{_BUCKET}{bucket_of(duration_ms)}": number(1)},
            ),
        }
        self._table.update(terms.attach(request))

    def expected_ms(self, provider: str, tool_id: str, now: datetime) -> int | None:
        """Return how long it took of late; None while too little is known. One Query."""
        terms = Terms()
        first, last = (terms.value(text(month)) for month in pace_months(now))
        partition = terms.equals("pk", text(_partition(provider, tool_id)))
        request = {
            "KeyConditionExpression": f"{partition} AND {terms.name('sk')} "
            f"BETWEEN {first} AND {last}",
        }
        counts: dict[int, int] = {}
        for item in self._table.query(terms.attach(request)):
            for name, value in item.items():
                if name.startswith(_BUCKET):
                    bucket = int(name.removeprefix(_BUCKET))
                    counts[bucket] = counts.get(bucket, 0) + int(value["N"])
        return expected_ms(counts)


def _partition(provider: str, tool_id: str) -> str:
    return f"PACE#{bounded(f'{provider}#{tool_id}')}"
