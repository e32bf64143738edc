"""How many of something a shop may have: a count beside the things, in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.gateways.dynamo_errors import (
    CONDITION_FAILED,
    Reason,
    TransactionCancelledError,
    too_busy,
)
from shared.gateways.dynamo_items import (
    idempotency_key,
    idempotency_row,
    shop_pk,
    was_made_with,
)
from shared.gateways.dynamo_table import (
    Request,
    Role,
    Row,
    Table,
    Terms,
    key,
    number,
    text,
    update_expression,
)
from shared.gateways.store_rules import made_and_deleted, too_many

if TYPE_CHECKING:
    from shared.usecases.ports import Clock, Idempotency

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Making[Thing]:
    """Something that is made, perhaps for the second time.

    find: reads such a thing by its id. one, many: what people call it; most: how many of them a
    shop may have.
    """

    shop: str
    thing: Thing
    thing_id: str
    find: Callable[[str], Thing | None]
    one: str
    many: str
    most: int
    idempotency: Idempotency | None


def add_once[Thing](
    table: Table, clock: Clock, rows: Sequence[Row], making: Making[Thing]
) -> Thing:
    """Write rows of which the first is the count; returns the thing.

    Returns what was made before with the same key and body instead, if anything was. Raises
    ConflictError when the count is full or that is gone, IdempotencyKeyReusedError.
    """
    earlier = _write_once(table, clock, rows, making)
    if earlier is None:
        return making.thing
    found = making.find(earlier)
    if found is None:
        raise made_and_deleted(making.one)
    return found


def _write_once[Thing](
    table: Table, clock: Clock, rows: Sequence[Row], making: Making[Thing]
) -> str | None:
    """Return the id of what was made before; None when this was written."""
    now, key_used = clock.now(), making.idempotency
    if key_used is not None:
        made = {"made_id": text(making.thing_id)}
        rows = [*rows, idempotency_row(making.shop, key_used, made, now)]
    refused = _write(table, clock, rows)
    if not refused:
        return None
    # First of all: what it made before may be what has filled the count.
    if key_used is not None and refused[-1].code == CONDITION_FAILED:
        found = refused[-1].item or table.get(idempotency_key(making.shop, key_used.key))
        if found is not None and was_made_with(found, key_used, now):
            return str(found["made_id"]["S"])
        raise too_busy()
    raise too_many(making.many, making.most)


def write_counted(table: Table, clock: Clock, rows: Sequence[Row]) -> bool:
    """Write all rows or none; False when a condition does not hold."""
    return not _write(table, clock, rows)


def _write(table: Table, clock: Clock, rows: Sequence[Row]) -> Sequence[Reason]:
    """Write all rows or none. Returns why they could not be written, () when they were."""
    for _ in range(_TRIES):
        try:
            table.transact(rows)
        except TransactionCancelledError as cancelled:
            if any(reason.code == CONDITION_FAILED for reason in cancelled.reasons):
                return cancelled.reasons
            clock.sleep(0.02)
        else:
            return ()
    raise too_busy()
