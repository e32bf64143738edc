"""What is said about a job, and what is noted of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.ids import JobRef
from shared.domain.status import JobEvent, JobStatus, Outcome


class Source(StrEnum):
    """Where a change came from."""

    WEBHOOK = "webhook"
    POLL = "poll"
    DISPATCH = "dispatch"
    PUSH = "push"
    SWEEP = "sweep"
    BULK = "bulk"
    USER = "user"
    ADMIN = "admin"
    WORKER = "worker"


class Proof(StrEnum):
    """What a passed check of a delivery proves, strongest first."""

    BODY_TIME = "body+time"
    BODY = "body"
    ID_TIME = "id+time"
    NONE = "none"
    # We asked the provider ourselves, over TLS.
    POLL = "poll"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """What a provider said about one attempt.

    key: the same for every delivery of the same event (dedupe of parked events).
    attempt: the attempt's number when our own reference came with it, else None.
    native: the provider's own status word. progress: 0–100, or None.
    output_urls: result links, in order; one of them may hold the image itself (`data:`).
    poll_url: where the provider said to ask on. credits: whole credits charged;
    cost_micros: cost in millionths; processing_ms: how long the provider worked.
    is_thin: it says that the job ended, but not all that must be known of it: ask first.
    reference: our own reference as the provider echoed it, not yet verified; shop: the shop
    that the provider's job says it is for. Either can show that it is not this job's.
    """

    provider: str
    provider_job_id: str | None
    event: JobEvent
    native: str
    key: str
    source: Source
    proof: Proof
    attempt: int | None = None
    progress: int | None = None
    output_urls: tuple[str, ...] = field(default=(), repr=False)
    poll_url: str | None = None
    credits: int | None = None
    cost_micros: int | None = None
    processing_ms: int | None = None
    tool_name: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    is_thin: bool = False
    reference: str | None = None
    shop: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of a job's timeline.

    entry_id: time-ordered (UUIDv7), made from `at`. actor: who, as far as known (a user's
        id, an administrator's key fingerprint, an agent). attempt: which attempt it was about.
    native_status: the actor's own word for what happened.
    received_at: when a delivery came in that could be applied only later; None for all others.
    body: the raw delivery, if there was one (can be read for 30 days, up to 16 KB gzipped);
        body_sha256: its digest, always kept. has_body: it can (still) be read.
    payload: what the actor got and gave, as one small JSON object; payload_key: where it lies in
        our bucket instead, when it is big. has_payload: there is one, here or there.
    Body and payload are on the way in only: they lie beside the entry and are read apart.
    """

    entry_id: str
    at: datetime
    source: Source
    outcome: Outcome
    message: str
    actor: str | None = None
    attempt: int | None = None
    from_status: JobStatus | None = None
    to_status: JobStatus | None = None
    proof: Proof | None = None
    native_status: str | None = None
    received_at: datetime | None = None
    body: bytes | None = field(default=None, repr=False)
    body_sha256: str | None = None
    has_body: bool = False
    payload: bytes | None = field(default=None, repr=False)
    payload_key: str | None = None
    has_payload: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What somebody adds to a timeline.

    native_status: a word of their own. request, response: what they got and gave, any JSON;
    None where there is none.
    """

    message: str | None = None
    native_status: str | None = None
    request: Any = field(default=None, repr=False)
    response: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Which job and attempt a provider's job id belongs to.

    is_tombstone: the job was deleted; events for it are dropped, not parked.
    """

    provider: str
    provider_job_id: str
    ref: JobRef
    attempt: int
    is_tombstone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEvent:
    """A verified webhook that came before its job. Kept for seven days.

    body: the raw delivery, to be parsed again when the job is registered.
    """

    provider: str
    provider_job_id: str
    key: str
    received_at: datetime
    proof: Proof
    body: bytes = field(repr=False)
