"""Records inside a job's item, as short JSON: what one job costs at every write of it.

A plain job's item is to stay within the first KB, which is what a write is billed by. So fields
have short names (the tables below), defaults are left out, instants are counted from the job's
creation, and texts that mostly begin alike are stored without their beginnings (`shorten`).
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from shared.domain.ids import JobRef
from shared.domain.job import Attempt, Counts, Output, Push, Sample
from shared.domain.status import PushStatus
from shared.domain.storage import job_folder

_MICROSECOND = timedelta(microseconds=1)


# --- plain forms ---------------------------------------------------------------------


PRODUCTS = "gid://shopify/Product/"
VARIANTS = "gid://shopify/ProductVariant/"
MEDIA = "gid://shopify/MediaImage/"
# Where the photos of Shopify's products are.
PHOTOS = "https://cdn.shopify.com/s/files/1/"


def shorten(beginning: str, whole: str) -> str:
    """Return a text without what it begins with; one that begins otherwise, behind a slash.

    >>> shorten(PRODUCTS, "gid://shopify/Product/42"), shorten(PRODUCTS, "42")
    ('42', '/42')
    """
    rest = whole.removeprefix(beginning)
    is_shorter = whole.startswith(beginning) and not rest.startswith("/")
    return rest if is_shorter else "/" + whole


def lengthen(beginning: str, stored: str) -> str:
    """Return the text that `shorten` was given."""
    return stored[1:] if stored.startswith("/") else beginning + stored


def pack_digest(digest: str) -> str:
    """Write a SHA-256 as S3 shows it, in Base64; what is none, behind a slash.

    >>> pack_digest("00" * 32), pack_digest("none")
    ('AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '/none')
    """
    if not is_digest(digest):
        return "/" + digest
    return base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")


def unpack_digest(stored: str) -> str:
    """Read what `pack_digest` wrote."""
    return stored[1:] if stored.startswith("/") else base64.urlsafe_b64decode(stored + "=").hex()


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256 in small hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


# --- records -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose record it is: what follows from that is not stored."""

    ref: JobRef
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Part:
    """How a field of a record is written in JSON, and read. absent: the written form that is
    left out; None where only the field's default is."""

    write: Callable[[Any, Whose], Any]
    read: Callable[[Any, Whose], Any]
    absent: object = None


def _since(at: datetime, whose: Whose) -> int:
    return (at - whose.created_at) // _MICROSECOND


def _instant_since(count: int, whose: Whose) -> datetime:
    return whose.created_at + timedelta(microseconds=count)


_INSTANT = _Part(_since, _instant_since)
_FIRST_INSTANT = _Part(_since, _instant_since, absent=0)
_FILE = _Part(
    lambda name, whose: shorten(job_folder(whose.ref), name),
    lambda stored, whose: lengthen(job_folder(whose.ref), stored),
)
_MEDIA = _Part(lambda media, _: shorten(MEDIA, media), lambda stored, _: lengthen(MEDIA, stored))
_SHA256 = _Part(lambda digest, _: pack_digest(digest), lambda stored, _: unpack_digest(stored))


@dataclass(frozen=True, slots=True)
class Record[T]:
    """How a small dataclass is written as JSON: short name by field; defaults left out."""

    make: Callable[..., T]
    names: Mapping[str, str]
    defaults: Mapping[str, object]
    parts: Mapping[str, _Part] = field(default_factory=dict)

    def pack(self, record: T, whose: Whose) -> dict[str, Any]:
        """Return the record as a JSON object."""
        packed = {}
        for name, short in self.names.items():
            value, part = getattr(record, name), self.parts.get(name)
            if name in self.defaults and value == self.defaults[name]:
                continue
            written = value if part is None else part.write(value, whose)
            if part is None or written != part.absent:
                packed[short] = written
        return packed

    def unpack(self, packed: Mapping[str, Any], whose: Whose) -> T:
        """Return the record of a JSON object."""
        values = dict(self.defaults)
        for name, short in self.names.items():
            part = self.parts.get(name)
            if short in packed:
                stored = packed[short]
                values[name] = stored if part is None else part.read(stored, whose)
            elif part is not None and part.absent is not None:
                values[name] = part.read(part.absent, whose)
        return self.make(**values)


def defaults(cls: Any, **others: object) -> dict[str, object]:
    """Return the defaults of a dataclass's fields, those of others instead where given."""
    known = {field.name: field.default for field in fields(cls) if field.default is not MISSING}
    return known | others


def _output(*, push_status: str, **values: Any) -> Output:
    return Output(push_status=PushStatus(push_status), **values)


def _push(*, status: str, **values: Any) -> Push:
    return Push(status=PushStatus(status), **values)


ATTEMPT_NAMES = {
    "number": "n",
    "created_at": "at",
    "provider_job_id": "id",
    "linked_at": "linked",
    "poll_url": "poll",
    "intent_at": "intent",
    "missed_at": "missed",
    "tries": "tries",
    "not_before": "wait",
    "slot_at": "slot",
    "held_until": "held",
    "trouble": "why",
    "stop_wanted": "stop",
    "expected_ms": "exp",
    "credits": "cr",
    "cost_micros": "cost",
    "processing_ms": "ms",
    "reserved_credits": "rcr",
    "reserved_cost_micros": "rcost",
}
OUTPUT_NAMES = {
    "index": "i",
    "attempt": "n",
    "url": "url",
    "key": "key",
    "content_type": "ct",
    "sha256": "sha",
    "size_bytes": "b",
    "width": "w",
    "height": "h",
    "error_code": "err",
    "suffix": "k",
    "media_id": "media",
    "media_error": "merr",
    "media_failures": "mfail",
    "push_status": "push",
}
PUSH_NAMES = {
    "status": "s",
    "number": "n",
    "tries": "tries",
    "not_before": "wait",
    "undo": "undo",
    "error_code": "err",
    "error": "msg",
    "pushed_at": "at",
}
COUNTS_NAMES = {
    "total": "t",
    "processed": "p",
    "successful": "s",
    "failed": "f",
    "created": "c",
    "updated": "u",
    "skipped": "k",
}
SAMPLE_NAMES = {"at": "t", "processed": "p"}

_WAITS = ("linked_at", "intent_at", "missed_at", "not_before", "slot_at", "held_until")
ATTEMPTS = Record(
    Attempt,
    ATTEMPT_NAMES,
    # Most jobs have one attempt, made with the job itself and begun once, and one result.
    defaults(Attempt, number=1, tries=1),
    {"created_at": _FIRST_INSTANT, **dict.fromkeys(_WAITS, _INSTANT)},
)
OUTPUTS = Record(
    _output,
    OUTPUT_NAMES,
    defaults(Output, attempt=1, index=0),
    {"key": _FILE, "sha256": _SHA256, "media_id": _MEDIA},
)
PUSH = Record(_push, PUSH_NAMES, defaults(Push), {"not_before": _INSTANT, "pushed_at": _INSTANT})
COUNTS = Record(Counts, COUNTS_NAMES, defaults(Counts))
SAMPLES = Record(Sample, SAMPLE_NAMES, defaults(Sample), {"at": _INSTANT})
