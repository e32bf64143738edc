"""PikcelAI's own words: ids, prices, webhooks in two forms, refusals.

Source: the service's public client (two forms, HMAC-SHA256 in hex over the raw body).
Assumptions: the form of job ids, the retry schedule, that a retry repeats the first attempt's
bytes, and what the body's own `signature` field holds (here: the HMAC of the body without it,
which proves nothing).
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from starlette.responses import JSONResponse, Response

from local.pikcel_simulator import catalogue
from local.pikcel_simulator.catalogue import TOOLS
from local.pikcel_simulator.config import Config
from local.pikcel_simulator.replies import job_in
from local.provider_simulator.dialect import (
    FORGER,
    ApiError,
    Dialect,
    Envelope,
    Forgery,
    Letter,
)
from local.provider_simulator.faults import Event
from local.provider_simulator.jobs import JobRecord, iso

HEADERS = {1: "X-Pikcel-Signature", 2: "X-PikcelAI-Signature"}
_SHOPIFY_NAMES = ("shopify_product_id", "shopify_shop", "shopify_image_id", "callback_url")
_EVENTS = ("job.started", "job.completed", "job.failed")


def sign(secret: str, body: bytes) -> str:
    """Return the signature of `body`: lower-case hex, no prefix.

    >>> sign("test-secret", b'{"event":"job.completed"}')
    '4be1814b539340beff5a8a3c2b56efbedc2fef1517adacfd578238e84a3a2231'
    """
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class PikcelDialect(Dialect[Config]):
    """Everything of PikcelAI that its routes are not."""

    name = "PikcelAI"

    def new_id(self, token: Callable[[int], str], now: datetime) -> str:
        """Return the id of a new job."""
        return f"job_{now:%Y}_{token(12)}"

    def price(self, tool_id: str, priority: str) -> int:
        """Return the credits of one picture."""
        return catalogue.price(tool_id, priority)

    def body_of(self, event: Event, job: JobRecord, config: Config, at: datetime) -> bytes | None:
        """Return the exact bytes of one webhook, in the form that is set; none for a cancel."""
        if event not in _EVENTS:
            return None
        if config.webhook_form == 1:
            return _dump(_form_1(event, job, iso(at), config.webhook_secrets[0]))
        return _dump(_form_2(event, job))

    def envelope(self, letter: Letter, now: datetime, *, again: bool) -> Envelope:
        """Sign the body as it is, or a retry's with a time of its own where that is set."""
        settings = cast("Config", letter.settings)
        secret, body = letter.secret, letter.body
        if again and settings.webhook_restamp and settings.webhook_form == 1:
            body = _restamped(body, iso(now), secret)
        return _sealed(letter, body, sign(secret, body))

    def forged(self, letter: Letter, now: datetime, forgery: Forgery) -> Envelope:
        """Sign it wrongly."""
        signatures = {
            "wrong_secret": sign(FORGER, letter.body),
            "missing": None,
            "malformed": "sha256=zz not hex",
        }
        return _sealed(letter, letter.body, signatures[forgery])

    def refusal(self, problem: ApiError) -> Response:
        """Return the documented error body."""
        error: dict[str, object] = {"code": problem.code, "message": problem.message}
        if problem.details is not None:
            error["details"] = problem.details
        return JSONResponse({"success": False, "error": error}, problem.status, problem.headers)


def _sealed(letter: Letter, body: bytes, signature: str | None) -> Envelope:
    headers = {"User-Agent": "PikcelAI-Webhook/1.0"}
    if signature is not None:
        headers[HEADERS[cast("Config", letter.settings).webhook_form]] = signature
    return Envelope(body, headers, signature)


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


def _restamped(body: bytes, timestamp: str, secret: str) -> bytes:
    shown = json.loads(body)
    shown.pop("signature")
    shown["timestamp"] = timestamp
    return _dump(shown | {"signature": sign(secret, _dump(shown))})
