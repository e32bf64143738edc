"""PikcelAI's adapter, held against what is known of the service."""

import contextlib
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import (
    JobTrackerError,
    ProviderBusyError,
    ProviderRefusedError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
)
from shared.domain.events import Proof
from shared.domain.job import PRESUMED_CODES
from shared.domain.status import JobEvent
from shared.providers.base import (
    Callback,
    Check,
    Keys,
    MalformedDeliveryError,
    ProviderJob,
    Reply,
)
from shared.providers.pikcel import PikcelAdapter
from tests.builders import a_job, later

ADAPTER = PikcelAdapter()
NOW = later(0)
# Known answers: exact bytes, secret `test-secret`.
VECTORS = [
    (
        b'{"event":"job.completed","job_id":"123"}',
        "e6ccbbbfa02f787e99117e3cf8e2c9070fc846f563aedabe1fdbcd7ea23fc0fb",
    ),
    (
        b'{"event":"job.completed"}',
        "4be1814b539340beff5a8a3c2b56efbedc2fef1517adacfd578238e84a3a2231",
    ),
]
BODY, SIGNATURE = VECTORS[0]
SECRETS = ("test-secret",)


def check(headers: dict[str, str], body: bytes = BODY, secrets: tuple[str, ...] = SECRETS) -> Check:
    return ADAPTER.verify(body, headers, Keys(texts=secrets), NOW).check


def polled(reply: Reply) -> Any:
    asked = ProviderJob(job_id="pk_1")
    return ADAPTER.read_polled(asked, ADAPTER.poll_request(asked), reply)


def parse(body: dict[str, Any]) -> Any:
    return ADAPTER.parse(json.dumps(body).encode(), {}, NOW, Proof.BODY)


@pytest.mark.parametrize(("body", "signature"), VECTORS)
@pytest.mark.parametrize("header", ["x-pikcel-signature", "x-pikcelai-signature"])
def test_a_genuine_delivery_is_accepted_under_either_header(
    header: str, body: bytes, signature: str
) -> None:
    verdict = ADAPTER.verify(body, {header: signature}, Keys(texts=SECRETS), NOW)
    assert (verdict.check, verdict.proof) == (Check.ACCEPTED, Proof.BODY)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Check.MISSING),
        ({"x-pikcel-signature": ""}, Check.MISSING),
        ({"x-pikcel-signature": SIGNATURE, "x-pikcelai-signature": SIGNATURE}, Check.ACCEPTED),
        ({"x-pikcel-signature": SIGNATURE, "x-pikcelai-signature": "0" * 64}, Check.AMBIGUOUS),
        ({"x-pikcel-signature": "0" * 64}, Check.WRONG),
        ({"x-pikcel-signature": SIGNATURE[:-1]}, Check.MALFORMED),
        ({"x-pikcel-signature": SIGNATURE + "0"}, Check.MALFORMED),
        ({"x-pikcel-signature": f"sha256={SIGNATURE}"}, Check.MALFORMED),
        ({"x-pikcel-signature": SIGNATURE.upper()}, Check.MALFORMED),
        # API Gateway joins duplicate headers with a comma.
        ({"x-pikcel-signature": f"{SIGNATURE},{SIGNATURE}"}, Check.MALFORMED),
        ({"x-pikcel-signature": "é" * 64}, Check.MALFORMED),
        ({"x-pikcel-signature": "٣" * 64}, Check.MALFORMED),
        ({"x-pikcel-signature": "\ud800" * 64}, Check.MALFORMED),
        ({"x-pikcel-signature": "5sy7v6AveH6ZEX48+OLJBw/IRvVjrtq+H9vNfqI/wPs="}, Check.MALFORMED),
    ],
)
def test_every_hostile_header_is_refused(headers: dict[str, str], expected: Check) -> None:
    assert check(headers) is expected


def test_two_secrets_are_good_at_once_and_none_is_good_without_one() -> None:
    headers = {"x-pikcel-signature": SIGNATURE}
    assert check(headers, secrets=("new", "test-secret")) is Check.ACCEPTED
    assert check(headers, secrets=("new",)) is Check.WRONG
    assert check(headers, secrets=()) is Check.WRONG


def test_one_changed_byte_of_the_body_is_noticed() -> None:
    assert check({"x-pikcel-signature": SIGNATURE}, body=BODY + b" ") is Check.WRONG


@given(
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(["x-pikcel-signature", "x-pikcelai-signature", "other"]), st.text()
    ),
)
def test_any_bytes_and_headers_give_a_verdict_never_an_exception(
    body: bytes, headers: dict[str, str]
) -> None:
    genuine = hmac.new(b"test-secret", body, hashlib.sha256).hexdigest()
    is_signed = {
        headers[n].strip() for n in ("x-pikcel-signature", "x-pikcelai-signature") if n in headers
    } == {genuine}
    assert (check(headers, body) is Check.ACCEPTED) == is_signed


_FIELDS = [
    "event",
    "job_id",
    "jobId",
    "id",
    "job",
    "status",
    "error",
    "metadata",
    "timestamp",
    "output_image_url",
    "credits_used",
    "progress",
    "data",
    "success",
    "has_more",
]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(st.one_of(_json.map(lambda v: json.dumps(v).encode()), st.binary(max_size=60)))
def test_any_body_is_read_or_refused_never_an_exception(body: bytes) -> None:
    try:
        parsed = ADAPTER.parse(body, {}, NOW, Proof.BODY)
    except MalformedDeliveryError:
        return
    assert parsed.event.provider_job_id
    assert parsed.event.credits is None or parsed.event.credits >= 0


@given(st.integers(100, 599), _json.map(lambda v: json.dumps(v).encode()) | st.binary(max_size=40))
def test_any_answer_is_read_or_is_one_of_our_errors(status: int, body: bytes) -> None:
    reply = Reply(status=status, body=body)
    for read in (
        lambda: ADAPTER.read_created(reply),
        lambda: polled(reply),
        lambda: ADAPTER.read_listed(reply, 0),
    ):
        with contextlib.suppress(JobTrackerError):
            read()


def test_a_body_nested_a_hundred_thousand_deep_is_refused() -> None:
    with pytest.raises(MalformedDeliveryError):
        ADAPTER.parse(b"[" * 100_000, {}, NOW, Proof.BODY)


def test_form_one_is_read() -> None:
    parsed = parse(
        {
            "event": "job.completed",
            "job_id": "pk_1",
            "job": {
                "id": "pk_1",
                "status": "completed",
                "output_image_url": "https://r/1.png",
                "credits_used": 2,
                "processing_time_ms": 9000.4,
                "tool_name": "Background removal",
                "metadata": {"ref": "r"},
            },
            "timestamp": "2026-11-22T12:00:00.000Z",
        }
    )
    event = parsed.event
    assert (event.event, event.native, event.provider_job_id) == (
        JobEvent.COMPLETED,
        "completed",
        "pk_1",
    )
    assert (event.output_urls, event.credits, event.processing_ms) == (
        ("https://r/1.png",),
        2,
        9001,
    )
    assert (parsed.reference, parsed.in_window) == ("r", True)


def test_form_two_is_read() -> None:
    parsed = parse(
        {
            "jobId": "pk_1",
            "status": "completed",
            "outputUrl": "https://r/1.png",
            "metadata": {"ref": "r"},
            "processingTime": 9000,
            "creditsUsed": 3,
            "aiModel": "m",
        }
    )
    event = parsed.event
    assert (event.event, event.output_urls) == (JobEvent.COMPLETED, ("https://r/1.png",))
    assert (event.processing_ms, event.credits, event.tool_name) == (9000, 3, "m")
    assert parsed.reference == "r"


@pytest.mark.parametrize(
    "body",
    [
        {"event": "job.completed"},
        {"event": "job.completed", "job_id": "a", "job": {"id": "b"}},
        {"event": "job.completed", "job_id": "a", "jobId": "b"},
        {"event": "job.completed", "job_id": ["a"]},
        {"event": "job.completed", "job_id": "a", "timestamp": "soon"},
        {"event": "job.completed", "job_id": "x" * 201},
    ],
)
def test_a_delivery_that_does_not_name_one_job_at_one_time_is_malformed(body: Any) -> None:
    with pytest.raises(MalformedDeliveryError):
        parse(body)


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("job.started", "processing", JobEvent.STARTED),
        ("job.completed", None, JobEvent.COMPLETED),
        ("job.failed", "failed", JobEvent.FAILED),
        (None, "cancelled", JobEvent.CANCELLED),
        (None, "Succeeded", JobEvent.COMPLETED),
        ("job.polished", "processing", JobEvent.STARTED),
        ("job.polished", None, JobEvent.UNKNOWN),
        (None, "hibernating", JobEvent.UNKNOWN),
        # It contradicts itself: the provider is asked.
        ("job.completed", "failed", JobEvent.UNKNOWN),
    ],
)
def test_event_and_status_give_one_kind(
    name: str | None, status: str | None, kind: JobEvent
) -> None:
    parsed = parse({"event": name, "job_id": "pk_1", "job": {"id": "pk_1", "status": status}})
    assert parsed.event.event is kind


@pytest.mark.parametrize(
    ("timestamp", "in_window"),
    [
        ("2026-11-22T11:55:00.000Z", True),
        ("2026-11-22T11:54:59.999Z", False),
        ("2026-11-22T12:05:00.000Z", True),
        ("2026-11-22T12:05:00.001Z", False),
        ("2026-11-22T13:00:00+01:00", True),
        (1795348800000, True),
        (None, True),
    ],
)
def test_the_time_window_is_300_seconds_both_ways(timestamp: object, in_window: bool) -> None:
    assert parse({"job_id": "pk_1", "status": "processing", "timestamp": timestamp}).in_window is (
        in_window
    )


def test_the_event_key_is_the_same_for_every_delivery_of_one_event() -> None:
    body = {"event": "job.completed", "job_id": "pk_1", "timestamp": "2026-11-22T12:00:00Z"}
    again = parse({**body, "signature": "other"})
    later_one = parse({**body, "timestamp": "2026-11-22T12:00:01Z"})
    assert parse(body).event.key == again.event.key != later_one.event.key


def test_a_dispatch_carries_the_reference_in_the_callback_and_in_the_metadata() -> None:
    job = replace(a_job(), template_id="t1")
    request = ADAPTER.create_request(
        job, Callback(url="https://us/webhooks/pikcel?ref=r", reference="r", secret="s")
    )
    assert (request.method, request.path) == ("POST", "/api/jobs/dispatch")
    assert request.body == {
        "tool_id": job.tool_id,
        "input_image_url": job.input_image_url,
        "parameters": {"colour": "white"},
        "priority": "normal",
        "webhook_url": "https://us/webhooks/pikcel?ref=r",
        "metadata": {"source": "job-tracker", "ref": "r", "productId": job.product_id},
        "template_id": "t1",
    }


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "data": {"id": "pk_1", "status": "pending"}},
        {"job": {"id": "pk_1", "status": "pending"}},
        {"jobId": "pk_1", "status": "pending", "creditsRequired": 5},
    ],
)
def test_all_three_envelopes_of_a_created_job_are_read(body: Any) -> None:
    event = ADAPTER.read_created(Reply(status=200, body=json.dumps(body).encode()))
    assert (event.provider_job_id, event.event, event.credits) == ("pk_1", JobEvent.QUEUED, None)


REFUSAL = json.dumps({"success": False, "error": {"code": "INVALID_PARAMS", "message": "No."}})


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (400, REFUSAL, ProviderRefusedError, "invalid_params"),
        (402, REFUSAL, ProviderRefusedError, "insufficient_credits"),
        (429, "", ProviderBusyError, "provider_busy"),
        (401, REFUSAL, ProviderUnreachableError, "provider_unauthorized"),
        # A 4xx that is not the provider's own proves nothing.
        (400, "<html>", ProviderUnknownOutcomeError, "provider_unknown_outcome"),
        (408, REFUSAL, ProviderUnknownOutcomeError, "provider_unknown_outcome"),
        (500, REFUSAL, ProviderUnknownOutcomeError, "provider_unknown_outcome"),
        (302, "", ProviderUnknownOutcomeError, "provider_unknown_outcome"),
        (200, "", ProviderUnknownOutcomeError, "provider_unknown_outcome"),
        (200, '{"success":true}', ProviderUnknownOutcomeError, "provider_unknown_outcome"),
    ],
)
def test_only_a_proven_refusal_counts_as_not_executed(
    status: int, body: str, error: type[JobTrackerError], code: str
) -> None:
    with pytest.raises(error) as caught:
        ADAPTER.read_created(Reply(status=status, body=body.encode(), retry_after_s=7))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ([{"field": "tool_id", "message": "No such tool"}], "No. (tool_id: No such tool)"),
        ([{"field": "a", "message": "x"}, {"field": "b", "message": "y"}], "No. (a: x; b: y)"),
        ([{"field": 1, "message": "x"}, "odd", None, {"field": "c"}], "No."),
        ({"required": 2, "balance": 1}, "No."),
        (None, "No."),
    ],
)
def test_a_refusal_says_which_field_the_provider_does_not_like(details: Any, message: str) -> None:
    error = {"code": "INVALID_PARAMS", "message": "No.", "details": details}
    body = json.dumps({"success": False, "error": error}).encode()
    with pytest.raises(ProviderRefusedError) as caught:
        ADAPTER.read_created(Reply(status=400, body=body))
    assert caught.value.message == message


def test_a_refusal_with_a_thousand_faults_stays_short() -> None:
    details = [{"field": "f" * 900, "message": "m" * 900}] * 1_000
    body = json.dumps({"error": {"message": "No.", "details": details}}).encode()
    with pytest.raises(ProviderRefusedError) as caught:
        ADAPTER.read_created(Reply(status=400, body=body))
    assert len(caught.value.message) < 1_000


def test_a_poll_that_answers_with_another_job_is_not_believed() -> None:
    body = json.dumps({"data": {"id": "pk_2", "status": "completed"}}).encode()
    with pytest.raises(ProviderUnknownOutcomeError):
        polled(Reply(status=200, body=body))


def test_a_provider_job_id_cannot_leave_its_path() -> None:
    assert (
        ADAPTER.poll_request(ProviderJob(job_id="../admin?x=1")).path
        == "/api/jobs/..%2Fadmin%3Fx%3D1"
    )


def test_a_listing_is_complete_only_when_the_provider_says_so() -> None:
    jobs = [{"id": f"pk_{n}", "status": "pending", "metadata": {"ref": f"r{n}"}} for n in range(2)]

    def listed(**extra: Any) -> int | None:
        body = json.dumps({"success": True, "data": jobs, **extra}).encode()
        return ADAPTER.read_listed(Reply(status=200, body=body), 100).next_offset

    assert (listed(has_more=True), listed(has_more=False), listed()) == (102, None, None)
    with pytest.raises(ProviderUnknownOutcomeError):
        ADAPTER.read_listed(Reply(status=200, body=b"{}"), 0)


@pytest.mark.parametrize("code", sorted(PRESUMED_CODES))
def test_a_failure_that_the_provider_reports_is_never_taken_for_our_guess(code: str) -> None:
    body = {"id": "pk_1", "status": "failed", "error": {"code": code.upper(), "message": "No."}}
    reply = Reply(status=200, body=json.dumps({"success": True, "data": body}).encode())
    event = polled(reply)
    assert event.error_code == f"provider_{code}"


def test_a_job_that_the_provider_does_not_know_is_presumed_failed() -> None:
    body = {"success": False, "error": {"code": "NOT_FOUND", "message": "Job not found"}}
    reply = Reply(status=404, body=json.dumps(body).encode())
    event = polled(reply)
    assert (event.event, event.error_code) == (JobEvent.FAILED, "provider_job_not_found")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>404 Not Found</html>",
        b"",
        b'{"message": "Not Found"}',
        b'{"error": "Not Found", "statusCode": 404, "message": "Cannot GET /api/jobs/pk_1"}',
        b'{"detail": "Not Found"}',
    ],
)
def test_a_404_of_anybody_else_says_nothing_of_the_job(body: bytes) -> None:
    with pytest.raises(ProviderUnknownOutcomeError):
        polled(Reply(status=404, body=body))
