"""The `WorkStore` on DynamoDB: pk `SHOP#{shop}`, sk `BULK#{job_id}` and `BATCH#{batch_id}`.

Shape of work: `work` is the JSON text, gzipped (a thousand images are up to 2 MiB, and alike);
`expires_at` clears away what nobody will ask for any more. The pages that it finds are
`BULK#{job_id}#{place}`, with `page` as JSON text. Shape of a batch: `batch` is the JSON text of
its fields; the jobs are not in it. `finished_by`, once it is over, is the write by which that was
seen, and `finished_round` the attempt at making its jobs that was over then.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.domain.batch import Batch
from shared.domain.ids import JobRef
from shared.gateways.dynamo_errors import ConditionFailedError
from shared.gateways.dynamo_items import (
    expiry,
    from_microseconds,
    microseconds,
    shop_pk,
    to_json,
)
from shared.gateways.dynamo_table import (
    Item,
    Table,
    Terms,
    check_size,
    key,
    number,
    text,
    update_expression,
)
from shared.usecases.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


class DynamoWorkStore:
    """What bulk jobs are about."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def put_work(self, ref: JobRef, work: Mapping[str, Any], until: datetime) -> None:
        """Keep a document for a bulk job; see `WorkStore.put_work`."""
        packed = gzip.compress(to_json(work).encode(), mtime=0)
        item = _key(ref) | {"work": {"B": packed}, "expires_at": expiry(until)}
        check_size(item)
        self._table.put({"Item": item})

    def get_work(self, ref: JobRef) -> Mapping[str, Any] | None:
        """Read it consistently; None when there is none (any more)."""
        item = self._table.get(_key(ref))
        if item is None:
            return None
        work: dict[str, Any] = json.loads(gzip.decompress(item["work"]["B"]))
        return work

    def keep_page(
        self, ref: JobRef, place: str, page: Mapping[str, Any], until: datetime
    ) -> Mapping[str, Any]:
        """Keep a page, unless one is kept; see `WorkStore.keep_page`."""
        page_key = key(shop_pk(ref.shop), f"BULK#{ref.job_id}#{place}")
        terms = Terms()
        request = {
            "Item": page_key | {"page": text(to_json(page)), "expires_at": expiry(until)},
            "ConditionExpression": terms.absent(),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            self._table.put(terms.attach(request))
        except ConditionFailedError as failed:
            item = failed.item or self._table.get(page_key)
            if item is not None:
                kept: dict[str, Any] = json.loads(item["page"]["S"])
                return kept
        return page

    def put_batch(self, batch: Batch) -> None:
        """Keep what a batch was asked for."""
        values = {name: getattr(batch, name) for name in _BATCH_FIELDS}
        values["created_at"] = microseconds(batch.created_at)
        item = _batch_key(batch.shop, batch.batch_id) | {"batch": text(to_json(values))}
        check_size(item)
        self._table.put({"Item": item})

    def get_batch(self, shop: str, batch_id: str) -> Batch | None:
        """Read it consistently; None when the shop has no such batch."""
        item = self._table.get(_batch_key(shop, batch_id))
        return _read_batch(shop, item) if item is not None else None

    def delete_batch(self, shop: str, batch_id: str) -> None:
        """Forget a batch; nothing happens when there is none."""
        self._table.delete(_batch_key(shop, batch_id))

    def list_batches(
        self, shop: str, *, limit: int, position: str | None = None
    ) -> tuple[list[Batch], str | None]:
        """Read a page, newest first (ids are time-ordered): one Query.

        It may be shorter than `limit`: a Query ends at 1 MB, and a batch may have 64 KB.
        """
        terms = Terms()
        partition = terms.equals("pk", text(shop_pk(shop)))
        prefix = terms.value(text(_BATCH))
        request: dict[str, Any] = {
            "KeyConditionExpression": f"{partition} AND begins_with({terms.name('sk')}, {prefix})",
            "ScanIndexForward": False,
            "Limit": limit + 1,
        }
        if position is not None:
            request["ExclusiveStartKey"] = _batch_key(shop, position)
        answer = self._table.query_page(terms.attach(request))
        found = [_read_batch(shop, item) for item in answer["Items"]]
        has_more = len(found) > limit or "LastEvaluatedKey" in answer
        page = found[:limit]
        return page, page[-1].batch_id if has_more else None

    def finish_batch(self, shop: str, batch_id: str, by: str, attempt: int = 1) -> bool:
        """Note by which write the batch was first seen to be over; see `WorkStore`."""
        terms = Terms()
        mark = {"finished_by": text(by), "finished_round": number(attempt)}
        earlier = f"{terms.name('finished_round')} < {terms.value(mark['finished_round'])}"
        is_open = f"{terms.absent('finished_by')} OR {earlier}"
        same = " AND ".join(terms.equals(name, value) for name, value in mark.items())
        request = {
            "Key": _batch_key(shop, batch_id),
            "UpdateExpression": update_expression(terms, put=mark),
            "ConditionExpression": f"{terms.present()} AND ({is_open} OR ({same}))",
        }
        try:
            self._table.update(terms.attach(request))
        except ConditionFailedError:
            return False
        return True


_BATCH = "BATCH#"
_BATCH_FIELDS = ("created_at", "tool_id", "tool_name", "total", "name", "parameters")


def _batch_key(shop: str, batch_id: str) -> Item:
    return key(shop_pk(shop), _BATCH + batch_id)


def _read_batch(shop: str, item: Mapping[str, Any]) -> Batch:
    values = json.loads(item["batch"]["S"])
    values["created_at"] = from_microseconds(values["created_at"])
    if "finished_by" in item:
        values["finished_by"] = item["finished_by"]["S"]
        values["finished_round"] = int(item["finished_round"]["N"])
    return Batch(shop=shop, batch_id=item["sk"]["S"].removeprefix(_BATCH), **values)


def _key(ref: JobRef) -> Item:
    return key(shop_pk(ref.shop), f"BULK#{ref.job_id}")
