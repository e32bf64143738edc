"""Jobs drawn at random from the index of days, and items looked at as they lie in the table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import batched
from typing import TYPE_CHECKING

from shared.domain.errors import InvariantError
from shared.domain.ids import JobRef, first_id_at
from shared.gateways import dynamo_items as items
from shared.gateways.dynamo_table import MAX_BATCH_GET, Item, Table, Terms, text
from shared.usecases.ports import Clock, Sighting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

log = logging.getLogger(__name__)

_ONE_DAY = timedelta(days=1)


class DynamoSamples:
    """`Samples` on the table: drawing costs at most two small Queries per shard."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)

    def draw(self, day: datetime, place: float, *, limit: int) -> list[JobRef]:
        """Name jobs that were made on a UTC day; see `Samples.draw`."""
        first = int(place * items.DAY_SHARDS)
        shards = [(first + step) % items.DAY_SHARDS for step in range(items.DAY_SHARDS)]
        begin = first_id_at(day + _ONE_DAY * (place * items.DAY_SHARDS % 1))
        halves = [(begin, "~"), ("", begin)]
        found: list[JobRef] = []
        for low, high in halves:
            for shard in shards:
                if len(found) >= limit:
                    return found
                pk = items.day_pk(f"{day:%Y-%m-%d}", shard)
                found += self._between(pk, low, high, limit - len(found))
        return found

    def _between(self, pk: str, low: str, high: str, limit: int) -> list[JobRef]:
        terms = Terms()
        condition = terms.equals("day_pk", text(pk))
        bounds = [terms.value(text(items.JOB_PREFIX + name)) for name in (low, high)]
        request = {
            "IndexName": "by_day",
            "KeyConditionExpression": f"{condition} AND {terms.name('sk')} "
            f"BETWEEN {bounds[0]} AND {bounds[1]}",
            "Limit": limit,
        }
        answer = self._table.query_page(terms.attach(request))
        return [items.job_ref(item) for item in answer["Items"]]

    def look(self, refs: Sequence[JobRef]) -> list[Sighting]:
        """Read jobs consistently, with what their items lack; see `Samples.look`."""
        found: dict[JobRef, Item] = {}
        for some in batched(dict.fromkeys(refs), MAX_BATCH_GET, strict=False):
            keys = [items.job_key(ref) for ref in some]
            for item in self._table.batch_get(keys, consistent=True):
                found[items.job_ref(item)] = item
        return [_sighting(ref, found[ref]) for ref in refs if ref in found]


def _sighting(ref: JobRef, item: Item) -> Sighting:
    try:
        job = items.read_job(item)
    except InvariantError as error:
        log.warning("job cannot be read", extra={"job_id": ref.job_id, "reason": error.message})
        return Sighting(ref=ref, job=None)
    wanted = items.index_attributes(job)
    names = {name for name in item if name.endswith("_pk")} | {*wanted}
    wrong = sorted(name for name in names if item.get(name) != wanted.get(name))
    return Sighting(ref=ref, job=job, misplaced=tuple(wrong))
