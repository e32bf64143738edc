"""Every error has one shape, and tells nothing of what is wrong on our side."""

import json

import pytest

from shared.domain.errors import (
    ConflictError,
    InvalidRequestError,
    InvariantError,
    JobTrackerError,
    PermanentError,
    ShopBusyError,
    StoreUnavailableError,
    UnauthorizedError,
)
from shared.responses import error_response, json_response


def answer(error: JobTrackerError) -> tuple[int, dict[str, object]]:
    response = error_response(error, "r1")
    return response["statusCode"], json.loads(response["body"])


def test_the_callers_fault_is_told_with_its_code_and_details() -> None:
    error = InvalidRequestError("No.", details=[{"field": "limit"}])
    assert answer(error) == (
        400,
        {
            "success": False,
            "error": "No.",
            "code": "invalid_request",
            "requestId": "r1",
            "details": [{"field": "limit"}],
        },
    )
    assert answer(ConflictError("Busy.", code="job_active"))[1]["code"] == "job_active"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailableError("secret table-7"), 503, "unavailable"),
        (InvariantError("secret table-7"), 500, "internal_error"),
        (PermanentError("secret table-7"), 500, "internal_error"),
    ],
)
def test_our_own_fault_is_not_explained(error: JobTrackerError, status: int, code: str) -> None:
    told = answer(error)
    assert (told[0], told[1]["code"]) == (status, code)
    assert "table-7" not in str(told[1])


def test_who_may_come_again_is_told_how() -> None:
    headers = error_response(StoreUnavailableError("x"), "r1")["headers"]
    assert headers["retry-after"] == "5"
    headers = error_response(UnauthorizedError("x"), "r1")["headers"]
    assert headers["www-authenticate"] == "Bearer"


def test_what_is_not_json_is_our_bug_not_an_answer() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        json_response(200, {"speed": float("nan")})


@pytest.mark.parametrize(("wait_s", "told"), [(None, "5"), (0.0, "1"), (1.2, "2"), (60.0, "60")])
def test_the_wait_that_somebody_asked_us_for_is_passed_on(wait_s: float | None, told: str) -> None:
    error = ShopBusyError("Throttled.", retry_after_s=wait_s)
    assert error_response(error, "r")["headers"]["retry-after"] == told
