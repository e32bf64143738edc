"""PikcelAI.

Source: what is known of it from the client side, the repository
nexobe/pikcel-ai-shopify-app at 5de1ff9 (2025-10-07), read 2026-11; its server is not public.
It describes the API in four vocabularies. We send the typed client's (A) and read A first,
then the aliases; only id and status are certain, so no missing field is an error.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from shared.domain.errors import ProviderUnknownOutcomeError
from shared.domain.events import Proof, ProviderEvent, Source
from shared.domain.job import Job
from shared.domain.plan import Patience
from shared.domain.status import JobEvent, JobStatus, read_status
from shared.domain.templates import is_template_id
from shared.domain.tools import Account, FactKind, Tool
from shared.providers.answers import (
    body_of,
    create_failure,
    failure,
    is_success,
    not_found,
)
from shared.providers.base import (
    Access,
    Callback,
    Check,
    Keys,
    Listing,
    MalformedDeliveryError,
    ParsedDelivery,
    ProviderAdapter,
    ProviderJob,
    Reply,
    Request,
    Verdict,
)
from shared.providers.reading import (
    amount,
    error_code,
    first,
    identifier,
    instant,
    links,
    mapping,
    number,
    read_object,
    text,
)
from shared.providers.signatures import verify_hex

WHO = "PikcelAI"
# Two documents of the same repository name two headers.
SIGNATURE_HEADERS = ("x-pikcel-signature", "x-pikcelai-signature")
WINDOW = timedelta(seconds=300)
PAGE = 100
# Of the list of tools, which is one item of our table: characters, and bytes of JSON.
MAX_NAME = 200
MAX_DESCRIPTION = 300
MAX_DEFAULTS = 500
# Of a refusal's details: so many, each so long.
MAX_FAULTS = 3
MAX_FAULT = 200

_EVENT_OF_STATUS = {
    JobStatus.PENDING: JobEvent.QUEUED,
    JobStatus.PROCESSING: JobEvent.STARTED,
    JobStatus.COMPLETED: JobEvent.COMPLETED,
    JobStatus.FAILED: JobEvent.FAILED,
    JobStatus.CANCELLED: JobEvent.CANCELLED,
}
_EVENT_OF_NAME = {
    "job.started": JobEvent.STARTED,
    "job.completed": JobEvent.COMPLETED,
    "job.failed": JobEvent.FAILED,
}


class PikcelAdapter(ProviderAdapter):
    """Everything that is particular to PikcelAI.

    Its signature covers the raw body only; the time is inside the body and optional. Its
    deliveries are trusted all the same: the body names the job, so a replay can only tell the
    same job once more what was true of it, which the status lattice ignores; and a time in the
    body is signed with it and checked.
    """

    name = "pikcel"
    proof = Proof.BODY
    # Source: the headers that the typed client of the repository above sends (2025-10). Of its two
    # clients one adds `/api/` to the base, the other has it in its paths.
    access = Access(
        url="https://app.pikcel.ai",
        prefix="/api",
        headers={"X-Client-Name": "job-tracker", "X-Client-Version": "0.1.0"},
    )
    # How long a result lives is not known: no poll is ever more than four minutes away.
    patience = Patience(first_poll_s=60, max_poll_s=240, list_gap_s=60)
    result_hosts: tuple[str, ...] = (".pikcel.ai",)
    trusts_deliveries = True
    needs_image = True
    # Of 100 calls a minute and key; creates go before polls.
    create_ceiling = 90
    poll_ceiling = 70

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        """Check HMAC-SHA256 over the raw body: 64 lower-case hex digits, either header.

        The secret is used as UTF-8 text as it stands, `whsec_` and all.
        """
        given = {headers[name].strip() for name in SIGNATURE_HEADERS if name in headers}
        if not given or given == {""}:
            return Verdict(Check.MISSING)
        if len(given) > 1:
            return Verdict(Check.AMBIGUOUS)
        return verify_hex(given.pop(), body, keys.texts, self.proof)

    def parse(
        self, body: bytes, headers: Mapping[str, str], received_at: datetime, proof: Proof
    ) -> ParsedDelivery:
        """Read either webhook form: `{event, job_id, job, timestamp}`, or the flat one.

        Raises MalformedDeliveryError: no JSON object, no job id or two that differ, or a
        timestamp that is none.
        """
        whole = read_object(body)
        job = mapping(whole.get("job")) or whole
        provider_job_id = _one_id(whole, mapping(whole.get("job")))
        timestamp = whole.get("timestamp")
        at = instant(timestamp)
        if timestamp is not None and at is None:
            raise MalformedDeliveryError("The timestamp is not an instant.")
        name = text(whole.get("event"))
        kind, native = _kind_of_delivery(name, job)
        key = hashlib.sha256(
            f"{provider_job_id}\n{native}\n{timestamp}".encode() if timestamp is not None else body
        ).hexdigest()
        event = _event(job, provider_job_id, kind, native, key, Source.WEBHOOK, proof)
        return ParsedDelivery(
            event=event,
            reference=_reference(job) or _reference(whole),
            in_window=at is None or abs(received_at - at) <= WINDOW,
        )

    def create_request(self, job: Job, callback: Callback) -> Request:
        """Describe `POST /api/jobs/dispatch` (vocabulary A)."""
        metadata = {"source": "job-tracker", "ref": callback.reference}
        if job.product_id is not None:
            metadata["productId"] = job.product_id
        body: dict[str, Any] = {
            "tool_id": job.tool_id,
            "input_image_url": job.input_image_url,
            "parameters": dict(job.parameters),
            "priority": job.priority.value,
            "webhook_url": callback.url,
            "metadata": metadata,
        }
        if job.template_id is not None and not is_template_id(job.template_id):
            body["template_id"] = job.template_id
        return Request(method="POST", path="/api/jobs/dispatch", body=body)

    def read_created(self, reply: Reply) -> ProviderEvent:
        """Read the answer to a create call. Raises as the protocol says."""
        if is_success(reply):
            return self._read_job(reply, None, Source.DISPATCH)
        raise create_failure(WHO, reply, *_error_of(reply))

    def poll_request(self, asked: ProviderJob) -> Request:
        """Describe `GET /api/jobs/{id}`."""
        return Request(method="GET", path=f"/api/jobs/{quote(asked.job_id, safe='')}")

    def read_polled(self, asked: ProviderJob, request: Request, reply: Reply) -> ProviderEvent:
        """Read the answer to a poll. An unknown job is presumed failed: it may appear yet.

        Only PikcelAI's own error body says that: a proxy, or a wrong address, answers 404 too.
        """
        if is_success(reply):
            return self._read_job(reply, asked.job_id, Source.POLL)
        if reply.status == 404 and _is_own_error(reply):
            return not_found(self.name, WHO, asked.job_id)
        raise failure(WHO, reply)

    def list_request(self, since: datetime, offset: int) -> Request | None:
        """Describe one page of `GET /api/jobs`."""
        query = {
            "limit": str(PAGE),
            "offset": str(offset),
            "from_date": since.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        return Request(method="GET", path="/api/jobs", query=query)

    def read_listed(self, reply: Reply, offset: int) -> Listing:
        """Read one page of the listing. An answer without a list proves nothing."""
        body = body_of(reply)
        jobs = body.get("data")
        if not is_success(reply) or not isinstance(jobs, list):
            raise failure(WHO, reply)
        found: dict[str, ProviderEvent] = {}
        by_id: dict[str, ProviderEvent] = {}
        for job in map(mapping, jobs):
            provider_job_id = identifier(first(job, "id", "job_id", "jobId"))
            if provider_job_id is None:
                continue
            kind, native = _kind_of_job(job)
            event = _event(
                job,
                provider_job_id,
                kind,
                native,
                f"{provider_job_id}:{native}",
                Source.POLL,
                Proof.POLL,
            )
            by_id[provider_job_id] = event
            reference = _reference(job)
            if reference is not None:
                found[reference] = event
        has_more = body.get("has_more")
        goes_on = bool(has_more) if isinstance(has_more, bool) else len(jobs) >= PAGE
        next_offset = offset + len(jobs) if goes_on and jobs else None
        return Listing(found=found, by_id=by_id, next_offset=next_offset)

    def fact_request(self, kind: FactKind) -> Request | None:
        """Describe `GET /api/ai-models`, or `GET /api/profiles/me`."""
        paths = {FactKind.TOOLS: "/api/ai-models", FactKind.ACCOUNT: "/api/profiles/me"}
        return Request(method="GET", path=paths[kind])

    def read_tools(self, reply: Reply) -> Mapping[str, Tool]:
        """Read the list of AI models. One without an id is left out; an answer without a list
        says nothing."""
        body = _readable_answer(reply)
        models = first(body, "data", "models", "tools")
        if not isinstance(models, list):
            raise ProviderUnknownOutcomeError("PikcelAI's answer holds no tools.")
        tools = [tool for tool in map(_tool, map(mapping, models)) if tool is not None]
        return {tool.tool_id: tool for tool in tools}

    def read_account(self, reply: Reply) -> Account:
        """Read the profile of our key's owner. Without a balance it says nothing."""
        body = _readable_answer(reply)
        profile = mapping(body.get("data")) or mapping(body.get("profile")) or body
        balance = number(first(profile, "credits_balance", "creditsBalance", "credits", "balance"))
        if balance is None:
            raise ProviderUnknownOutcomeError("PikcelAI's answer names no balance.")
        plan = mapping(profile.get("subscription"))
        return Account(
            balance=balance,
            plan=text(plan.get("plan")),
            plan_status=text(plan.get("status")),
            credits_included=number(first(plan, "credits_included", "creditsIncluded")),
            renews_at=instant(first(plan, "renewal_date", "renewalDate")),
        )

    def _read_job(self, reply: Reply, provider_job_id: str | None, source: Source) -> ProviderEvent:
        body = body_of(reply)
        job = mapping(body.get("data")) or mapping(body.get("job")) or body
        told = identifier(first(job, "id", "job_id", "jobId"))
        if body.get("success") is False or told is None:
            raise ProviderUnknownOutcomeError("PikcelAI's answer names no job.")
        if provider_job_id is not None and told != provider_job_id:
            raise ProviderUnknownOutcomeError("PikcelAI answered with another job.")
        kind, native = _kind_of_job(job)
        return _event(job, told, kind, native, f"{told}:{native}", source, Proof.POLL)


def _event(
    job: Mapping[str, Any],
    provider_job_id: str,
    kind: JobEvent,
    native: str,
    key: str,
    source: Source,
    proof: Proof,
) -> ProviderEvent:
    code, message = _error_in(job)
    failed = kind is JobEvent.FAILED
    return ProviderEvent(
        provider=PikcelAdapter.name,
        provider_job_id=provider_job_id,
        event=kind,
        native=native,
        key=key,
        source=source,
        proof=proof,
        progress=amount(job.get("progress")),
        output_urls=links(first(job, "output_image_url", "outputUrl", "result_url", "output_url")),
        credits=amount(first(job, "credits_used", "creditsUsed")),
        processing_ms=amount(first(job, "processing_time_ms", "processingTime")),
        tool_name=text(first(job, "tool_name", "aiModel")),
        error_code=error_code(code) if failed else None,
        error_message=(message or "PikcelAI says that the job failed.") if failed else None,
        reference=_reference(job),
        shop=_shop(job),
    )


def _readable_answer(reply: Reply) -> Mapping[str, Any]:
    """Return the body of a success."""
    body = body_of(reply)
    if not is_success(reply) or body.get("success") is False:
        raise failure(WHO, reply)
    return body


def _tool(model: Mapping[str, Any]) -> Tool | None:
    tool_id = identifier(first(model, "id", "tool_id", "model_id", "operationId"))
    if tool_id is None:
        return None
    price = first(model, "base_price", "basePrice")
    is_active = first(model, "is_active", "isActive", "active")
    return Tool(
        tool_id=tool_id,
        name=(text(first(model, "name", "tool_name", "title")) or tool_id)[:MAX_NAME],
        description=(text(model.get("description")) or "")[:MAX_DESCRIPTION] or None,
        category=text(model.get("category")),
        credits=number(first(model, "credits_required", "creditsRequired", "credits")),
        # A text in one place, a number in another.
        base_price=text(price) or (None if number(price) is None else str(price)),
        default_parameters=_small(first(model, "default_parameters", "defaultParameters")),
        is_active=is_active is not False,
    )


def _small(value: Any) -> Mapping[str, Any]:
    """Return an object that can be stored, {} for anything else and for a large one."""
    try:
        # Fractions were read exactly; here they are a presetting of somebody's form.
        text_of_it = json.dumps(mapping(value), ensure_ascii=False, default=float)
        written = text_of_it.encode("utf-8", "replace")
    except RecursionError:
        return {}
    found: dict[str, Any] = json.loads(written) if len(written) <= MAX_DEFAULTS else {}
    return found


def _one_id(*places: Mapping[str, Any]) -> str:
    whole, job = places
    told = {
        identifier(value)
        for value in (whole.get("job_id"), job.get("id"), whole.get("jobId"))
        if value is not None
    }
    if len(told) != 1 or None in told:
        raise MalformedDeliveryError("The delivery does not name one job.")
    return str(told.pop())


def _kind_of_job(job: Mapping[str, Any]) -> tuple[JobEvent, str]:
    native = text(job.get("status")) or "unknown"
    status = read_status(native)
    return (_EVENT_OF_STATUS[status] if status else JobEvent.UNKNOWN), native


def _kind_of_delivery(name: str | None, job: Mapping[str, Any]) -> tuple[JobEvent, str]:
    """Read the event's name first; a body that contradicts itself is left to a poll."""
    kind, native = _kind_of_job(job)
    if name is None:
        return kind, native
    named = _EVENT_OF_NAME.get(name)
    if named is None:
        return kind, native if native != "unknown" else name
    ends = (JobEvent.COMPLETED, JobEvent.FAILED, JobEvent.CANCELLED)
    if named in ends and kind in ends and named is not kind:
        return JobEvent.UNKNOWN, f"{name}, {native}"
    return named, native if kind is named else name.removeprefix("job.")


def _reference(job: Mapping[str, Any]) -> str | None:
    return text(mapping(job.get("metadata")).get("ref")) or text(
        mapping(job.get("parameters")).get("ref")
    )


def _shop(job: Mapping[str, Any]) -> str | None:
    places = (mapping(job.get("metadata")), mapping(job.get("parameters")))
    return next(filter(None, (text(place.get("shopify_shop")) for place in places)), None)


def _error_in(source: Mapping[str, Any]) -> tuple[str | None, str | None]:
    error = source.get("error")
    told = mapping(error)
    message = text(source.get("error_message")) or text(error) or text(told.get("message"))
    return text(told.get("code")), message or text(source.get("message"))


def _is_own_error(reply: Reply) -> bool:
    """Whether an answer has the shape `{success: false, error: {code, message}}`.

    Source: the typed client's `ApiResponse` (vocabulary A). The second client's top-level
    `message` alone is what any web framework and gateway answers.
    """
    body = body_of(reply)
    told = mapping(body.get("error"))
    return body.get("success") is False or text(told.get("code")) is not None


def _error_of(reply: Reply) -> tuple[str | None, str | None]:
    """Return code and message of a refusal; "Invalid body" alone would help nobody."""
    body = body_of(reply)
    code, message = _error_in(body)
    faults = _faults_in(mapping(body.get("error")).get("details"))
    return code, f"{message} ({faults})" if message and faults else message


def _faults_in(details: Any) -> str:
    """Return what is wrong with which field, e.g. "tool_id: No such tool", the first few."""
    rows = map(mapping, details[:MAX_FAULTS]) if isinstance(details, list) else ()
    told = ((text(row.get("field")), text(row.get("message"))) for row in rows)
    return "; ".join(f"{field}: {fault}"[:MAX_FAULT] for field, fault in told if field and fault)
