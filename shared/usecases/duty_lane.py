"""What duties work with, and what a look for more can find."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.duties import Haul
from shared.usecases.notice_ports import Letters
from shared.usecases.ports import Erasures, Files, ShopStore, WorkStore
from shared.usecases.tracker import Tracker

# Deeds written down at once: a crash repeats no more of them.
PAGE = 25
# After so long nothing is under way any more that began before: no function runs for more than two
# minutes.
QUIET = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyLane:
    """The collaborators of duties.

    letters: whom of an erased shop we wrote to. log_days: how long logs are kept, for the report.
    """

    tracker: Tracker
    shops: ShopStore
    works: WorkStore
    files: Files
    erasures: Erasures
    letters: Letters
    log_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """There is more to do. counts: how many of which kind the haul takes on."""

    haul: Haul
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting(Found):
    """There is nothing to do now; the duty goes on at that instant."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """All is done, and that is written."""
