"""How many of something a shop may have: a count beside the things, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.domain.errors import StoreUnavailableError
from shared.gateways.dynamo_errors import CONDITION_FAILED, TransactionCancelledError
from shared.gateways.dynamo_items import shop_pk
from shared.gateways.dynamo_table import (
    Request,
    Role,
    Row,
    Table,
    Terms,
    key,
    number,
    update_expression,
)
from shared.gateways.store_rules import too_many

if TYPE_CHECKING:
    from shared.usecases.ports import Clock

_TRIES = 6


def quota_row(shop: str, what: str, most: int | None) -> Row:
    """Return the count of one more (up to `most`), or of one less (most is None)."""
    terms = Terms()
    request: Request = {
        "Key": key(shop_pk(shop), what),
        "UpdateExpression": update_expression(
            terms, add={"amount": number(-1 if most is None else 1)}
        ),
    }
    if most is not None:
        has_room = f"{terms.name('amount')} < {terms.value(number(most))}"
        request["ConditionExpression"] = f"{terms.absent('amount')} OR {has_room}"
    return Row(Role.QUOTA, "Update", terms.attach(request))


def add_within_quota(table: Table, clock: Clock, rows: Sequence[Row], what: str, most: int) -> None:
    """Write rows of which the first is the count. Raises ConflictError when it is full."""
    if not write_counted(table, clock, rows):
        raise too_many(what, most)


def write_counted(table: Table, clock: Clock, rows: Sequence[Row]) -> bool:
    """Write all rows or none; False when the condition of the first one does not hold."""
    for _ in range(_TRIES):
        try:
            table.transact(rows)
        except TransactionCancelledError as cancelled:
            if cancelled.reasons[0].code == CONDITION_FAILED:
                return False
            clock.sleep(0.02)
        else:
            return True
    raise StoreUnavailableError("The table is too busy at the moment.")
