"""What a story costs at DynamoDB, in its units, item by item.

Each call of the product is seen with the items it touches as they were before and after it, so
what is billed follows from their sizes alone, by AWS's published rules:

- A write is billed by the larger of the item before and after it, in whole KB; in a transaction
  twice. So is one whose condition fails, by the item that is there (1 KB if there is none).
- An index entry that is new, gone or rewritten is a write of its own, by the entry's size; one
  whose key changes is two, a deletion and a put. One that stays as it was is free.
- What TTL deletes is free.
- A read is billed in whole 4 KB, an eventually consistent one at half: each item for itself, a
  Query all that it goes through together. What is not there costs as much as the smallest.

Source: DynamoDB developer guide, "DynamoDB read and write operations", "Using global secondary
indexes" (its section on write capacity units), "DynamoDB item sizes and formats" and "Amazon
DynamoDB transactions: how it works" (read 2026-11-26). That an index entry costs in a transaction
what it costs outside is not in there; it was measured on AWS: nubo-db/dynoxide, pull request 188
(2026-08-14).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from shared.gateways.dynamo_table import Item, item_bytes
from tests.template.stack import properties

WRITE_UNIT_BYTES, READ_UNIT_BYTES = 1024, 4096
IN_A_TRANSACTION = 2
# An entry of an index of keys only, where it is gone through without being answered (a COUNT):
# its own keys and the item's are 113 bytes on average.
ENTRY_BYTES = 120


def write_units(*images: Item | None, is_transactional: bool = False) -> int:
    """Return what a write of an item costs, of its images before and after (None: no item).

    >>> write_units(None, {"pk": {"S": "x" * 1000}}), write_units({"pk": {"S": "x" * 1030}}, None)
    (1, 2)
    """
    size = max(item_bytes(image) if image else 0 for image in images)
    units = max(1, ceil(size / WRITE_UNIT_BYTES))
    return units * IN_A_TRANSACTION if is_transactional else units


def read_units(size_bytes: int, *, is_consistent: bool) -> float:
    """Return what a read costs.

    >>> read_units(0, is_consistent=True), read_units(4097, is_consistent=False)
    (1.0, 1.0)
    """
    return max(1, ceil(size_bytes / READ_UNIT_BYTES)) * (1.0 if is_consistent else 0.5)


def index_units(before: Item | None, after: Item | None) -> dict[str, int]:
    """Return what a write costs in each index of the table (all of keys only), if anything."""
    found = {}
    for index in properties("Table")["GlobalSecondaryIndexes"]:
        keys = [part["AttributeName"] for part in index["KeySchema"]]
        old, new = _entry(before, keys), _entry(after, keys)
        if old != new:
            found[index["IndexName"]] = sum(write_units(entry) for entry in (old, new) if entry)
    return found


def _entry(item: Item | None, keys: Sequence[str]) -> Item | None:
    if item is None or any(name not in item for name in keys):
        return None
    return {name: item[name] for name in dict.fromkeys([*keys, "pk", "sk"])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One item that a call wrote, or failed to write.

    function: whose call it was. call: its number. before, after: the item; the same one where the
    write failed. units: of the table; indexes: by their names.
    """

    function: str
    call: int
    before: Item | None
    after: Item | None
    is_transactional: bool
    has_failed: bool
    units: int
    indexes: Mapping[str, int]

    @property
    def total(self) -> int:
        """Units of table and indexes."""
        return self.units + sum(self.indexes.values())

    @property
    def item(self) -> Item:
        """The item, as it is or was."""
        return self.after or self.before or {}

    @property
    def kind(self) -> str:
        """What kind of item it is: the first word of its keys."""
        keys: tuple[str, str] = (self.item["pk"]["S"], self.item["sk"]["S"])
        pk, sk = (part.partition("#")[0] for part in keys)
        if pk == "LOG":
            return "body" if sk == "BODY" else "entry"
        return (sk if pk == "SHOP" else pk).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One call that read. items: how many items or entries it went through."""

    function: str
    call: int
    operation: str
    items: int
    units: float


@dataclass(slots=True)
class Bill:
    """Everything that was read and written, in order.

    told: write units as the engine itself reports them, of the calls that succeeded.
    """

    writes: list[Written] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    told: float = 0

    @property
    def write_units(self) -> int:
        """All write units."""
        return sum(written.total for written in self.writes)

    @property
    def read_units(self) -> float:
        """All read units."""
        return sum(read.units for read in self.reads)

    def table(self) -> str:
        """Show where the units go: a line a write, its items in it, and a line for the reads."""
        lines = []
        for call in dict.fromkeys(written.call for written in self.writes):
            rows = [written for written in self.writes if written.call == call]
            how = "transaction" if rows[0].is_transactional else "plain"
            how = f"{how}, failed" if rows[0].has_failed else how
            lines.append(f"{sum(r.total for r in rows):4} {rows[0].function}: {how}")
            lines += [f"       {row.units:2} {_shown(row)}" for row in rows]
        lines.append(f"{self.write_units:4} write units")
        reads = Counter[str]()
        for read in self.reads:
            reads[read.function] += read.units  # type: ignore[assignment]  # halves too
        parts = ", ".join(f"{function} {units:g}" for function, units in reads.items())
        lines.append(f"{self.read_units:4g} read units: {parts}")
        return "\n".join(lines)


def _shown(row: Written) -> str:
    old, new = (item_bytes(image) if image else 0 for image in (row.before, row.after))
    indexes = "".join(f" + {units} {name}" for name, units in row.indexes.items())
    changed = sorted(
        name for name in row.item if (row.before or {}).get(name) != (row.after or {}).get(name)
    )
    names = f" ({', '.join(changed)})" if row.before and row.after else ""
    return f"{row.kind}, {old} → {new} bytes{indexes}{names}"


def attend(client: Any, ask: Callable[..., None], hear: Callable[..., None]) -> Callable[[], None]:
    """Call `ask` before and `hear` after each call of DynamoDB; returns what ends it."""
    events = client.meta.events
    handlers = {"provide-client-params.dynamodb": ask, "after-call.dynamodb": hear}
    for name, handler in handlers.items():
        events.register(name, handler)

    def detach() -> None:
        for name, handler in handlers.items():
            events.unregister(name, handler)

    return detach


@dataclass(slots=True)
class Meter:
    """Watches a client of DynamoDB, and bills what it is asked.

    find: an item of the table by its key, None if there is none. running: which function is at
    work. streamed: the changed images of every item, in order, as the table's stream has them.
    """

    find: Callable[[str, str], Item | None]
    running: Callable[[], str]
    bill: Bill = field(default_factory=Bill)
    streamed: list[tuple[Item | None, Item | None]] = field(default_factory=list)
    _calls: int = 0
    _asked: list[tuple[Mapping[str, Any], list[tuple[Item, Item | None]]]] = field(
        default_factory=list
    )

    def attach(self, client: Any) -> Callable[[], None]:
        """Bill from now on; returns what ends it."""
        return attend(client, self._ask, self._hear)

    def _look(self, item_key: Item) -> Item | None:
        return deepcopy(self.find(item_key["pk"]["S"], item_key["sk"]["S"]))

    def _ask(self, params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"
        self._asked.append((params, [(key, self._look(key)) for key in _written_keys(params)]))

    def _hear(self, model: Any, parsed: Mapping[str, Any], **_: Any) -> None:
        request, images = self._asked.pop()
        self._calls += 1
        if not images:
            self._hear_read(model.name, request, parsed)
            return
        is_transactional = "TransactItems" in request
        has_failed = "Error" in parsed
        for item_key, before in images:
            after = self._look(item_key)
            self.bill.writes.append(
                Written(
                    function=self.running(),
                    call=self._calls,
                    before=before or (item_key if has_failed else None),
                    after=after,
                    is_transactional=is_transactional,
                    has_failed=has_failed,
                    units=write_units(before, after, is_transactional=is_transactional),
                    indexes=index_units(before, after),
                )
            )
            if before != after:
                self.streamed.append((before, after))
        self.bill.told += sum(_consumed(parsed))

    def _hear_read(self, name: str, request: Mapping[str, Any], parsed: Mapping[str, Any]) -> None:
        is_consistent = request.get("ConsistentRead", False)
        if name == "Query":
            sizes = [item_bytes(item) for item in parsed.get("Items", ())]
            count = parsed["ScannedCount"]
            units = read_units(sum(sizes) or count * ENTRY_BYTES, is_consistent=is_consistent)
        elif name == "GetItem":
            # Asked for some attributes, it costs what all of them cost.
            item = self._look(request["Key"])
            count = int(item is not None)
            units = read_units(item_bytes(item) if item else 0, is_consistent=is_consistent)
        else:
            count, units = self._many(request, parsed)
        self.bill.reads.append(
            Read(
                function=self.running(),
                call=self._calls,
                operation=name,
                items=count,
                units=units,
            )
        )

    def _many(self, request: Mapping[str, Any], parsed: Mapping[str, Any]) -> tuple[int, float]:
        """Bill a BatchGetItem: each item for itself."""
        count, units = 0, 0.0
        for asked in request["RequestItems"].values():
            for item_key in asked["Keys"]:
                item = self._look(item_key)
                size = item_bytes(item) if item else 0
                count += item is not None
                units += read_units(size, is_consistent=asked.get("ConsistentRead", False))
        assert not parsed.get("UnprocessedKeys")
        return count, units


def _written_keys(request: Mapping[str, Any]) -> Iterator[Item]:
    """Return the keys of the items that a request writes (or checks, at the same price)."""
    rows: list[Mapping[str, Any]] = []
    if "TransactItems" in request:
        rows = [row for item in request["TransactItems"] for row in item.values()]
    elif "Item" in request or "UpdateExpression" in request:
        rows = [request]
    assert "RequestItems" not in request or all(
        "Keys" in asked for asked in request["RequestItems"].values()
    ), "deletions in batches are not billed here"
    for row in rows:
        item = row.get("Key") or row["Item"]
        yield {name: item[name] for name in ("pk", "sk")}


def _consumed(parsed: Mapping[str, Any]) -> list[float]:
    told = parsed.get("ConsumedCapacity", [])
    return [each["CapacityUnits"] for each in (told if isinstance(told, list) else [told])]
