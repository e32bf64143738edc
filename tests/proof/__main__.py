"""`make proof`: run what shows the promises, and report.

Environment
    PROOF: how many times as many cases are drawn as by `make test` (2).
    SEED: what everything drawn follows from; a new one each time unless given.
    README=1: put the table into the README.

It ends with 1 when a promise failed or was not shown.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.proof.rows import HELD, Row, table, worst

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / ".proof"
README = ROOT / "README.md"
BEGIN, END = "<!-- written by make proof -->\n", "<!-- end of it -->\n"


def main() -> int:
    """Run and report; returns the exit code."""
    chosen = {
        "PROOF": os.environ.get("PROOF", "2"),
        "SEED": os.environ.get("SEED") or str(secrets.randbelow(1_000_000)),
        "PROOF_ROWS": str(REPORT / "rows.jsonl"),
    }
    REPORT.mkdir(exist_ok=True)
    (REPORT / "rows.jsonl").unlink(missing_ok=True)
    print(f"SEED={chosen['SEED']} PROOF={chosen['PROOF']} make proof draws the same again.")
    began = time.monotonic()
    ended = subprocess.run(_command(chosen["SEED"]), env=os.environ | chosen, cwd=ROOT, check=False)
    minutes = (time.monotonic() - began) / 60
    report = _report(_rows(), chosen, minutes)
    (REPORT / "table.md").write_text(report, encoding="utf-8")
    if os.environ.get("README") == "1":
        put_into(README, report)
    print(f"\n{report}\nRows: {REPORT / 'rows.jsonl'}")
    is_held = all(row.result == HELD for row in _rows()) and _rows() != []
    return 0 if is_held and ended.returncode == 0 else 1


def _command(seed: str) -> list[str]:
    return [
        *(sys.executable, "-m", "pytest", "-p", "tests.proof.collecting", "-m", "promise"),
        *("-n", "2", "--dist", "loadfile", "--hypothesis-seed", seed, "--ignore", "tests/browser"),
    ]


def _rows() -> list[Row]:
    path = REPORT / "rows.jsonl"
    told = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [
        Row(
            promise=each["promise"],
            way=each["shownBy"],
            tests=each["tests"],
            cases=each["cases"],
            seconds=each["seconds"],
            failed=each["failed"] if each["result"] == "failed" else [],
            skipped=each["failed"] if each["result"] != "failed" else [],
        )
        for each in told
    ]


def _report(rows: list[Row], chosen: dict[str, str], minutes: float) -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    python = platform.python_version()
    said = worst(row.result for row in rows)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}, Python {python}, "
        f"`PROOF={chosen['PROOF']} SEED={chosen['SEED']}`, {minutes:.0f} minutes: {said}.\n\n"
        f"{table(rows)}\n"
    )


def put_into(path: Path, report: str) -> None:
    """Replace the report in a document, between its two marks."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path.name} has no place for the report.")
    path.write_text(f"{before}{BEGIN}\n{report}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
