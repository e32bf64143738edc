"""A plugin of pytest that writes down what marked tests have shown (`-p tests.proof.collecting`).

With `--collect-only` it writes which ways there are and how many tests each has (JSON: `[promise,
way, tests]`), else what came of them (rows.py), to the file that `PROOF_ROWS` names.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.promises import CASES, MARK, PROMISES, seed
from tests.proof.rows import Row

type Way = tuple[str, str]

LONGEST = 160
"""Of what is said of a failure."""


class Collector:
    """Gathers the reports of all processes into rows."""

    def __init__(self) -> None:
        self._rows: dict[Way, Row] = {}

    def hear(self, report: pytest.TestReport) -> None:
        """Add one phase of one test to its rows."""
        properties: list[tuple[str, Any]] = list(report.user_properties)
        ways = [value for name, value in properties if name == MARK]
        counted = [int(value) for name, value in properties if name == CASES]
        for promise, way in ways:
            row = self._rows.setdefault((promise, way), Row(promise, way))
            row.seconds += report.duration
            if report.failed:
                row.failed.append(f"{report.nodeid}: {_what(report)}")
            elif report.skipped:
                row.skipped.append(f"{report.nodeid}: {_why(report)}")
            if report.when == "call" and not report.skipped:
                row.tests += 1
                row.cases += sum(counted) if counted else 1

    def rows(self) -> list[Row]:
        """Return what came together, in the order of the promises."""
        order = list(PROMISES)
        return sorted(self._rows.values(), key=lambda row: (order.index(row.promise), row.way))


def _what(report: pytest.TestReport) -> str:
    """Return what broke, in a line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash is not None else str(report.longrepr)
    return (said.strip().splitlines() or [""])[0][:LONGEST]


def _why(report: pytest.TestReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


_collector = Collector()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Hear of every phase; under xdist, in the process that leads the others."""
    _collector.hear(report)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write which ways there are, when that is what is asked."""
    if session.config.option.collectonly:
        ways = Counter(mark.args for item in session.items for mark in item.iter_markers(MARK))
        _write([json.dumps([*way, tests]) for way, tests in ways.items()])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the rows, once."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        _write([row.as_json(seed()) for row in _collector.rows()])


def _write(lines: list[str]) -> None:
    Path(os.environ["PROOF_ROWS"]).write_text("\n".join([*lines, ""]), encoding="utf-8")
