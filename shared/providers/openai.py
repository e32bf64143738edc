"""OpenAI: images made by a background response.

Source: openai-python at e43b422, the pages on webhooks and background mode, read 2026-11.

`toolId` is a model, `parameters` are the fields of a response. What is not given is filled in: the
image tool, and an `input` of the text in `prompt` and the job's image. Its images come inside the
answer, as base64: they have no links.
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
    Keys,
    MalformedDeliveryError,
    ParsedDelivery,
    ProviderAdapter,
    ProviderJob,
    Reply,
    Request,
    UnrelatedDeliveryError,
    Verdict,
)
from shared.providers.inputs import IMAGE_PLACE, with_image
from shared.providers.reading import (
    error_code,
    identifier,
    inline_link,
    mapping,
    read_object,
    text,
)
from shared.providers.signatures import (
    ID_HEADER,
    SECRET_PREFIX,
    SharedKey,
    StandardKey,
    standard_key,
    verify_standard,
)

WHO = "OpenAI"

STATUSES = {
    "queued": JobEvent.QUEUED,
    "in_progress": JobEvent.STARTED,
    "completed": JobEvent.COMPLETED,
    "failed": JobEvent.FAILED,
    "cancelled": JobEvent.CANCELLED,
    "incomplete": JobEvent.FAILED,
}
# Events about anything else (batches, fine-tuning, calls …) are none of ours.
_PREFIX = "response."

_TOOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)
_FORMATS = frozenset({"png", "jpeg", "webp", "gif"})


class OpenaiAdapter(ProviderAdapter):
    """Everything that is particular to OpenAI.

    Its deliveries are thin: they name a response, and the images, or the reason of a failure, are
    in the answer when it is asked for. They are signed as Standard Webhooks say; the id in the
    header is the delivery's, the one in the body is not. They are sent again for up to three days,
    also after a redirect. What a response cost is not said. Nor is a tool named: only an answer
    tells the model, so what is pushed would be captioned with it or not by who told of the end.
    """

    name = "openai"
    proof = Proof.BODY_TIME
    acks = Acks(span_s=72 * 60 * 60)
    # Several images of some megabytes each, as base64.
    access = Access(url="https://api.openai.com", prefix="/v1", max_reply_bytes=32 * 1024 * 1024)
    patience = Patience(list_gap_s=None, max_poll_s=600)
    result_hosts: tuple[str, ...] = ()
    can_cancel = True
    # A response repeats its metadata (16 pairs at most, a value of at most 512 characters), and a
    # delivery names the response alone. (openai-python at 001707b, `Response`, read 2026-11-26.)
    tells_owner = True
    # Its limits depend on the account: these suit the smallest that pays.
    create_ceiling = 60
    poll_ceiling = 300

    def check_tool(self, tool_id: str) -> str | None:
        """Return what is wrong with a model's name."""
        return None if _TOOL.fullmatch(tool_id) else "must be a model, like gpt-5"

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        """Check the signature of Standard Webhooks."""
        return verify_standard(body, headers, [_key(each) for each in keys.texts], now)

    def parse(
        self, body: bytes, headers: Mapping[str, str], received_at: datetime, proof: Proof
    ) -> ParsedDelivery:
        """Read `{id, type, data: {id}}`.

        Raises MalformedDeliveryError; UnrelatedDeliveryError if it is not about a response.
        """
        whole = read_object(body)
        kind = text(whole.get("type"))
        if kind is None:
            raise MalformedDeliveryError("The delivery does not say what it is about.")
        if not kind.startswith(_PREFIX):
            raise UnrelatedDeliveryError(kind)
        job_id = identifier(mapping(whole.get("data")).get("id"))
        if job_id is None:
            raise MalformedDeliveryError("The delivery does not name a response.")
        native = kind.removeprefix(_PREFIX)
        event = STATUSES.get(native, JobEvent.UNKNOWN)
        return ParsedDelivery(
            event=ProviderEvent(
                provider=self.name,
                provider_job_id=job_id,
                event=event,
                native=native,
                key=headers.get(ID_HEADER) or identifier(whole.get("id")) or f"{job_id}:{native}",
                source=Source.WEBHOOK,
                proof=proof,
                # Why, only the response itself says.
                is_thin=event is JobEvent.FAILED,
            ),
            reference=None,
        )

    def create_request(self, job: Job, callback: Callback) -> Request:
        """Describe `POST /v1/responses`, in the background.

        Nobody's parameters can make it answer at once, or name another job.
        """
        wanted = dict(job.parameters)
        prompt = wanted.pop("prompt", None)
        wanted.setdefault("tools", [{"type": "image_generation"}])
        wanted.setdefault("input", [{"role": "user", "content": _content(job, prompt)}])
        metadata = wanted.get("metadata")
        return Request(
            method="POST",
            path="/v1/responses",
            body={
                **with_image(wanted, job.input_image_url, "input"),
                "model": job.tool_id,
                "background": True,
                "store": True,
                "stream": False,
                "metadata": {**mapping(metadata), "ref": callback.reference},
            },
        )

    def read_created(self, reply: Reply) -> ProviderEvent:
        """Read the answer to a create call: the response."""
        if is_success(reply):
            return _read(reply, None, Source.DISPATCH)
        error = mapping(body_of(reply).get("error"))
        code = text(error.get("code")) or text(error.get("type"))
        raise create_failure(WHO, reply, code, text(error.get("message")))

    def poll_request(self, asked: ProviderJob) -> Request:
        """Describe `GET /v1/responses/{id}`."""
        return Request(method="GET", path=f"/v1/responses/{quote(asked.job_id, safe='')}")

    def read_polled(self, asked: ProviderJob, request: Request, reply: Reply) -> ProviderEvent:
        """Read a response; one that OpenAI does not know is presumed failed."""
        if is_success(reply):
            return _read(reply, asked.job_id, Source.POLL)
        if reply.status == 404 and mapping(body_of(reply).get("error")):
            return not_found(self.name, WHO, asked.job_id)
        raise failure(WHO, reply)

    def cancel_request(self, asked: ProviderJob) -> Request:
        """Describe `POST /v1/responses/{id}/cancel`."""
        path = f"/v1/responses/{quote(asked.job_id, safe='')}/cancel"
        return Request(method="POST", path=path)


def _key(secret: str) -> StandardKey | None:
    """Read a secret as OpenAI's own library does: without `whsec_` it is text as it stands."""
    if secret.startswith(SECRET_PREFIX):
        return standard_key(secret)
    raw = secret.encode("utf-8", "surrogatepass")
    return SharedKey(raw) if raw else None


def _content(job: Job, prompt: Any) -> list[dict[str, Any]]:
    """Return what the user says to the model: a text, and the job's image."""
    content: list[dict[str, Any]] = []
    if prompt is not None:
        content.append({"type": "input_text", "text": prompt})
    if job.input_image_url is not None:
        content.append({"type": "input_image", "image_url": IMAGE_PLACE})
    return content


def _read(reply: Reply, job_id: str | None, source: Source) -> ProviderEvent:
    response = body_of(reply)
    told = identifier(response.get("id"))
    if told is None or job_id not in (None, told):
        raise ProviderUnknownOutcomeError("OpenAI's answer names no response of ours.")
    native = text(response.get("status")) or "unknown"
    kind = STATUSES.get(native, JobEvent.UNKNOWN)
    images, fault = _images(response.get("output"))
    code, message = _error(response)
    if kind is JobEvent.COMPLETED and not images and fault is not None:
        # The response is complete, and says that its image is not.
        kind, (code, message) = JobEvent.FAILED, fault
    has_failed = kind is JobEvent.FAILED
    return ProviderEvent(
        provider=OpenaiAdapter.name,
        provider_job_id=told,
        event=kind,
        native=native,
        key=f"{told}:{native}",
        source=source,
        proof=Proof.POLL,
        output_urls=images if kind is JobEvent.COMPLETED else (),
        error_code=_code(native, code) if has_failed else None,
        error_message=(message or f"OpenAI says that the response is {native}.")
        if has_failed
        else None,
        reference=text(mapping(response.get("metadata")).get("ref")),
    )


type _Fault = tuple[str | None, str | None]


def _images(output: Any) -> tuple[tuple[str, ...], _Fault | None]:
    """Return a response's images as links that hold them, and what the tool says went wrong."""
    images: list[str] = []
    fault: _Fault | None = None
    for item in map(mapping, output if isinstance(output, list) else ()):
        if item.get("type") != "image_generation_call":
            continue
        image, error = item.get("result"), mapping(item.get("error"))
        if isinstance(image, str) and image:
            told = item.get("output_format")
            images.append(inline_link(image, told if told in _FORMATS else None))
        elif error:
            fault = text(error.get("code")), text(error.get("message"))
    return tuple(images), fault


def _error(response: Mapping[str, Any]) -> _Fault:
    error = mapping(response.get("error"))
    reason = text(mapping(response.get("incomplete_details")).get("reason"))
    return text(error.get("code")) or reason, text(error.get("message"))


def _code(native: str, code: str | None) -> str:
    return error_code(code or (native if native != "failed" else None))
