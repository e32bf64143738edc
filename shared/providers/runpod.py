"""RunPod's serverless endpoints.

Source: runpod/docs at a900806, read 2026-11.

`toolId` is the endpoint's id, `parameters` are its input; the image goes to `image_url`. What an
endpoint answers is its owner's affair: every link in its output is a result, and every image that
is there as base64. Its hosts are its owner's too: RESULT_HOSTS names them.

RunPod can run a job again under its id (`/retry/{id}`), so that it goes from an end back to
IN_QUEUE. We never ask for that: a retry here is a new attempt with an id of its own. Done behind
our back, it moves nothing: an end that was reported is final here, whatever comes after it.
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
from shared.providers.answers import body_of, create_failure, failed_poll, failure, is_success
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
    amount,
    error_code,
    first,
    identifier,
    links_in,
    mapping,
    read_object,
    text,
)

WHO = "RunPod"

STATUSES = {
    "IN_QUEUE": JobEvent.QUEUED,
    "IN_PROGRESS": JobEvent.STARTED,
    "RUNNING": JobEvent.STARTED,
    "COMPLETED": JobEvent.COMPLETED,
    "FAILED": JobEvent.FAILED,
    "CANCELLED": JobEvent.CANCELLED,
    "TIMED_OUT": JobEvent.FAILED,
}
# Its time to live is over, or its result's is: there is nothing to wait for.
JOB_EXPIRED = "provider_job_expired"

_TOOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


class RunpodAdapter(ProviderAdapter):
    """Everything that is particular to RunPod.

    Its deliveries are not signed. The callback address has our token, which only RunPod was told:
    with it, a delivery is worth asking about, no more. It wants exactly 200, and delivers twice
    more, ten seconds apart; a result lives for half an hour. It says how long a job ran, not what
    it cost.
    """

    name = "runpod"
    proof = Proof.NONE
    key_source = KeySource.CALLBACK
    acks = Acks(accepted=frozenset({200}), tries=3, span_s=20)
    # An answer may hold the images themselves: 20 MB is what RunPod allows.
    access = Access(url="https://api.runpod.ai", prefix="/v2", max_reply_bytes=32 * 1024 * 1024)
    patience = Patience(list_gap_s=None, max_poll_s=600, result_life_s=30 * 60)
    result_hosts: tuple[str, ...] = ()
    can_cancel = True
    asks_by_tool = True
    # An endpoint's own limits are 1,000 creates and 2,000 other calls in ten seconds.
    create_ceiling = 1000
    poll_ceiling = 2000

    def check_tool(self, tool_id: str) -> str | None:
        """Return what is wrong with an endpoint's id."""
        return None if _TOOL.fullmatch(tool_id) else "must be the id of an endpoint"

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        """Check that it came to an address of ours: there are keys only if its token is right."""
        return Verdict(Check.ACCEPTED, self.proof, 0) if keys.texts else Verdict(Check.WRONG)

    def parse(
        self, body: bytes, headers: Mapping[str, str], received_at: datetime, proof: Proof
    ) -> ParsedDelivery:
        """Read a job as `/status` shows it. Raises MalformedDeliveryError."""
        job = read_object(body)
        job_id = identifier(job.get("id"))
        if job_id is None:
            raise MalformedDeliveryError("The delivery does not name a job.")
        return ParsedDelivery(event=_event(job, job_id, Source.WEBHOOK, proof), reference=None)

    def create_request(self, job: Job, callback: Callback) -> Request:
        """Describe `POST /v2/{endpoint}/run`."""
        return Request(
            method="POST",
            path=f"/v2/{quote(job.tool_id or '', safe='')}/run",
            body={
                "input": with_image(job.parameters, job.input_image_url, "image_url"),
                "webhook": callback.url,
            },
        )

    def read_created(self, reply: Reply) -> ProviderEvent:
        """Read the answer to a create call: `{id, status}`."""
        body = body_of(reply)
        if not is_success(reply):
            raise create_failure(WHO, reply, None, _problem(body))
        job_id = identifier(body.get("id"))
        if job_id is None:
            raise ProviderUnknownOutcomeError("RunPod's answer names no job.")
        return _event(body, job_id, Source.DISPATCH, Proof.POLL)

    def poll_request(self, asked: ProviderJob) -> Request:
        """Describe `GET /v2/{endpoint}/status/{id}`."""
        return Request(method="GET", path=_place(asked, "status"))

    def read_polled(self, asked: ProviderJob, request: Request, reply: Reply) -> ProviderEvent:
        """Read a job. One that RunPod does not know any more has expired: that is its end."""
        body = body_of(reply)
        if reply.status == 404 and body:
            return failed_poll(
                self.name,
                asked.job_id,
                native="expired",
                code=JOB_EXPIRED,
                message="RunPod no longer has this job: its time to live is over.",
            )
        if not is_success(reply):
            raise failure(WHO, reply)
        if identifier(body.get("id")) != asked.job_id:
            raise ProviderUnknownOutcomeError("RunPod answered with another job.")
        return _event(body, asked.job_id, Source.POLL, Proof.POLL)

    def cancel_request(self, asked: ProviderJob) -> Request:
        """Describe `POST /v2/{endpoint}/cancel/{id}`."""
        return Request(method="POST", path=_place(asked, "cancel"))


def _place(asked: ProviderJob, call: str) -> str:
    endpoint, job_id = quote(asked.tool_id or "", safe=""), quote(asked.job_id, safe="")
    return f"/v2/{endpoint}/{call}/{job_id}"


def _event(job: Mapping[str, Any], job_id: str, source: Source, proof: Proof) -> ProviderEvent:
    native = text(job.get("status")) or "unknown"
    kind = STATUSES.get(native, JobEvent.UNKNOWN)
    has_failed = kind is JobEvent.FAILED
    return ProviderEvent(
        provider=RunpodAdapter.name,
        provider_job_id=job_id,
        event=kind,
        native=native,
        key=f"{job_id}:{native}",
        source=source,
        proof=proof,
        output_urls=links_in(job.get("output")) if kind is JobEvent.COMPLETED else (),
        processing_ms=amount(job.get("executionTime")),
        error_code=error_code("timed_out" if native == "TIMED_OUT" else None)
        if has_failed
        else None,
        error_message=_why(job) if has_failed else None,
    )


def _why(job: Mapping[str, Any]) -> str:
    told = text(job.get("error")) or text(mapping(job.get("output")).get("error"))
    if told is None and job.get("status") == "TIMED_OUT":
        return "RunPod says that the job ran out of time."
    return told or "RunPod says that the job failed."


def _problem(body: Mapping[str, Any]) -> str | None:
    """Return what RunPod's own error body says."""
    return text(first(body, "error", "detail", "title", "message"))
