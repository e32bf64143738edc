"""The same job in the four vocabularies that the repository uses for one API.

Source: the service's public client, nexobe/pikcel-ai-shopify-app. A is the typed client's
and the default. Assumptions: a status reply in B has the fields of B's callback, and D is a
bare row, because neither is shown anywhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

from local.pikcel_simulator.catalogue import OWNER_ID, TOOLS
from local.provider_simulator.faults import Vocabulary
from local.provider_simulator.jobs import JobRecord, iso

PROGRESS = {"pending": 0, "processing": 50, "completed": 100, "failed": 0, "cancelled": 0}


def job_in_a(job: JobRecord) -> dict[str, Any]:
    """Return the typed client's Job; optional fields are left out while they are unknown."""
    optional = {
        "output_image_url": job.output_image_url,
        "error_message": job.error_message,
        "processing_time_ms": job.processing_time_ms,
        "started_at": iso(job.started_at) if job.started_at else None,
        "completed_at": iso(job.completed_at) if job.completed_at else None,
        "metadata": job.metadata,
    }
    return {
        "id": job.id,
        "user_id": OWNER_ID,
        "tool_id": job.tool_id,
        "tool_name": TOOLS[job.tool_id].name,
        "status": job.status,
        "priority": job.priority,
        "input_image_url": job.input_image_url,
        "parameters": job.parameters,
        "credits_used": job.credits_used,
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
    } | {name: value for name, value in optional.items() if value is not None}


def _job_in_b(job: JobRecord) -> dict[str, Any]:
    if job.is_active:
        return {
            "jobId": job.id,
            "status": "processing",
            "estimatedTime": 30,
            "creditsRequired": job.quote,
        }
    return {
        "jobId": job.id,
        "status": job.status,
        "operationId": job.tool_id,
        "type": "ai_processing",
        "outputUrl": job.output_image_url,
        "processingTime": job.processing_time_ms,
        "creditsUsed": job.credits_used,
        "aiModel": TOOLS[job.tool_id].name,
        "error": {"code": job.error_code, "message": job.error_message}
        if job.error_message
        else None,
    }


def _job_in_c(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": job.status,
        "model_id": job.tool_id,
        "image_url": job.input_image_url,
        "result_url": job.output_image_url,
        "error": job.error_message,
        "progress": PROGRESS[job.status],
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
    }


def _job_in_d(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "profile_id": OWNER_ID,
        "type": job.tool_id,
        "status": job.status,
        "input_url": job.input_image_url,
        "output_url": job.output_image_url,
        "parameters": job.parameters,
        "replicate_prediction_id": None,
        "stripe_payment_intent_id": None,
        "error": job.error_message,
        "metadata": job.metadata,
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
    }


def _minimal(job: JobRecord) -> dict[str, Any]:
    return {"id": job.id, "status": job.status}


_SHAPES: Mapping[Vocabulary, Callable[[JobRecord], dict[str, Any]]] = {
    "A": job_in_a,
    "B": _job_in_b,
    "C": _job_in_c,
    "D": _job_in_d,
    "minimal": _minimal,
}


def job_in(job: JobRecord, vocabulary: Vocabulary, status_word: str | None) -> dict[str, Any]:
    """Return the job without its envelope; `status_word` replaces a final status."""
    shown = _SHAPES[vocabulary](job)
    if status_word is not None and not job.is_active:
        shown["status"] = status_word
    return shown


def enveloped(shown: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the reply to a create or status call."""
    match vocabulary:
        case "A" | "minimal":
            return {"success": True, "data": shown}
        case "C":
            return {"job": shown}
        case "B" | "D":
            return shown
