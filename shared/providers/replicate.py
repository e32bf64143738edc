"""Replicate.

Source: replicate.com/docs/topics/webhooks and .../predictions/lifecycle, replicate-python at
0110c2c, read 2026-11.

`toolId` is a model (`owner/name`), a model's version (`owner/name:version`, or its 64 digits alone)
or a deployment (`deployments/owner/name`). `parameters` are its input; the image goes to `image`.

Predictions can be listed, but not to prove that one was not made: their `webhook`, which carries
our reference, is missing from some (replicate-javascript 321). A lost answer waits for its webhook.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

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
    Keys,
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
    milliseconds,
    read_object,
    text,
)
from shared.providers.signatures import ID_HEADER, standard_key, verify_standard

WHO = "Replicate"

STATUSES = {
    "starting": JobEvent.STARTED,
    "processing": JobEvent.STARTED,
    "succeeded": JobEvent.COMPLETED,
    "failed": JobEvent.FAILED,
    "canceled": JobEvent.CANCELLED,
    # Its deadline passed before it had begun; its own library does not know this word.
    "aborted": JobEvent.CANCELLED,
}

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_VERSION = re.compile(r"[0-9a-f]{64}")
_TOOL = re.compile(
    rf"(?:deployments/)?{_NAME}/{_NAME}|(?:{_NAME}/{_NAME}:)?{_VERSION.pattern}", re.ASCII
)
# A line of a progress bar in the logs, as its own client reads it.
_BAR = re.compile(r"^\s*(\d{1,3})%\s*\|", re.MULTILINE)
_LAST_LOGS = 4000


class ReplicateAdapter(ProviderAdapter):
    """Everything that is particular to Replicate.

    A delivery is the prediction itself, signed as Standard Webhooks say. It is sent again until
    about a minute after the end, whatever 4xx or 5xx we answer; an outage of ours that is longer
    is made good by polling, within the hour that the result lives. It says how long a prediction
    ran, not what it cost.
    """

    name = "replicate"
    proof = Proof.BODY_TIME
    acks = Acks(span_s=60)
    access = Access(url="https://api.replicate.com", prefix="/v1")
    patience = Patience(list_gap_s=None, max_poll_s=600, result_life_s=60 * 60)
    result_hosts: tuple[str, ...] = (".replicate.delivery", "replicate.delivery")
    can_cancel = True
    # Its own limits are 600 creates and 3,000 other calls a minute.
    create_ceiling = 500
    poll_ceiling = 1500

    def check_tool(self, tool_id: str) -> str | None:
        """Return what is wrong with a model's name."""
        if _TOOL.fullmatch(tool_id):
            return None
        return "must be owner/name, owner/name:version, a version, or deployments/owner/name"

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        """Check the signature of Standard Webhooks."""
        return verify_standard(body, headers, [standard_key(each) for each in keys.texts], now)

    def parse(
        self, body: bytes, headers: Mapping[str, str], received_at: datetime, proof: Proof
    ) -> ParsedDelivery:
        """Read a prediction. Raises MalformedDeliveryError."""
        prediction = read_object(body)
        job_id = identifier(prediction.get("id"))
        if job_id is None:
            raise MalformedDeliveryError("The delivery does not name a prediction.")
        key = headers.get(ID_HEADER) or hashlib.sha256(body).hexdigest()
        event = _event(prediction, job_id, key, Source.WEBHOOK, proof)
        return ParsedDelivery(event=event, reference=event.reference)

    def create_request(self, job: Job, callback: Callback) -> Request:
        """Describe `POST /v1/predictions`, or the model's or deployment's own address."""
        tool = job.tool_id or ""
        body: dict[str, Any] = {
            "input": with_image(job.parameters, job.input_image_url, "image"),
            "webhook": callback.url,
            # Not `output` and `logs`: they come twice a second, and move nothing here.
            "webhook_events_filter": ["start", "completed"],
        }
        version = tool.rpartition(":")[2]
        if _VERSION.fullmatch(version):
            body = {"version": version, **body}
            return Request(method="POST", path="/v1/predictions", body=body)
        place = tool if tool.startswith("deployments/") else f"models/{tool}"
        return Request(method="POST", path=f"/v1/{quote(place)}/predictions", body=body)

    def read_created(self, reply: Reply) -> ProviderEvent:
        """Read the answer to a create call: the prediction."""
        if is_success(reply):
            return _read(reply, None, Source.DISPATCH)
        raise create_failure(WHO, reply, None, _problem(body_of(reply)))

    def poll_request(self, asked: ProviderJob) -> Request:
        """Describe `GET /v1/predictions/{id}`."""
        return Request(method="GET", path=f"/v1/predictions/{quote(asked.job_id, safe='')}")

    def read_polled(self, asked: ProviderJob, request: Request, reply: Reply) -> ProviderEvent:
        """Read a prediction; one that Replicate does not know is presumed failed."""
        if is_success(reply):
            return _read(reply, asked.job_id, Source.POLL)
        if reply.status == 404 and _problem(body_of(reply)) is not None:
            return not_found(self.name, WHO, asked.job_id)
        raise failure(WHO, reply)

    def cancel_request(self, asked: ProviderJob) -> Request:
        """Describe `POST /v1/predictions/{id}/cancel`."""
        path = f"/v1/predictions/{quote(asked.job_id, safe='')}/cancel"
        return Request(method="POST", path=path)


def _read(reply: Reply, job_id: str | None, source: Source) -> ProviderEvent:
    prediction = body_of(reply)
    told = identifier(prediction.get("id"))
    if told is None or job_id not in (None, told):
        raise ProviderUnknownOutcomeError("Replicate's answer names no prediction of ours.")
    native = text(prediction.get("status")) or "unknown"
    return _event(prediction, told, f"{told}:{native}", source, Proof.POLL)


def _event(
    prediction: Mapping[str, Any], job_id: str, key: str, source: Source, proof: Proof
) -> ProviderEvent:
    native = text(prediction.get("status")) or "unknown"
    kind = STATUSES.get(native, JobEvent.UNKNOWN)
    has_failed = kind is JobEvent.FAILED
    message = text(prediction.get("error")) or "Replicate says that the prediction failed."
    return ProviderEvent(
        provider=ReplicateAdapter.name,
        provider_job_id=job_id,
        event=kind,
        native=native,
        key=key,
        source=source,
        proof=proof,
        progress=_progress(prediction.get("logs")),
        output_urls=links_in(prediction.get("output")) if kind is JobEvent.COMPLETED else (),
        processing_ms=milliseconds(mapping(prediction.get("metrics")).get("predict_time")),
        tool_name=text(prediction.get("model")),
        error_code=error_code(None) if has_failed else None,
        error_message=message if has_failed else None,
        reference=_reference(prediction.get("webhook")),
    )


def _reference(webhook: Any) -> str | None:
    """Return our reference from the callback address that the prediction carries."""
    try:
        query = parse_qs(urlsplit(webhook).query) if isinstance(webhook, str) else {}
    except ValueError:
        return None
    return text(next(iter(query.get("ref", [])), None))


def _progress(logs: Any) -> int | None:
    bars = _BAR.findall(logs[-_LAST_LOGS:]) if isinstance(logs, str) else []
    return min(int(bars[-1]), 100) if bars else None


def _problem(body: Mapping[str, Any]) -> str | None:
    """Return what Replicate's own error body says."""
    return text(first(body, "detail", "title"))
