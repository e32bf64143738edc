"""The `ShopStore` on DynamoDB: pk `SHOP#{shop}`, sk `SHOP`.

A delivery that is bound to a shop: pk `BOUND#{digest of the body}`, sk `BOUND`. It holds the
digest of the shop only: it names nobody, and outlives an erasure by some days.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.erasure import shop_digest
from shared.domain.shop import Shop
from shared.gateways.dynamo_errors import ConditionFailedError
from shared.gateways.dynamo_items import SHOP_SK, expiry, read_shop, shop_item, shop_pk
from shared.gateways.dynamo_table import Table, Terms, check_size, key, number, text
from shared.usecases.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


class DynamoShopStore:
    """What is known of each shop."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)
        self._clock = clock

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

    def bind_delivery(self, digest: str, shop: str, until: datetime) -> bool:
        """Remember which shop a signed body came for first; False when that was another."""
        terms = Terms()
        owner = text(shop_digest(shop))
        item = key(f"BOUND#{digest}", "BOUND") | {
            "shop_sha256": owner,
            "expires_at": expiry(until),
        }
        now = number(int(self._clock.now().timestamp()))
        conditions = (
            terms.absent(),
            terms.equals("shop_sha256", owner),
            f"{terms.name('expires_at')} <= {terms.value(now)}",
        )
        request = {"Item": item, "ConditionExpression": " OR ".join(conditions)}
        try:
            self._table.put(terms.attach(request))
        except ConditionFailedError:
            return False
        return True
