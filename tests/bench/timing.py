"""How long everyone takes, and how many instructions: fresh processes, in turns.

Times are of this machine and of what else it does; ratios of the same turns hold better, and
instruction counts best: they repeat to 0.3 %.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.lambda_service import Function, Run, run_function
from tests.bench.scene import Event, Scene, check

COLD_ROUNDS: Final = 15
WARM_ROUNDS: Final = 3
# Of each warm round: events until nothing is new any more, and events that are measured.
SETTLING, MEASURED = 50, 200
# Counted instructions take fifty times as long as they do uncounted.
COUNTED_SETTLING, COUNTED = 5, 15

_VALGRIND: Final = (
    "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
)  # fmt: skip
_PERF: Final = ("perf", "stat", "-x", ",", "-e", "instructions:u")

# In the process: every import, opened file and compilation, with the moment it happens.
_LISTENING: Final = """\
import os, sys, time
def _hear(event, arguments):
    if event in ('import', 'open', 'compile'):
        line = f'{{time.perf_counter()}} {{event}} {{arguments[0]}}'
        os.write({fd}, line.replace('\\n', ' ')[:300].encode() + b'\\n')
sys.addaudithook(_hear)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """Millions of instructions. cold: from the start to the first answer; init: to the first
    question for an event; warm: of each further event."""

    cold: float
    init: float
    warm: float

    @property
    def first(self) -> float:
        """Of the first invocation."""
        return self.cold - self.init


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What one function takes. first_s, init_s, cold_s, cold_cpu_s: the least of all rounds;
    warm_cpu_s: of an event. middle_cold_s: the median. instructions: None where none can be
    counted."""

    cold_s: float
    cold_cpu_s: float
    middle_cold_s: float
    init_s: float
    first_s: float
    warm_cpu_s: float
    instructions: Instructions | None


def time_all(scene: Scene) -> dict[str, Timing]:
    """Return the timing of everyone by name."""
    print(f"  {COLD_ROUNDS} cold starts of each …", flush=True)
    colds = in_turns(scene, events=1, rounds=COLD_ROUNDS)
    print(f"  {WARM_ROUNDS} times {MEASURED} warm events of each …", flush=True)
    warms = in_turns(scene, events=1 + SETTLING + MEASURED, rounds=WARM_ROUNDS, settling=SETTLING)
    counter = find_counter()
    print(f"  instructions, by {counter[0] if counter else 'nobody here'} …", flush=True)
    counted = count_all(scene, counter) if counter else {}
    return {
        name: _timing(colds[name], warms[name], counted.get(name))
        for name in scene.everyone_by_name
    }


def in_turns(scene: Scene, *, events: int, rounds: int, settling: int = 0) -> dict[str, list[Run]]:
    """Run everyone that often, A B C A B C: what else the machine does hits them alike."""
    found: dict[str, list[Run]] = {name: [] for name in scene.everyone_by_name}
    for _ in range(rounds):
        for name, function in scene.everyone_by_name.items():
            told = [scene.deliver().referenced] * events
            found[name].append(check(function, run_function(function, told, settling=settling)))
    return found


def _timing(
    colds: Sequence[Run], warms: Sequence[Run], instructions: Instructions | None
) -> Timing:
    return Timing(
        cold_s=min(run.cold_s for run in colds),
        cold_cpu_s=min(run.cold_cpu_s for run in colds),
        middle_cold_s=statistics.median(run.cold_s for run in colds),
        init_s=min(run.init_s for run in colds),
        first_s=min(run.first_s for run in colds),
        warm_cpu_s=min(run.warm_cpu_s for run in warms if run.warm_cpu_s is not None),
        instructions=instructions,
    )


def find_counter() -> tuple[str, ...] | None:
    """Return the command that counts instructions here: the processor's own counter if this
    machine lets us read it (a virtual one mostly does not), else valgrind, else None."""
    if shutil.which("perf"):
        tried = subprocess.run([*_PERF, "true"], capture_output=True, text=True, check=False)
        if read_instructions(tried.stderr) is not None:
            return _PERF
    return _VALGRIND if shutil.which("valgrind") else None


def read_instructions(printed: str) -> int | None:
    """Return the count in what a counter printed.

    >>> read_instructions("==1== I   refs:      1,812,130,369")
    1812130369
    >>> read_instructions("123456,,instructions:u,5000,100.00,,")
    123456
    >>> read_instructions("<not supported>,,instructions:u,0,100.00,,")
    """
    found = re.search(r"I\s+refs:\s+([\d,]+)", printed) or re.search(
        r"^(\d+),,instructions", printed, re.MULTILINE
    )
    return int(found[1].replace(",", "")) if found else None


def count_all(scene: Scene, counter: Sequence[str]) -> dict[str, Instructions]:
    """Count the instructions of everyone's process with no event, with one, and with many.

    Two at a time: what else the machine does changes no count.
    """
    numbers = (0, 1, 1 + COUNTED_SETTLING, 1 + COUNTED_SETTLING + COUNTED)
    functions = scene.everyone_by_name

    def count(name: str, events: int) -> float:
        told = [scene.deliver().referenced] * events
        run = check(functions[name], run_function(functions[name], told, prefix=counter))
        counted = read_instructions(run.errors)
        if counted is None:
            raise AssertionError(f"{counter[0]} counted nothing:\n{run.errors}")
        return counted / 1e6

    with ThreadPoolExecutor(max_workers=2) as pool:
        counts = {
            name: [pool.submit(count, name, number) for number in numbers] for name in functions
        }
        return {name: _instructions(*(c.result() for c in each)) for name, each in counts.items()}


def _instructions(none: float, one: float, few: float, many: float) -> Instructions:
    return Instructions(cold=one, init=none, warm=(many - few) / COUNTED)


def late_work(function: Function, event: Event, folder: Path) -> list[str]:
    """Return what a function imports, opens and compiles during its first invocation.

    Python tells of it; a file that a C library opens (the list of certificates, at a new
    connection) it does not tell of.
    """
    log = folder / f"{function.name}-audit.log"
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        run = run_function(function, [event], prelude=_LISTENING.format(fd=fd), pass_fds=[fd])
    finally:
        os.close(fd)
    lines = (line.split(" ", 1) for line in log.read_text().splitlines())
    return [what for at, what in lines if float(at) > run.invoked_at]
