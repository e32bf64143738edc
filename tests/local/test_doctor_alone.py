"""`make doctor` against servers that are not ours, or fall over: no stack is needed for that."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.doctor.__main__ import consult, main
from deploy.doctor.findings import Finding, Verdict
from deploy.doctor.patient import Patient
from shared.domain.standard_webhooks import write_secret

URL = "https://api.example"
KEY, SECRET = "admin-0123456789abcdef", write_secret(bytes(range(32)))
Server = Callable[[httpx.Request], httpx.Response]


def examined(server: Server, url: str = URL) -> list[Finding]:
    with httpx.Client(transport=httpx.MockTransport(server)) as client:
        patient = Patient(url=url, admin_key=KEY, worker_secret=SECRET, client=client)
        return list(consult(patient, ["pikcel"], sweep_within_s=0))


def healthy(**more: Any) -> httpx.Response:
    date = {"date": format_datetime(datetime.now(UTC), usegmt=True)}
    body = {"success": True, "status": "ok", "version": "1", "python": "3.13", **more}
    return httpx.Response(200, json=body, headers=date)


@pytest.mark.parametrize(
    ("status", "where"), [(301, "https://www.api.example/health"), (308, "http://api.example/")]
)
def test_an_address_that_redirects_is_told_and_gets_no_key(status: int, where: str) -> None:
    seen: list[httpx.Request] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, headers={"location": where})

    (finding,) = examined(redirect)
    assert (finding.verdict, finding.name) == (Verdict.FAIL, "reachable")
    assert f"a redirect to {where}" in finding.says
    assert ["authorization" in request.headers for request in seen] == [False]


def test_another_server_is_told_and_gets_no_key() -> None:
    seen: list[httpx.Request] = []

    def another(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text="<html>Parked</html>")

    (finding,) = examined(another)
    assert (finding.verdict, finding.says) == (Verdict.FAIL, "/health is not ours: 200")
    assert ["authorization" in request.headers for request in seen] == [False]


def test_a_server_that_does_not_answer_is_told() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("certificate verify failed", request=request)

    (finding,) = examined(nobody)
    assert finding.verdict is Verdict.FAIL
    assert "no answer (ConnectError: certificate verify failed)" in finding.says


def test_plain_http_is_for_this_machine_only() -> None:
    (finding,) = examined(lambda _: healthy(), url="http://api.example")
    assert finding.says == "the address must begin with https://"
    assert len(examined(lambda _: healthy(), url="http://127.0.0.1:8787")) > 1


def test_an_answer_without_a_date_is_told() -> None:
    def timeless(request: httpx.Request) -> httpx.Response:
        reply = healthy()
        del reply.headers["date"]
        return reply

    found = {finding.name: finding for finding in examined(timeless)}
    assert found["clock"].verdict is Verdict.FAIL


def test_a_stack_that_dies_in_the_middle_is_told_with_what_is_left_behind() -> None:
    made = "019aab7c-5e00-7000-8000-000000000001"

    def dying(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            checks = [{"name": "table", "ok": True, "reason": None}]
            return healthy(checks=checks)
        if request.url.path == "/api/jobs":
            return httpx.Response(202, json={"success": True, "job": {"id": made}})
        if request.url.path == f"/api/jobs/{made}":
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(500, json={"error": "An error of ours."})

    found = {finding.name: finding for finding in examined(dying)}
    assert found["rehearsal"].verdict is Verdict.FAIL
    assert found["cleaned up"].verdict is Verdict.FAIL
    assert made in found["cleaned up"].says


def a_command(
    monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path, **environment: str
) -> int:
    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **_: client(transport=httpx.MockTransport(server)))
    return main(environment, stack_file=tmp_path / "stack.json")


def test_no_secret_is_printed_whoever_echoes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health" and "deep" not in request.url.params:
            return healthy()
        said = request.headers.get("authorization", "nothing")
        text = f"You said {said}, {'x' * 60}, {SECRET} and {SECRET.removeprefix('whsec_')}"
        return httpx.Response(418, json={"error": text})

    keys = {"ADMIN_API_KEYS": KEY, "WORKER_WEBHOOK_SECRET": SECRET}
    assert a_command(monkeypatch, echo, tmp_path, URL=URL, **keys) == 1
    captured = capsys.readouterr()
    assert "(hidden)" in captured.out
    for secret in (KEY, SECRET.removeprefix("whsec_")):
        assert secret[:8] not in captured.out + captured.err


@pytest.mark.parametrize("missing", ["URL", "ADMIN_API_KEYS", "WORKER_WEBHOOK_SECRET"])
def test_what_is_not_given_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    missing: str,
) -> None:
    given = {"URL": URL, "ADMIN_API_KEYS": KEY, "WORKER_WEBHOOK_SECRET": SECRET}
    del given[missing]
    assert a_command(monkeypatch, lambda _: healthy(), tmp_path, **given) == 1
    assert missing in capsys.readouterr().err


def test_a_public_key_cannot_sign(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    public = SECRET.replace("whsec_", "whpk_")
    given = {"URL": URL, "ADMIN_API_KEYS": KEY, "WORKER_WEBHOOK_SECRET": public}
    assert a_command(monkeypatch, lambda _: healthy(), tmp_path, **given) == 1
    assert "one to sign with" in capsys.readouterr().err


def test_without_an_address_the_stack_of_this_machine_is_examined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(404)

    told = {
        "apiUrl": "http://127.0.0.1:8787",
        "adminKey": KEY,
        "secrets": {"WORKER_WEBHOOK_SECRET": SECRET},
    }
    (tmp_path / "stack.json").write_text(json.dumps(told))
    assert a_command(monkeypatch, note, tmp_path) == 1
    assert seen == ["http://127.0.0.1:8787/health"]
