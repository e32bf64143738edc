"""fal's own words: requests, results, the webhook, refusals.

Source: docs.fal.ai/model-endpoints/webhooks (fields, headers, what is signed), the Python client
1.0.3 (read 2026-11). Assumptions: the fields of a result beside `image` or `images`; that a
cancelled request ends as an error, told by a webhook like any other.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from nacl.signing import SigningKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.fal_simulator.config import Config
from local.provider_simulator.dialect import (
    FORGER,
    ApiError,
    Dialect,
    Envelope,
    Forgery,
    Letter,
    key_after,
)
from local.provider_simulator.faults import Event
from local.provider_simulator.jobs import JobRecord

CANCELLED = "Request was cancelled by the user"


class FalDialect(Dialect[Config]):
    """Everything of fal that its routes are not."""

    name = "fal"

    def new_id(self, token: Callable[[int], str], now: datetime) -> str:
        """Return a UUID, as requests are named."""
        return str(uuid.UUID(token(32), version=4))

    def key_of(self, request: Request) -> str | None:
        """Return what follows `Key`."""
        return key_after(request, "key")

    def body_of(self, event: Event, job: JobRecord, config: Config, at: datetime) -> bytes | None:
        """Return what is said of an end; there is no webhook of anything else."""
        if event in ("job.started", "job.progress"):
            return None
        body: dict[str, Any] = {
            "request_id": job.id,
            "gateway_request_id": gateway_id_of(job),
            "status": "OK" if job.status == "completed" else "ERROR",
            "payload": result_of(job) if job.status == "completed" else {"detail": trouble_of(job)},
        }
        if job.status != "completed":
            body["error"] = f"Unexpected status code: {status_of(job)}"
        # With spaces, as it comes: who writes it anew gets another digest.
        return json.dumps(body).encode()

    def envelope(self, letter: Letter, now: datetime, *, again: bool) -> Envelope:
        """Sign request, user, time and the body's digest."""
        seed = bytes.fromhex(letter.secret)
        return _sealed(letter, now, _signature(seed, letter, now))

    def forged(self, letter: Letter, now: datetime, forgery: Forgery) -> Envelope:
        """Sign it wrongly."""
        signatures = {
            "wrong_secret": _signature(hashlib.sha256(FORGER.encode()).digest(), letter, now),
            "missing": None,
            "malformed": "not hex",
        }
        return _sealed(letter, now, signatures[forgery])

    def refusal(self, problem: ApiError) -> Response:
        """Return `{"detail": …}`, a sentence or what is wrong with which field."""
        status = 422 if problem.status == 400 else problem.status
        detail = problem.details if problem.details is not None else problem.message
        return JSONResponse({"detail": detail}, status, problem.headers)


def gateway_id_of(job: JobRecord) -> str:
    """Return the id of the one try that there is; an internal retry would have another one."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, job.id))


def public_key_of(seed: str) -> dict[str, str]:
    """Return the public half of a key, as a key set lists it."""
    raw = SigningKey(bytes.fromhex(seed)).verify_key.encode()
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    kid = hashlib.sha256(raw).hexdigest()[:16]
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x}


def result_of(job: JobRecord) -> dict[str, Any]:
    """Return what the model made: one image, or a list where the input asked for so many."""
    urls = [job.output_image_url, *job.more_output_urls]
    output = job.output
    files = [
        {
            "url": url,
            "content_type": output.media_type if output else None,
            "file_name": (url or "").rpartition("/")[2],
            "file_size": len(output.data) if output else None,
            "width": output.width if output else None,
            "height": output.height if output else None,
        }
        for url in urls
    ]
    is_many = "num_images" in job.parameters
    return {
        **({"images": files} if is_many else {"image": files[0]}),
        "timings": {"inference": (job.processing_time_ms or 0) / 1000},
        # More than a float holds, as it comes.
        "seed": 17454220438242315174,
        "has_nsfw_concepts": [False] * len(files),
    }


def trouble_of(job: JobRecord) -> Any:
    """Return what an ended request without a result says of itself."""
    if job.status == "cancelled":
        return CANCELLED
    return [{"loc": ["body", "image_url"], "msg": job.error_message, "type": _type_of(job)}]


def status_of(job: JobRecord) -> int:
    """Return the status with which the model itself answered."""
    return 499 if job.status == "cancelled" else 422


def _type_of(job: JobRecord) -> str:
    return (job.error_code or "unknown").lower()


def _signature(seed: bytes, letter: Letter, now: datetime) -> str:
    digest = hashlib.sha256(letter.body).hexdigest()
    user = cast("Config", letter.settings).user_id
    message = f"{letter.job_id}\n{user}\n{int(now.timestamp())}\n{digest}"
    return str(SigningKey(seed).sign(message.encode()).signature.hex())


def _sealed(letter: Letter, now: datetime, signature: str | None) -> Envelope:
    headers = {
        "X-Fal-Webhook-Request-Id": letter.job_id,
        "X-Fal-Webhook-User-Id": cast("Config", letter.settings).user_id,
        "X-Fal-Webhook-Timestamp": str(int(now.timestamp())),
    }
    if signature is not None:
        headers["X-Fal-Webhook-Signature"] = signature
    return Envelope(letter.body, headers, signature)
