"""Black Forest Labs.

Source: black-forest-labs/skills at d0793c8, read 2026-11.

`toolId` is a model's path (`flux-kontext-pro`), `parameters` are its fields; the image goes to
`input_image`. Jobs cannot be listed; a lost answer waits for its webhook.
"""

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
from shared.providers.answers import body_of, create_failure, failure, is_success, not_found
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
    first,
    identifier,
    links_in,
    mapping,
    read_object,
    text,
)
from shared.providers.signatures import verify_hex

WHO = "Black Forest Labs"

STATUSES = {
    # It does not tell waiting from working.
    "Pending": JobEvent.STARTED,
    "Ready": JobEvent.COMPLETED,
    "Error": JobEvent.FAILED,
    "Failed": JobEvent.FAILED,
    "Request Moderated": JobEvent.FAILED,
    "Content Moderated": JobEvent.FAILED,
}
NOT_FOUND = "Task not found"

SIGNATURE_HEADER = "x-bfl-signature"
_TOOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


class BflAdapter(ProviderAdapter):
    """Everything that is particular to Black Forest Labs.

    A delivery is signed with a secret that came with the request: each attempt has its own, so
    one that leaks forges one job only. The signature covers the body and no time: an end is
    confirmed by asking, at the regional address that the answer to the create call named. Links
    die after ten minutes. After four tries a delivery is given up. What a job cost is not said.
    """

    name = "bfl"
    proof = Proof.BODY
    key_source = KeySource.CALLBACK
    acks = Acks(tries=4, span_s=36)
    access = Access(
        url="https://api.bfl.ai", prefix="/v1", header="x-key", scheme="", hosts=(".bfl.ai",)
    )
    patience = Patience(list_gap_s=None, result_life_s=10 * 60)
    result_hosts: tuple[str, ...] = (".bfl.ai",)
    # Its limit is of jobs at a time (24 of most models), not of calls.
    create_ceiling = 120
    poll_ceiling = 600

    def check_tool(self, tool_id: str) -> str | None:
        """Return what is wrong with a model's path."""
        return None if _TOOL.fullmatch(tool_id) else "must be a model's path, like flux-kontext-pro"

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        """Check HMAC-SHA256 over the raw body: `sha256=` and 64 hexadecimal digits."""
        signature = headers.get(SIGNATURE_HEADER, "")
        if not signature:
            return Verdict(Check.MISSING)
        scheme, _, digits = signature.partition("=")
        if scheme != "sha256":
            return Verdict(Check.MALFORMED)
        return verify_hex(digits, body, keys.texts, self.proof)

    def parse(
        self, body: bytes, headers: Mapping[str, str], received_at: datetime, proof: Proof
    ) -> ParsedDelivery:
        """Read `{id, status, result, error, message}`. Raises MalformedDeliveryError."""
        task = read_object(body)
        job_id = identifier(first(task, "id", "task_id"))
        if job_id is None:
            raise MalformedDeliveryError("The delivery does not name a task.")
        return ParsedDelivery(event=_event(task, job_id, Source.WEBHOOK, proof), reference=None)

    def create_request(self, job: Job, callback: Callback) -> Request:
        """Describe `POST /v1/{model}`. Nobody's parameters can change where we are called."""
        body = with_image(job.parameters, job.input_image_url, "input_image")
        return Request(
            method="POST",
            path=f"/v1/{quote(job.tool_id or '', safe='')}",
            body={**body, "webhook_url": callback.url, "webhook_secret": callback.secret},
        )

    def read_created(self, reply: Reply) -> ProviderEvent:
        """Read the answer to a create call: `{id, polling_url}`."""
        body = body_of(reply)
        if not is_success(reply):
            raise create_failure(WHO, reply, None, _problem(body))
        job_id = identifier(body.get("id"))
        if job_id is None:
            raise ProviderUnknownOutcomeError("Black Forest Labs's answer names no task.")
        return ProviderEvent(
            provider=self.name,
            provider_job_id=job_id,
            event=JobEvent.QUEUED,
            native=text(body.get("status")) or "Pending",
            key=f"{job_id}:created",
            source=Source.DISPATCH,
            proof=Proof.POLL,
            poll_url=_address(body.get("polling_url")),
        )

    def poll_request(self, asked: ProviderJob) -> Request:
        """Describe `GET /v1/get_result?id=…`, at the address that we were told."""
        return Request(
            method="GET",
            path=f"/v1/get_result?id={quote(asked.job_id, safe='')}",
            url=asked.poll_url,
        )

    def read_polled(self, asked: ProviderJob, request: Request, reply: Reply) -> ProviderEvent:
        """Read a task; one that is not found is presumed failed: it may appear yet."""
        body = body_of(reply)
        if body.get("status") == NOT_FOUND:
            return not_found(self.name, WHO, asked.job_id)
        if not is_success(reply):
            raise failure(WHO, reply)
        if identifier(body.get("id")) != asked.job_id:
            raise ProviderUnknownOutcomeError("Black Forest Labs answered with another task.")
        return _event(body, asked.job_id, Source.POLL, Proof.POLL)


def _event(task: Mapping[str, Any], job_id: str, source: Source, proof: Proof) -> ProviderEvent:
    native = text(task.get("status")) or "unknown"
    kind = STATUSES.get(native, JobEvent.UNKNOWN)
    has_failed = kind is JobEvent.FAILED
    result = mapping(task.get("result"))
    is_plain = native in ("Error", "Failed")
    return ProviderEvent(
        provider=BflAdapter.name,
        provider_job_id=job_id,
        event=kind,
        native=native,
        key=f"{job_id}:{native}",
        source=source,
        proof=proof,
        output_urls=links_in(first(result, "sample", "samples"))
        if kind is JobEvent.COMPLETED
        else (),
        error_code=error_code(None if is_plain else native) if has_failed else None,
        error_message=_why(task, native) if has_failed else None,
    )


def _why(task: Mapping[str, Any], native: str) -> str:
    told = text(first(task, "error", "message")) or text(
        mapping(task.get("details")).get("message")
    )
    return told or f"Black Forest Labs says: {native}."


def _address(url: Any) -> str | None:
    """Return an address that may be asked (whether it is theirs, is checked when it is)."""
    return url if isinstance(url, str) and 0 < len(url) <= 1024 else None


def _problem(body: Mapping[str, Any]) -> str | None:
    """Return what an error body of theirs says: a sentence, or what is wrong with which field."""
    detail = first(body, "detail", "error", "message")
    if isinstance(detail, list):
        told = (text(mapping(row).get("msg")) for row in detail[:3])
        return "; ".join(filter(None, told)) or None
    return text(detail)
