"""Answers in API Gateway's payload format 2.0, and the one shape of every error.

Error shape: `{"success": false, "error": "<sentence>", "code": "<snake_case>",
"requestId": "…", "details": […]?}`; `already_running` also has `runningJobId`.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from shared.domain.errors import JobTrackerError, RejectedError, RetryableError

HttpResponse = dict[str, Any]

_HEADERS = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"}


def json_response(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Answer with a JSON body. NaN and Infinity are not JSON and raise ValueError."""
    return {
        "statusCode": status,
        "headers": {**_HEADERS, **(headers or {})},
        "body": json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")),
    }


def error_body(error: JobTrackerError, request_id: str) -> dict[str, Any]:
    """Put an error into its one shape."""
    rejected = isinstance(error, RejectedError)
    body: dict[str, Any] = {
        "success": False,
        "error": error.message if rejected else _OUR_FAULT[error_status(error)],
        "code": error.code if rejected else _OUR_CODE[error_status(error)],
        "requestId": request_id,
    }
    if isinstance(error, RejectedError) and error.details:
        body["details"] = list(error.details)
        # Asked for so often that it has a place of its own.
        for detail in error.details:
            if isinstance(detail, dict) and "runningJobId" in detail:
                body["runningJobId"] = detail["runningJobId"]
    return body


def error_status(error: JobTrackerError) -> int:
    """Return the HTTP status of an error: the caller's, 503 if it may heal, else 500."""
    if isinstance(error, RejectedError):
        return error.status
    return 503 if isinstance(error, RetryableError) else 500


def error_response(
    error: JobTrackerError, request_id: str, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Answer with an error. What is wrong on our side is not told, only logged."""
    status = error_status(error)
    told = {**_TOLD.get(status, {}), **_wait(error), **(headers or {})}
    return json_response(status, error_body(error, request_id), told)


def _wait(error: JobTrackerError) -> dict[str, str]:
    """Pass on the wait that somebody else asked us for, in whole seconds."""
    wait_s = error.retry_after_s if isinstance(error, RetryableError) else None
    return {} if wait_s is None else {"retry-after": str(max(1, math.ceil(wait_s)))}


# Source: RFC 9110 sections 11.6.1 and 10.2.3.
_TOLD = {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "5"}}
_OUR_FAULT = {
    503: "The service cannot do this right now. Please try again in a few seconds.",
    500: "Something went wrong on our side.",
}
_OUR_CODE = {503: "unavailable", 500: "internal_error"}
