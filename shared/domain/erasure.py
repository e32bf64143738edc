"""The report about a shop's erasure: what was deleted and when, without the shop's name."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

BACKUP_DAYS = 35
DEAD_LETTER_DAYS = 14
# A day, and the days in which DynamoDB deletes what has expired ("within a few days").
QUARANTINE_DAYS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReport:
    """One erasure.

    erasure_id: of the bulk job that does it. requested_at: when Shopify asked for it.
    ended_at: None while it is under way. deleted: kind → how many. looks: how often everything
    was looked through; the last time nothing was found. log_days: how long logs are kept.
    """

    erasure_id: str
    requested_at: datetime
    started_at: datetime
    ended_at: datetime | None = None
    deleted: Mapping[str, int] = field(default_factory=dict)
    looks: int = 0
    log_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remainder:
    """Something that an erasure cannot reach. days: how long it is there; None: not ours."""

    where: str
    what: str
    days: int | None


def shop_digest(shop: str) -> str:
    """Return what the report is filed under: the SHA-256 of the shop's domain, in hex.

    >>> shop_digest("a-shop.myshopify.com")[:12]
    'a1e77a4acf2a'
    """
    return hashlib.sha256(shop.encode()).hexdigest()


def kind_of_item(name: str) -> str:
    """Return what an item of a shop's own partition is, from its sort key.

    >>> kind_of_item("BATCH#019b"), kind_of_item("RUNNING#pull"), kind_of_item("KEYS")
    ('batches', 'other', 'other')
    """
    prefix, separator, _rest = name.partition("#")
    return _KINDS.get(prefix, "other") if separator else "other"


_KINDS = {
    "BATCH": "batches",
    "BULK": "workLists",
    "DELIVERY": "deliveries",
    "HOOK": "endpoints",
    "IDEM": "receipts",
    "PRICE": "prices",
    "TEMPLATE": "templates",
}


def remainders(report: ErasureReport) -> tuple[Remainder, ...]:
    """Return what remains after an erasure, where, and for how long after its end."""
    return (
        Remainder(
            where="backups of the table",
            what="everything, as it was before (point-in-time recovery)",
            days=BACKUP_DAYS,
        ),
        Remainder(
            where="logs",
            what="the shop's domain and the ids of its jobs; no bodies, no images, no secrets",
            days=report.log_days,
        ),
        Remainder(
            where="queues",
            what="messages with the shop's domain and the ids of jobs, if any were not received",
            days=DEAD_LETTER_DAYS,
        ),
        Remainder(
            where="quarantine",
            what="deliveries that failed their check, as they came, until they are cleared away",
            days=QUARANTINE_DAYS,
        ),
        Remainder(
            where="whoever was told",
            what="webhooks, events, e-mails and short messages that were sent",
            days=None,
        ),
        Remainder(
            where="the shop at Shopify",
            what="images that were put on products: they are the merchant's",
            days=None,
        ),
        Remainder(
            where="the image service",
            what="what it was sent and made, by its own rules",
            days=None,
        ),
        Remainder(
            where="this report",
            what="numbers and instants, filed under a digest of the shop's domain",
            days=None,
        ),
    )
