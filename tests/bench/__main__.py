"""`make bench`: every bar of the design with its figure and its peers, in one run.

    .venv/bin/python -m tests.bench [--json FILE] [--readme] [--site DIR] [--jobs N,N,…] [ROOM …]

Rooms: webhook, sizes, growth, push, life; all of them if none is named, else the report has the
others as they were measured last. It always ends well: a bar that is missed is a line of the
report, and a machine that is busy with other things no failure.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.report import Row

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("webhook", "sizes", "growth", "push", "life")
# Beside the bars: what everyone took.
PEERS = "peers"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure every bar.")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(ROOMS))
    parser.add_argument("--json", type=Path, default=ROOT / ".local" / "bench.jsonl")
    parser.add_argument("--readme", action="store_true", help="put the report into the README")
    parser.add_argument("--site", type=Path, default=ROOT / ".tools" / "bench")
    parser.add_argument("--jobs", default="1000,10000,100000", help="the sizes of growth")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.rooms) - set(ROOMS):
        parser.error(f"there is no room called {', '.join(sorted(unknown))}")
    _be_a_laptop()
    # Only now: what these import reads the environment.
    from tests.bench.report import keep_rows, write_between_marks

    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for room in chosen.rooms or ROOMS:
            print(f"{room} …", flush=True)
            measured = _measure(room, Path(folder), chosen)
            machine = describe_machine()
            rows += [replace(row, machine=machine) for row in measured]
    text = report(keep_rows(chosen.json, rows, [*ROOMS, PEERS]))
    print(text)
    if chosen.readme:
        write_between_marks(ROOT / "README.md", text)


def report(rows: Sequence["Row"]) -> str:
    """Return everything that was measured, last or before, with where and when."""
    from tests.bench.report import matrix, table_of_rows

    bars = [row for row in rows if row.room != PEERS]
    peers = [row for row in rows if row.room == PEERS]
    where: dict[str, list[str]] = {}
    for row in bars:
        rooms = where.setdefault(row.machine, [])
        rooms += [row.room] if row.room not in rooms else []
    places = [f"{', '.join(rooms)}: {machine}" for machine, rooms in where.items()]
    parts = ["\n".join(f"- {place}." for place in places), table_of_rows(bars)]
    return "\n\n".join([*parts, matrix(peers)] if peers else parts)


def _be_a_laptop() -> None:
    """Put a fake account and the functions' settings into the environment, and say little."""
    from tests import conftest

    for name in conftest.FOREIGN_SETTINGS:
        os.environ.pop(name, None)
    os.environ.update(conftest.FAKE_ACCOUNT | conftest.FUNCTION_SETTINGS)
    os.environ["POWERTOOLS_LOG_LEVEL"] = "CRITICAL"


def _measure(room: str, folder: Path, chosen: argparse.Namespace) -> list["Row"]:
    """Return the rows of one room (the webhook's: those of the peers too)."""
    from tests.bench import rows

    if room == "webhook":
        return _webhook(folder, chosen.site.resolve())
    sizes = [int(size) for size in chosen.jobs.split(",")]
    measures: Mapping[str, Callable[[], list[Row]]] = {
        "sizes": lambda: rows.size_rows(folder),
        "growth": lambda: rows.growth_rows(sizes),
        "push": rows.push_rows,
        "life": rows.life_rows,
    }
    return [replace(row, room=room) for row in measures[room]()]


def _webhook(folder: Path, site: Path) -> list["Row"]:
    from tests.bench import rows, timing
    from tests.bench.scene import scene

    with scene(folder, site) as stage:
        late = timing.late_work(stage.ours, stage.deliver().referenced, folder)
        found = [*rows.late_rows(late), *rows.call_rows(stage)]
        timings = timing.time_all(stage)
    bars = [*rows.cold_rows(timings), *found]
    peers = [replace(row, room=PEERS) for row in rows.peer_rows(timings)]
    return [*(replace(row, room="webhook") for row in bars), *peers]


def describe_machine() -> str:
    """Say when and on what this is measured, and how busy the machine is."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores of {_processor()}, {platform.system()}, "
        f"Python {platform.python_version()}, load {load:.0f}"
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
