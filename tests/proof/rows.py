"""The report's rows, and the table that is made of them.

A row is one way in which one promise was shown: JSON, one a line, in `rows.jsonl`.

| key | meaning |
| --- | --- |
| promise | what must hold, its short name (tests/promises.py) |
| shownBy | the way |
| tests, cases | how many tests ran to their end, and how many cases these tried |
| result | `held`, `failed` or `not shown` (not all of it ran, or what it needs is not there) |
| seconds | what it took, all processes together |
| seed | what everything drawn follows from |
| failed | the tests that failed, or why it was not shown |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.promises import PROMISES

HELD, FAILED, NOT_SHOWN = "held", "failed", "not shown"
MOST_REASONS = 3  # of a way; all are in rows.jsonl
# The worst of several results is that of all.
_WORST = (FAILED, NOT_SHOWN, HELD)


@dataclass(slots=True)
class Row:
    """One way of showing one promise, and what came of it. expected: how many tests it has."""

    promise: str
    way: str
    expected: int = 0
    tests: int = 0
    cases: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """What is to be said of it."""
        if self.failed:
            return FAILED
        return HELD if 0 < self.expected == self.tests and not self.skipped else NOT_SHOWN

    @property
    def remarks(self) -> list[str]:
        """Which tests failed, and why others were not shown."""
        rest = self.expected - self.tests - len(self.skipped)
        missing = [f"{rest} of {self.expected} tests did not end"] if rest > 0 else []
        return [*self.failed, *self.skipped, *missing]

    def as_json(self, seed: int) -> str:
        """Write it as one line."""
        values: dict[str, Any] = {
            "promise": self.promise,
            "shownBy": self.way,
            "tests": self.tests,
            "cases": self.cases,
            "result": self.result,
            "seconds": round(self.seconds, 1),
            "seed": seed,
            "failed": self.remarks,
        }
        return json.dumps(values, ensure_ascii=False)


def table(rows: Sequence[Row]) -> str:
    """Write the rows as a table of Markdown, a line for each promise.

    >>> print(
    ...     table([Row("lost", "crashes", expected=2, tests=2, cases=9, seconds=3)]).splitlines()[2]
    ... )
    | No acknowledged webhook or request is lost | crashes | 9 | held | 3 |
    """
    lines = ["| promise | shown by | cases | result | seconds |", "| --- | --- | --- | --- | --- |"]
    for name, sentence in PROMISES.items():
        own = [row for row in rows if row.promise == name]
        ways = "; ".join(row.way for row in own)
        cases, seconds = sum(row.cases for row in own), sum(row.seconds for row in own)
        result = worst(row.result for row in own)
        lines.append(f"| {sentence} | {ways} | {cases:,} | {result} | {seconds:,.0f} |")
    return "\n".join(lines)


def reasons(rows: Sequence[Row]) -> list[str]:
    """Say of each way that did not hold why, in at most so many words.

    >>> reasons([Row("lost", "crashes", expected=1, tests=1, failed=["test_a: paid twice"])])
    ['crashes (lost): failed, test_a: paid twice']
    """
    found = []
    for row in rows:
        if row.result != HELD:
            told = row.remarks[:MOST_REASONS]
            rest = len(row.remarks) - len(told)
            more = [f"and {rest} more"] if rest else []
            found.append(f"{row.way} ({row.promise}): {row.result}, {'; '.join([*told, *more])}")
    return found


def worst(results: Iterable[str]) -> str:
    """Return the worst of several results; of none, that nothing was shown.

    >>> worst(["held", "not shown"]), worst([])
    ('not shown', 'not shown')
    """
    return min(results, key=_WORST.index, default=NOT_SHOWN)
