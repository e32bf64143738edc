"""A shop with very many jobs, and what a question about them costs.

The jobs are written as the product's own gateway writes them: with the keys of all their
indexes, and with every counter that they are in. Seen from the newest, shops of any size are
alike; they differ only in how many old jobs there are.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import batched
from typing import Any

from shared.domain.job import Attempt, Counts, Job, Output, Push
from shared.domain.statistics import Scope, Tally
from shared.domain.status import JobStatus, PushStatus
from shared.gateways.dynamo_counters import SHARDS, CounterChange, counter_changes, counter_row
from shared.gateways.dynamo_items import job_item
from shared.gateways.dynamo_table import item_bytes
from tests.builders import a_job, a_kept_output, a_worker_job
from tests.whole.units import ENTRY_BYTES, attend, read_units
from tests.whole.world import SHOP, START, TABLE, World

SPREAD = timedelta(days=28)
TOOLS = ("background-removal", "image-enhancement", "upscale-4x")
PROJECTS = ("spring", "summer", "autumn", "winter")
IN_BATCH = 200
PENDING, PROCESSING, DUE = 30, 10, 5


def fill(world: World, size: int) -> None:
    """Give SHOP so many ended jobs, some active ones, and a batch."""
    changes: dict[tuple[Scope, int], CounterChange] = {}
    for jobs in batched(_jobs(size), 25, strict=False):
        puts: Any = [{"PutRequest": {"Item": job_item(job)}} for job in jobs]
        reply = world.dynamo.batch_write_item(RequestItems={TABLE: puts})
        assert not reply["UnprocessedItems"]
        for job in jobs:
            _count(changes, job)
    for (scope, shard), change in changes.items():
        row = counter_row(scope, change, shard)
        world.dynamo.update_item(TableName=TABLE, **row.request)


def _count(changes: dict[tuple[Scope, int], CounterChange], job: Job) -> None:
    """Add what a job changes of the counters, on one shard for each job."""
    shard = int(job.job_id[-6:], 16) % SHARDS
    for scope, change in counter_changes(None, job).items():
        known = changes.setdefault((scope, shard), CounterChange())
        known.delta += change.delta
        for name, tally in change.names.items():
            known.names[name] = known.names.get(name, Tally()) + tally
        known.ended_at = change.ended_at or known.ended_at


def _jobs(size: int) -> Iterator[Job]:
    """Yield the jobs, the oldest first; `age` counts from the newest ended one."""
    for age in range(size - 1, -1, -1):
        yield _ended(age, START - timedelta(minutes=1) - SPREAD * age / size)
    for number in range(PENDING):
        yield a_worker_job(shop=SHOP, created_at=START + timedelta(milliseconds=number))
    for number in range(PROCESSING):
        at = START + timedelta(milliseconds=100 + number)
        due_at = START if number < DUE else START + timedelta(hours=1)
        attempt = Attempt(
            number=1, created_at=at, intent_at=at, linked_at=at, provider_job_id=f"active-{number}"
        )
        yield a_job(
            shop=SHOP,
            created_at=at,
            started_at=at,
            status=JobStatus.PROCESSING,
            type="image",
            due_at=due_at,
            attempts=(attempt,),
        )


def _ended(age: int, at: Any) -> Job:
    """Make one: of a hundred, ninety are completed and most of these pushed, eight failed."""
    status = JobStatus.COMPLETED
    if age % 100 in (3, 97):
        status = JobStatus.CANCELLED
    elif age % 12 == 7:
        status = JobStatus.FAILED
    is_work = age % 10 == 4
    attempt = Attempt(
        number=1,
        created_at=at,
        linked_at=at,
        intent_at=at,
        tries=1,
        provider_job_id=None if is_work else f"job_2026_{age:012x}",
        credits=None if is_work else 2,
        processing_ms=9000 + age % 1000,
    )
    values: dict[str, Any] = {
        "shop": SHOP,
        "created_at": at,
        "updated_at": at,
        "started_at": at,
        "completed_at": at + timedelta(seconds=20),
        "status": status,
        "native_status": status.value,
        "attempts": (attempt,),
        "project_id": PROJECTS[age % len(PROJECTS)],
        "batch_id": "a-batch" if age < IN_BATCH else None,
        "due_at": None,
    }
    if status is JobStatus.FAILED:
        values |= {"error_code": "PROCESSING_FAILED", "error_message": "The image is too small."}
    if is_work:
        agent = {"agent_id": "an-agent"} if age % 20 == 4 else {}
        counts = Counts(total=100, processed=100, successful=100)
        return a_worker_job(**values, **agent, counts=counts)
    outputs: tuple[Output, ...] = ()
    if status is JobStatus.COMPLETED:
        key = f"shops/{SHOP}/jobs/{age:036x}/1-0.png"
        outputs = (a_kept_output(key=key, media_id=f"gid://shopify/MediaImage/{age}"),)
    pushed = PushStatus.FAILED if age % 50 == 9 else PushStatus.PUSHED
    is_pushed = status is JobStatus.COMPLETED and age % 3 > 0
    return a_job(
        **values,
        type="image",
        tool_id=TOOLS[age % len(TOOLS)],
        product_id=f"gid://shopify/Product/{age // 8}",
        progress=100,
        outputs=tuple(replace(o, push_status=PushStatus.PUSHED) for o in outputs),
        push=Push(status=pushed, number=1, pushed_at=at) if is_pushed else Push(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a question cost.

    calls: of each kind. read: how many items and index entries DynamoDB went through.
    units: read units by AWS's rules (4 KB each, half if eventually consistent; what a COUNT goes
    through without answering is taken at the size of an index entry). Not compared: a counter
    of more digits is a few bytes longer.
    """

    calls: tuple[tuple[str, int], ...]
    read: int
    units: float = field(compare=False)


@dataclass(slots=True)
class Meter:
    """Counts what a client of DynamoDB is answered."""

    calls: Counter[str] = field(default_factory=Counter)
    read: int = 0
    units: float = 0.0
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def attach(self, client: Any) -> Callable[[], None]:
        """Count from now on; returns what ends it."""
        return attend(client, self._ask, self._hear)

    def cost(self) -> Cost:
        """Return what came together, and begin anew."""
        found = Cost(calls=tuple(sorted(self.calls.items())), read=self.read, units=self.units)
        self.calls, self.read, self.units = Counter(), 0, 0.0
        return found

    def _ask(self, params: Mapping[str, Any], **_: Any) -> None:
        self.asked.append(params)

    def _hear(self, model: Any, parsed: Mapping[str, Any], **_: Any) -> None:
        request = self.asked.pop()
        self.calls[model.name] += 1
        if model.name == "Query":
            # Not ConsumedCapacity: the engine always says 0.5 for a Query.
            self.read += parsed["ScannedCount"]
            sizes = [item_bytes(item) for item in parsed.get("Items", ())]
            size = sum(sizes) or parsed["ScannedCount"] * ENTRY_BYTES
            self.units += read_units(size, is_consistent=request.get("ConsistentRead", False))
        elif model.name == "BatchGetItem":
            for table, items in parsed["Responses"].items():
                is_consistent = request["RequestItems"][table].get("ConsistentRead", False)
                self.read += len(items)
                self.units += sum(
                    read_units(item_bytes(i), is_consistent=is_consistent) for i in items
                )
        elif model.name == "GetItem":
            item = parsed.get("Item")
            self.read += item is not None
            self.units += read_units(item_bytes(item) if item else 0, is_consistent=True)


def costs(size: int, questions: Mapping[str, Callable[[World], object]], world: World) -> Any:
    """Fill a world, ask everything, and return the cost of each question."""
    fill(world, size)
    meter = Meter()
    detach = meter.attach(world.dynamo)
    found: defaultdict[str, Cost] = defaultdict()
    for name, ask in questions.items():
        ask(world)
        found[name] = meter.cost()
    detach()
    return dict(found)
