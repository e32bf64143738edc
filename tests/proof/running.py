"""Running the tests as a program that can be stopped at any moment and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

GRACE_S = 40.0
"""In which whoever is interrupted puts things in order: stacks end, then pytest's processes."""


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> bool:
    """Run pytest in a folder; returns whether it came to its end.

    Its files lie in a folder of their own, which goes with it. Ctrl-C and SIGTERM interrupt it and
    all its processes once, and it ends as by itself; what has not ended then, or when it is asked
    again, is killed. The emulators end with whoever started them (local/attached_process.py).
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(
            prefix="job-tracker-proof-", ignore_cleanup_errors=True
        ) as base:
            # Stacks that are interrupted while they start leave theirs: it goes with ours.
            there = {**environment, "TMPDIR": base}
            return _run([*command, "--basetemp", f"{base}/run"], there, folder)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> bool:
    # A group of its own: a terminal interrupts us alone, and we interrupt it once.
    child = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True)
    is_whole = False
    try:
        child.wait()
        is_whole = True
    except KeyboardInterrupt:
        _signal(child.pid, signal.SIGINT)
        with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
            child.wait(GRACE_S)
    finally:
        _signal(child.pid, signal.SIGKILL)
        child.wait()
    return is_whole


def _signal(group: int, number: int) -> None:
    """Tell a group of processes, if there is any of it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
