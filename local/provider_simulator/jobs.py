"""Jobs, credits and links: a simulator's state, without any I/O.

Assumptions: that an active job's credits are held back from the balance, and that a listing has
the newest first.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from local.provider_simulator.config import Config
from local.provider_simulator.editing import Edited
from local.provider_simulator.faults import FaultBook, Faults

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]


def iso(instant: datetime) -> str:
    """Return `instant` as the service writes it: UTC, milliseconds, `Z`."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


@dataclass(slots=True)
class JobRecord:
    """One job with what only the simulator knows: its faults, its output, its links.

    model: the provider's own name of what `tool_id` does. images: how many of them it makes.
    extra: what a provider's routes keep of its request.
    """

    id: str
    nth: int
    tool_id: str
    model: str
    input_image_url: str
    parameters: dict[str, Any]
    priority: str
    webhook_url: str | None
    metadata: dict[str, Any] | None
    faults: Faults
    base_url: str
    quote: int
    created_at: datetime
    updated_at: datetime
    status: Status = "pending"
    credits_used: int = 0
    output_image_url: str | None = None
    more_output_urls: list[str] = field(default_factory=list)
    output_expires_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    processing_time_ms: int | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    images: int = 1
    extra: dict[str, Any] = field(default_factory=dict)
    output: Edited | None = field(default=None, repr=False)

    @property
    def ref(self) -> str | None:
        """Return the caller's reference, if it sent one in the metadata."""
        ref = (self.metadata or {}).get("ref")
        return ref if isinstance(ref, str) else None

    @property
    def is_active(self) -> bool:
        """Tell whether the job has not ended yet."""
        return self.status in ("pending", "processing")


@dataclass(frozen=True, slots=True)
class Charge:
    """Credits taken (kind `charge`) or given back (`refund`, negative) for one job."""

    job_id: str
    ref: str | None
    tool_id: str
    credits: int
    kind: Literal["charge", "refund"]
    at: str


@dataclass(frozen=True, slots=True)
class Link:
    """What an address of a result leads to, and when it dies."""

    job: JobRecord
    output: Edited
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """A file taken by POST /api/upload."""

    data: bytes
    media_type: str


class JobBook:
    """All jobs, what was paid for them, and the links to their results."""

    def __init__(
        self,
        config: Config,
        rng: random.Random,
        new_id: Callable[[Callable[[int], str], datetime], str],
        price: Callable[[str, str], int],
    ) -> None:
        """Begin empty; `rng` makes ids, links and processing times (see Dialect for the rest)."""
        self.config = config
        self.rng = rng
        self._new_id, self._price = new_id, price
        self.faults = FaultBook()
        self.jobs: dict[str, JobRecord] = {}
        self.links: dict[str, Link] = {}
        self.uploads: dict[str, Upload] = {}
        self.ledger: list[Charge] = []
        self.dispatches = 0

    def token(self, digits: int) -> str:
        """Return `digits` random hexadecimal digits."""
        return f"{self.rng.getrandbits(digits * 4):0{digits}x}"

    @property
    def balance(self) -> int:
        """Return the credits left, not counting what active jobs hold back."""
        return self.config.credits_balance - sum(charge.credits for charge in self.ledger)

    @property
    def available(self) -> int:
        """Return the credits a new job may cost."""
        charged = {charge.job_id for charge in self.ledger}
        held = sum(
            job.quote for job in self.jobs.values() if job.is_active and job.id not in charged
        )
        return self.balance - held

    def create(
        self, request: Mapping[str, Any], faults: Faults, base_url: str, now: datetime
    ) -> JobRecord:
        """Create the job of a validated dispatch and charge it if that is when one pays."""
        job = JobRecord(
            id=self._new_id(self.token, now),
            nth=self.dispatches,
            tool_id=request["tool_id"],
            model=request.get("model") or request["tool_id"],
            input_image_url=request["input_image_url"],
            parameters=request.get("parameters") or {},
            priority=request.get("priority") or "normal",
            webhook_url=request.get("webhook_url"),
            metadata=request.get("metadata"),
            faults=faults,
            base_url=base_url,
            quote=self._price(request["tool_id"], request.get("priority") or "normal"),
            created_at=now,
            updated_at=now,
            images=request.get("images") or 1,
            extra=request.get("extra") or {},
        )
        self.jobs[job.id] = job
        if self.config.charge == "on_dispatch":
            self._book(job, job.quote, "charge", now)
        return job

    def start(self, job: JobRecord, now: datetime) -> None:
        """Mark the job as being worked on."""
        job.status = "processing"
        job.started_at = job.updated_at = now

    def complete(self, job: JobRecord, output: Edited, now: datetime) -> None:
        """End the job with a result: link it and charge it unless it was paid already."""
        job.output = output
        self._end(job, "completed", now)
        if self.config.charge == "on_completion":
            self._book(job, job.quote, "charge", now)
        lifetime = 0.0 if job.faults.result == "expired" else self._lifetime_s(job)
        self.link(job, output, now, lifetime)

    def fail(self, job: JobRecord, code: str, message: str, now: datetime) -> None:
        """End the job without a result, giving back what was paid where configured."""
        job.error_code, job.error_message = code, message
        self._end(job, "failed", now)
        self._refund(job, now)

    def cancel(self, job: JobRecord, now: datetime) -> None:
        """End the job as cancelled."""
        self._end(job, "cancelled", now)
        self._refund(job, now)

    def link(self, job: JobRecord, output: Edited, now: datetime, lifetime_s: float) -> None:
        """Give the job's results new, unguessable addresses."""
        expires_at = now + timedelta(seconds=lifetime_s)
        urls = []
        for _ in range(job.images):
            token = self.token(40)
            self.links[token] = Link(job, output, expires_at)
            urls.append(f"{job.base_url}/results/{token}.{output.extension}")
        job.output_image_url, *job.more_output_urls = urls
        job.output_expires_at = expires_at

    def expire_links(self, now: datetime) -> None:
        """Kill every link that still lives."""
        self.links = {
            token: replace(link, expires_at=min(link.expires_at, now))
            for token, link in self.links.items()
        }
        for job in self.jobs.values():
            if job.output_expires_at is not None:
                job.output_expires_at = min(job.output_expires_at, now)

    def renew_dead_link(self, job: JobRecord, now: datetime) -> None:
        """Replace the job's link if it has died and the service is set to do so."""
        if (
            self.config.fresh_links
            and job.output is not None
            and job.output_expires_at is not None
            and job.output_expires_at <= now
        ):
            self.link(job, job.output, now, self._lifetime_s(job))

    def listing(
        self,
        now: datetime,
        *,
        status: str | None,
        tool_id: str | None,
        from_date: datetime | None,
        to_date: datetime | None,
    ) -> list[JobRecord]:
        """Return the jobs that match, newest first."""
        found = [
            job
            for job in self.jobs.values()
            if (status is None or job.status == status)
            and (tool_id is None or job.tool_id == tool_id)
            and (from_date is None or job.created_at >= from_date)
            and (to_date is None or job.created_at <= to_date)
            and job.created_at + timedelta(seconds=job.faults.listed_after_s) <= now
        ]
        return sorted(found, key=lambda job: (job.created_at, job.nth), reverse=True)

    def _lifetime_s(self, job: JobRecord) -> float:
        own = job.faults.result_lifetime_s
        return self.config.result_lifetime_s if own is None else own

    def _end(self, job: JobRecord, status: Status, now: datetime) -> None:
        job.status = status
        job.completed_at = job.updated_at = now
        if job.started_at is not None:
            job.processing_time_ms = round((now - job.started_at).total_seconds() * 1000)

    def _refund(self, job: JobRecord, now: datetime) -> None:
        if self.config.charge == "on_dispatch" and self.config.refund_failed:
            self._book(job, -job.quote, "refund", now)

    def _book(
        self, job: JobRecord, amount: int, kind: Literal["charge", "refund"], now: datetime
    ) -> None:
        job.credits_used += amount
        self.ledger.append(Charge(job.id, job.ref, job.tool_id, amount, kind, iso(now)))


def inner_view(job: JobRecord) -> dict[str, Any]:
    """Return the job as `/_simulator/jobs` shows it: its state and what was done to it."""
    shown = asdict(job)
    output = shown.pop("output")
    shown["output_bytes"] = len(output["data"]) if output else None
    shown["faults"] = job.faults.model_dump(exclude_unset=True)
    shown["ref"] = job.ref
    for key, value in shown.items():
        if isinstance(value, datetime):
            shown[key] = iso(value)
    return shown
