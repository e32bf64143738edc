"""Webhooks: when they are sent, how often, and what goes wrong with them.

Assumptions: that any answer but 2xx counts as a failure and redirects are not followed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from local.provider_simulator.clock import Clock
from local.provider_simulator.config import Config
from local.provider_simulator.dialect import Dialect, Envelope, Kind, Letter
from local.provider_simulator.faults import Event, Faults
from local.provider_simulator.jobs import JobRecord, iso


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
    headers: Mapping[str, str]
    body: str

    def view(self) -> dict[str, Any]:
        """Return the line as JSON shows it."""
        return asdict(self)


class Courier[C: Config]:
    """Deliver webhooks and keep a log of every attempt."""

    def __init__(
        self,
        dialect: Dialect[C],
        config: Callable[[], C],
        clock: Clock,
        client: httpx.AsyncClient,
    ) -> None:
        """Send with `client`, by the configuration of the moment."""
        self._dialect = dialect
        self._config = config
        self._clock = clock
        self._client = client
        self.log: list[Delivery] = []

    def prepare(self, event: Event, job: JobRecord) -> "Parcel | None":
        """Freeze what the webhook will say, before the job moves on; None if nobody asked."""
        if job.webhook_url is None:
            return None
        config = self._config()
        shift = timedelta(seconds=job.faults.webhook_timestamp_shift_s)
        now = self._clock.now()
        body = self._dialect.body_of(event, job, config, now + shift)
        if body is None:
            return None
        secret = self._dialect.secret_of(job, config)
        # The settings may change before the last retry.
        key = hashlib.sha256(f"{job.id} {event}".encode()).hexdigest()[:24]
        letter = Letter(event, f"msg_{key}", job.id, config, secret, body)
        return Parcel(letter, job.webhook_url, job.faults, now)

    async def deliver(self, parcel: "Parcel") -> bool:
        """Send the first attempt, with whatever is to go wrong; True if nothing is owed."""
        faults = parcel.faults
        if faults.loses(parcel.letter.event):
            unsent = Envelope(parcel.letter.body, {}, None)
            self._note(parcel, "lost", 1, None, "never sent", unsent)
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
        return accepted or not self._dialect.repeats(parcel.letter.event)

    async def retry(self, parcel: "Parcel") -> None:
        """Send again by the schedule until it is accepted or the schedule ends."""
        for number, delay_s in enumerate(self._config().webhook_retry_delays_s, start=2):
            await self._clock.sleep(delay_s)
            if await self._send(parcel, "retry", number):
                return

    async def _send(self, parcel: "Parcel", kind: Kind, attempt: int) -> bool:
        envelope = self._envelope(parcel, kind)
        headers = {"Content-Type": "application/json", **envelope.headers}
        status, error = None, None
        try:
            answer = await self._client.post(
                parcel.url,
                content=envelope.body,
                headers=headers,
                timeout=self._config().webhook_timeout_s,
            )
            status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            error = f"{type(problem).__name__}: {problem}"
        self._note(parcel, kind, attempt, status, error, envelope)
        return status is not None and 200 <= status < 300

    def _envelope(self, parcel: "Parcel", kind: Kind) -> Envelope:
        faults = parcel.faults
        now = self._clock.now() + timedelta(seconds=faults.webhook_timestamp_shift_s)
        if kind == "forged":
            return self._dialect.forged(parcel.letter, now, faults.webhook_forgery)
        return self._dialect.envelope(parcel.letter, now, again=kind == "retry")

    def _note(
        self,
        parcel: "Parcel",
        kind: Kind,
        attempt: int,
        status: int | None,
        error: str | None,
        envelope: Envelope,
    ) -> None:
        self.log.append(
            Delivery(
                job_id=parcel.letter.job_id,
                event=parcel.letter.event,
                url=parcel.url,
                kind=kind,
                attempt=attempt,
                status=status,
                error=error,
                at=iso(self._clock.now()),
                signature=envelope.signature,
                headers=dict(envelope.headers),
                body=envelope.body.decode(),
            )
        )


@dataclass(frozen=True, slots=True)
class Parcel:
    """A letter on its way: where it goes, what goes wrong, since when it is due."""

    letter: Letter
    url: str
    faults: Faults
    prepared_at: datetime
