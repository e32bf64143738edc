"""The `Limiter` on DynamoDB: pk `LIMIT#{provider}#{key}`, sk the minute, `used` the calls."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.gateways.dynamo_errors import ConditionFailedError
from shared.gateways.dynamo_items import bounded, expiry
from shared.gateways.dynamo_table import Table, Terms, number, text, update_expression
from shared.gateways.dynamo_table import key as item_key
from shared.gateways.store_rules import later_minutes
from shared.usecases.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_KEPT_FOR = timedelta(hours=1)


class DynamoLimiter:
    """Our share of a provider's rate limit, over all functions.

    One conditional update a call: no lock, and never more than the ceiling.
    """

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def take(self, provider: str, key: str, now: datetime, *, ceiling: int) -> bool:
        """Take one call of this minute; False when `ceiling` calls were taken already."""
        if ceiling <= 0:
            return False
        terms = Terms()
        request = {
            "Key": item_key(_partition(provider, key), _minute(now)),
            "UpdateExpression": update_expression(
                terms, put={"expires_at": expiry(now + _KEPT_FOR)}, add={"used": number(1)}
            ),
        }
        below = f"{terms.name('used')} < {terms.value(number(ceiling))}"
        request["ConditionExpression"] = f"{terms.absent('used')} OR {below}"
        try:
            self._table.update(terms.attach(request))
        except ConditionFailedError:
            return False
        return True

    def reserve(
        self, provider: str, key: str, now: datetime, *, ceiling: int, minutes: int
    ) -> datetime | None:
        """Take one call of the first later minute that has one left; None if none has.

        One Query tells which have, and mostly one update takes it.
        """
        wanted = later_minutes(now, minutes)
        if not wanted:
            return None
        used = self._used(provider, key, wanted[0], wanted[-1])
        for minute in wanted:
            has_room = used.get(_minute(minute), 0) < ceiling
            if has_room and self.take(provider, key, minute, ceiling=ceiling):
                return minute
        return None

    def _used(self, provider: str, key: str, first: datetime, last: datetime) -> dict[str, int]:
        """Return how many calls were taken of each minute of which any was."""
        terms = Terms()
        partition = terms.equals("pk", text(_partition(provider, key)))
        span = (terms.value(text(_minute(first))), terms.value(text(_minute(last))))
        request = {
            "KeyConditionExpression": f"{partition} AND {terms.name('sk')} BETWEEN "
            + " AND ".join(span),
            "ConsistentRead": True,
        }
        found = self._table.query(terms.attach(request))
        return {item["sk"]["S"]: int(item["used"]["N"]) for item in found}


def _partition(provider: str, key: str) -> str:
    return f"LIMIT#{provider}#{bounded(key)}"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M}"
