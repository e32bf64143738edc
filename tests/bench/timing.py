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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.lambda_service import Function, Run, run_function
from tests.bench.scene import Event, Scene

COLD_ROUNDS: Final = 15
WARM_ROUNDS: Final = 3
# Of each warm round: events until nothing is new any more, and events that are measured.
SETTLING, MEASURED = 50, 200
# Counted instructions take fifty times as long as they do uncounted.
COUNTED_SETTLING, COUNTED = 5, 20

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
    """What one function takes. first_s, init_s, cold_s: the least of all rounds; warm_cpu_s: of
    an event. middle_cold_s: the median. instructions: None where none can be counted."""

    cold_s: float
    middle_cold_s: float
    init_s: float
    first_s: float
    warm_cpu_s: float
    instructions: Instructions | None


def time_all(scene: Scene) -> dict[str, Timing]:
    """Return the timing of everyone by name."""
    event = scene.deliveries.referenced
    print(f"  {COLD_ROUNDS} cold starts of each …", flush=True)
    colds = in_turns(scene.everyone, [event], COLD_ROUNDS)
    print(f"  {WARM_ROUNDS} times {MEASURED} warm events of each …", flush=True)
    warms = in_turns(scene.everyone, [event] * (1 + SETTLING + MEASURED), WARM_ROUNDS, SETTLING)
    counter = find_counter()
    print(f"  instructions, by {counter[0] if counter else 'nobody here'} …", flush=True)
    return {
        function.name: _timing(
            colds[function.name],
            warms[function.name],
            count_instructions(function, event, counter) if counter else None,
        )
        for function in scene.everyone
    }


def in_turns(
    functions: Sequence[Function], events: Sequence[Event], rounds: int, settling: int = 0
) -> dict[str, list[Run]]:
    """Run everyone that often, A B C A B C: what else the machine does hits them alike."""
    found: dict[str, list[Run]] = {function.name: [] for function in functions}
    for _ in range(rounds):
        for function in functions:
            found[function.name].append(run_function(function, events, settling=settling))
    return found


def _timing(
    colds: Sequence[Run], warms: Sequence[Run], instructions: Instructions | None
) -> Timing:
    return Timing(
        cold_s=min(run.cold_s for run in colds),
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


def count_instructions(function: Function, event: Event, counter: Sequence[str]) -> Instructions:
    """Count the instructions of a function's process with no event, with one, and with many."""
    settled, many = 1 + COUNTED_SETTLING, 1 + COUNTED_SETTLING + COUNTED
    none, one, few, all_ = (
        _count(function, [event] * number, counter) for number in (0, 1, settled, many)
    )
    return Instructions(cold=one, init=none, warm=(all_ - few) / COUNTED)


def _count(function: Function, events: Sequence[Event], counter: Sequence[str]) -> float:
    run = run_function(function, events, prefix=counter)
    counted = read_instructions(run.errors)
    if counted is None:
        raise AssertionError(f"{counter[0]} counted nothing:\n{run.errors}")
    return counted / 1e6


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
