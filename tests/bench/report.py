"""A row for each bar, as a table for people and as JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BEGIN: Final = "<!-- bench: written by `make bench README=1` -->"
END: Final = "<!-- /bench -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. bar: the most it may be; None: it is only shown. figure: None where this
    machine cannot measure it. note: what it is made of."""

    name: str
    figure: float | None
    bar: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is met; None where there is none, or no figure."""
        if self.bar is None or self.figure is None:
            return None
        return self.figure <= self.bar

    def json(self) -> str:
        """Return the row as one line of JSON: `{name, figure, bar, met, note}`.

        >>> Row(name="calls", figure=2, bar=2).json()
        '{"name": "calls", "figure": 2, "bar": 2, "met": true, "note": ""}'
        """
        told = {"name": self.name, "figure": self.figure, "bar": self.bar, "met": self.is_met}
        return json.dumps(told | {"note": self.note}, ensure_ascii=False)


_MET: Final = {True: "yes", False: "**no**", None: ""}


def number(value: float | None) -> str:
    """Show a figure in at most three places after the point.

    >>> number(0.7114), number(2.0), number(281_250.0), number(None)
    ('0.711', '2', '281,250', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def table_of_rows(rows: Sequence[Row]) -> str:
    """Return the rows as a table."""
    lines = [[r.name, number(r.figure), number(r.bar), _MET[r.is_met], r.note] for r in rows]
    return table(["what", "figure", "bar", "met", "of what"], lines)


def write_between_marks(readme: Path, text: str) -> None:
    """Put a report between the two marks of a file. Raises ValueError where they are missing."""
    before, begun, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise ValueError(f"{readme} has no marks for the report")
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
