"""The `Limiter` on DynamoDB: pk `LIMIT#{provider}#{key}`, sk the minute, `used` the calls."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.gateways.dynamo_errors import ConditionFailedError
from shared.gateways.dynamo_items import bounded, expiry
from shared.gateways.dynamo_table import Table, Terms, number, update_expression
from shared.gateways.dynamo_table import key as item_key
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
            "Key": item_key(f"LIMIT#{provider}#{bounded(key)}", f"{now:%Y-%m-%dT%H:%M}"),
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
