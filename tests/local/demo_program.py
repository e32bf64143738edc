"""`make demo`, run to its end as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.stack.processes import PROJECT_ROOT

PROGRAM = """
import pathlib, sys
import local.demo.__main__ as demo
sys.exit(demo.main(state_dir=pathlib.Path(sys.argv[1])))
"""


def demo(state_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as its own program, on ports of its own."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(state_dir)],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], "PORT": "0", "ONCE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
