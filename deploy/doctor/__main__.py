"""The command: `make doctor URL=…`, with the keys in the environment.

| variable | meaning |
| --- | --- |
| `URL` | the stack's address (output `ApiUrl`, or PublicUrl); empty: that of `.local/stack.json` |
| `ADMIN_API_KEYS`, `WORKER_WEBHOOK_SECRET` | the settings of those names; the first value of each |
| `PROVIDERS` | whose webhook secrets must be set, comma-separated (`pikcel`) |

Exit code: 0 if nothing failed, else 1.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
) -> Iterator[Finding]:
    """Yield each finding as it is made. A stack that cannot be reached has one."""
    try:
        reached = is_reached(patient)
        yield reached
        if reached.verdict is Verdict.PASS:
            yield from examine(patient, providers)
            yield from Rehearsal(patient, sweep_within_s).play()
    except UnreachableError as error:
        yield failed("reachable", str(error))


def main(environment: Mapping[str, str] = os.environ, *, stack_file: Path = STACK_FILE) -> int:
    """Examine the stack that the environment names; print a line per finding."""
    settings = _settings(environment, stack_file)
    missing = [name for name, value in settings.items() if not value]
    if missing:
        print(f"These are not set: {', '.join(missing)}. See README, On AWS.", file=sys.stderr)
        return 1
    worker_secret = signing_secret(settings["WORKER_WEBHOOK_SECRET"])
    if worker_secret is None:
        print("WORKER_WEBHOOK_SECRET must be one to sign with: whsec_ and base64.", file=sys.stderr)
        return 1
    providers = [p.strip() for p in environment.get("PROVIDERS", PIKCEL).split(",") if p.strip()]
    findings = []
    with httpx.Client(timeout=TIMEOUT_S) as client:
        patient = Patient(
            url=settings["URL"].rstrip("/"),
            admin_key=settings["ADMIN_API_KEYS"],
            worker_secret=worker_secret,
            client=client,
        )
        for finding in consult(patient, providers):
            findings.append(finding)
            print(redacted(finding.line(), patient.secrets), flush=True)
    print(NOT_SEEN)
    return 0 if is_healthy(findings) else 1


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
    return {name: value.split(",")[0].strip() for name, value in given.items()}


if __name__ == "__main__":
    sys.exit(main())
