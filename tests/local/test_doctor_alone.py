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


@pytest.mark.parametrize("path", ["/prod", "/health"])
def test_an_address_with_a_path_is_told_what_to_leave_out(path: str) -> None:
    def nothing_there(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"error": "There is no such route."})

    (finding,) = examined(nothing_there, url=URL + path)
    assert f"leave out {path}?" in finding.says


def test_an_error_of_ours_is_told_with_what_to_look_for_in_the_logs() -> None:
    def failing(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health" and "deep" not in request.url.params:
            return healthy()
        body = {"error": "An error of ours.", "requestId": "req-17"}
        return httpx.Response(500, json=body)

    found = {finding.name: finding for finding in examined(failing)}
    assert "500: An error of ours. (request req-17)" in found["rehearsal"].says


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


def secrets_told(*rows: tuple[str, list[str], bool]) -> Server:
    """A stack that tells of these secrets, and of nothing else."""
    known = [
        {
            "provider": provider,
            "name": f"{provider.upper()}_WEBHOOK_SECRET",
            "keys": [{"fingerprint": each} for each in keys],
            "placeholder": is_placeholder,
        }
        for provider, keys, is_placeholder in rows
    ]

    def tell(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            return healthy()
        if request.url.path == "/api/admin/secrets":
            return httpx.Response(200, json={"success": True, "secrets": known})
        return httpx.Response(500, json={"error": "An error of ours."})

    return tell


def test_webhook_secrets_are_looked_at_without_forging_anything() -> None:
    seen: list[str] = []
    tell = secrets_told(
        ("pikcel", ["ab"], False), ("openai", [], False), ("replicate", ["cd"], True)
    )

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return tell(request)

    with httpx.Client(transport=httpx.MockTransport(note)) as client:
        patient = Patient(url=URL, admin_key=KEY, worker_secret=SECRET, client=client)
        providers = ["pikcel", "openai", "replicate", "fal", "nobody"]
        found = {each.name: each for each in consult(patient, providers, sweep_within_s=0)}
    assert found["webhooks of pikcel"].verdict is Verdict.PASS
    assert "OPENAI_WEBHOOK_SECRET is not set" in found["webhooks of openai"].says
    assert "REPLICATE_WEBHOOK_SECRET is a placeholder" in found["webhooks of replicate"].says
    assert found["webhooks of fal"].verdict is Verdict.PASS  # those are signed with public keys
    assert found["webhooks of nobody"].says == "there is no such provider"
    # Nobody asked for these two, and they are always wanted.
    assert {"webhooks of shopify", "webhooks of worker"} <= found.keys()
    assert [path for path in seen if path.startswith("/webhooks/")] == []


def test_secrets_that_cannot_be_told_are_told_once() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            return healthy()
        return httpx.Response(503, json={"error": "functions/webhook failed."})

    found = [each for each in examined(broken) if each.name.startswith("webhook")]
    assert [(each.name, each.verdict) for each in found] == [("webhook secrets", Verdict.FAIL)]
    assert "503: functions/webhook failed." in found[0].says


class Stage:
    """A stack that takes jobs, and answers the first webhook as a test says.

    older: jobs that an earlier run left. deleted: jobs that were deleted.
    """

    def __init__(self, webhook: httpx.Response, *, older: tuple[str, ...] = ()) -> None:
        self.webhook, self.older = webhook, older
        self.delivered: list[httpx.Request] = []
        self.deleted: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/health":
            return healthy()
        if path.startswith("/webhooks/"):
            self.delivered.append(request)
            return self.webhook
        if path == "/api/jobs" and request.method == "GET":
            jobs = [{"id": each} for each in self.older]
            return httpx.Response(200, json={"success": True, "jobs": jobs})
        if path == "/api/jobs":
            return httpx.Response(202, json={"success": True, "job": {"id": "made"}})
        if request.method == "DELETE":
            self.deleted.append(path.rpartition("/")[2])
            return httpx.Response(200, json={"success": True})
        return self._look(path.rpartition("/")[2])

    def _look(self, job_id: str) -> httpx.Response:
        if job_id in self.deleted:
            return httpx.Response(404, json={"error": "There is no such job."})
        job = {"id": job_id, "createdAt": datetime.now(UTC).isoformat(), "status": "pending"}
        return httpx.Response(200, json={"success": True, "job": job | {"progress": 0}})


def test_a_wrong_secret_is_told_without_ringing_an_alarm() -> None:
    """Five refused webhooks within a quarter of an hour ring one."""
    stage = Stage(httpx.Response(401, json={"error": "The signature is missing or wrong."}))
    found = {finding.name: finding for finding in examined(stage)}
    assert len(stage.delivered) == 1
    assert "another WORKER_WEBHOOK_SECRET" in found["webhook, progress"].says
    assert found["webhook, the others"].verdict is Verdict.SKIP
    assert found["cleaned up"].verdict is Verdict.PASS


def test_what_an_earlier_run_left_behind_is_removed_too() -> None:
    stage = Stage(httpx.Response(401), older=("left-1", "left-2"))
    found = {finding.name: finding for finding in examined(stage)}
    assert set(stage.deleted) == {"made", "left-1", "left-2"}
    assert "3 jobs are gone" in found["cleaned up"].says


def a_command(
    monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path, **environment: str
) -> int:
    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **_: client(transport=httpx.MockTransport(server)))
    return main(environment, stack_file=tmp_path / "stack.json", sweep_within_s=0)


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


@pytest.mark.parametrize(
    "address",
    [
        "https://[oops",
        "https://a.example:99x",
        "https://",
        "https://a b.example",
        "https://xn--a",
        # Paths are added to it; and it is printed, where passwords are not.
        "https://a.example?stage=prod",
        "https://a.example/#top",
        "https://me:word@a.example",
    ],
)
def test_what_is_no_address_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    address: str,
) -> None:
    given = {"URL": address, "ADMIN_API_KEYS": KEY, "WORKER_WEBHOOK_SECRET": SECRET}
    assert a_command(monkeypatch, lambda _: healthy(), tmp_path, **given) == 1
    assert capsys.readouterr().err == "URL is no address: https://… is wanted.\n"


@pytest.mark.parametrize("key", ["schlüssel-0123456789", "first-key-012\nsecond-key-345"])
def test_a_key_that_no_header_can_carry_is_told_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, key: str
) -> None:
    given = {"URL": URL, "ADMIN_API_KEYS": key, "WORKER_WEBHOOK_SECRET": SECRET}
    assert a_command(monkeypatch, lambda _: healthy(), tmp_path, **given) == 1
    captured = capsys.readouterr()
    assert "ADMIN_API_KEYS has a character that no key has" in captured.err
    assert key[:8] not in captured.out + captured.err


def test_the_first_line_says_what_is_examined_and_the_last_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage = Stage(httpx.Response(401))
    keys = {"ADMIN_API_KEYS": KEY, "WORKER_WEBHOOK_SECRET": SECRET}
    assert a_command(monkeypatch, stage, tmp_path, URL=URL + "/", **keys) == 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == f"Examining {URL}"
    assert last.startswith("Failed: ")
    assert "webhook, progress" in last


def test_whoever_interrupts_it_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage = Stage(httpx.Response(401))
    signals = [KeyboardInterrupt()]

    def interrupted(request: httpx.Request) -> httpx.Response:
        if signals and request.url.path == "/api/jobs/made":
            raise signals.pop()
        return stage(request)

    keys = {"ADMIN_API_KEYS": KEY, "WORKER_WEBHOOK_SECRET": SECRET}
    assert a_command(monkeypatch, interrupted, tmp_path, URL=URL, **keys) == 130
    assert stage.deleted == ["made"]
    printed = capsys.readouterr().out
    assert "cleaned up" in printed
    assert printed.endswith("Interrupted.\n")


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
