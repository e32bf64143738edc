"""Whatever ends it, a proof leaves no process and no file behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.proof.running import run

ROOT = Path(__file__).resolve().parents[2]
# Stands for pytest: tells where its files are to be, has a child, and tidies up when interrupted.
TESTS = """
import pathlib, signal, subprocess, sys, tempfile, time
tempfile.mkdtemp()
told, stubborn, base = pathlib.Path(sys.argv[1]), sys.argv[2] == "stubborn", sys.argv[4]
pathlib.Path(base).mkdir()
if stubborn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
(told / "began.tmp").write_text(f"{child.pid} {base}")
(told / "began.tmp").rename(told / "began")
try:
    time.sleep(600)
except KeyboardInterrupt:
    (told / "tidied").touch()
"""
RUNNER = """
import os, pathlib, signal, sys
from tests.proof.running import run
# Who runs the tests in the background has it ignored, and so have his children.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(0 if run(sys.argv[1:], os.environ, pathlib.Path.cwd()) else 3)
"""


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    path = tmp_path / "tests.py"
    path.write_text(TESTS)
    return path


def begin(tests: Path, manner: str) -> tuple[subprocess.Popen[bytes], int, Path]:
    """Start it; returns it, the id of its child's child, and its folder of files."""
    command = [sys.executable, str(tests), str(tests.parent), manner]
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, *command], cwd=ROOT)
    until = time.monotonic() + 60
    while not (tests.parent / "began").exists():
        assert time.monotonic() < until
        assert runner.poll() is None
        time.sleep(0.05)
    pid, base = (tests.parent / "began").read_text().split(" ")
    return runner, int(pid), Path(base)


def is_gone(pid: int) -> bool:
    """Whether a process ends within a moment (or is a zombie of whoever adopts it)."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_tidies_up_and_leaves_nothing(tests: Path, how: signal.Signals) -> None:
    runner, child, base = begin(tests, "polite")
    runner.send_signal(how)
    assert runner.wait(60) == 3
    assert (tests.parent / "tidied").exists()
    assert is_gone(child)
    assert not base.parent.exists()


def test_asked_twice_it_does_not_wait(tests: Path) -> None:
    runner, child, base = begin(tests, "stubborn")
    until = time.monotonic() + 30
    while runner.poll() is None and time.monotonic() < until:
        runner.send_signal(signal.SIGINT)
        time.sleep(0.5)
    assert runner.wait(5) == 3
    assert is_gone(child)
    assert not base.parent.exists()


def test_at_its_end_its_files_are_gone_too(tmp_path: Path) -> None:
    told = tmp_path / "base"
    write = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[3])"
    assert run([sys.executable, "-c", write, str(told)], os.environ, tmp_path)
    assert told.read_text().endswith("/run")
    assert not Path(told.read_text()).parent.exists()
