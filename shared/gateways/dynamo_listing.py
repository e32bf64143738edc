"""Many jobs at once: the indexes tell which, the items themselves decide.

An index may lag behind, so every job found is read (one BatchGetItem a page) and every
filter is applied to it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef, first_id_at, instant, milliseconds
from shared.domain.job import Job
from shared.domain.statistics import BULK_TYPE_PREFIX
from shared.domain.status import JobStatus
from shared.gateways.dynamo_items import (
    DAY_SHARDS,
    DUE_SHARDS,
    JOB_PREFIX,
    day_pk,
    due_pk,
    index_value,
    job_key,
    job_ref,
    parked_day_pk,
    push_word,
    read_job,
    shard_of,
    shop_pk,
)
from shared.gateways.dynamo_table import MAX_BATCH_GET, Item, Table, Terms, number, text
from shared.gateways.store_rules import MAX_JOBS_READ
from shared.usecases.ports import DueJob, Page


@dataclass(frozen=True, slots=True)
class Walk:
    """Where the jobs are looked for: an index and its partition; the shop itself if None."""

    index: str | None
    attribute: str
    partition: str


def choose_walk(wanted: JobFilter) -> Walk:
    """Choose the most selective index among the conditions.

    A batch has at most 1,000 jobs, a product a handful; half of all jobs may have one status.
    """
    status = wanted.status.value if wanted.status is not None else None
    push = push_word(wanted.push_status) if wanted.push_status is not None else None
    candidates = (
        ("batch", wanted.batch_id),
        ("product", wanted.product_id),
        ("project", wanted.project_id),
        ("agent", wanted.agent_id),
        ("tool", wanted.tool_id),
        ("type", wanted.type),
        ("push", push),
        ("status", status),
    )
    for kind, value in candidates:
        if value is not None:
            partition = index_value(wanted.shop, kind.upper(), value)
            return Walk(f"by_{kind}", f"{kind}_pk", partition)
    return Walk(None, "pk", shop_pk(wanted.shop))


class Listing:
    """Reads many jobs."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get_many(self, refs: Sequence[JobRef], *, consistent: bool) -> dict[JobRef, Job]:
        """Read up to 100 jobs by reference."""
        keys = [job_key(ref) for ref in dict.fromkeys(refs)]
        items = self._table.batch_get(keys, consistent=consistent)
        return {job_ref(item): read_job(item) for item in items}

    def page(self, wanted: JobFilter, *, limit: int, position: str | None) -> Page:
        """Read a page; see `JobStore.list_jobs`. Two calls where the index is the answer."""
        walk = choose_walk(wanted)
        found: list[Job] = []
        read, last = 0, position
        # One more than asked for tells whether there is a next page.
        chunk = min(limit + 1, MAX_BATCH_GET)
        while True:
            refs, jobs, more = self._step(walk, wanted, last, min(chunk, MAX_JOBS_READ - read))
            for ref in refs:
                read, last = read + 1, ref.job_id
                job = jobs.get(ref)
                if job is not None and wanted.matches(job):
                    found.append(job)
                if len(found) > limit:
                    return Page(
                        jobs=tuple(found[:limit]),
                        position=found[limit - 1].job_id,
                        is_complete=False,
                    )
            if not more:
                return Page(jobs=tuple(found), position=None, is_complete=position is None)
            if read >= MAX_JOBS_READ:
                return Page(jobs=tuple(found), position=last, is_complete=False)
            chunk = MAX_BATCH_GET

    def _step(
        self, walk: Walk, wanted: JobFilter, after: str | None, limit: int
    ) -> tuple[list[JobRef], Mapping[JobRef, Job], bool]:
        """Read the next keys of a walk, and their jobs; tells whether there may be more."""
        answer = self._table.query_page(_walk_request(walk, wanted, after, limit))
        items: Sequence[Item] = answer["Items"]
        refs = [job_ref(item) for item in items]
        if walk.index is None:
            jobs = {ref: read_job(item) for ref, item in zip(refs, items, strict=True)}
        else:
            jobs = self.get_many(refs, consistent=False)
        return refs, jobs, "LastEvaluatedKey" in answer

    def refs(
        self, shop: str, *, limit: int, after: str | None, until: datetime | None
    ) -> list[JobRef]:
        """Name the shop's jobs, the oldest first, consistently."""
        terms = Terms()
        # No job id is longer than another: this is the next key after that one's.
        low = text(JOB_PREFIX if after is None else f"{JOB_PREFIX}{after}!")
        high = text(JOB_PREFIX + ("~" if until is None else first_id_at(until)))
        partition = terms.equals("pk", text(shop_pk(shop)))
        between = f"{terms.value(low)} AND {terms.value(high)}"
        request = {
            "KeyConditionExpression": f"{partition} AND {terms.name('sk')} BETWEEN {between}",
            "ProjectionExpression": f"{terms.name('pk')}, {terms.name('sk')}",
            "ConsistentRead": True,
            "Limit": limit,
        }
        if low["S"] > high["S"]:
            return []
        return [job_ref(item) for item in self._table.query_page(terms.attach(request))["Items"]]

    def find(self, job_id: str) -> JobRef | None:
        """Find whose job an id is: it tells the day, and with it the partition of the index."""
        try:
            made_at = instant(int(job_id[:8] + job_id[9:13], 16))
        except (ValueError, OverflowError):
            return None
        request = _day_request(f"{made_at:%Y-%m-%d}", job_id, None, 1)
        items = self._table.query_page(request)["Items"]
        return job_ref(items[0]) if items else None

    def day(self, day: str, *, limit: int, position: str | None) -> Page:
        """Read a page of a day: the newest of every shard, and of those the newest."""
        refs: list[JobRef] = []
        for shard in range(DAY_SHARDS):
            answer = self._table.query_page(_day_request(day, None, position, limit + 1, shard))
            refs += [job_ref(item) for item in answer["Items"]]
        refs.sort(key=lambda ref: ref.job_id, reverse=True)
        page = refs[:limit]
        found = self.get_many(page, consistent=False)
        more = len(refs) > limit
        return Page(
            jobs=tuple(found[ref] for ref in page if ref in found),
            position=page[-1].job_id if more else None,
            is_complete=position is None and not more,
        )

    def parked_keys(self, day: str) -> list[Item]:
        """Read the keys of what was parked on a day (they do not tell when): 1,000 at most."""
        terms = Terms()
        request = {
            "IndexName": "by_day",
            "KeyConditionExpression": terms.equals("day_pk", text(parked_day_pk(day))),
            "Limit": MAX_JOBS_READ,
        }
        answer = self._table.query_page(terms.attach(request))
        return [{"pk": item["pk"], "sk": item["sk"]} for item in answer["Items"]]

    def count(self, shop: str, status: JobStatus) -> int:
        """Count on the status index."""
        return self._table.count(_status_request(shop, status))

    def count_batch(self, shop: str, batch_id: str) -> int:
        """Count on the batch index."""
        terms = Terms()
        partition = text(index_value(shop, "BATCH", batch_id))
        condition = terms.equals("batch_pk", partition)
        request = {"IndexName": "by_batch", "KeyConditionExpression": condition}
        return self._table.count(terms.attach(request))

    def active_jobs(self, shop: str, job_type: str) -> Iterable[Job]:
        """Read the shop's active jobs of a type, by status: there are few active ones.

        Our own bulk jobs are in no status index: of them, the newest of the type are read.
        """
        if job_type.startswith(BULK_TYPE_PREFIX):
            wanted = JobFilter(shop=shop, type=job_type)
            page = self.page(wanted, limit=MAX_BATCH_GET, position=None)
            yield from (job for job in page.jobs if job.status.is_active)
            return
        for status in (JobStatus.PROCESSING, JobStatus.PENDING):
            refs = [job_ref(item) for item in self._table.query(_status_request(shop, status))]
            for start in range(0, len(refs), MAX_BATCH_GET):
                found = self.get_many(refs[start : start + MAX_BATCH_GET], consistent=True)
                yield from (
                    job for job in found.values() if job.type == job_type and job.status.is_active
                )

    def due(self, now: datetime, *, limit: int) -> list[DueJob]:
        """Read what is due: each shard its share, then more of those that have more."""
        found: list[DueJob] = []
        starts: dict[int, Mapping[str, Any] | None] = dict.fromkeys(range(DUE_SHARDS))
        while starts and len(found) < limit:
            share = -(-(limit - len(found)) // len(starts))
            for shard, start in list(starts.items()):
                answer = self._table.query_page(_due_request(shard, now, start, share))
                found += [_due_job(item) for item in answer["Items"]]
                starts[shard] = answer.get("LastEvaluatedKey")
                if starts[shard] is None:
                    del starts[shard]
        return sorted(found, key=lambda job: (job.due_at, job.ref.job_id))[:limit]


def _walk_request(walk: Walk, wanted: JobFilter, after: str | None, limit: int) -> dict[str, Any]:
    terms = Terms()
    low, high = _sort_key_range(wanted)
    partition = terms.equals(walk.attribute, text(walk.partition))
    between = f"{terms.value(text(low))} AND {terms.value(text(high))}"
    request: dict[str, Any] = {
        "KeyConditionExpression": f"{partition} AND {terms.name('sk')} BETWEEN {between}",
        "ScanIndexForward": wanted.ascending,
        "Limit": limit,
    }
    if walk.index is not None:
        request["IndexName"] = walk.index
    if after is not None:
        start = job_key(JobRef(wanted.shop, after))
        request["ExclusiveStartKey"] = start | {walk.attribute: text(walk.partition)}
    return terms.attach(request)


def _day_request(
    day: str, job_id: str | None, before: str | None, limit: int, shard: int | None = None
) -> dict[str, Any]:
    """Return the Query of a day's shard: one job of it, or the newest before another."""
    if shard is None:
        shard = shard_of(job_id or "", DAY_SHARDS)
    terms = Terms()
    partition = terms.equals("day_pk", text(day_pk(day, shard)))
    if job_id is not None:
        condition = terms.equals("sk", text(JOB_PREFIX + job_id))
    else:
        end = terms.value(text(JOB_PREFIX + (before if before is not None else "~")))
        condition = f"{terms.name('sk')} < {end}"
    return terms.attach(
        {
            "IndexName": "by_day",
            "KeyConditionExpression": f"{partition} AND {condition}",
            "ScanIndexForward": False,
            "Limit": limit,
        }
    )


def _sort_key_range(wanted: JobFilter) -> tuple[str, str]:
    """Return the first and last sort key that a job in the period can have.

    Job ids are time-ordered by the millisecond; the filter itself cuts exactly.
    """
    low, high = JOB_PREFIX, JOB_PREFIX + "~"
    if wanted.created_from is not None:
        low += first_id_at(wanted.created_from)
    if wanted.created_to is not None:
        next_ms = instant(milliseconds(wanted.created_to)) + timedelta(milliseconds=1)
        high = JOB_PREFIX + first_id_at(next_ms)
    return low, max(low, high)


def _status_request(shop: str, status: JobStatus) -> dict[str, Any]:
    terms = Terms()
    partition = text(index_value(shop, "STATUS", status.value))
    return terms.attach(
        {
            "IndexName": "by_status",
            "KeyConditionExpression": terms.equals("status_pk", partition),
        }
    )


def _due_request(
    shard: int, now: datetime, start: Mapping[str, Any] | None, limit: int
) -> dict[str, Any]:
    terms = Terms()
    shard_is = terms.equals("due_pk", text(due_pk(shard)))
    until = f"{terms.name('due_at')} <= {terms.value(number(milliseconds(now)))}"
    request: dict[str, Any] = {
        "IndexName": "by_due",
        "KeyConditionExpression": f"{shard_is} AND {until}",
        "Limit": limit,
    }
    if start is not None:
        request["ExclusiveStartKey"] = start
    return terms.attach(request)


def _due_job(item: Item) -> DueJob:
    return DueJob(ref=job_ref(item), due_at=instant(int(item["due_at"]["N"])))
