"""The `FactStore` on DynamoDB: pk `PROVIDER#{provider}`, sk `TOOLS` and `ACCOUNT`.

Shape: `value` is JSON text; `fetched_at`, `asked_at`, `failed_at` are milliseconds. No shop is in
it: providers are asked with our one key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.domain.ids import instant, milliseconds
from shared.domain.tools import Fact, FactKind
from shared.gateways.dynamo_errors import ConditionFailedError
from shared.gateways.dynamo_items import to_json
from shared.gateways.dynamo_table import Item, Table, Terms, key, number, text, update_expression

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from shared.gateways.dynamo_table import Value
    from shared.usecases.ports import Clock


class DynamoFactStore:
    """What providers said last beside jobs."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def facts(self, provider: str) -> Mapping[FactKind, Fact]:
        """Read what is known of a provider: one Query of two items.

        At half the price of the very last word: what a provider said is minutes old anyway, and
        whoever waits for it reads again.
        """
        terms = Terms()
        condition = terms.equals("pk", text(_pk(provider)))
        request = {"KeyConditionExpression": condition}
        items = self._table.query(terms.attach(request))
        return {FactKind(item["sk"]["S"].lower()): _read(item) for item in items}

    def claim_fact(self, provider: str, kind: FactKind, now: datetime, *, for_s: float) -> bool:
        """Note that somebody has the provider asked now; False when somebody did just now."""
        terms = Terms()
        before = terms.value(number(milliseconds(now - timedelta(seconds=for_s))))
        condition = f"{terms.absent('asked_at')} OR {terms.name('asked_at')} <= {before}"
        put = update_expression(terms, put={"asked_at": number(milliseconds(now))})
        request = {"UpdateExpression": put, "ConditionExpression": condition}
        try:
            self._table.update(terms.attach(request | {"Key": _key(provider, kind)}))
        except ConditionFailedError:
            return False
        return True

    def put_fact(self, provider: str, kind: FactKind, value: Any, at: datetime) -> None:
        """Store what a provider said; nothing happens when something newer is there."""
        terms = Terms()
        said_at = number(milliseconds(at))
        older = f"{terms.name('fetched_at')} <= {terms.value(said_at)}"
        put = update_expression(terms, put={"value": text(to_json(value)), "fetched_at": said_at})
        request = {
            "Key": _key(provider, kind),
            "UpdateExpression": put,
            "ConditionExpression": f"{terms.absent('fetched_at')} OR {older}",
        }
        try:
            self._table.update(terms.attach(request))
        except ConditionFailedError:
            return

    def fail_fact(self, provider: str, kind: FactKind, at: datetime) -> None:
        """Note that asking came to nothing; what was said before stays."""
        terms = Terms()
        put = update_expression(terms, put={"failed_at": number(milliseconds(at))})
        request = {"Key": _key(provider, kind), "UpdateExpression": put}
        self._table.update(terms.attach(request))


def _pk(provider: str) -> str:
    return f"PROVIDER#{provider}"


def _key(provider: str, kind: FactKind) -> Item:
    return key(_pk(provider), kind.upper())


def _read(item: Mapping[str, Value]) -> Fact:
    return Fact(
        value=json.loads(item["value"]["S"]) if "value" in item else None,
        fetched_at=_at(item, "fetched_at"),
        asked_at=_at(item, "asked_at"),
        failed_at=_at(item, "failed_at"),
    )


def _at(item: Mapping[str, Value], name: str) -> datetime | None:
    return instant(int(item[name]["N"])) if name in item else None
