"""Run a module as a program that cannot outlive the process that started it.

``python -m local.attached_process MODULE [ARGUMENT …]`` runs MODULE as ``python -m MODULE``
would. Standard input is a pipe whose other end only the starter holds: when the starter is
gone, however it went (SIGKILL included), the kernel closes the pipe, and a thread here ends
this process and its whole group. A pipe, not ``PR_SET_PDEATHSIG``: that one fires when the
starting *thread* ends, and exists on Linux alone.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

GRACE_AFTER_ORPHANED_S = 5.0
"""How long an orphan may take to save its state before its group is killed."""


def _end_with_starter(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_AFTER_ORPHANED_S)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Watch standard input, then become the named module."""
    module = sys.argv[1]
    pipe = os.dup(0)
    # The program itself must not be able to swallow the pipe's end of file.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with_starter, args=(pipe,), daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
