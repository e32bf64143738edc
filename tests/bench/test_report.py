"""What a bar, its figure and the report of all of them say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import main, report
from tests.bench.report import (
    BEGIN,
    END,
    Row,
    keep_rows,
    read_rows,
    table_of_rows,
    write_between_marks,
)

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.parametrize(
    ("figure", "bar", "is_met"),
    [(0.8, 0.8, True), (0.801, 0.8, False), (0, 0, True), (None, 0.8, None), (3, None, None)],
)
def test_a_bar_is_met_up_to_itself(
    figure: float | None, bar: float | None, is_met: bool | None
) -> None:
    assert Row(name="x", figure=figure, bar=bar).is_met is is_met


def test_a_row_for_machines_says_name_figure_bar_and_whether_it_is_met() -> None:
    told = json.loads(Row(name="calls", figure=4, bar=3, note="one too many", room="x").json())
    assert told == {
        "name": "calls",
        "figure": 4,
        "bar": 3,
        "met": False,
        "note": "one too many",
        "room": "x",
        "machine": "",
    }


def test_a_run_replaces_the_rows_of_its_rooms_and_no_others(tmp_path: Path) -> None:
    file = tmp_path / "new" / "bench.jsonl"
    first = [Row(name="a", figure=1, bar=2, room="one"), Row(name="b", figure=1, room="two")]
    assert keep_rows(file, first, ["one", "two"]) == first
    again = [Row(name="b", figure=5, room="two"), Row(name="c", figure=6, room="two")]
    assert keep_rows(file, again, ["two", "one"]) == [*again, first[0]]
    assert read_rows(file) == [*again, first[0]]


def test_rows_of_several_machines_say_so() -> None:
    rows = [
        Row(name="a", figure=1, room="webhook", machine="2026-11-26, mine"),
        Row(name="b", figure=1, room="push", machine="2026-11-27, yours"),
        Row(name="c", figure=1, room="life", machine="2026-11-26, mine"),
        Row(name="ours · ms", figure=3, room="peers", machine="2026-11-26, mine"),
    ]
    shown = report(rows).splitlines()
    assert shown[:2] == ["- webhook, life: 2026-11-26, mine.", "- push: 2026-11-27, yours."]
    assert shown[-1] == "| ours | 3 |"


def test_the_table_shows_what_is_missed_and_what_cannot_be_measured() -> None:
    rows = [Row(name="a", figure=4, bar=3), Row(name="b", figure=None, bar=3, note="no counter")]
    assert table_of_rows(rows).splitlines()[2:] == [
        "| a | 4 | 3 | **no** |  |",
        "| b | – | 3 |  | no counter |",
    ]


def test_a_report_replaces_the_one_before(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"head\n{BEGIN}\nold\n{END}\nfoot\n")
    write_between_marks(readme, "new")
    assert readme.read_text() == f"head\n{BEGIN}\n\nnew\n\n{END}\nfoot\n"


def test_a_file_without_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks\n")
    with pytest.raises(ValueError, match="no marks"):
        write_between_marks(readme, "new")
    assert readme.read_text() == "no marks\n"


def test_the_readme_has_a_place_for_the_report() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)


def test_a_room_that_is_not_there_is_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["webhok"])
    assert "no room called webhok" in capsys.readouterr().err
