"""The `Erasures` on DynamoDB.

| what a shop has | pk | sk |
| --- | --- | --- |
| keys, each with its holder (`KEY#{key id}`, `KEY`) | `SHOP#{shop}` | `KEY#…`, `AGENT#…` |
| tombstones | `LINK#…`, found on the index of types | `LINK` |
| items: batches, templates, work lists, receipts, prices, markers, … | `SHOP#{shop}` | any other |
| counters | `COUNT#…#{shop}`, `BUDGET#{shop}` | any |

Jobs, with their timelines (`LOG#{shop}#{job}`), their links and what is parked for those, are
the `JobStore`'s. Whatever is stored of a shop anywhere else must be added here: a test looks
through the whole table for the shop's name.

A report: pk `ERASURE#{digest of the shop}`, sk the erasing job's id, `report` as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.domain.erasure import ErasureReport, shop_digest
from shared.domain.errors import VersionConflictError
from shared.domain.job import Job
from shared.gateways.dynamo_errors import ConditionFailedError, TransactionCancelledError
from shared.gateways.dynamo_items import (
    JOB_PREFIX,
    LINK_SK,
    SHOP_SK,
    from_microseconds,
    job_key,
    log_pk,
    microseconds,
    shop_pk,
    to_json,
    tombstones_pk,
)
from shared.gateways.dynamo_table import (
    MAX_BATCH_GET,
    Item,
    Request,
    Role,
    Row,
    Table,
    Terms,
    flag,
    key,
    number,
    text,
)
from shared.usecases.ports import Belongings, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_KEY_PREFIXES = ("AGENT#", "KEY#")
_COUNTERS = ("BUDGET#", "COUNT#BATCH#", "COUNT#PROJECT#", "COUNT#SHOP#")
_INSTANTS = ("requested_at", "started_at", "ended_at")
# Between the parts of a name: in no key of ours.
_TAB = "\t"


class DynamoErasures:
    """What the table has of a shop besides its jobs."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def find(self, shop: str, part: Belongings, *, limit: int) -> Sequence[str]:
        """Name some of what is left of a part; see `Erasures.find`."""
        finders = {
            Belongings.KEYS: self._keys,
            Belongings.TOMBSTONES: self._tombstones,
            Belongings.ITEMS: self._items,
            Belongings.COUNTERS: self._counters,
        }
        found = []
        for name in finders[part](shop):
            found.append(name)
            if len(found) == limit:
                break
        return found

    def erase(self, shop: str, part: Belongings, names: Sequence[str]) -> None:
        """Delete what was found; what is gone already is no error."""
        if part is Belongings.TOMBSTONES:
            for name in names:
                self._erase_tombstone(shop, name)
            return
        self._table.batch_delete([each for name in names for each in _keys_of(shop, part, name)])

    def finish(self, job: Job, report: ErasureReport) -> None:
        """Delete the shop's item and the job, and keep the report; see `Erasures.finish`."""
        self._table.batch_delete(list(self._query(log_pk(job.ref))))
        terms, of_job = Terms(), Terms()
        shop_item: Request = {
            "Key": key(shop_pk(job.shop), SHOP_SK),
            "ConditionExpression": terms.equals("erasing", text(job.job_id)),
        }
        job_item: Request = {
            "Key": job_key(job.ref),
            "ConditionExpression": of_job.equals("version", number(job.version)),
        }
        rows = [
            Row(Role.SHOP, "Delete", terms.attach(shop_item)),
            Row(Role.JOB, "Delete", of_job.attach(job_item)),
            Row(Role.REPORT, "Put", {"Item": _report_item(job.shop, report)}),
        ]
        try:
            self._table.transact(rows)
        except TransactionCancelledError:
            raise VersionConflictError("The shop or the job was changed meanwhile.") from None

    def put_report(self, shop: str, report: ErasureReport) -> None:
        """Keep a report, filed under a digest of the shop."""
        self._table.put({"Item": _report_item(shop, report)})

    def reports(self, shop: str) -> list[ErasureReport]:
        """Read the reports about a shop, the newest first."""
        terms = Terms()
        request = {
            "KeyConditionExpression": terms.equals("pk", text(_report_pk(shop))),
            "ConsistentRead": True,
            "ScanIndexForward": False,
        }
        return [_read_report(item) for item in self._table.query(terms.attach(request))]

    # --- finding ---------------------------------------------------------------------

    def _keys(self, shop: str) -> Iterator[str]:
        for prefix in _KEY_PREFIXES:
            for item in self._query(shop_pk(shop), prefix, "key_id"):
                name: str = item["sk"]["S"]
                key_id = item["key_id"]["S"] if "key_id" in item else name.removeprefix(prefix)
                yield name + _TAB + key_id

    def _tombstones(self, shop: str) -> Iterator[str]:
        """Look on the index, which may be behind; each is read before it is named."""
        terms = Terms()
        request: Request = {
            "IndexName": "by_type",
            "KeyConditionExpression": terms.equals("type_pk", text(tombstones_pk(shop))),
            "Limit": MAX_BATCH_GET,
        }
        start: Request = {}
        while True:
            answer = self._table.query_page(terms.attach(request) | start)
            keys = [key(item["pk"]["S"], item["sk"]["S"]) for item in answer["Items"]]
            for item in self._table.batch_get(keys, consistent=True):
                if "is_tombstone" in item and item["shop"]["S"] == shop:
                    yield item["pk"]["S"]
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _items(self, shop: str) -> Iterator[str]:
        others = (JOB_PREFIX, *_KEY_PREFIXES)
        for item in self._query(shop_pk(shop)):
            name: str = item["sk"]["S"]
            if name != SHOP_SK and not name.startswith(others):
                yield name

    def _counters(self, shop: str) -> Iterator[str]:
        for prefix in _COUNTERS:
            for item in self._query(prefix + shop):
                yield item["pk"]["S"] + _TAB + item["sk"]["S"]

    def _query(self, pk: str, prefix: str | None = None, *more: str) -> Iterator[Item]:
        """Read the keys of a partition (and some attributes), consistently."""
        terms = Terms()
        condition = terms.equals("pk", text(pk))
        if prefix is not None:
            condition += f" AND begins_with({terms.name('sk')}, {terms.value(text(prefix))})"
        request = {
            "KeyConditionExpression": condition,
            "ProjectionExpression": ", ".join(terms.name(name) for name in ("pk", "sk", *more)),
            "ConsistentRead": True,
        }
        return self._table.query(terms.attach(request))

    def _erase_tombstone(self, shop: str, pk: str) -> None:
        """Delete a tombstone that is still this shop's, and what was left parked for it."""
        parked = [item for item in self._query(pk) if item["sk"]["S"] != LINK_SK]
        terms = Terms()
        own = f"{terms.equals('is_tombstone', flag(True))} AND {terms.equals('shop', text(shop))}"
        try:
            self._table.delete(key(pk, LINK_SK), terms.attach({"ConditionExpression": own}))
        except ConditionFailedError:
            return
        self._table.batch_delete(parked)


def _keys_of(shop: str, part: Belongings, name: str) -> list[Item]:
    if part is Belongings.ITEMS:
        return [key(shop_pk(shop), name)]
    first, _, second = name.partition(_TAB)
    if part is Belongings.KEYS:
        return [key(f"KEY#{second}", "KEY"), key(shop_pk(shop), first)]
    return [key(first, second)]


def _report_pk(shop: str) -> str:
    return f"ERASURE#{shop_digest(shop)}"


def _report_item(shop: str, report: ErasureReport) -> Item:
    values: dict[str, Any] = asdict(report)
    for name in _INSTANTS:
        at: datetime | None = values[name]
        values[name] = microseconds(at) if at is not None else None
    return key(_report_pk(shop), report.erasure_id) | {"report": text(to_json(values))}


def _read_report(item: Mapping[str, Any]) -> ErasureReport:
    stored: dict[str, Any] = json.loads(item["report"]["S"])
    known = {field.name for field in fields(ErasureReport)}
    values = {name: value for name, value in stored.items() if name in known}
    for name in _INSTANTS:
        if values[name] is not None:
            values[name] = from_microseconds(values[name])
    return ErasureReport(**values)
