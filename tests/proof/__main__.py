"""`make proof`: run what shows the promises, and report.

Environment
    PROOF: how many times as many cases are drawn as by `make test` (1).
    SEED: what everything drawn follows from; a new one each time unless given.
    README=1: put the table into the README.

It ends with 1 when a promise failed or was not shown. Interrupted (Ctrl-C, SIGTERM), it ends all
that it began, reports how far it came, and leaves the README as it is.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.promises import PROMISES
from tests.proof.rows import FAILED, HELD, Row, reasons, table, worst
from tests.proof.running import run

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / ".proof"
README = ROOT / "README.md"
BEGIN, END = "<!-- written by make proof -->\n", "<!-- end of it -->\n"


def main() -> int:
    """Run and report; returns the exit code."""
    chosen = {
        "PROOF": os.environ.get("PROOF", "1"),
        "SEED": os.environ.get("SEED") or str(secrets.randbelow(1_000_000)),
    }
    REPORT.mkdir(exist_ok=True)
    print(f"SEED={chosen['SEED']} PROOF={chosen['PROOF']} make proof draws the same again.")
    began = time.monotonic()
    expected, is_whole = _pytest(chosen, "ways.jsonl", "--collect-only", "-qq")
    told: list[Any] = []
    if is_whole:
        told, is_whole = _pytest(chosen, "told.jsonl", "-n", "2", "--dist", "worksteal")
    rows = merged(expected, told)
    minutes = (time.monotonic() - began) / 60
    lines = [row.as_json(int(chosen["SEED"])) for row in rows]
    (REPORT / "rows.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    report = report_of(rows, chosen, minutes, is_whole=is_whole)
    if os.environ.get("README") == "1" and is_whole:
        put_into(README, report)
    print(f"\n{report}\nRows: {REPORT / 'rows.jsonl'}")
    return 0 if rows and is_whole and all(row.result == HELD for row in rows) else 1


def _pytest(chosen: Mapping[str, str], name: str, *options: str) -> tuple[list[Any], bool]:
    """Run pytest on all marked tests; returns what its plugin wrote into a file of this name, and
    whether it came to its end."""
    path = REPORT / name
    path.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-p", "tests.proof.collecting", "-m", "promise"),
        *("--ignore", "tests/browser", "--hypothesis-seed", chosen["SEED"], *options),
    ]
    is_whole = run(command, os.environ | chosen | {"PROOF_ROWS": str(path)}, ROOT)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines], is_whole


def merged(expected: Iterable[Any], told: Iterable[Any]) -> list[Row]:
    """Return a row for each way there is, with what is told of it."""
    rows = {(promise, way): Row(promise, way, tests) for promise, way, tests in expected}
    for each in told:
        row = rows[each["promise"], each["shownBy"]]
        row.tests, row.cases, row.seconds = each["tests"], each["cases"], each["seconds"]
        if each["result"] == FAILED:
            row.failed = each["failed"]
        else:
            # Whether all of its tests ran is seen here, not there.
            row.skipped = [line for line in each["failed"] if ": " in line]
    order = list(PROMISES)
    return sorted(rows.values(), key=lambda row: (order.index(row.promise), row.way))


def report_of(rows: list[Row], chosen: Mapping[str, str], minutes: float, *, is_whole: bool) -> str:
    """Write when and where it ran, what came of each promise, and of what did not hold, why."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    python = platform.python_version()
    said = worst(row.result for row in rows) + ("" if is_whole else ", for it was interrupted")
    why = "".join(f"- {reason}\n" for reason in reasons(rows))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}, Python {python}, "
        f"`PROOF={chosen['PROOF']} SEED={chosen['SEED']}`, {minutes:.0f} minutes: {said}.\n\n"
        f"{table(rows)}\n" + (f"\n{why}" if why else "")
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
