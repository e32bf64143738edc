"""`make bench`: every bar of the design with its figure and its peers, in one run.

    .venv/bin/python -m tests.bench [--json FILE] [--readme] [--site DIR] [--jobs N,N,…] [ROOM …]

Rooms: webhook, sizes, growth, push, life (all of them if none is named). It always ends well: a bar
that is missed is a line of the report, and a machine that is busy with other things no failure.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.report import Row

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("webhook", "sizes", "growth", "push", "life")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure every bar.")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(ROOMS))
    parser.add_argument("--json", type=Path, default=ROOT / ".local" / "bench.jsonl")
    parser.add_argument("--readme", action="store_true", help="put the report into the README")
    parser.add_argument("--site", type=Path, default=ROOT / ".tools" / "bench")
    parser.add_argument("--jobs", default="1000,10000,100000", help="the sizes of growth")
    chosen = parser.parse_args(arguments)
    _be_a_laptop()
    # Only now: what these import reads the environment.
    from tests.bench.report import table_of_rows, write_between_marks

    rows: list[Row] = []
    peers = ""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for room in chosen.rooms or ROOMS:
            print(f"{room} …", flush=True)
            if room == "webhook":
                found, peers = _webhook(Path(folder), chosen.site.resolve())
            else:
                found = _other(room, Path(folder), chosen.jobs)
            rows += found
    parts = [describe_machine(), table_of_rows(rows), *([peers] if peers else [])]
    text = "\n\n".join(parts)
    print(text)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text("".join(f"{row.json()}\n" for row in rows), encoding="utf-8")
    if chosen.readme:
        write_between_marks(ROOT / "README.md", text)


def _be_a_laptop() -> None:
    """Put a fake account and the functions' settings into the environment, and say little."""
    from tests import conftest

    for name in conftest.FOREIGN_SETTINGS:
        os.environ.pop(name, None)
    os.environ.update(conftest.FAKE_ACCOUNT | conftest.FUNCTION_SETTINGS)
    os.environ["POWERTOOLS_LOG_LEVEL"] = "CRITICAL"


def _webhook(folder: Path, site: Path) -> tuple[list["Row"], str]:
    from tests.bench import rows, timing
    from tests.bench.scene import scene

    with scene(folder, site) as stage:
        late = timing.late_work(stage.ours, stage.deliver().referenced, folder)
        found = [*rows.late_rows(late), *rows.call_rows(stage)]
        timings = timing.time_all(stage)
    return [*rows.cold_rows(timings), *found], rows.table_of_peers(timings)


def _other(room: str, folder: Path, jobs: str) -> list["Row"]:
    from tests.bench import rows

    measures: Mapping[str, Callable[[], list[Row]]] = {
        "sizes": lambda: rows.size_rows(folder),
        "growth": lambda: rows.growth_rows([int(size) for size in jobs.split(",")]),
        "push": rows.push_rows,
        "life": rows.life_rows,
    }
    return measures[room]()


def describe_machine() -> str:
    """Say when and on what this was measured, and how busy the machine was."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {cores} cores of {_processor()}, "
        f"{platform.system()}, Python {platform.python_version()}; load {load:.1f} at the end. "
        f"Times are the least of 15 fresh processes in turns, and mean little while others work "
        f"on the machine; instructions repeat to 0.3 %."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()


if __name__ == "__main__":
    main()
