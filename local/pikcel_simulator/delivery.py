"""Webhooks: what they say, how they are signed, when they are sent again.

Source: the service's public client (two forms, HMAC-SHA256 in hex over the raw body).
Assumptions: the retry schedule, that a retry repeats the first attempt's bytes, that any
answer but 2xx counts as a failure and redirects are not followed, and what the body's own
`signature` field holds (here: the HMAC of the body without it, which proves nothing).
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import httpx

from local.pikcel_simulator.clock import Clock
from local.pikcel_simulator.config import Config
from local.pikcel_simulator.faults import Event, Faults
from local.pikcel_simulator.jobs import TOOLS, JobRecord, iso
from local.pikcel_simulator.replies import job_in

HEADERS = {1: "X-Pikcel-Signature", 2: "X-PikcelAI-Signature"}
_FORGER = "not-the-secret"
_SHOPIFY_NAMES = ("shopify_product_id", "shopify_shop", "shopify_image_id", "callback_url")

type Kind = Literal["genuine", "retry", "duplicate", "forged", "lost"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One line of the webhook log; `status` is None when nobody answered."""

    job_id: str
    event: Event
    url: str
    kind: Kind
    attempt: int
    status: int | None
    error: str | None
    at: str
    signature: str | None
    body: str

    def view(self) -> dict[str, Any]:
        """Return the line as JSON shows it."""
        return asdict(self)


def sign(secret: str, body: bytes) -> str:
    """Return the signature of `body`: lower-case hex, no prefix.

    >>> sign("test-secret", b'{"event":"job.completed"}')
    '4be1814b539340beff5a8a3c2b56efbedc2fef1517adacfd578238e84a3a2231'
    """
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def body_of(event: Event, job: JobRecord, form: int, timestamp: str, secret: str) -> bytes:
    """Return the exact bytes of one webhook, in the form asked for."""
    shown = _form_1(event, job, timestamp, secret) if form == 1 else _form_2(event, job)
    return _dump(shown)


def _form_1(event: Event, job: JobRecord, timestamp: str, secret: str) -> dict[str, Any]:
    told = job_in(job, "A", job.faults.status_word)
    shown = {"event": event, "job_id": job.id, "job": told, "timestamp": timestamp}
    return shown | {"signature": sign(secret, _dump(shown))}


def _form_2(event: Event, job: JobRecord) -> dict[str, Any]:
    named = {name: job.parameters[name] for name in _SHOPIFY_NAMES if name in job.parameters}
    word = None if job.is_active else job.faults.status_word
    shown = {
        "jobId": job.id,
        "status": word or job.status,
        "outputUrl": job.output_image_url,
        "metadata": named | (job.metadata or {}),
        "processingTime": job.processing_time_ms,
        "creditsUsed": job.credits_used,
        "aiModel": TOOLS[job.tool_id].name,
    }
    return shown | {"error": job.error_message} if event == "job.failed" else shown


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Courier:
    """Deliver webhooks and keep a log of every attempt."""

    def __init__(
        self, config: Callable[[], Config], clock: Clock, client: httpx.AsyncClient
    ) -> None:
        """Send with `client`, by the configuration of the moment."""
        self._config = config
        self._clock = clock
        self._client = client
        self.log: list[Delivery] = []

    def prepare(self, event: Event, job: JobRecord) -> "Parcel | None":
        """Freeze what the webhook will say, before the job moves on; None if nobody asked."""
        if job.webhook_url is None:
            return None
        config = self._config()
        secret = config.webhook_secrets[0]
        shift = timedelta(seconds=job.faults.webhook_timestamp_shift_s)
        now = self._clock.now()
        body = body_of(event, job, config.webhook_form, iso(now + shift), secret)
        return Parcel(
            event, job.id, job.webhook_url, job.faults, config.webhook_form, secret, body, now
        )

    async def deliver(self, parcel: "Parcel") -> bool:
        """Send the first attempt, with whatever is to go wrong; True if nothing is owed."""
        faults = parcel.faults
        if faults.loses(parcel.event):
            self._note(parcel, "lost", 1, None, "never sent", None, parcel.body)
            return True
        due = parcel.prepared_at + timedelta(seconds=faults.webhook_delay_s)
        await self._clock.sleep((due - self._clock.now()).total_seconds())
        if faults.webhook_forged is not None:
            await self._send(parcel, "forged", 1)
        if faults.webhook_forged == "instead":
            return True
        accepted = await self._send(parcel, "genuine", 1)
        for copy in range(2, faults.webhook_copies + 1):
            await self._send(parcel, "duplicate", copy)
        return accepted

    async def retry(self, parcel: "Parcel") -> None:
        """Send again by the schedule until it is accepted or the schedule ends."""
        for number, delay_s in enumerate(self._config().webhook_retry_delays_s, start=2):
            await self._clock.sleep(delay_s)
            if await self._send(parcel, "retry", number):
                return

    async def _send(self, parcel: "Parcel", kind: Kind, attempt: int) -> bool:
        config = self._config()
        body = parcel.body
        if kind == "retry" and config.webhook_restamp:
            body = _restamped(parcel, iso(self._clock.now()))
        signature = _signature(parcel, kind, body)
        headers = {"Content-Type": "application/json", "User-Agent": "PikcelAI-Webhook/1.0"}
        if signature is not None:
            headers[HEADERS[parcel.form]] = signature
        status, error = None, None
        try:
            answer = await self._client.post(
                parcel.url, content=body, headers=headers, timeout=config.webhook_timeout_s
            )
            status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            error = f"{type(problem).__name__}: {problem}"
        self._note(parcel, kind, attempt, status, error, signature, body)
        return status is not None and 200 <= status < 300

    def _note(
        self,
        parcel: "Parcel",
        kind: Kind,
        attempt: int,
        status: int | None,
        error: str | None,
        signature: str | None,
        body: bytes,
    ) -> None:
        self.log.append(
            Delivery(
                job_id=parcel.job_id,
                event=parcel.event,
                url=parcel.url,
                kind=kind,
                attempt=attempt,
                status=status,
                error=error,
                at=iso(self._clock.now()),
                signature=signature,
                body=body.decode(),
            )
        )


@dataclass(frozen=True, slots=True)
class Parcel:
    """One webhook, frozen at its event: where it goes, what it says, what goes wrong."""

    event: Event
    job_id: str
    url: str
    faults: Faults
    form: int
    secret: str
    body: bytes
    prepared_at: datetime


def _signature(parcel: Parcel, kind: Kind, body: bytes) -> str | None:
    if kind != "forged":
        return sign(parcel.secret, body)
    match parcel.faults.webhook_forgery:
        case "wrong_secret":
            return sign(_FORGER, body)
        case "missing":
            return None
        case "malformed":
            return "sha256=zz not hex"


def _restamped(parcel: Parcel, timestamp: str) -> bytes:
    shown = json.loads(parcel.body)
    if parcel.form != 1:
        return parcel.body
    shown.pop("signature")
    shown["timestamp"] = timestamp
    return _dump(shown | {"signature": sign(parcel.secret, _dump(shown))})
