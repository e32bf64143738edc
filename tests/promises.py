"""What must never happen, and how the tests say that they show it.

    @pytest.mark.promise("lost", "a crash at every call")  # which promise, by which way

`make proof` runs what is marked so, with more cases than `make test`, and writes a report of it
(tests/proof). `PROOF=5 make proof` tries five times as many cases where they are drawn, `SEED=7`
draws those of another day; whatever is drawn follows from the seed alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

MARK: Final = "promise"
PROOF_ONLY: Final = "proof"
# What a test's own cases are called among its properties, where one test tries many.
CASES: Final = "cases"

# pytest's fixture `record_property`: what tells the report of a test's cases.
type Record = Callable[[str, object], None]

PROMISES: Final[Mapping[str, str]] = {
    "lost": "No acknowledged webhook or request is lost",
    "twice": "Never two media for one output, never two payments for one attempt",
    "drift": "No status goes backwards, no statistics drift",
    "tenants": "No shop sees or gets another's data",
    "hostile": "No bad input gives a 5xx or puts a secret into a log",
    "silence": "Silence is never mistaken for health",
}


def is_proof() -> bool:
    """Tell whether what takes minutes, or needs tools of its own, is to run too."""
    return "PROOF" in os.environ


def scale() -> int:
    """Return how many times as many cases are to be drawn as by `make test`."""
    return max(1, int(os.environ.get("PROOF", "1")))


def scaled(cases: int) -> int:
    """Return how many cases to draw where `make test` draws so many."""
    return cases * scale()


def seed() -> int:
    """Return what everything follows from that is drawn."""
    return int(os.environ.get("SEED", "0"))
