"""The one table, through the low-level client: requests as data, answers as items.

An item is a dict of attribute name → typed value, `{"S": "…"}`, as DynamoDB has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared.domain.errors import InvalidRequestError
from shared.gateways.dynamo_errors import domain_errors, too_busy

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from shared.usecases.ports import Clock

type Value = Mapping[str, Any]
type Item = dict[str, Value]
type Request = dict[str, Any]

# DynamoDB's own limits (developer guide, "Quotas", read 2026-11).
MAX_ITEM_BYTES = 400 * 1024
# What a write is billed by. Source: developer guide, "Write request units" (read 2026-11).
WRITE_UNIT_BYTES = 1024
MAX_BATCH_GET = 100
MAX_BATCH_WRITE = 25
# Room for what is added to an item besides what we measured (counts, indexes' bookkeeping).
_RESERVE_BYTES = 1024
_BATCH_ROUNDS = 8


def text(value: str) -> Value:
    """Return a string attribute."""
    return {"S": value}


def number(value: int) -> Value:
    """Return a number attribute."""
    return {"N": str(value)}


def flag(value: bool) -> Value:
    """Return a truth attribute."""
    return {"BOOL": value}


def key(pk: str, sk: str) -> Item:
    """Return the primary key of an item."""
    return {"pk": text(pk), "sk": text(sk)}


@dataclass(slots=True)
class Terms:
    """The names and values of an expression; names are always aliased (many are reserved)."""

    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    _aliases: dict[str, str] = field(default_factory=dict)

    def name(self, attribute: str) -> str:
        """Return the alias of an attribute."""
        alias = self._aliases.get(attribute)
        if alias is None:
            alias = self._aliases[attribute] = f"#{len(self._aliases)}"
            self.names[alias] = attribute
        return alias

    def value(self, value: Value) -> str:
        """Return the placeholder of a value."""
        placeholder = f":{len(self.values)}"
        self.values[placeholder] = value
        return placeholder

    def equals(self, attribute: str, value: Value) -> str:
        """Return the condition that an attribute has a value (so the item exists)."""
        return f"{self.name(attribute)} = {self.value(value)}"

    def absent(self, attribute: str = "pk") -> str:
        """Return the condition that an attribute (by default: the item) does not exist."""
        return f"attribute_not_exists({self.name(attribute)})"

    def present(self) -> str:
        """Return the condition that the item exists."""
        return f"attribute_exists({self.name('pk')})"

    def attach(self, request: Request) -> Request:
        """Return the request with the names and values that its expressions use."""
        if self.names:
            request["ExpressionAttributeNames"] = self.names
        if self.values:
            request["ExpressionAttributeValues"] = self.values
        return request


def update_expression(
    terms: Terms,
    *,
    put: Mapping[str, Value] | None = None,
    remove: Sequence[str] = (),
    add: Mapping[str, Value] | None = None,
) -> str:
    """Return an UpdateExpression that sets, removes and adds attributes."""
    puts = [f"{terms.name(n)} = {terms.value(v)}" for n, v in (put or {}).items()]
    adds = [f"{terms.name(n)} {terms.value(v)}" for n, v in (add or {}).items()]
    clauses = (
        ("SET", puts),
        ("REMOVE", [terms.name(attribute) for attribute in remove]),
        ("ADD", adds),
    )
    return " ".join(f"{word} {', '.join(parts)}" for word, parts in clauses if parts)


class Role(StrEnum):
    """Whose item a row of a transaction writes: it decides what a failed condition means."""

    JOB = "job"
    LINK = "link"
    DROPPED_LINK = "dropped_link"
    ENTRY = "entry"
    COUNTER = "counter"
    IDEMPOTENCY = "idempotency"
    RUNNING = "running"
    PARKED = "parked"
    BUDGET = "budget"
    PRICE = "price"
    KEY = "key"
    QUOTA = "quota"
    SHOP = "shop"
    REPORT = "report"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a transaction. action: Put, Update, Delete or ConditionCheck."""

    role: Role
    action: str
    request: Request


def check_size(item: Mapping[str, Value]) -> None:
    """Raise InvalidRequestError for an item that the table would refuse."""
    try:
        size = item_bytes(item)
    except UnicodeEncodeError:
        raise InvalidRequestError("This text is not valid Unicode.") from None
    if size > MAX_ITEM_BYTES - _RESERVE_BYTES:
        raise InvalidRequestError("This is too large to be stored: at most 400 KB in all.")


def item_bytes(item: Mapping[str, Value]) -> int:
    """Return the size that DynamoDB counts for an item, in bytes.

    Source: developer guide, "DynamoDB item sizes and formats": names and strings in UTF-8,
    numbers about one byte per two digits and one more, a truth value 1.

    >>> item_bytes({"pk": {"S": "né"}, "version": {"N": "120"}, "exclusive": {"BOOL": True}})
    25
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Value) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return (len(content.lstrip("-")) + 1) // 2 + 1
    if kind == "B":
        return len(content)
    if kind == "SS":
        return sum(len(part.encode()) for part in content)
    return 1


class Table:
    """Calls on one table. Raises errors of ours only, ConditionFailedError among them.

    Parameters
        client: a botocore DynamoDB client; its own retries stay on. A transaction carries the
            ClientRequestToken that botocore makes per call and keeps over its retries, so a
            lost answer does not write twice.
        clock: to wait a moment when a batch comes back unfinished.
    """

    def __init__(self, client: DynamoDBClient, name: str, clock: Clock) -> None:
        self._client = client
        self._name = name
        self._clock = clock

    def get(self, item_key: Item, *attributes: str) -> Item | None:
        """Read one item consistently (only those attributes, if any are named)."""
        request: Request = {"TableName": self._name, "Key": item_key, "ConsistentRead": True}
        if attributes:
            terms = Terms()
            request["ProjectionExpression"] = ", ".join(terms.name(a) for a in attributes)
            terms.attach(request)
        with domain_errors():
            answer: Mapping[str, Any] = self._client.get_item(**request)
        return answer.get("Item")

    def put(self, request: Request) -> None:
        """Put one item. Raises ConditionFailedError."""
        with domain_errors():
            self._client.put_item(TableName=self._name, **request)

    def update(self, request: Request) -> Mapping[str, Value]:
        """Update one item; returns the attributes that its `ReturnValues` asks for.

        Raises ConditionFailedError.
        """
        with domain_errors():
            answer: Mapping[str, Any] = self._client.update_item(TableName=self._name, **request)
        found: Mapping[str, Value] = answer.get("Attributes", {})
        return found

    def delete(self, item_key: Item, request: Request | None = None) -> None:
        """Delete one item, whether it exists or not.

        request: a condition, with its names and values. Raises ConditionFailedError.
        """
        with domain_errors():
            self._client.delete_item(TableName=self._name, Key=item_key, **(request or {}))

    def transact(self, rows: Sequence[Row]) -> None:
        """Write all rows or none. Raises TransactionCancelledError."""
        items: Any = [{r.action: {"TableName": self._name, **r.request}} for r in rows]
        with domain_errors():
            self._client.transact_write_items(TransactItems=items)

    def query_page(self, request: Request) -> Mapping[str, Any]:
        """Make one Query; returns its answer."""
        with domain_errors():
            answer: Mapping[str, Any] = self._client.query(TableName=self._name, **request)
        return answer

    def query(self, request: Request) -> Iterator[Item]:
        """Read everything that a Query finds (page by page, if it is over 1 MB)."""
        start: Request = {}
        while True:
            answer = self.query_page(request | start)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def query_from(self, pk: str, first: str) -> Iterator[Item]:
        """Read a partition consistently, from a sort key on."""
        terms = Terms()
        condition = (
            f"{terms.equals('pk', text(pk))} AND {terms.name('sk')} >= {terms.value(text(first))}"
        )
        return self.query(
            terms.attach({"KeyConditionExpression": condition, "ConsistentRead": True})
        )

    def count(self, request: Request) -> int:
        """Count what a Query finds, without reading it."""
        start: Request = {}
        found: int = 0
        while True:
            answer = self.query_page(request | start | {"Select": "COUNT"})
            found += int(answer["Count"])
            if "LastEvaluatedKey" not in answer:
                return found
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def batch_get(self, keys: Sequence[Item], *, consistent: bool) -> list[Item]:
        """Read up to 100 items, in no order; those that do not exist are missing."""
        found: list[Item] = []
        wanted = list(keys)
        for tries in range(_BATCH_ROUNDS):
            if not wanted:
                return found
            asked: Any = {self._name: {"Keys": wanted, "ConsistentRead": consistent}}
            with domain_errors():
                answer: Mapping[str, Any] = self._client.batch_get_item(RequestItems=asked)
            found += answer["Responses"].get(self._name, ())
            left = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            self._wait_if_stuck(len(left) == len(wanted), tries)
            wanted = list(left)
        return self._unfinished(wanted, found)

    def batch_delete(self, keys: Sequence[Item]) -> None:
        """Delete any number of items, whether they exist or not."""
        for start in range(0, len(keys), MAX_BATCH_WRITE):
            self._delete_chunk(keys[start : start + MAX_BATCH_WRITE])

    def _delete_chunk(self, keys: Sequence[Item]) -> None:
        requests: list[Any] = [{"DeleteRequest": {"Key": item_key}} for item_key in keys]
        for tries in range(_BATCH_ROUNDS):
            if not requests:
                return
            asked: Any = {self._name: requests}
            with domain_errors():
                answer: Mapping[str, Any] = self._client.batch_write_item(RequestItems=asked)
            left = answer.get("UnprocessedItems", {}).get(self._name, [])
            self._wait_if_stuck(len(left) == len(requests), tries)
            requests = list(left)
        self._unfinished(requests, [])

    def _wait_if_stuck(self, is_stuck: bool, tries: int) -> None:
        if is_stuck:
            self._clock.sleep(0.025 * 2**tries)

    @staticmethod
    def _unfinished(left: Sequence[object], found: list[Item]) -> list[Item]:
        if left:
            raise too_busy()
        return found
