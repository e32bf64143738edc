"""Every promise is shown by marked tests, and the README's report tells of each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises import PROMISES
from tests.proof.__main__ import BEGIN, END, README

TESTS = Path(__file__).resolve().parents[1]


def marks() -> Iterator[tuple[str, str]]:
    """Read which promises the tests are marked with, and by which way each."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
                promise, way = (ast.literal_eval(argument) for argument in node.args)
                yield promise, way


def test_every_mark_names_a_promise() -> None:
    assert {promise for promise, _ in marks()} <= set(PROMISES)


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_is_shown(promise: str) -> None:
    assert promise in {shown for shown, _ in marks()}


def test_a_way_is_named_in_few_words() -> None:
    assert max(len(way) for _, way in marks()) <= 60


@pytest.mark.parametrize("sentence", PROMISES.values(), ids=PROMISES)
def test_the_readmes_report_tells_of_every_promise(sentence: str) -> None:
    report = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    (line,) = [line for line in report.splitlines() if line.startswith(f"| {sentence} |")]
    assert line.split(" | ")[3] in ("held", "failed", "not shown")
