"""`make check` and `make test`: every test runs once, also when both are asked for at once."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.conftest import LONGEST
from tests.packaging.artefacts import make

ROOT = Path(__file__).resolve().parents[2]
FAST = ("--ignore=tests/browser", "-m", "not slow")
SLOW = ("--ignore=tests/browser", "-m", "slow")
BROWSER = ("tests/browser",)


def selections(goals: str) -> list[tuple[str, ...]]:
    """Return what each run of pytest takes of the tests, in the order of the runs."""
    words = (shlex.split(line, comments=True) for line in make("-n", *goals.split()).splitlines())
    runs = [each[each.index("pytest") + 1 :] for each in words if "pytest" in each]
    how = {"--dist", "loadfile", "worksteal", "-n", "2", "4", "--no-loadscope-reorder"}
    return [tuple(word for word in run if word not in how) for run in runs]


@pytest.mark.parametrize(
    ("goals", "wanted"),
    [("check", [FAST]), ("test", [FAST, SLOW, BROWSER]), ("check test", [FAST, SLOW, BROWSER])],
)
def test_each_test_is_run_once(goals: str, wanted: list[tuple[str, ...]]) -> None:
    assert selections(goals) == wanted


def test_the_verdict_of_ci_is_both() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make ")] == [
        "make install",
        "make check test",
    ]


def test_what_is_begun_first_is_there() -> None:
    names = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(LONGEST) <= names
