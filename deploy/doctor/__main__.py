"""The command: `make doctor URL=…`, with the keys in the environment.

| variable | meaning |
| --- | --- |
| `URL` | the stack's address (output `ApiUrl`, or PublicUrl); empty: that of `.local/stack.json` |
| `ADMIN_API_KEYS`, `WORKER_WEBHOOK_SECRET` | the settings of those names; the first value of each |
| `PROVIDERS` | whose webhook secrets must be set, comma-separated (`pikcel`) |

Exit code: 0 if nothing failed, 130 if it was interrupted (it tidies up first), else 1.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from deploy.doctor.examination import PIKCEL, examine, is_reached
from deploy.doctor.findings import Finding, Verdict, failed, is_healthy, redacted
from deploy.doctor.patient import TIMEOUT_S, Patient, UnreachableError, signing_secret
from deploy.doctor.rehearsal import SWEEP_WITHIN_S, Rehearsal

STACK_FILE = Path(__file__).resolve().parents[2] / ".local" / "stack.json"
NOT_SEEN = (
    "Not looked at: push, notify and deliver, since nothing was sent to Shopify or to anybody. "
    "Their alarms watch them."
)


def consult(
    patient: Patient, providers: list[str], *, sweep_within_s: float = SWEEP_WITHIN_S
) -> Generator[Finding]:
    """Yield each finding as it is made. A stack that cannot be reached has one."""
    try:
        reached = is_reached(patient)
        yield reached
        if reached.verdict is Verdict.PASS:
            yield from examine(patient, providers)
            yield from Rehearsal(patient, sweep_within_s).play()
    except UnreachableError as error:
        yield failed("reachable", str(error))


def main(
    environment: Mapping[str, str] = os.environ,
    *,
    stack_file: Path = STACK_FILE,
    sweep_within_s: float = SWEEP_WITHIN_S,
) -> int:
    """Examine the stack that the environment names; print a line per finding."""
    settings = _settings(environment, stack_file)
    worker_secret = signing_secret(settings["WORKER_WEBHOOK_SECRET"])
    wrong = _what_is_wrong(settings, worker_secret)
    if wrong is not None or worker_secret is None:
        print(wrong, file=sys.stderr)
        return 1
    providers = [p.strip() for p in environment.get("PROVIDERS", PIKCEL).split(",") if p.strip()]
    where = "" if environment.get("URL") else ", the stack of this machine, since URL is not set"
    print(f"Examining {settings['URL']}{where}", flush=True)
    with httpx.Client(timeout=TIMEOUT_S) as client:
        patient = Patient(
            url=settings["URL"],
            admin_key=settings["ADMIN_API_KEYS"],
            worker_secret=worker_secret,
            client=client,
        )
        consultation = consult(patient, providers, sweep_within_s=sweep_within_s)
        findings, is_complete = _told(consultation, patient.secrets)
    return _concluded(findings) if is_complete else _interrupted()


def _told(consultation: Generator[Finding], secrets: Sequence[str]) -> tuple[list[Finding], bool]:
    """Print each finding; returns them, and whether nobody interrupted it."""
    findings = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        print(redacted(finding.line(), secrets), flush=True)

    try:
        for finding in consultation:
            tell(finding)
    except KeyboardInterrupt:
        # Between two findings it has not heard of it yet; it tidies up, and tells what came of it.
        with suppress(KeyboardInterrupt):
            tell(consultation.throw(KeyboardInterrupt))
            for finding in consultation:
                tell(finding)
        return findings, False
    return findings, True


def _concluded(findings: Sequence[Finding]) -> int:
    if len(findings) > 1:
        print(NOT_SEEN)
    failures = [finding.name for finding in findings if finding.verdict is Verdict.FAIL]
    print(f"Failed: {', '.join(failures)}" if failures else "Nothing failed.")
    return 0 if is_healthy(findings) else 1


def _interrupted() -> int:
    print("Interrupted.")
    return 130


def _what_is_wrong(settings: Mapping[str, str], worker_secret: str | None) -> str | None:
    """Return what must be given otherwise before anything can be looked at, if anything must."""
    missing = [name for name, value in settings.items() if not value]
    if missing:
        return f"These are not set: {', '.join(missing)}. See README, Is it well?"
    if not _is_address(settings["URL"]):
        return "URL is no address: https://… is wanted."
    # A header would not carry it; and whoever refuses it might show it.
    if not re.fullmatch("[!-~]+", settings["ADMIN_API_KEYS"]):
        return "ADMIN_API_KEYS has a character that no key has: a line break, a blank, an umlaut?"
    if worker_secret is None:
        return "WORKER_WEBHOOK_SECRET must be one to sign with: whsec_ and base64."
    return None


def _is_address(text: str) -> bool:
    try:
        place = httpx.URL(text)
        has_more = bool(place.userinfo or place.query or place.fragment)
        _ = place.host  # decodes it, as the client will
        parts = urlsplit(text)
    except (httpx.InvalidURL, ValueError):
        return False
    # One without a scheme has no host either; that https is wanted is told as a finding.
    is_named = parts.hostname is not None or not parts.scheme
    return is_named and not has_more and " " not in text


def _settings(environment: Mapping[str, str], stack_file: Path) -> dict[str, str]:
    """Return the address and the keys; without an address, those of the stack on this machine."""
    given = {name: environment.get(name, "") for name in ("URL", "ADMIN_API_KEYS")}
    given["WORKER_WEBHOOK_SECRET"] = environment.get("WORKER_WEBHOOK_SECRET", "")
    if not given["URL"] and stack_file.exists():
        told: dict[str, Any] = json.loads(stack_file.read_text(encoding="utf-8"))
        worker_secret = told["secrets"]["WORKER_WEBHOOK_SECRET"]
        given = {
            "URL": told["apiUrl"],
            "ADMIN_API_KEYS": told["adminKey"],
            "WORKER_WEBHOOK_SECRET": worker_secret,
        }
    settings = {name: value.split(",")[0].strip() for name, value in given.items()}
    return settings | {"URL": settings["URL"].rstrip("/")}


if __name__ == "__main__":
    # Whoever ends it leaves nothing behind, as whoever interrupts it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
