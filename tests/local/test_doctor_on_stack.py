"""`make doctor` on the running stack: it passes a sound one, and every check can fail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.doctor.__main__ import consult, main
from deploy.doctor.findings import Finding, Verdict
from deploy.doctor.patient import SHOP, Patient
from deploy.doctor.rehearsal import JOB_TYPE
from local.stack import Stack
from shared.domain.standard_webhooks import write_secret

pytestmark = pytest.mark.slow

PROVIDERS = ["pikcel", "openai"]


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    return shared_stack


def examined(
    stack: Stack,
    *,
    url: str | None = None,
    transport: httpx.BaseTransport | None = None,
    sweep: Callable[[float], None] | None = None,
    providers: list[str] = PROVIDERS,
    **changes: Any,
) -> dict[str, Finding]:
    """Return every finding by its name. sweep: what happens while the doctor waits for it."""
    with httpx.Client(timeout=30, transport=transport) as client:
        values: dict[str, Any] = {
            "url": url or stack.info.api_url,
            "admin_key": stack.info.admin_key,
            "worker_secret": stack.info.secrets["WORKER_WEBHOOK_SECRET"],
            "client": client,
        }
        if sweep is not None:
            values["sleep"] = sweep
        patient = Patient(**(values | changes))
        within_s = 150 if sweep is not None else 0
        findings = list(consult(patient, providers, sweep_within_s=within_s))
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def failures(found: dict[str, Finding]) -> list[str]:
    return [name for name, finding in found.items() if finding.verdict is Verdict.FAIL]


def left_behind(stack: Stack) -> list[dict[str, Any]]:
    """Return what the doctor's shop has, its bulk jobs and timelines too."""
    items: list[dict[str, Any]] = []
    table = {"TableName": stack.info.table_name}
    for page in stack.client("dynamodb").get_paginator("scan").paginate(**table):
        items += page["Items"]
    return [item for item in items if SHOP in item["pk"]["S"]]


@contextmanager
def changed_secret(stack: Stack, audience: str, **values: str) -> Iterator[None]:
    """Have one of the stack's secrets say something else for a while."""
    manager = stack.client("secretsmanager")
    name = stack.deployment.physical_ids[f"{audience}Secret"]
    held = manager.get_secret_value(SecretId=name)["SecretString"]
    manager.put_secret_value(SecretId=name, SecretString=json.dumps(json.loads(held) | values))
    _forget_secrets(stack)
    try:
        yield
    finally:
        manager.put_secret_value(SecretId=name, SecretString=held)
        _forget_secrets(stack)


def _forget_secrets(stack: Stack) -> None:
    """Have the webhook function begin anew: it reads a secret once in five minutes."""
    stack.set_function_environment("webhook", BEGUN_ANEW=datetime.now(UTC).isoformat())


class Tampering(httpx.HTTPTransport):
    """The network, with somebody in between who changes answers."""

    def __init__(self, tamper: Callable[[httpx.Request, httpx.Response], httpx.Response]) -> None:
        super().__init__()
        self._tamper = tamper

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = super().handle_request(request)
        reply.read()
        return self._tamper(request, reply)


def test_a_sound_stack_passes_and_keeps_nothing(stack: Stack) -> None:
    def sweep(_: float) -> None:
        stack.invoke("sweep")

    found = examined(stack, sweep=sweep)
    assert failures(found) == []
    assert {
        *("reachable", "clock", "table", "queue dispatch", "queue bulk", "secret admin"),
        *("webhooks of pikcel", "webhooks of openai", "dispatch", "webhook, normal"),
        *("webhook, duplicate", "webhook, late", "webhook, forged", "timeline", "sweep", "bulk"),
        "cleaned up",
    } <= found.keys()
    assert all(finding.verdict is Verdict.PASS for finding in found.values())
    # Counters that sum to nothing, and what ends by itself.
    lasting = [item["sk"]["S"] for item in left_behind(stack) if "expires_at" not in item]
    assert {name.partition("#")[0] for name in lasting} <= {"ALL", "DAY"}
    headers = {"Authorization": f"Bearer {stack.info.admin_key}", "X-Shop": SHOP}
    with httpx.Client(base_url=stack.info.api_url, headers=headers) as api:
        assert api.get("/api/jobs/stats").json()["stats"]["total"] == 0
        for kind in (JOB_TYPE, "bulk.cancel"):
            assert api.get("/api/jobs", params={"type": kind}).json()["jobs"] == []


def test_the_command_prints_a_line_each_and_no_key(
    stack: Stack,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    info = tmp_path / "stack.json"
    stack.info.write(info)
    assert main({}, stack_file=info, sweep_within_s=0) == 0
    printed = capsys.readouterr().out
    assert "pass  reachable" in printed
    assert "skip  sweep" in printed
    assert "FAIL" not in printed
    for secret in (stack.info.admin_key, stack.info.secrets["WORKER_WEBHOOK_SECRET"]):
        assert secret not in printed


def test_a_wrong_worker_secret_fails_the_rehearsal(stack: Stack) -> None:
    found = examined(stack, worker_secret=write_secret(bytes(range(32))))
    assert failures(found) == ["webhook, progress"]
    assert found["webhook, the others"].verdict is Verdict.SKIP
    assert found["cleaned up"].verdict is Verdict.PASS
    assert "401" in found["webhook, progress"].says


def test_a_wrong_administrators_key_is_told(stack: Stack) -> None:
    found = examined(stack, admin_key="not-an-administrators-key")
    assert "administrator's key, used" in failures(found)
    assert found["rehearsal"].verdict is Verdict.FAIL


def test_a_clock_that_is_off_is_told(stack: Stack) -> None:
    ahead = timedelta(minutes=10)
    found = examined(stack, now=lambda: datetime.now(UTC) + ahead)
    assert {"clock", "clock of the functions", "webhook, normal"} <= set(failures(found))
    assert re.match("60[0-5] s apart", found["clock"].says)


@pytest.mark.parametrize("value", ["change-me", ""])
def test_a_secret_that_nobody_has_set_is_told(stack: Stack, value: str) -> None:
    with changed_secret(stack, "Shopify", SHOPIFY_API_SECRET=value):
        found = examined(stack)
    assert failures(found) == ["secret shopify"]
    examined(stack)  # and read again, as it is


def test_a_placeholder_of_ones_own_is_told(stack: Stack) -> None:
    secret = write_secret(b"\0" * 32)
    with changed_secret(stack, "Signing", WORKER_WEBHOOK_SECRET=secret):
        found = examined(stack, worker_secret=secret)
    assert failures(found) == ["worker's secret", "webhooks of worker"]


def test_webhooks_without_a_secret_are_told(stack: Stack) -> None:
    wrong = {"OPENAI_WEBHOOK_SECRET": "", "REPLICATE_WEBHOOK_SECRET": "change-me"}
    with changed_secret(stack, "Signing", **wrong):
        found = examined(stack, providers=["openai", "replicate", "fal", "nobody"])
    assert failures(found) == [f"webhooks of {each}" for each in ("openai", "replicate", "nobody")]
    assert "OPENAI_WEBHOOK_SECRET is not set" in found["webhooks of openai"].says
    assert "REPLICATE_WEBHOOK_SECRET is a placeholder" in found["webhooks of replicate"].says
    assert found["dispatch"].verdict is Verdict.SKIP


def test_one_webhook_is_refused_so_that_no_alarm_rings(stack: Stack) -> None:
    """Five within a quarter of an hour ring WebhookRejectionsAlarm."""
    refused: list[str] = []

    def note(request: httpx.Request, reply: httpx.Response) -> httpx.Response:
        if reply.status_code == 401:
            refused.append(request.url.path)
        return reply

    assert failures(examined(stack, transport=Tampering(note))) == []
    assert refused == ["/webhooks/worker"]


@pytest.mark.parametrize("name", ["dispatch", "push", "bulk", "deliver"])
def test_a_queue_that_is_missing_is_told(stack: Stack, name: str) -> None:
    variable = f"{name.upper()}_QUEUE_URL"
    url = stack.info.queues[name]
    stack.set_function_environment("api", **{variable: url + "-gone"})
    try:
        found = examined(stack, providers=[])
    finally:
        stack.set_function_environment("api", **{variable: url})
    assert failures(found) == [f"queue {name}"]


def test_a_forged_webhook_that_is_taken_is_told(stack: Stack) -> None:
    """As if somebody had switched the check off."""

    def take(request: httpx.Request, reply: httpx.Response) -> httpx.Response:
        if reply.status_code == 401 and request.url.path.startswith("/webhooks/"):
            return httpx.Response(200, json={"success": True, "outcome": "applied"})
        return reply

    found = examined(stack, transport=Tampering(take))
    assert "webhook, forged" in failures(found)


def test_a_stack_that_counts_a_webhook_twice_is_told(stack: Stack) -> None:
    def applied_again(_: httpx.Request, reply: httpx.Response) -> httpx.Response:
        if b'"duplicate"' in reply.content or b'"late"' in reply.content:
            text = reply.text.replace('"duplicate"', '"applied"').replace('"late"', '"applied"')
            return httpx.Response(reply.status_code, text=text)
        return reply

    found = examined(stack, transport=Tampering(applied_again))
    assert {"webhook, duplicate", "webhook, late", "timeline"} <= set(failures(found))


def test_a_sweep_and_bulk_work_that_stand_still_are_told(stack: Stack) -> None:
    waited = timedelta(0)

    def wait(seconds: float) -> None:
        nonlocal waited
        waited += timedelta(seconds=seconds * 20)

    def now() -> datetime:
        return datetime.now(UTC) + waited

    stack.set_event_source("bulk", enabled=False)
    try:
        found = examined(stack, sweep=wait, now=now)
    finally:
        stack.set_event_source("bulk", enabled=True)
    assert {"sweep", "bulk"} <= set(failures(found))


def test_a_function_that_may_not_what_it_must_is_told(stack: Stack) -> None:
    """A refusal of IAM is a bug of the template's: a 500, without a word about what it is."""

    def refused(request: httpx.Request, reply: httpx.Response) -> httpx.Response:
        is_api = request.url.path.startswith("/api/") or "deep" in request.url.params
        body = {"success": False, "error": "An error of ours.", "code": "internal_error"}
        return httpx.Response(500, json=body) if is_api else reply

    found = examined(stack, transport=Tampering(refused))
    assert {"table", "queue push", "secret app", "dispatch", "rehearsal"} <= set(failures(found))
    assert "An error of ours." in found["rehearsal"].says
