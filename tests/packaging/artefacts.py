"""Build what is deployed, look into it, and run it alone."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FUNCTIONS: Final = (
    "api", "bulk", "dashboard", "deliver", "dispatch", "notify", "push", "sweep", "webhook",
)  # fmt: skip


def build(*arguments: str | Path, root: Path = ROOT) -> None:
    """Run deploy/build.py of a checkout as `sam build` does."""
    script = root / "deploy" / "build.py"
    subprocess.run([sys.executable, "-I", script, *arguments], check=True, env=clean_environment())


def make(*arguments: str) -> str:
    """Run make in the project and return what it printed."""
    finished = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def clean_environment() -> dict[str, str]:
    """Return the environment without what a surrounding make or Python would add."""
    foreign = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "PYTHONHASHSEED")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def run_alone(code: str, *path: Path, variables: Mapping[str, str] | None = None) -> str:
    """Run code in a fresh Python that sees the standard library and `path`, nothing else.

    Any module that has to be compiled is an error, as it would cost a cold start on Lambda.
    Returns what the code printed.
    """
    prelude = (
        "import sys\n"
        f"sys.path[:0] = {[str(each) for each in path]!r}\n"
        "from importlib.machinery import SourceFileLoader\n"
        "def refuse(self, data, path, **_):\n"
        "    raise AssertionError(f'{path} had to be compiled')\n"
        "SourceFileLoader.source_to_code = refuse\n"
    )
    finished = subprocess.run(
        # -S: no site-packages. -B: as on Lambda, nothing can be written beside the code.
        [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", prelude + code],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(variables or {})},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def files(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder by its relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def zipped_bytes(folder: Path) -> int:
    """Return the size of a folder as `sam deploy` would upload it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files(folder).items():
            archive.writestr(name, content)
    return len(packed.getvalue())


def digest(folder: Path) -> str:
    """Return a digest of a folder's names and contents: `sam package` names uploads so."""
    total = hashlib.sha256()
    for name, content in files(folder).items():
        total.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return total.hexdigest()
