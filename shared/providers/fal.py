"""fal.

Source: docs.fal.ai/model-endpoints/webhooks and .../queue, the Python client 1.0.3, read 2026-11.

`toolId` is a model's path (`fal-ai/flux/dev`), `parameters` are its input; the image goes to
`image_url`. Jobs cannot be listed; a lost answer waits for its webhook.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from shared.domain.errors import ProviderUnknownOutcomeError
from shared.domain.events import Proof, ProviderEvent, Source
from shared.domain.job import Job
from shared.domain.plan import Patience
from shared.domain.status import JobEvent
from shared.providers.answers import (
    body_of,
    create_failure,
    failed_poll,
    failure,
    is_success,
    not_found,
)
from shared.providers.base import (
    Access,
    Acks,
    Callback,
    Check,
    Keys,
    KeySource,
    MalformedDeliveryError,
    ParsedDelivery,
    ProviderAdapter,
    ProviderJob,
    Reply,
    Request,
    Verdict,
)
from shared.providers.inputs import with_image
from shared.providers.reading import (
    error_code,
    file_links,
    identifier,
    mapping,
    read_object,
    text,
)
from shared.providers.signatures import fits_ed25519, is_timestamp, public_key, timely

WHO = "fal"

# Of a delivery; those of the queue are below.
STATUSES = {"OK": JobEvent.COMPLETED, "ERROR": JobEvent.FAILED}
QUEUE_STATUSES = {"IN_QUEUE": JobEvent.QUEUED, "IN_PROGRESS": JobEvent.STARTED}

REQUEST_ID_HEADER = "x-fal-webhook-request-id"
USER_ID_HEADER = "x-fal-webhook-user-id"
TIME_HEADER = "x-fal-webhook-timestamp"
SIGNATURE_HEADER = "x-fal-webhook-signature"
_HEADERS = (REQUEST_ID_HEADER, USER_ID_HEADER, TIME_HEADER, SIGNATURE_HEADER)
# A line break separates what is signed; API Gateway joins two headers with a comma.
_ID = re.compile(r"[!-+\--~]{1,200}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{128}", re.ASCII)

_TOOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){1,7}")
# Source: the client's APP_NAMESPACES; their apps have three parts.
_NAMESPACES = ("workflows", "comfy")
MAX_FAULTS = 3
MAX_FAULT = 200


class FalAdapter(ProviderAdapter):
    """Everything that is particular to fal.

    It signs for all its customers with keys of its own (ed25519), so a right signature alone does
    not say that a delivery is ours: the account's id, which is signed too, does when we know it,
    and its job must be known by our reference or its id. An internal retry changes the
    gateway_request_id; the request_id stays, and is the job's. What a job cost is not said.
    """

    name = "fal"
    proof = Proof.BODY_TIME
    key_source = KeySource.KEY_SET
    key_set_url = "https://rest.fal.ai/.well-known/jwks.json"
    acks = Acks(tries=10, span_s=2 * 60 * 60)
    access = Access(url="https://queue.fal.run", scheme="Key ")
    # How long files live is the account's to set; it is days unless somebody made it less.
    patience = Patience(list_gap_s=None, max_poll_s=600)
    result_hosts: tuple[str, ...] = (".fal.media", "fal.media")
    can_cancel = True
    asks_by_tool = True
    # It has no limit a minute that is known: these keep a mistake of ours small.
    create_ceiling = 300
    poll_ceiling = 900

    def check_tool(self, tool_id: str) -> str | None:
        """Return what is wrong with a model's path."""
        least = 3 if tool_id.startswith(tuple(f"{name}/" for name in _NAMESPACES)) else 2
        if _TOOL.fullmatch(tool_id) and len(tool_id.split("/")) >= least:
            return None
        return "must be a model's path, like fal-ai/flux/dev"

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        """Check the ed25519 signature over request id, user id, time and digest of the body."""
        given = [headers.get(name, "") for name in _HEADERS]
        if not all(given):
            return Verdict(Check.MISSING)
        request_id, user_id, timestamp, signature = given
        are_ids = _ID.fullmatch(request_id) is not None and _ID.fullmatch(user_id) is not None
        if not are_ids or not is_timestamp(timestamp) or _SIGNATURE.fullmatch(signature) is None:
            return Verdict(Check.MALFORMED)
        digest = hashlib.sha256(body).hexdigest()
        message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode()
        fitting: int | None = None
        for number, each in enumerate(keys.texts):
            key = public_key(each)
            fits = key is not None and fits_ed25519(key, message, bytes.fromhex(signature))
            if fits and fitting is None:
                fitting = number
        if fitting is None:
            return Verdict(Check.WRONG)
        if keys.account is not None and user_id != keys.account:
            return Verdict(Check.FOREIGN)
        return timely(self.proof, fitting, timestamp, now)

    def parse(
        self, body: bytes, headers: Mapping[str, str], received_at: datetime, proof: Proof
    ) -> ParsedDelivery:
        """Read `{request_id, status, payload, error, payload_error}`.

        Raises MalformedDeliveryError, also when the signed header names another request.
        """
        whole = read_object(body)
        job_id = identifier(whole.get("request_id"))
        if job_id is None or headers.get(REQUEST_ID_HEADER, job_id) != job_id:
            raise MalformedDeliveryError("The delivery does not name one request.")
        native = text(whole.get("status")) or "unknown"
        kind = STATUSES.get(native, JobEvent.UNKNOWN)
        has_failed = kind is JobEvent.FAILED
        payload = whole.get("payload")
        event = ProviderEvent(
            provider=self.name,
            provider_job_id=job_id,
            event=kind,
            native=native,
            key=f"{job_id}:{native}",
            source=Source.WEBHOOK,
            proof=proof,
            # A payload that could not be written as JSON is null: its links are asked for.
            output_urls=file_links(payload) if kind is JobEvent.COMPLETED else (),
            error_code=error_code(None) if has_failed else None,
            error_message=_why(mapping(payload), whole.get("error")) if has_failed else None,
        )
        return ParsedDelivery(event=event, reference=None)

    def create_request(self, job: Job, callback: Callback) -> Request:
        """Describe `POST /{model}?fal_webhook=…`."""
        return Request(
            method="POST",
            path=f"/{quote(job.tool_id or '')}",
            query={"fal_webhook": callback.url},
            body=with_image(job.parameters, job.input_image_url, "image_url"),
        )

    def read_created(self, reply: Reply) -> ProviderEvent:
        """Read the answer to a create call: `{request_id, …}`."""
        body = body_of(reply)
        if not is_success(reply):
            raise create_failure(WHO, reply, None, _detail(body.get("detail")))
        job_id = identifier(body.get("request_id"))
        if job_id is None:
            raise ProviderUnknownOutcomeError("fal's answer names no request.")
        native = text(body.get("status")) or "IN_QUEUE"
        return _event(job_id, JobEvent.QUEUED, native, Source.DISPATCH)

    def poll_request(self, asked: ProviderJob) -> Request:
        """Describe `GET /{app}/requests/{id}/status`."""
        return Request(method="GET", path=f"{_place(asked)}/status")

    def read_polled(
        self, asked: ProviderJob, request: Request, reply: Reply
    ) -> ProviderEvent | Request:
        """Read a status; of a finished request, name the call that has its result.

        The result's answer has the status that the model gave it: a refusal is the model's.
        """
        body = body_of(reply)
        if reply.status == 404 and _detail(body.get("detail")) is not None:
            return not_found(self.name, WHO, asked.job_id)
        if not request.path.endswith("/status"):
            return self._read_result(asked, reply)
        if not is_success(reply):
            raise failure(WHO, reply)
        native = text(body.get("status")) or "unknown"
        if native != "COMPLETED":
            kind = QUEUE_STATUSES.get(native, JobEvent.UNKNOWN)
            return _event(asked.job_id, kind, native, Source.POLL)
        if body.get("error") is not None:
            word = text(body.get("error_type"))
            return self._failed(asked, _why({}, body.get("error")), word)
        return Request(method="GET", path=_place(asked))

    def cancel_request(self, asked: ProviderJob) -> Request:
        """Describe `PUT /{app}/requests/{id}/cancel`."""
        return Request(method="PUT", path=f"{_place(asked)}/cancel")

    def _read_result(self, asked: ProviderJob, reply: Reply) -> ProviderEvent:
        body = body_of(reply)
        if is_success(reply):
            links = file_links(body)
            return _event(asked.job_id, JobEvent.COMPLETED, "COMPLETED", Source.POLL, links)
        told = _detail(body.get("detail"))
        is_busy = reply.status in (401, 403, 408, 429, 502, 503, 504)
        if is_busy or told is None:
            raise failure(WHO, reply)
        return self._failed(asked, told, text(body.get("error_type")))

    def _failed(self, asked: ProviderJob, message: str, word: str | None) -> ProviderEvent:
        return failed_poll(
            self.name, asked.job_id, native="ERROR", code=error_code(word), message=message
        )


def _place(asked: ProviderJob) -> str:
    """Return where a request's calls are: below its app, without the path inside it."""
    parts = (asked.tool_id or "").split("/")
    depth = 3 if parts[0] in _NAMESPACES else 2
    app = "/".join(parts[:depth])
    return f"/{quote(app)}/requests/{quote(asked.job_id, safe='')}"


def _event(
    job_id: str, kind: JobEvent, native: str, source: Source, links: tuple[str, ...] = ()
) -> ProviderEvent:
    return ProviderEvent(
        provider=FalAdapter.name,
        provider_job_id=job_id,
        event=kind,
        native=native,
        key=f"{job_id}:{native}",
        source=source,
        proof=Proof.POLL,
        output_urls=links,
    )


def _why(payload: Mapping[str, Any], error: Any) -> str:
    """Return why a request failed: what the model says of its input first."""
    return _detail(payload.get("detail")) or text(error) or "fal says that the request failed."


def _detail(detail: Any) -> str | None:
    """Return what an error body says: a sentence, or what is wrong with which field."""
    if not isinstance(detail, list):
        return text(detail)
    faults = [_fault(mapping(row)) for row in detail[:MAX_FAULTS]]
    return "; ".join(fault for fault in faults if fault) or None


def _fault(row: Mapping[str, Any]) -> str:
    place = row.get("loc")
    field = place[-1] if isinstance(place, list) and place else None
    message = text(row.get("msg")) or ""
    return (f"{field}: {message}" if isinstance(field, str) else message)[:MAX_FAULT]
