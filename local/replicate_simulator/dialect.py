"""Replicate's own words: predictions, webhooks, refusals.

Source: replicate.com/docs/reference/http, replicate-python at 0110c2c and its test cassettes (read
2026-11). Assumptions: that a refused `start` or `logs` webhook is never repeated because only
terminal ones are said to be, and the wording of refusals beyond those of the cassettes.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from local.provider_simulator.dialect import ApiError, Dialect, Envelope, Forgery, Letter
from local.provider_simulator.faults import Event
from local.provider_simulator.jobs import JobRecord
from local.provider_simulator.standard import forge, seal
from local.replicate_simulator.config import Config

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_WORDS = {
    "pending": "starting",
    "processing": "processing",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "canceled",
}
# Which word of `webhook_events_filter` asks for an event.
_FILTER: dict[Event, str] = {
    "job.started": "start",
    "job.progress": "logs",
    "job.completed": "completed",
    "job.failed": "completed",
    "job.cancelled": "completed",
}
_TITLES = {
    401: "Unauthenticated",
    402: "Insufficient credit",
    404: "Not found",
    422: "Input validation failed",
}
_DETAILS = {
    401: "You did not pass a valid authentication token",
    404: "The requested resource could not be found.",
}


class ReplicateDialect(Dialect[Config]):
    """Everything of Replicate that its routes are not."""

    name = "Replicate"

    def new_id(self, token: Callable[[int], str], now: datetime) -> str:
        """Return 26 characters, as predictions are named."""
        number = int(token(33), 16)
        return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in range(26))

    def body_of(self, event: Event, job: JobRecord, config: Config, at: datetime) -> bytes | None:
        """Return the prediction itself, if its filter asks for this event."""
        if _FILTER[event] not in job.extra["events"]:
            return None
        # Its logs have characters beyond ASCII, sent as they are.
        return json.dumps(prediction_of(job), ensure_ascii=False).encode()

    def repeats(self, event: Event) -> bool:
        """Tell whether it announces an end."""
        return _FILTER[event] == "completed"

    def envelope(self, letter: Letter, now: datetime, *, again: bool) -> Envelope:
        """Sign as Standard Webhooks say."""
        return seal(letter, now)

    def forged(self, letter: Letter, now: datetime, forgery: Forgery) -> Envelope:
        """Sign wrongly."""
        return forge(letter, now, forgery)

    def refusal(self, problem: ApiError) -> Response:
        """Return a problem as RFC 7807 has it."""
        status = 422 if problem.status == 400 else problem.status
        body: dict[str, Any] = {
            "title": _TITLES.get(status, problem.message),
            "detail": _DETAILS.get(status, problem.message),
            "status": status,
        }
        if problem.details is not None:
            body["invalid_fields"] = problem.details
        return JSONResponse(body, status, problem.headers)


def prediction_of(job: JobRecord, word: str | None = None) -> dict[str, Any]:
    """Return the prediction as Replicate shows it; `word` replaces a final status."""
    place = f"{job.base_url}/v1/predictions/{job.id}"
    ended = not job.is_active
    shown: dict[str, Any] = {
        "id": job.id,
        "model": job.model,
        "version": job.extra["version"],
        "input": job.parameters,
        "logs": _logs(job),
        "output": _output(job),
        "data_removed": False,
        "error": job.error_message,
        "source": "api",
        "status": word if word is not None and ended else _WORDS[job.status],
        "created_at": _time(job.created_at),
        "started_at": _time(job.started_at),
        "completed_at": _time(job.completed_at),
        "urls": {
            "cancel": f"{place}/cancel",
            "get": place,
            "web": f"https://replicate.com/p/{job.id}",
        },
        "metrics": {},
    }
    if job.processing_time_ms is not None:
        seconds = job.processing_time_ms / 1000
        shown["metrics"] = {"predict_time": seconds, "total_time": seconds + 0.05}
    if job.webhook_url is not None:
        shown["webhook"] = job.webhook_url
        shown["webhook_events_filter"] = list(job.extra["events"])
    return shown


def _output(job: JobRecord) -> Any:
    """Return a text, or a list if the input asked for so many images."""
    if job.status != "completed":
        return None
    if "num_outputs" in job.parameters:
        return [job.output_image_url, *job.more_output_urls]
    return job.output_image_url


def _logs(job: JobRecord) -> str:
    if job.started_at is None:
        return ""
    half = "  0%|          | 0/2 [00:00<?, ?it/s]\n 50%|█████     | 1/2 [00:00<00:00]\n"
    return half + ("100%|██████████| 2/2 [00:01<00:00]\n" if job.status == "completed" else "")


def _time(instant: datetime | None) -> str | None:
    """Return an instant with three to six digits, as they come: no zeros at the end."""
    if instant is None:
        return None
    digits = f"{instant.microsecond:06d}".rstrip("0").ljust(3, "0")
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{digits}Z"
