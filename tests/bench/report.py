"""A row for each bar, as a table for people and as JSON for machines.

The file of rows outlives a run: one that measures some rooms replaces their rows and no others.
"""

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
    """One figure.

    bar: the most it may be; None: it is only shown. figure: None where this machine cannot
    measure it. note: what it is made of. room: which part of the bench measured it, and where
    and when.
    """

    name: str
    figure: float | None
    bar: float | None = None
    note: str = ""
    room: str = ""
    machine: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is met; None where there is none, or no figure."""
        if self.bar is None or self.figure is None:
            return None
        return self.figure <= self.bar

    def json(self) -> str:
        """Return the row as one line of JSON.

        >>> Row(name="calls", figure=2, bar=2, room="webhook", machine="mine").json()[:60]
        '{"name": "calls", "figure": 2, "bar": 2, "met": true, "note"'
        """
        told = {"name": self.name, "figure": self.figure, "bar": self.bar, "met": self.is_met}
        of_what = {"note": self.note, "room": self.room, "machine": self.machine}
        return json.dumps(told | of_what, ensure_ascii=False)


def read_rows(file: Path) -> list[Row]:
    """Return the rows of earlier runs; none if there was none."""
    if not file.exists():
        return []
    lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    return [Row(**{n: value for n, value in line.items() if n != "met"}) for line in lines]


def keep_rows(file: Path, rows: Sequence[Row], rooms: Sequence[str]) -> list[Row]:
    """Put rows in the place of their rooms' earlier ones; return all, in the order of `rooms`."""
    measured = {row.room for row in rows}
    known = [row for row in read_rows(file) if row.room not in measured]
    every = [row for room in rooms for row in (*known, *rows) if row.room == room]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{row.json()}\n" for row in every), encoding="utf-8")
    return every


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


def matrix(rows: Sequence[Row]) -> str:
    """Return rows whose names are `line · column` as a table.

    >>> print(matrix([Row(name="ours · ms", figure=2), Row(name="ours · MB", figure=3)]))
    |  | ms | MB |
    | --- | --- | --- |
    | ours | 2 | 3 |
    """
    figures = {tuple(row.name.split(" · ")): number(row.figure) for row in rows}
    lines, columns = (list(dict.fromkeys(name[part] for name in figures)) for part in (0, 1))
    cells = [[line, *(figures.get((line, column), "") for column in columns)] for line in lines]
    return table(["", *columns], cells)


def write_between_marks(readme: Path, text: str) -> None:
    """Put a report between the two marks of a file. Raises ValueError where they are missing."""
    before, begun, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise ValueError(f"{readme} has no marks for the report")
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
