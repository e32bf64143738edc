"""What reads foreign bytes, under a fuzzer that looks at which lines they reach (fuzz.py)."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack.processes import PROJECT_ROOT, clean_environment
from tests.promises import CASES, Record, scaled, seed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.proof,
    pytest.mark.promise("hostile", "coverage-guided fuzzing of verifiers and parsers"),
    pytest.mark.skipif(
        (sys.platform, platform.machine()) != ("linux", "x86_64"),
        reason="Atheris has wheels for Linux on x86_64 only",
    ),
]

TOOLS = Path(os.environ.get("PROOF_TOOLS", PROJECT_ROOT / ".tools" / "proof"))
STORIES = PROJECT_ROOT / "tests" / "fixtures" / "providers"
SECONDS = 10  # for each of them
TARGETS = ("verify", "deliver", "answer", "body", "token", "image")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of what providers really say, for the fuzzer to begin from."""
    folder = tmp_path_factory.mktemp("samples")
    for number, body in enumerate(_bodies()):
        (folder / str(number)).write_text(json.dumps(body))
    return folder


def _bodies() -> Iterator[Any]:
    for path in sorted(STORIES.glob("*/*.json")):
        yield from _bodies_in(json.loads(path.read_text()))


def _bodies_in(told: Any) -> Iterator[Any]:
    """Yield the bodies in a story, wherever in it they are; not the huge ones."""
    if isinstance(told, dict):
        for name, value in told.items():
            if name == "body" and len(json.dumps(value)) < 3_000:
                yield value
            yield from _bodies_in(value)
    elif isinstance(told, list):
        for each in told:
            yield from _bodies_in(each)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_break_what_reads_them(
    target: str, samples: Path, tmp_path: Path, record_property: Record
) -> None:
    ended = subprocess.run(
        [
            *(str(TOOLS / "bin" / "python"), "-m", "tests.proof.fuzz", target, str(tmp_path)),
            *((str(samples),) if target in ("deliver", "answer") else ()),
            *(f"-max_total_time={scaled(SECONDS)}", f"-seed={seed() + 1}", "-print_final_stats=1"),
            f"-artifact_prefix={tmp_path}/",
        ],
        cwd=PROJECT_ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    tried = re.search(r"stat::number_of_executed_units:\s+(\d+)", ended.stderr)
    assert tried is not None, ended.stderr[-3000:]
    record_property(CASES, int(tried[1]))
