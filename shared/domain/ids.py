"""Names of things: job ids, references, and the shop domain's grammar."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SHOP_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,99}\.myshopify\.com", re.ASCII)
JOB_ID_PATTERN = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII
)
# How many characters of our ids tell the millisecond; the rest is chance.
TIME_CHARACTERS = 13


@dataclass(frozen=True, slots=True)
class JobRef:
    """Whose job, and which."""

    shop: str
    job_id: str


def is_shop(text: str) -> bool:
    """Tell whether `text` is a shop's domain, before any address is built from it.

    Source: facts of Shopify's logins: `^[a-z0-9][a-z0-9-]*\\.myshopify\\.com$`.

    >>> is_shop("a-shop.myshopify.com"), is_shop("evil.com/.myshopify.com")
    (True, False)
    """
    return SHOP_PATTERN.fullmatch(text) is not None


def is_job_id(text: str) -> bool:
    """Tell whether `text` has the form of our job ids (UUIDv7, lower case)."""
    return JOB_ID_PATTERN.fullmatch(text) is not None


def uuid7(at: datetime, random: bytes) -> str:
    """Make a time-ordered id (UUIDv7) from an instant and ten random bytes.

    Source: RFC 9562 section 5.7: 48 bits of Unix milliseconds, version, 74 random bits.

    >>> uuid7(datetime(2026, 1, 1, tzinfo=UTC), bytes(10))
    '019b76da-a800-7000-8000-000000000000'
    """
    value = (milliseconds(at) << 80) | int.from_bytes(random[:10])
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def change_id(job_id: str, version: int, at: datetime) -> str:
    """Return the id of the entry about the change that made a job's version: always the same one.

    Entries of one millisecond sort by the versions of their job.

    >>> change_id("a-job", 7, datetime(2026, 1, 1, tzinfo=UTC))[:18]
    '019b76da-a800-7007'
    """
    rest = hashlib.sha256(f"{job_id} {version}".encode()).digest()[:8]
    return uuid7(at, version.to_bytes(8)[-2:] + bytes([rest[0] & 0x1F]) + rest[1:])


def remark_id(version: int, at: datetime, random: bytes) -> str:
    """Return an id for an entry about what did not change a job: after that of its version.

    random: ten bytes.
    """
    return uuid7(at, version.to_bytes(8)[-2:] + bytes([random[2] | 0x20]) + random[3:])


def first_id_at(at: datetime) -> str:
    """Return the smallest text that an id made at `at` or later can have.

    >>> first_id_at(datetime(2026, 1, 1, tzinfo=UTC))
    '019b76da-a800'
    """
    text = f"{milliseconds(at):012x}"
    return f"{text[:8]}-{text[8:]}"


def iso(at: datetime) -> str:
    """Write an instant as we do everywhere: ISO 8601 UTC with milliseconds and `Z`.

    >>> iso(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    '2026-11-22T12:00:00.000Z'
    """
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def milliseconds(at: datetime) -> int:
    """Return whole milliseconds since 1970, exactly (no float on the way).

    >>> milliseconds(datetime(1970, 1, 1, 0, 0, 1, 999999, tzinfo=UTC))
    1999
    """
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def milliseconds_up(at: datetime) -> int:
    """Return the first whole millisecond since 1970 that is not before the instant.

    >>> milliseconds_up(datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC))
    1001
    """
    return milliseconds(at + timedelta(microseconds=999))


def instant(epoch_ms: int) -> datetime:
    """Return the instant of a whole millisecond since 1970, aware UTC.

    >>> instant(1001).isoformat()
    '1970-01-01T00:00:01.001000+00:00'
    """
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms)
