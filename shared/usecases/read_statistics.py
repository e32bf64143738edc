"""Sum up a shop's jobs: counters for those that ended, the status index for the others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.statistics import OTHER, Tally, total
from shared.domain.status import JobStatus
from shared.usecases.ports import DayTally, JobStore

# What "by tool" and "by type" cover when no number of days is given.
GROUP_DAYS = 30
# A shop may name its projects as it likes, and an answer has at most 6 MB.
MAX_GROUPS = 1_000


# The original tracker's figure: so long would a person take for what a job does.
SAVED_BY_A_JOB = timedelta(minutes=5)
_ENDS = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class GroupBy(StrEnum):
    """By what the sums are split."""

    PROJECT = "project"
    TOOL = "tool"
    TYPE = "type"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The sums of one project, tool, type or status.

    pending, processing: only where the group is a status.
    """

    key: str
    tally: Tally = field(default_factory=Tally)
    pending: int = 0
    processing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A shop's sums. days, groups: None where they were not asked for."""

    tally: Tally
    pending: int
    processing: int
    days: tuple[DayTally, ...] | None
    groups: tuple[Group, ...] | None

    @property
    def saved_hours(self) -> float:
        """What completed jobs saved people of work, in hours to a tenth."""
        return round(self.tally.completed * (SAVED_BY_A_JOB / timedelta(hours=1)), 1)


def read_statistics(
    store: JobStore,
    shop: str,
    now: datetime,
    *,
    days: int | None = None,
    group_by: GroupBy | None = None,
) -> Statistics:
    """Return the shop's sums over all time, and what is asked for beside them.

    Parameters
        days: the last so many UTC days, today included, each with its jobs that ended then.
        group_by: projects are summed over all time; tools and types over `days` (30 if
            not given), where a day knows 20 names of each and calls the rest `other`. Of more than
            a thousand the smallest are together in `other`, the last group.
    """
    tally = store.tally(f"SHOP#{shop}", "ALL")
    pending, processing = store.count_active(shop)
    window: list[DayTally] = []
    if days is not None or group_by in (GroupBy.TOOL, GroupBy.TYPE):
        first = now - timedelta(days=(days or GROUP_DAYS) - 1)
        window = store.days(shop, f"{first:%Y-%m-%d}", f"{now:%Y-%m-%d}")
    return Statistics(
        tally=tally,
        pending=pending,
        processing=processing,
        days=_every_day(window, now, days) if days is not None else None,
        groups=_groups(store, shop, group_by, window, tally, (pending, processing)),
    )


def _every_day(window: list[DayTally], now: datetime, days: int) -> tuple[DayTally, ...]:
    """Fill in the days on which nothing ended, oldest first."""
    known = {day.date: day for day in window}
    dates = [f"{now - timedelta(days=back):%Y-%m-%d}" for back in reversed(range(days))]
    return tuple(known.get(date, DayTally(date=date, tally=Tally())) for date in dates)


def _groups(
    store: JobStore,
    shop: str,
    group_by: GroupBy | None,
    window: list[DayTally],
    tally: Tally,
    active: tuple[int, int],
) -> tuple[Group, ...] | None:
    if group_by is None:
        return None
    if group_by is GroupBy.STATUS:
        return _by_status(tally, *active)
    if group_by is GroupBy.PROJECT:
        sums = store.tallies(f"PROJECT#{shop}")
    elif group_by is GroupBy.TOOL:
        sums = _summed([day.by_tool for day in window])
    else:
        sums = _summed([day.by_type for day in window])
    groups = [Group(key=key, tally=value) for key, value in sums.items() if value.ended]
    groups.sort(key=lambda group: (-group.tally.ended, group.key))
    if len(groups) > MAX_GROUPS:
        shown, rest = groups[: MAX_GROUPS - 1], groups[MAX_GROUPS - 1 :]
        groups = [*shown, Group(key=OTHER, tally=total(group.tally for group in rest))]
    return tuple(groups)


def _by_status(tally: Tally, pending: int, processing: int) -> tuple[Group, ...]:
    return (
        Group(key="pending", pending=pending),
        Group(key="processing", processing=processing),
        *(Group(key=status.value, tally=tally.of(status)) for status in _ENDS),
    )


def _summed(days: list[Mapping[str, Tally]]) -> dict[str, Tally]:
    names = {name for day in days for name in day}
    return {name: total(day[name] for day in days if name in day) for name in names}
