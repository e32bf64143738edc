"""The stack under examination, as its callers meet it: HTTP, and redirects are not followed."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from deploy.doctor.findings import redacted
from shared.domain.standard_webhooks import SECRET_PREFIX, signed_headers, write_secret
from shared.providers.signatures import SharedKey, standard_key

SHOP = "job-tracker-doctor.myshopify.com"
TIMEOUT_S = 30.0


def signing_secret(text: str) -> str | None:
    """Return a worker's secret in the form that one can sign with; None if nobody can.

    >>> signing_secret("whsec_AAAA"), signing_secret("whpk_AAAA"), signing_secret("whsec_!")
    ('whsec_AAAA', None, None)
    """
    key = standard_key(text)
    return write_secret(key.key) if isinstance(key, SharedKey) else None


class UnreachableError(Exception):
    """No answer came. The message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. body: its JSON object, empty if it is none. took_ms: to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]
    took_ms: int

    @property
    def error(self) -> str:
        """The service's own sentence about a refusal, or the status; of an error of ours also
        what its lines in the logs have."""
        said = str(self.body.get("error", ""))[:160]
        request_id = self.body.get("requestId") if self.status >= 500 else None
        told = f"{self.status}: {said}" if said else f"{self.status}"
        return f"{told} (request {request_id})" if request_id else told


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Where the stack is, and how to speak to it.

    admin_key: of an administrator. worker_secret: what workers' webhooks are signed with.
    now, sleep: the time here.
    """

    url: str
    admin_key: str = field(repr=False)
    worker_secret: str = field(repr=False)
    client: httpx.Client
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is never shown, whoever sends it back."""
        return self.admin_key, self.worker_secret, self.worker_secret.removeprefix(SECRET_PREFIX)

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        is_known: bool = True,
    ) -> Answer:
        """Make one call. Raises UnreachableError.

        is_known: with the administrator's key, for the doctor's own shop.
        """
        known = {"authorization": f"Bearer {self.admin_key}", "x-shop": SHOP}
        request = self.client.build_request(
            method,
            self.url + path,
            json=body,
            params=query,
            headers=known if is_known else {},
        )
        return self._send(request)

    def deliver(
        self,
        body: bytes,
        *,
        webhook_id: str,
        provider: str = "worker",
        at: datetime | None = None,
        secret: str | None = None,
    ) -> Answer:
        """Send a webhook as a worker does. Raises UnreachableError.

        Parameters
            at: when it is said to be signed (now). secret: another than the worker's.
        """
        signature = signed_headers(
            [secret or self.worker_secret], webhook_id, at or self.now(), body
        )
        headers = {"content-type": "application/json"} | signature
        url = f"{self.url}/webhooks/{provider}"
        return self._send(self.client.build_request("POST", url, content=body, headers=headers))

    def _send(self, request: httpx.Request) -> Answer:
        began = time.monotonic()
        try:
            reply = self.client.send(request, follow_redirects=False)
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {error}"[:160]
            raise UnreachableError(f"no answer ({reason})") from None
        return Answer(
            status=reply.status_code,
            headers=reply.headers,
            # Before anything of it is shortened: half a key is too much already.
            body=_object(redacted(reply.text, self.secrets)),
            took_ms=round((time.monotonic() - began) * 1000),
        )


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
