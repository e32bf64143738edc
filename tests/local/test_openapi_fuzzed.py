"""Whatever our own OpenAPI document allows, or forbids, to be sent: no 5xx, no answer that the
document does not tell of. Schemathesis reads the document from the running stack and asks.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from local.stack.processes import PROJECT_ROOT, clean_environment
from tests.promises import CASES, Record, scaled, seed

pytestmark = [pytest.mark.slow, pytest.mark.proof]

TOOLS = Path(os.environ.get("PROOF_TOOLS", PROJECT_ROOT / ".tools" / "proof"))
SHOP = "fuzzed.myshopify.com"
# A shorter one is no secret but a word.
SHORTEST = 12
SECONDS = 60
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def known_names(stack: Stack) -> dict[str, list[Any]]:
    """Make one of everything that a route can name; returns parameter → values."""
    headers = {"Authorization": f"Bearer {stack.info.admin_key}", "X-Shop": SHOP}
    photo = {
        "toolId": "background-removal",
        "inputImageUrl": f"{stack.info.pikcel_url}/photos/blue-armchair.jpg",
    }
    with httpx.Client(base_url=stack.info.api_url, headers=headers, timeout=30) as api:

        def made(path: str, body: dict[str, Any]) -> Any:
            return api.post(path, json=body).raise_for_status().json()

        done = made("/api/jobs", photo)["job"]["id"]
        stack.wait_until(
            lambda: api.get(f"/api/jobs/{done}").json()["job"]["outputs"], 60, "a result"
        )
        work = [made("/api/jobs", {"type": "report"})["job"]["id"] for _ in range(3)]
        photo_of = {"inputImageUrl": photo["inputImageUrl"]}
        batch = made("/api/batches", {"toolId": photo["toolId"], "images": [photo_of]})["batch"][
            "id"
        ]
        agent = made("/api/admin/agents", {"name": "fuzzed"})["agent"]["id"]
        template = made("/api/templates", {"name": "preset", "toolId": "t"})["template"]["id"]
        key = made("/api/shop/keys", {"name": "till"})["key"]["id"]
        endpoint = made("/api/shop/webhooks", {"url": "https://hooks.example/in"})["endpoint"]["id"]
        sent = made(f"/api/shop/webhooks/{endpoint}/test", {})["delivery"]["id"]
        entry = api.get(f"/api/jobs/{done}/logs").json()["logs"][0]["id"]
    return {
        "jobId": [done, *work],
        "logId": [entry],
        "batchId": [batch],
        "agentId": [agent],
        "templateId": [template],
        "keyId": [key],
        "endpointId": [endpoint],
        "deliveryId": [sent],
    }


@pytest.mark.promise("hostile", "Schemathesis on our own OpenAPI document")
@pytest.mark.timeout(3600)
def test_no_request_has_a_5xx_or_an_answer_that_the_document_does_not_tell_of(
    shared_stack: Stack, tmp_path: Path, record_property: Record
) -> None:
    names = json.dumps(known_names(shared_stack))
    environment = clean_environment(
        SCHEMATHESIS_HOOKS="tests.proof.openapi_hooks",
        KNOWN_NAMES=names,
        PYTHONPATH=str(PROJECT_ROOT),
        NO_PROXY="127.0.0.1",
    )
    ended = subprocess.run(
        _command(shared_stack, tmp_path / "report.json"),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads((tmp_path / "report.json").read_text())
    record_property(CASES, report["test_cases"]["generated"])
    assert (ended.returncode, report["failures"], report["errors"]) == (0, [], []), ended.stdout
    assert report["operations"]["tested"] == report["operations"]["total"]
    check_tells_no_secret(shared_stack)


def check_tells_no_secret(stack: Stack) -> None:
    """No log of any function holds a secret of ours, whatever was sent."""
    secrets = {
        secret
        for values in stack.info.secrets.values()
        for secret in values.split(",")
        if len(secret) >= SHORTEST
    }
    assert len(secrets) > 10
    for name in stack.info.functions:
        for line in stack.function_logs(name):
            assert not [secret for secret in secrets if secret in line], f"{name} logs a secret"


def _command(stack: Stack, report: Path) -> list[str]:
    info = stack.info
    return [
        *(str(TOOLS / "bin" / "st"), "run", f"{info.api_url}/openapi.json"),
        *("-H", f"Authorization: Bearer {info.admin_key}", "-H", f"X-Shop: {SHOP}"),
        *("--seed", str(seed()), "--max-time", str(scaled(SECONDS)), "--checks", ",".join(CHECKS)),
        *("--phases", "coverage,fuzzing", "--max-examples", str(scaled(4)), "--workers", "2"),
        *("--continue-on-failure", "--no-color", "--generation-database", "none"),
        *("--report", "json", "--report-json-path", str(report)),
    ]
