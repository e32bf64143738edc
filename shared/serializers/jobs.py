"""Jobs, batches and timelines."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from shared.domain.batch import BatchView
from shared.domain.bulk import file_key
from shared.domain.events import LogEntry
from shared.domain.ids import iso
from shared.domain.job import PIKCEL, Job, Output
from shared.domain.reports import duration_ms, eta_s, speed
from shared.domain.status import JobStatus, PushStatus
from shared.serializers.values import instant, safe

# Returns a link to a kept output, given its key in our bucket.
LinkMaker = Callable[[str], str]


def job_json(job: Job, link: LinkMaker, now: datetime | None = None) -> dict[str, Any]:
    """Describe a job.

    Parameters
        link: makes the presigned link of a kept file; no network is used for it.
        now: a file that a bulk job wrote and that is cleared away by then has no link any more;
            and what changes with time alone, the ETA of a provider's job, is left out without it.

    Shape: the 26 columns of the tracker that this replaces under their own names
    (`pikcelJobId` is the provider's id when the provider is PikcelAI), and ours. `outputs` are
    those of the current attempt. Credits and cost are summed over all attempts.
    """
    outputs = [_output_json(output, link) for output in job.current_outputs]
    first = outputs[0] if outputs else None
    return {
        **_what(job),
        "result": _result(job, link, now),
        **_who_for(job),
        **_progress(job, now),
        "outputImageUrl": first["url"] if first else None,
        # There are no smaller versions of outputs (yet); the provider's are not ours to promise.
        "thumbnailUrl": None,
        "outputs": outputs,
        "creditsUsed": safe(job.credits_used),
        "costMicros": safe(job.cost_micros),
        "pushStatus": job.push.status.value,
        "pushErrorCode": job.push.error_code,
        "pushError": job.push.error,
        "pushedToShopify": job.push.status is PushStatus.PUSHED,
        "pushedAt": instant(job.push.pushed_at),
        "shopifyMediaId": next((o["mediaId"] for o in outputs if o["mediaId"]), None),
        "createdAt": instant(job.created_at),
        "updatedAt": instant(job.updated_at),
    }


def etag(body: Mapping[str, Any], version: int) -> str:
    """Return the strong entity tag of a job's JSON as made with `link=str`.

    Presigned links are no part of it: they differ at every call and say the same. Nor is an ETA
    that runs down by itself.
    """
    lasting = {name: value for name, value in body.items() if name != "etaSeconds"}
    stable = json.dumps(lasting, sort_keys=True, ensure_ascii=True).encode()
    return f'"{version}-{hashlib.sha256(stable).hexdigest()[:20]}"'


def log_json(entry: LogEntry) -> dict[str, Any]:
    """Describe one line of a timeline."""
    return {
        "id": entry.entry_id,
        "at": instant(entry.at),
        "source": entry.source.value,
        "actor": entry.actor,
        "attempt": entry.attempt,
        "from": entry.from_status.value if entry.from_status else None,
        "to": entry.to_status.value if entry.to_status else None,
        "outcome": entry.outcome.value,
        "proof": entry.proof.value if entry.proof else None,
        "message": entry.message,
        "nativeStatus": entry.native_status,
        "receivedAt": instant(entry.received_at),
        "hasPayload": entry.has_payload,
        "hasBody": entry.has_body,
    }


def raw_json(body: bytes | None) -> dict[str, Any]:
    """Describe a raw delivery: as text where it is text, else in base64.

    Text full of control characters takes six characters for each in JSON: base64 is shorter.

    >>> raw_json(b'{"id": 1}')["body"], raw_json(b"\\xff")
    ('{"id": 1}', {'body': '/w==', 'bodyEncoding': 'base64'})
    """
    if body is None:
        return {"body": None, "bodyEncoding": None}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or len(json.dumps(text, ensure_ascii=False)) > 2 * len(text) + 2:
        return {"body": base64.b64encode(body).decode(), "bodyEncoding": "base64"}
    return {"body": text, "bodyEncoding": "text"}


def _what(job: Job) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "shop": job.shop,
        "provider": job.provider,
        "providerJobId": job.provider_job_id,
        "pikcelJobId": job.provider_job_id if job.provider == PIKCEL else None,
        "type": job.type,
        "toolId": job.tool_id,
        "toolName": job.tool_name,
        "templateId": job.template_id,
        "priority": job.priority.value,
        "inputImageUrl": job.input_image_url,
        "parameters": safe(job.parameters),
        "metadata": safe(job.metadata),
        "name": job.name,
        "description": job.description,
        "acceptanceCriteria": job.acceptance_criteria,
        "mode": job.mode,
        "inputAssetId": job.input_asset_id,
        "exclusive": job.exclusive,
        "scheduledAt": instant(job.scheduled_at),
    }


def _result(job: Job, link: LinkMaker, now: datetime | None) -> Any:
    """Describe the result; of a bulk job that wrote a file, with a link to it."""
    key = file_key(job) if job.status is JobStatus.COMPLETED else None
    expires_at = (job.result or {}).get("expiresAt")
    if key is None or not isinstance(expires_at, str):
        return safe(job.result)
    is_there = now is None or expires_at > iso(now)
    return safe(job.result) | {"url": link(key) if is_there else None}


def _who_for(job: Job) -> dict[str, Any]:
    return {
        "productId": job.product_id,
        "productTitle": job.product_title,
        "variantId": job.variant_id,
        "imageId": job.image_id,
        "altText": job.alt_text,
        "autoPush": job.auto_push,
        "pushOutputs": _push_outputs(job.push_outputs),
        "projectId": job.project_id,
        "batchId": job.batch_id,
        "agentId": job.agent_id,
    }


def _progress(job: Job, now: datetime | None) -> dict[str, Any]:
    return {
        "status": job.status.value,
        "nativeStatus": job.native_status,
        "attempt": job.attempt.number,
        "retryCount": job.attempt.number - 1,
        "progress": job.progress,
        "total": safe(job.counts.total),
        "processed": safe(job.counts.processed),
        "successful": safe(job.counts.successful),
        "failed": safe(job.counts.failed),
        "created": safe(job.counts.created),
        "updated": safe(job.counts.updated),
        "skipped": safe(job.counts.skipped),
        "message": job.message,
        "speed": speed(job),
        "etaSeconds": eta_s(job, now),
        "cancelRequested": job.cancel_requested,
        "errorCode": job.error_code,
        "errorMessage": job.error_message,
        "processingTimeMs": safe(job.processing_ms),
        "durationMs": duration_ms(job),
        "startedAt": instant(job.started_at),
        "completedAt": instant(job.completed_at),
    }


def _output_json(output: Output, link: LinkMaker) -> dict[str, Any]:
    if output.key is not None:
        url: str | None = link(output.key)
    else:
        url = output.url if output.is_owed else None
    return {
        "index": output.index,
        "url": url,
        "kept": output.is_kept,
        "contentType": output.content_type,
        "sha256": output.sha256,
        "bytes": output.size_bytes,
        "width": output.width,
        "height": output.height,
        "errorCode": output.error_code,
        "mediaId": output.media_id,
        "pushStatus": output.push_status.value,
    }


def _push_outputs(chosen: tuple[int, ...]) -> str | list[int]:
    """Write a choice as people make it.

    >>> _push_outputs(()), _push_outputs((0,)), _push_outputs((0, 2))
    ('all', 'first', [0, 2])
    """
    if not chosen:
        return "all"
    return "first" if chosen == (0,) else list(chosen)


def batch_json(view: BatchView) -> dict[str, Any]:
    """Describe a batch: the fields of the tracker that this replaces, and ours."""
    batch = view.batch
    return {
        "id": batch.batch_id,
        "shop": batch.shop,
        "name": batch.name,
        "toolId": batch.tool_id,
        "toolName": batch.tool_name,
        "totalJobs": view.total,
        "completedJobs": view.completed,
        "failedJobs": view.failed,
        "cancelledJobs": view.cancelled,
        "activeJobs": view.active,
        "progress": view.progress,
        "status": view.status.value,
        "parameters": safe(batch.parameters),
        "successRate": view.success_rate,
        "totalCreditsUsed": safe(view.sums.tally.credits),
        "totalCostMicros": safe(view.sums.tally.cost_micros),
        "startedAt": instant(view.started_at),
        "completedAt": instant(view.completed_at),
        "createdAt": instant(batch.created_at),
        "updatedAt": instant(view.updated_at),
    }
