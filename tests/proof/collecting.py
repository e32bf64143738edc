"""A plugin of pytest that writes down what marked tests have shown (`-p tests.proof.collecting`).

Environment: `PROOF_ROWS` is the file for the rows. Each way of showing a promise is told when its
last test ends, while the others go on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.promises import CASES, MARK, PROMISES, seed
from tests.proof.rows import Row

type Way = tuple[str, str]


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
                row.failed.append(report.nodeid)
            elif report.skipped:
                row.skipped.append(f"{report.nodeid}: {_why(report)}")
            if report.when == "call" and not report.skipped:
                row.tests += 1
                row.cases += sum(counted) if counted else 1

    def rows(self) -> list[Row]:
        """Return what came together, in the order of the promises."""
        order = list(PROMISES)
        return sorted(self._rows.values(), key=lambda row: (order.index(row.promise), row.way))


def _why(report: pytest.TestReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


_collector = Collector()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Hear of every phase; under xdist, in the process that leads the others."""
    _collector.hear(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the rows, once."""
    if hasattr(session.config, "workerinput"):
        return
    lines = [row.as_json(seed()) for row in _collector.rows()]
    Path(os.environ["PROOF_ROWS"]).write_text("\n".join([*lines, ""]), encoding="utf-8")
