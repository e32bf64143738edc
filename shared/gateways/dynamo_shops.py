"""The `ShopStore` on DynamoDB: pk `SHOP#{shop}`, sk `SHOP`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.domain.shop import Shop
from shared.gateways.dynamo_items import SHOP_SK, read_shop, shop_item, shop_pk
from shared.gateways.dynamo_table import Table, Terms, check_size, key, number
from shared.usecases.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


class DynamoShopStore:
    """What is known of each shop."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def get_shop(self, shop: str) -> Shop | None:
        """Read a shop consistently; None when it was never installed."""
        item = self._table.get(key(shop_pk(shop), SHOP_SK))
        return read_shop(shop, item) if item is not None else None

    def save_shop(self, before: Shop | None, after: Shop) -> Shop:
        """Write on condition of the version (or of absence). Raises VersionConflictError."""
        saved = replace(after, version=(before.version if before is not None else 0) + 1)
        item = shop_item(saved)
        check_size(item)
        terms = Terms()
        condition = (
            terms.absent() if before is None else terms.equals("version", number(before.version))
        )
        self._table.put(terms.attach({"Item": item, "ConditionExpression": condition}))
        return saved
