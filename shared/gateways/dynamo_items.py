"""How values of the domain lie in the table: keys, attributes, and back.

Attributes have the names of the fields. What is None or at its default is left out, so an
item costs what it says. Instants are whole microseconds since 1970 (exact, and a third of
the size of a text); `due_at` alone is milliseconds, rounded up, because it is an index's key.
Small documents (parameters, metadata, result) are JSON texts; attempts, outputs, push and counts
are JSON too, as dynamo_records.py has them.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared.domain.errors import InvariantError
from shared.domain.events import Link, LogEntry, ParkedEvent, Proof, Source
from shared.domain.ids import JobRef, instant, milliseconds_up
from shared.domain.job import PIKCEL, Job, Priority
from shared.domain.notice_types import NoticeType
from shared.domain.shop import Notifications, Shop
from shared.domain.statistics import is_uncounted
from shared.domain.status import JobStatus, Outcome, PushStatus
from shared.gateways.dynamo_records import (
    ATTEMPTS,
    COUNTS,
    OUTPUTS,
    PHOTOS,
    PRODUCTS,
    PUSH,
    SAMPLES,
    VARIANTS,
    Record,
    Whose,
    defaults,
    is_digest,
    lengthen,
    shorten,
)
from shared.gateways.dynamo_table import (
    WRITE_UNIT_BYTES,
    Item,
    Role,
    Row,
    Terms,
    Value,
    flag,
    item_bytes,
    key,
    number,
    text,
)
from shared.gateways.store_rules import IDEMPOTENT_FOR, key_reused

if TYPE_CHECKING:
    from shared.usecases.ports import Idempotency

DUE_SHARDS = 8
DAY_SHARDS = 16
# Texts of others (a provider's id, a product's) go into keys as they are, up to here. The
# whole key must stay below 1,024 bytes (sort key).
MAX_KEY_TEXT_BYTES = 512

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LINK_SK = "LINK"
SHOP_SK = "SHOP"
JOB_PREFIX = "JOB#"
BODY_PREFIX = "BODY#"
PAYLOAD_PREFIX = "PAYLOAD#"
PARKED_PREFIX = "PARKED#"


# --- keys ----------------------------------------------------------------------------


def bounded(part: str) -> str:
    """Return a text that fits into a key: itself, or its digest if it is long.

    >>> bounded("pk_1"), bounded("x" * 600)[:14]
    ('pk_1', 'sha256:5130b33')
    """
    raw = part.encode(errors="surrogatepass")
    if len(raw) <= MAX_KEY_TEXT_BYTES:
        return part
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def shop_pk(shop: str) -> str:
    """Return the partition of a shop's own items."""
    return f"SHOP#{shop}"


def job_key(ref: JobRef) -> Item:
    """Return the key of a job."""
    return key(shop_pk(ref.shop), JOB_PREFIX + ref.job_id)


def job_ref(item: Mapping[str, Value]) -> JobRef:
    """Read whose job it is, and which, from its key."""
    shop: str = item["pk"]["S"]
    job_id: str = item["sk"]["S"]
    return JobRef(shop.removeprefix("SHOP#"), job_id.removeprefix(JOB_PREFIX))


def log_pk(ref: JobRef) -> str:
    """Return the partition of a job's timeline."""
    return f"LOG#{ref.shop}#{ref.job_id}"


def body_key(ref: JobRef, entry_id: str) -> Item:
    """Return the key of the raw delivery behind an entry."""
    return key(log_pk(ref), BODY_PREFIX + entry_id)


def payload_key(ref: JobRef, entry_id: str) -> Item:
    """Return the key of the payload beside an entry."""
    return key(log_pk(ref), PAYLOAD_PREFIX + entry_id)


def link_pk(provider: str, provider_job_id: str) -> str:
    """Return the partition of a provider's job id."""
    return f"LINK#{provider}#{bounded(provider_job_id)}"


def parked_key(event: ParkedEvent) -> Item:
    """Return the key of a parked event: the same for every delivery of the same event."""
    return key(link_pk(event.provider, event.provider_job_id), PARKED_PREFIX + bounded(event.key))


def idempotency_key(shop: str, caller_key: str) -> Item:
    """Return the key of a remembered creation."""
    digest = hashlib.sha256(caller_key.encode(errors="surrogatepass")).hexdigest()
    return key(shop_pk(shop), f"IDEM#{digest}")


def idempotency_row(shop: str, idempotency: "Idempotency", made: Item, now: datetime) -> Row:
    """Return the write that remembers what is made with a key, unless something was before.

    made: attributes that say what.
    """
    terms = Terms()
    item = idempotency_key(shop, idempotency.key) | {
        "body_sha256": text(idempotency.body_sha256),
        "expires_at": expiry(now + IDEMPOTENT_FOR),
    }
    expired = f"{terms.name('expires_at')} <= {terms.value(number(int(now.timestamp())))}"
    request = {
        "Item": item | made,
        "ConditionExpression": f"{terms.absent()} OR {expired}",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return Row(Role.IDEMPOTENCY, "Put", terms.attach(request))


def was_made_with(item: Mapping[str, Value], idempotency: "Idempotency", now: datetime) -> bool:
    """Tell whether a remembered creation is this one and young enough.

    Raises IdempotencyKeyReusedError when its body was another.
    """
    if has_expired(item, now):
        return False
    if item["body_sha256"]["S"] != idempotency.body_sha256:
        raise key_reused()
    return True


def budget_key(shop: str, month: str) -> Item:
    """Return the key of what a shop spent in a month (`yyyy-mm`)."""
    return key(f"BUDGET#{shop}", month)


def price_key(shop: str, provider: str, tool_id: str) -> Item:
    """Return the key of what a tool cost a shop last."""
    return key(shop_pk(shop), f"PRICE#{bounded(f'{provider}#{tool_id}')}")


def day_pk(day: str, shard: int) -> str:
    """Return the partition of the jobs of all shops that were created on a UTC day."""
    return f"DAY#{day}#{shard}"


def parked_day_pk(day: str) -> str:
    """Return the partition, on the index of days, of the events that were parked on a day."""
    return f"PARKED#{day}"


def tombstones_pk(shop: str) -> str:
    """Return the partition, on the index of types, of the links of a shop's deleted jobs."""
    return f"SHOP#{shop}#TOMBSTONES"


def running_key(shop: str, job_type: str) -> Item:
    """Return the key of the marker that an exclusive job of a type puts up."""
    return key(shop_pk(shop), f"RUNNING#{bounded(job_type)}")


def due_pk(shard: int) -> str:
    """Return a partition of the due index."""
    return f"DUE#{shard}"


def shard_of(job_id: str, shards: int) -> int:
    """Return the job's shard: always the same, evenly spread."""
    return zlib.crc32(job_id.encode()) % shards


def index_value(shop: str, kind: str, value: str) -> str:
    """Return the partition of a shop's index, e.g. `SHOP#{shop}#PUSH#failed`.

    >>> index_value("a.myshopify.com", "PRODUCT", "gid://shopify/Product/42")
    'SHOP#a.myshopify.com#PRODUCT#42'
    """
    part = shorten(PRODUCTS, value) if kind == "PRODUCT" else value
    return index_partition(shop, kind) + bounded(part)


def index_partition(shop: str, kind: str) -> str:
    """Return what the partitions of a shop's index begin with."""
    return f"SHOP#{shop}#{kind}#"


def push_word(status: PushStatus) -> str | None:
    """Return which partition of the index of pushes a status is in; None for none.

    Those on their way are together in one: moving an entry costs two writes, and a push that
    goes well would move it twice more. Who asks for one of them has the others filtered out.

    >>> push_word(PushStatus.STAGING), push_word(PushStatus.PUSHED), push_word(PushStatus.NONE)
    ('active', 'pushed', None)
    """
    if status is PushStatus.NONE:
        return None
    return "active" if status.is_active else status.value


def index_attributes(job: Job) -> Item:
    """Return the keys of the indexes that the job is in; indexes it is not in are left out.

    Our own bulk jobs are in no status index: they are counted nowhere. They are found by type.
    """
    status = None if is_uncounted(job) else job.status.value
    found = {
        "status_pk": ("STATUS", status),
        "push_pk": ("PUSH", push_word(job.push.status)),
        "product_pk": ("PRODUCT", job.product_id),
        "batch_pk": ("BATCH", job.batch_id),
        "tool_pk": ("TOOL", job.tool_id),
        "type_pk": ("TYPE", job.type),
        "project_pk": ("PROJECT", job.project_id),
        "agent_pk": ("AGENT", job.agent_id),
    }
    item: Item = {
        attribute: text(index_value(job.shop, kind, value))
        for attribute, (kind, value) in found.items()
        if value is not None
    }
    day = f"{job.created_at.astimezone(UTC):%Y-%m-%d}"
    item["day_pk"] = text(day_pk(day, shard_of(job.job_id, DAY_SHARDS)))
    if job.due_at is not None:
        item["due_pk"] = text(due_pk(shard_of(job.job_id, DUE_SHARDS)))
        item["due_at"] = number(milliseconds_up(job.due_at))
    return item


# --- plain attributes ----------------------------------------------------------------


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """Return the instant, aware UTC."""
    return _EPOCH + timedelta(microseconds=count)


def to_json(value: object) -> str:
    """Write a document as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of attribute is written and read."""

    write: Callable[[Any], Value]
    read: Callable[[Value], Any]


def _word(words: type[StrEnum]) -> _Kind:
    return _Kind(lambda word: text(word.value), lambda value: words(value["S"]))


def _beginning(beginning: str) -> _Kind:
    return _Kind(
        lambda whole: text(shorten(beginning, whole)),
        lambda value: lengthen(beginning, value["S"]),
    )


_TEXT = _Kind(text, lambda value: value["S"])
_NUMBER = _Kind(number, lambda value: int(value["N"]))
_FLAG = _Kind(flag, lambda value: value["BOOL"])
_INSTANT = _Kind(
    lambda at: number(microseconds(at)), lambda value: from_microseconds(int(value["N"]))
)
_LIST = _Kind(lambda values: text(to_json(values)), lambda value: tuple(json.loads(value["S"])))
_DOCUMENT = _Kind(lambda document: text(to_json(document)), lambda value: json.loads(value["S"]))


# --- the job -------------------------------------------------------------------------

_ALWAYS = frozenset({"created_at", "updated_at", "type", "version", "status"})
_JOB_KINDS: Mapping[str, _Kind] = {
    "created_at": _INSTANT,
    "updated_at": _INSTANT,
    "provider": _TEXT,
    "type": _TEXT,
    "version": _NUMBER,
    "status": _word(JobStatus),
    "native_status": _TEXT,
    "priority": _word(Priority),
    "tool_id": _TEXT,
    "tool_name": _TEXT,
    "template_id": _TEXT,
    "input_image_url": _beginning(PHOTOS),
    "parameters": _DOCUMENT,
    "metadata": _DOCUMENT,
    "result": _DOCUMENT,
    "documents_key": _TEXT,
    "product_id": _beginning(PRODUCTS),
    "product_title": _TEXT,
    "variant_id": _beginning(VARIANTS),
    "image_id": _TEXT,
    "project_id": _TEXT,
    "batch_id": _TEXT,
    "agent_id": _TEXT,
    "mode": _TEXT,
    "input_asset_id": _TEXT,
    "name": _TEXT,
    "description": _TEXT,
    "acceptance_criteria": _TEXT,
    "auto_push": _FLAG,
    "push_outputs": _LIST,
    "alt_text": _TEXT,
    "scheduled_at": _INSTANT,
    "exclusive": _FLAG,
    "progress": _NUMBER,
    "message": _TEXT,
    "started_at": _INSTANT,
    "completed_at": _INSTANT,
    "reported_at": _INSTANT,
    "polled_at": _INSTANT,
    "poll_wanted": _FLAG,
    "error_code": _TEXT,
    "error_message": _TEXT,
    "cancel_requested": _FLAG,
    "unit_cost_micros": _NUMBER,
    "due_tries": _NUMBER,
    "counted_tool": _TEXT,
    "counted_type": _TEXT,
    "bulk_marks": _LIST,
    "bulk_cursor": _TEXT,
    "delete_wanted": _FLAG,
    "notes": _Kind(
        lambda lines: text("\n".join(lines)), lambda value: tuple(value["S"].split("\n"))
    ),
}
_JOB_RECORDS: Mapping[str, Record[Any]] = {"counts": COUNTS, "push": PUSH}
_JOB_LISTS: Mapping[str, Record[Any]] = {
    "attempts": ATTEMPTS,
    "outputs": OUTPUTS,
    "samples": SAMPLES,
}
_JOB_DEFAULTS: Mapping[str, object] = {
    **{name: value for name, value in defaults(Job).items() if name not in _ALWAYS},
    "provider": PIKCEL,
    "parameters": {},
    "metadata": {},
}


# Fields whose text an index's key ends with already: they are stored apart only when the key
# has a digest in their place. A KB is what a write is billed by, and this is a tenth of one.
_IN_INDEX_KEYS = {
    "product_id": ("product_pk", "PRODUCT"),
    "batch_id": ("batch_pk", "BATCH"),
    "tool_id": ("tool_pk", "TOOL"),
    "type": ("type_pk", "TYPE"),
    "project_id": ("project_pk", "PROJECT"),
    "agent_id": ("agent_pk", "AGENT"),
}


def _default(name: str, status: JobStatus) -> object:
    """Return the value of a field that is left out."""
    if name == "progress" and status is JobStatus.COMPLETED:
        return 100
    return _JOB_DEFAULTS[name]


def job_item(job: Job) -> Item:
    """Return the job's item, with the keys of the indexes that it is in."""
    item = job_key(job.ref)
    for name, kind in _JOB_KINDS.items():
        value = getattr(job, name)
        if name in _ALWAYS or value != _default(name, job.status):
            item[name] = kind.write(value)
    if job.native_status is not None:
        item["native_status"] = text(shorten(job.status.value, job.native_status))
    whose = Whose(job.ref, job.created_at)
    for name, record in _JOB_RECORDS.items():
        if getattr(job, name) != _JOB_DEFAULTS[name]:
            item[name] = text(to_json(record.pack(getattr(job, name), whose)))
    for name, record in _JOB_LISTS.items():
        if getattr(job, name):
            item[name] = text(to_json([record.pack(each, whose) for each in getattr(job, name)]))
    item.update(index_attributes(job))
    for name in _IN_INDEX_KEYS:
        if name in item and bounded(item[name]["S"]) == item[name]["S"]:
            del item[name]
    return item


def read_job(item: Mapping[str, Value]) -> Job:
    """Read a job's item; attributes that no field has are left alone (`log_count`).

    Raises InvariantError for an item that this version of ours cannot read.
    """
    try:
        return _read_job(item)
    except (KeyError, TypeError, ValueError) as error:
        raise InvariantError(
            f"Job {job_ref(item).job_id} cannot be read ({type(error).__name__})."
        ) from error


def _read_job(item: Mapping[str, Value]) -> Job:
    values = _read(_JOB_KINDS, item)
    status = values["status"]
    for name in ("provider", "progress"):
        values.setdefault(name, _default(name, status))
    if "native_status" in values:
        values["native_status"] = lengthen(status.value, values["native_status"])
    ref = job_ref(item)
    whose = Whose(ref, values["created_at"])
    for name, record in _JOB_RECORDS.items():
        if name in item:
            values[name] = record.unpack(json.loads(item[name]["S"]), whose)
    for name, record in _JOB_LISTS.items():
        if name in item:
            packed = json.loads(item[name]["S"])
            values[name] = tuple(record.unpack(each, whose) for each in packed)
    for name, (attribute, word) in _IN_INDEX_KEYS.items():
        if name not in values and attribute in item:
            stored = item[attribute]["S"].removeprefix(index_partition(ref.shop, word))
            values[name] = _JOB_KINDS[name].read(text(stored))
    due_at = instant(int(item["due_at"]["N"])) if "due_at" in item else None
    return Job(shop=ref.shop, job_id=ref.job_id, due_at=due_at, **values)


# --- everything else -----------------------------------------------------------------


def _write_digest(digest: str) -> Value:
    return {"B": bytes.fromhex(digest)} if is_digest(digest) else text(digest)


def _read_digest(value: Value) -> str:
    digest: str = value["S"] if "S" in value else value["B"].hex()
    return digest


_ENTRY_KINDS: Mapping[str, _Kind] = {
    "at": _INSTANT,
    "source": _word(Source),
    "outcome": _word(Outcome),
    "message": _TEXT,
    "actor": _TEXT,
    "attempt": _NUMBER,
    "from_status": _word(JobStatus),
    "to_status": _word(JobStatus),
    "proof": _word(Proof),
    "native_status": _TEXT,
    "received_at": _INSTANT,
    "body_sha256": _Kind(_write_digest, _read_digest),
    "has_body": _FLAG,
    "payload_key": _TEXT,
    "has_payload": _FLAG,
}


def _write_notifications(wanted: Notifications) -> Value:
    return text(to_json({name: getattr(wanted, name) for name in ("emails", "phones", "types")}))


def _read_notifications(value: Value) -> Notifications:
    told = json.loads(value["S"])
    return Notifications(
        emails=tuple(told["emails"]),
        phones=tuple(told["phones"]),
        types=tuple(map(NoticeType, told["types"])),
    )


_SHOP_KINDS: Mapping[str, _Kind] = {
    "version": _NUMBER,
    "installed_at": _INSTANT,
    "exchanged_at": _INSTANT,
    "uninstalled_at": _INSTANT,
    "scopes": _TEXT,
    "scopes_at": _INSTANT,
    "token": _TEXT,
    "token_expires_at": _INSTANT,
    "refresh_token": _TEXT,
    "refresh_expires_at": _INSTANT,
    "token_dead": _FLAG,
    "exchange_until": _INSTANT,
    "auto_push": _FLAG,
    "budget_credits": _NUMBER,
    "budget_cost_micros": _NUMBER,
    "retention_days": _NUMBER,
    "retention_job": _TEXT,
    "erasing": _TEXT,
    "notifications": _Kind(_write_notifications, _read_notifications),
    "subscriptions_owed": _FLAG,
}


def _write(kinds: Mapping[str, _Kind], record: object) -> Item:
    values = ((name, kind, getattr(record, name)) for name, kind in kinds.items())
    return {
        name: kind.write(value)
        for name, kind, value in values
        if value is not None and value is not False
    }


def _read(kinds: Mapping[str, _Kind], item: Mapping[str, Value]) -> dict[str, Any]:
    return {name: kind.read(item[name]) for name, kind in kinds.items() if name in item}


def entry_item(ref: JobRef, entry: LogEntry) -> Item:
    """Return the item of a timeline entry, without the raw delivery."""
    return key(log_pk(ref), entry.entry_id) | _write(_ENTRY_KINDS, entry)


def entry_with_body(item: Item, packed: bytes) -> Item | None:
    """Return an entry's item with its raw delivery in it, gzipped; None if that would cost more
    than the entry alone."""
    joined = {name: value for name, value in item.items() if name != "has_body"}
    joined["body"] = {"B": packed}
    return joined if item_bytes(joined) <= WRITE_UNIT_BYTES else None


def read_entry(item: Mapping[str, Value]) -> LogEntry:
    """Read the item of a timeline entry."""
    values = _read(_ENTRY_KINDS, item)
    if "body" in item:
        values["has_body"] = True
    return LogEntry(entry_id=item["sk"]["S"], **values)


def payload_item(ref: JobRef, entry_id: str, packed: bytes) -> Item:
    """Return the item of an entry's payload, gzipped. It stays as long as the entry."""
    return payload_key(ref, entry_id) | {"payload": {"B": packed}}


def body_item(ref: JobRef, entry_id: str, packed: bytes, until: datetime) -> Item:
    """Return the item of a raw delivery: gzipped, and its end."""
    return body_key(ref, entry_id) | {"body": {"B": packed}, "expires_at": expiry(until)}


def link_item(link: Link) -> Item:
    """Return the item of a link."""
    item = key(link_pk(link.provider, link.provider_job_id), LINK_SK)
    item |= {"shop": text(link.ref.shop), "job_id": text(link.ref.job_id)}
    item["attempt"] = number(link.attempt)
    if link.is_tombstone:
        item["is_tombstone"] = flag(True)
        # Nothing else leads to it any more: erasing the shop finds it on this index.
        item["type_pk"] = text(tombstones_pk(link.ref.shop))
    return item


def read_link(provider: str, provider_job_id: str, item: Mapping[str, Value]) -> Link:
    """Read the item of a link."""
    return Link(
        provider=provider,
        provider_job_id=provider_job_id,
        ref=JobRef(item["shop"]["S"], item["job_id"]["S"]),
        attempt=int(item["attempt"]["N"]),
        is_tombstone="is_tombstone" in item,
    )


def parked_item(event: ParkedEvent, packed: bytes, until: datetime) -> Item:
    """Return the item of a parked event; its body is gzipped."""
    return parked_key(event) | {
        "provider": text(event.provider),
        "provider_job_id": text(event.provider_job_id),
        "day_pk": text(parked_day_pk(f"{event.received_at.astimezone(UTC):%Y-%m-%d}")),
        "event_key": text(event.key),
        "received_at": number(microseconds(event.received_at)),
        "proof": text(event.proof.value),
        "body": {"B": packed},
        "expires_at": expiry(until),
    }


def read_parked(
    provider: str,
    provider_job_id: str,
    item: Mapping[str, Value],
    unpack: Callable[[bytes], bytes],
) -> ParkedEvent:
    """Read the item of a parked event."""
    return ParkedEvent(
        provider=provider,
        provider_job_id=provider_job_id,
        key=item["event_key"]["S"],
        received_at=from_microseconds(int(item["received_at"]["N"])),
        proof=Proof(item["proof"]["S"]),
        body=unpack(item["body"]["B"]),
    )


def shop_item(shop: Shop) -> Item:
    """Return the item of a shop's settings and (encrypted) token."""
    return key(shop_pk(shop.shop), SHOP_SK) | _write(_SHOP_KINDS, shop)


def read_shop(shop: str, item: Mapping[str, Value]) -> Shop:
    """Read the item of a shop."""
    return Shop(shop=shop, **_read(_SHOP_KINDS, item))


def expiry(until: datetime) -> Value:
    """Return the TTL attribute: whole seconds, never before the instant."""
    return number(-(-milliseconds_up(until) // 1000))


def has_expired(item: Mapping[str, Value], now: datetime) -> bool:
    """Tell whether an item's time is over (DynamoDB deletes it only some time later)."""
    return int(item["expires_at"]["N"]) <= now.timestamp()
