"""What a plain job's whole life uses of AWS: ours, and the textbook's for the same job.

Ours is told and metered by tests/whole; the textbook's handlers run on the same engine, and their
units follow from the sizes of their items by the same rules.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.awsrequest import AWSResponse

from shared.domain.pace import ENOUGH
from shared.gateways.dynamo_table import item_bytes as flat_bytes
from tests.bench.prices import dollars_per_million
from tests.fakes.table import _answer_here, _Body, embedded_client, embedded_items
from tests.whole import plain_job
from tests.whole.units import WRITE_UNIT_BYTES, read_units
from tests.whole.world import _CONTEXT, _http_event, a_world

# A message is sent, received and deleted.
REQUESTS_PER_MESSAGE: Final = 3
SCANNED_JOBS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """used: as in the table of prices. calls: of AWS, in all."""

    used: Mapping[str, float]
    calls: int

    @property
    def write_units(self) -> float:
        """Of DynamoDB."""
        return self.used["DynamoDB write units"]

    @property
    def dollars_per_million(self) -> float:
        """What a million such lives cost."""
        return dollars_per_million(self.used)


# --- ours -------------------------------------------------------------------------------


def our_life() -> Life:
    """Live a plain job in ours; units by tests/whole/plain_job, everything else by its calls."""
    bill = plain_job.live_a_plain_job().bill
    names = _names_of_our_calls()
    used = used_by_calls(names) | {
        "DynamoDB write units": bill.write_units,
        "DynamoDB read units": bill.read_units,
    }
    # Told on the bus: completed, and pushed; each a run of notify, of which nobody waits.
    used = used | {"EventBridge events": 2, "Lambda requests": used["Lambda requests"] + 2}
    return Life(used=used, calls=sum(_is_aws(name) for name in names))


def _names_of_our_calls() -> list[str]:
    """Return every call of a plain job's life, as `function: call`, the tool being known."""
    times = {"processing_min_s": plain_job.PROCESSING_S, "processing_max_s": plain_job.PROCESSING_S}
    with a_world("embedded", **times) as world:
        for _ in range(ENOUGH):
            plain_job._order(world)
            world.settle()
        begun = len(world.probe.names)
        job_id = plain_job._order(world)
        world.run_for(0.5)
        plain_job._tell_queued(world, job_id)
        world.settle()
        assert not world.bugs, world.bugs
        return world.probe.names[begun:]


def _is_aws(name: str) -> bool:
    return name.split(": ")[1].startswith(("dynamodb.", "sqs.", "s3."))


def used_by_calls(names: Sequence[str]) -> dict[str, float]:
    """Return what calls use besides DynamoDB's units; each run of a function ends with its own
    answer, and begins with a request or a message.

    >>> used_by_calls(["api: sqs.send_message_batch", "api: (its own answer)"])["SQS requests"]
    1
    """
    calls = Counter(name.split(": ")[1] for name in names)
    runs = Counter(name.split(": ")[0] for name in names if name.endswith("(its own answer)"))
    return {
        # What its function receives and deletes is in the price of the queue.
        "SQS requests": calls["sqs.send_message_batch"] - runs["push"] + 2 * runs["dispatch"],
        "SQS FIFO requests": REQUESTS_PER_MESSAGE * runs["push"],
        "HTTP API requests": runs["api"] + runs["webhook"],
        "Lambda requests": sum(runs.values()),
        "S3 PUT": calls["s3.put_object"],
        "S3 GET": calls["s3.get_object"],
    }


# --- the textbook's ---------------------------------------------------------------------

_SAMPLE: Final = Path(__file__).parents[2] / "events" / "webhook_pikcel_completed.json"
JOBS, IDEMPOTENCY = "textbook-jobs", "textbook-idempotency"
_KEY: Final = "a-key-of-the-bench"
_INDEXES: Final = {"by_shop": ("shop", "createdAt"), "by_status": ("status", "updatedAt")}
_SETTINGS: Final = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "JOBS_TABLE": JOBS,
    "IDEMPOTENCY_TABLE": IDEMPOTENCY,
    "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/push",
    "SECRET_ID": "signing",
    "POWERTOOLS_METRICS_DISABLED": "true",
}


def stored_bytes(item: Mapping[str, Any]) -> int:
    """Return the size that DynamoDB counts for an item with maps and lists in it, in bytes.

    Source: developer guide, "DynamoDB item sizes and formats" (read 2026-11-26): a map or a list is
    3 bytes, and one more for each member.

    >>> stored_bytes({"ab": {"M": {"c": {"S": "xyz"}}}})
    10
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "M":
        return 3 + len(content) + stored_bytes(content)
    if kind == "L":
        return 3 + len(content) + sum(_value_bytes(member) for member in content)
    return flat_bytes({"": value})


def _write_units(*images: Mapping[str, Any] | None) -> int:
    size = max(stored_bytes(image) if image else 0 for image in images)
    return max(1, ceil(size / WRITE_UNIT_BYTES))


@dataclass(slots=True)
class FullIndexMeter:
    """Bills a table whose indexes carry everything: an entry changes with its item, and moves
    (a deletion and a put) when its keys do. calls: by their names."""

    writes: float = 0
    reads: float = 0
    calls: list[str] = field(default_factory=list)
    _asked: list[tuple[Mapping[str, Any], Any]] = field(default_factory=list)

    def attach(self, client: Any) -> None:
        """Bill a client's calls."""
        client.meta.events.register("provide-client-params.dynamodb", self._ask)
        client.meta.events.register("after-call.dynamodb", self._hear)

    def _ask(self, params: Mapping[str, Any], **_: Any) -> None:
        self._asked.append((params, deepcopy(_find(params))))

    def _hear(self, model: Any, **_: Any) -> None:
        request, before = self._asked.pop()
        after = _find(request)
        self.calls.append(f"dynamodb.{model.name}")
        if model.name == "GetItem":
            size = stored_bytes(after) if after else 0
            self.reads += read_units(size, is_consistent=request.get("ConsistentRead", False))
            return
        self.writes += _write_units(before, after)
        if request["TableName"] == JOBS:
            self.writes += sum(full_index_units(before, after, keys) for keys in _INDEXES.values())


def full_index_units(before: Any, after: Any, keys: Sequence[str]) -> int:
    """Return what a write costs in an index of everything.

    >>> old, new = {"s": {"S": "a"}, "x": {"N": "1"}}, {"s": {"S": "a"}, "x": {"N": "2"}}
    >>> full_index_units(None, old, ["s"]), full_index_units(old, new, ["s"])
    (1, 1)
    >>> full_index_units(old, {"s": {"S": "b"}}, ["s"]), full_index_units(old, old, ["s"])
    (2, 0)
    """
    if before == after:
        return 0
    if before and after and all(before[name] == after[name] for name in keys):
        return _write_units(before, after)
    return sum(_write_units(entry) for entry in (before, after) if entry)


def _find(request: Mapping[str, Any]) -> Any:
    """Return the item that a request is about, as it is now."""
    name = "jobId" if request["TableName"] == JOBS else "id"
    wanted = (request.get("Key") or request["Item"])[name]
    # A resource gives plain values, a client typed ones.
    text = wanted["S"] if isinstance(wanted, dict) else wanted
    items = embedded_items(request["TableName"])
    return next((item for item in items if item[name]["S"] == text), None)


def textbook_life() -> tuple[Life, float]:
    """Live the same job in the textbook's; also returns the size of its item in the end, bytes."""
    with _textbook() as (module, meter):
        _tell_textbook(module)
        (item,) = embedded_items(JOBS)
        calls = meter.calls
        used = {
            "DynamoDB write units": meter.writes,
            "DynamoDB read units": meter.reads,
            "SQS requests": REQUESTS_PER_MESSAGE * calls.count("sqs.SendMessage"),
            "HTTP API requests": 4,
            "Lambda requests": 5,
            "S3 PUT": 1,
            "S3 GET": 1,
        }
        # Its image is kept and sent just as ours is: the textbook has no other way.
        return Life(used=used, calls=len(calls) + 2), stored_bytes(item)


def scan_units(item_size: float, jobs: int = SCANNED_JOBS) -> float:
    """Return the read units of a scan over so many jobs, eventually consistent.

    >>> scan_units(1024, 1_000_000)
    125000.0
    """
    return read_units(round(item_size * jobs), is_consistent=False)


def _tell_textbook(module: Any) -> None:
    """Do everything that happens to one job, in order."""
    sample = json.loads(json.loads(_SAMPLE.read_text())["body"])
    job = sample["job"]
    order = {
        "jobId": sample["job_id"],
        "shop": "mugs.myshopify.com",
        "toolId": job["tool_id"],
        "inputImageUrl": plain_job.INPUT,
        "productId": "gid://shopify/Product/7001",
        "productTitle": plain_job.TITLE,
        "autoPush": True,
    }
    _answer(module, "POST", "/jobs", order)
    unfinished = {"output_image_url": None, "completed_at": None, "processing_time_ms": None}
    for event, status in (("job.queued", "queued"), ("job.started", "processing")):
        told = sample | {"event": event, "job": {**job, **unfinished, "status": status}}
        _answer(module, "POST", "/webhooks/pikcel", told)
    _answer(module, "POST", "/webhooks/pikcel", sample)
    module.pushed(sample["job_id"], "gid://shopify/MediaImage/8001")


def _answer(module: Any, method: str, path: str, body: Mapping[str, Any]) -> None:
    text = json.dumps(body)
    signature = hmac.new(_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    headers = {"x-pikcel-signature": signature, "content-type": "application/json"}
    event = _http_event(method, f"{method} {path}", path, "", headers, text)
    answer = module.handler(event, _CONTEXT)
    assert answer["statusCode"] == 200, answer


@contextmanager
def _textbook() -> Iterator[tuple[Any, FullIndexMeter]]:
    """Open the textbook's handlers on tables of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SETTINGS.items():
            patch.setenv(name, value)
        module = importlib.import_module("tests.bench.peers.textbook")
        table = embedded_client()
        _make_tables(table)
        meter = FullIndexMeter()
        for client in (module.jobs.meta.client, module.persistence.client):
            client.meta.events.register("before-send.dynamodb", _answer_here)
            meter.attach(client)
        for client in (module.queue.meta.client, module.secretsmanager):
            client.meta.events.register("before-send", _Elsewhere(meter.calls))
        yield module, meter
        for name in (JOBS, IDEMPOTENCY):
            table.delete_table(TableName=name)


class _Elsewhere:
    """Answers what is not DynamoDB, and notes the messages among it."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def __call__(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        name = event_name.removeprefix("before-send.")
        if name.startswith("sqs."):
            self._calls.append(name)
        secret = json.dumps({"PIKCEL_WEBHOOK_SECRET": _KEY})
        headers: Any = {}
        return AWSResponse(request.url, 200, headers, _Body(json.dumps({"SecretString": secret})))


def _make_tables(client: Any) -> None:
    def key(name: str, kind: str) -> dict[str, str]:
        return {"AttributeName": name, "KeyType": kind}

    indexed = [name for keys in _INDEXES.values() for name in keys]
    client.create_table(
        TableName=JOBS,
        KeySchema=[key("jobId", "HASH")],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ["jobId", *indexed]
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": [key(keys[0], "HASH"), key(keys[1], "RANGE")],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, keys in _INDEXES.items()
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    client.create_table(
        TableName=IDEMPOTENCY,
        KeySchema=[key("id", "HASH")],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
