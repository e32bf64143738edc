"""The statistics as counters: exact, sharded, changed in the transaction that changes a job.

Shape: pk `COUNT#{scope}`, sk `{bucket}#{shard}`. Each field of a Tally is a number attribute
of that name (ADD needs no parent, and makes the item). An item of a day also has, per tool and
per type, `tool#{id}#{short}` and `type#{name}#{short}` (short names below), and the sets
`tool_names` and `type_names` of those that it counts apart: at most 20 of each, the rest are
counted as `other`. The job remembers the name it is counted under, so it is taken off there.

A row's sum over its shards is what counts: one shard may well be negative.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.domain.job import Job
from shared.domain.statistics import (
    DAY,
    OTHER,
    TALLY_FIELDS,
    TOOL,
    TYPE,
    Scope,
    Tally,
    contribution,
    counted_names,
    scopes,
    total,
)
from shared.gateways.dynamo_items import from_microseconds, microseconds
from shared.gateways.dynamo_table import (
    Role,
    Row,
    Table,
    Terms,
    key,
    number,
    text,
    update_expression,
)
from shared.gateways.store_rules import NAMES_PER_DAY, limit_names
from shared.usecases.ports import DayTally

SHARDS = 8
BATCH = "BATCH#"
SHORT_NAMES = {
    "completed": "c",
    "failed": "f",
    "cancelled": "x",
    "processing_ms": "ms",
    "timed": "n",
    "credits": "cr",
    "cost_micros": "cost",
    "failed_credits": "fcr",
    "failed_cost_micros": "fcost",
    "cancelled_credits": "xcr",
    "cancelled_cost_micros": "xcost",
}
_LONG_NAMES = {short: name for name, short in SHORT_NAMES.items()}

# A family (tool or type) and a name in it.
type _Name = tuple[str, str]


@dataclass(slots=True)
class CounterChange:
    """What a change of a job does to one counter.

    names: the same by tool and by type (days only). claimed: names that need room on the day.
    ended_at: when the job ended, if this is its end (batches only): the newest is kept.
    """

    delta: Tally = field(default_factory=Tally)
    names: dict[_Name, Tally] = field(default_factory=dict)
    claimed: list[_Name] = field(default_factory=list)
    ended_at: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return self.delta == Tally() and all(tally == Tally() for tally in self.names.values())


def counter_changes(before: Job | None, after: Job | None) -> dict[Scope, CounterChange]:
    """Return what replacing `before` by `after` changes, by counter; nothing that stays."""
    changes: defaultdict[Scope, CounterChange] = defaultdict(CounterChange)
    if before is not None:
        _book(changes, before, Tally() - contribution(before))
    if after is not None:
        _book(changes, after, contribution(after))
        _claim(changes, before, after)
        # What else is booked later, a charge for one, must not set an older end over a newer.
        is_end = before is None or before.completed_at != after.completed_at
        for scope in scopes(after):
            if is_end and scope.name.startswith(BATCH):
                changes[scope].ended_at = after.completed_at
    return {scope: change for scope, change in changes.items() if not change.is_empty}


def _book(changes: defaultdict[Scope, CounterChange], job: Job, delta: Tally) -> None:
    for scope in scopes(job):
        change = changes[scope]
        change.delta += delta
        if scope.bucket.startswith(DAY):
            for name in counted_names(job):
                change.names[name] = change.names.get(name, Tally()) + delta


def _claim(changes: defaultdict[Scope, CounterChange], before: Job | None, after: Job) -> None:
    held = set(counted_names(before)) if before is not None else set()
    for scope in scopes(after):
        if scope.bucket.startswith(DAY):
            is_new = before is None or scope not in scopes(before)
            changes[scope].claimed = [
                name
                for name in counted_names(after)
                if name[1] != OTHER and (is_new or name not in held)
            ]


def counter_row(scope: Scope, change: CounterChange, shard: int) -> Row:
    """Return the row that books a change on one shard.

    Its condition fails when the day has no room for a claimed name; the answer then brings
    the item, for `count_as_other`.
    """
    terms = Terms()
    add = {name: number(value) for name, value in _non_zero(change.delta)}
    sets: defaultdict[str, list[str]] = defaultdict(list)
    for (family, name), tally in change.names.items():
        for long_name, value in _non_zero(tally):
            add[f"{family}#{name}#{SHORT_NAMES[long_name]}"] = number(value)
        if name != OTHER and tally.ended > 0:
            sets[family].append(name)
    request: dict[str, Any] = {
        "Key": key(f"COUNT#{scope.name}", f"{scope.bucket}#{shard}"),
        "UpdateExpression": update_expression(
            terms,
            put={"ended_at": number(microseconds(change.ended_at))} if change.ended_at else {},
            add=add | {f"{family}_names": {"SS": names} for family, names in sets.items()},
        ),
    }
    if change.claimed:
        request["ConditionExpression"] = " AND ".join(_has_room(terms, n) for n in change.claimed)
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return Row(Role.COUNTER, "Update", terms.attach(request))


def _has_room(terms: Terms, name: _Name) -> str:
    names = terms.name(f"{name[0]}_names")
    return (
        f"(attribute_not_exists({names}) OR contains({names}, {terms.value(text(name[1]))})"
        f" OR size({names}) < {terms.value(number(NAMES_PER_DAY))})"
    )


def _non_zero(tally: Tally) -> Iterable[tuple[str, int]]:
    return ((name, value) for name in TALLY_FIELDS if (value := getattr(tally, name)) != 0)


def count_as_other(job: Job, change: CounterChange, item: Mapping[str, Any] | None) -> Job:
    """Return the job counted as `other` for the claimed names that the day has no room for.

    Parameters
        item: the day's item that refused; if it is not known, all claimed names are taken
            for refused.
    """
    for family, name in change.claimed:
        names = item.get(f"{family}_names", {}).get("SS", []) if item is not None else None
        if names is None or (name not in names and len(names) >= NAMES_PER_DAY):
            job = (
                replace(job, counted_tool=OTHER)
                if family == TOOL
                else replace(job, counted_type=OTHER)
            )
    return job


# --- reading -------------------------------------------------------------------------


class Counters:
    """Reads counters: one Query each, however many jobs they sum."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def tally(self, scope_name: str, bucket: str) -> Tally:
        """Sum one counter."""
        return self._sum(scope_name, f"{bucket}#", f"{bucket}#9").get(bucket, Tally())

    def batch(self, shop: str, batch_id: str) -> tuple[Tally, datetime | None]:
        """Sum a batch's counter; and return when the newest end that it was told of was."""
        rows = self._rows(BATCH + shop, f"{batch_id}#", f"{batch_id}#9")
        # Somebody else's name for a batch may begin like this one's.
        own = [item for bucket, item in rows if bucket == batch_id]
        ends = [int(item["ended_at"]["N"]) for item in own if "ended_at" in item]
        return total(map(_read_tally, own)), from_microseconds(max(ends)) if ends else None

    def tallies(self, scope_name: str) -> dict[str, Tally]:
        """Sum every bucket of a family."""
        return self._sum(scope_name, None, None)

    def days(self, shop: str, first: str, last: str) -> list[DayTally]:
        """Sum the days from `first` to `last`, those on which something is counted."""
        days: defaultdict[str, defaultdict[_Name, Tally]] = defaultdict(lambda: defaultdict(Tally))
        totals: defaultdict[str, Tally] = defaultdict(Tally)
        for bucket, item in self._rows(f"SHOP#{shop}", f"{DAY}{first}#", f"{DAY}{last}#9"):
            date = bucket.removeprefix(DAY)
            totals[date] += _read_tally(item)
            for name, tally in _read_names(item).items():
                days[date][name] += tally
        return [
            DayTally(
                date=date,
                tally=totals[date],
                by_tool=_family(days[date], TOOL),
                by_type=_family(days[date], TYPE),
            )
            for date in sorted(totals)
            if totals[date] != Tally()
        ]

    def _sum(self, scope_name: str, first: str | None, last: str | None) -> dict[str, Tally]:
        found: defaultdict[str, Tally] = defaultdict(Tally)
        for bucket, item in self._rows(scope_name, first, last):
            found[bucket] += _read_tally(item)
        return {bucket: tally for bucket, tally in found.items() if tally != Tally()}

    def _rows(
        self, scope_name: str, first: str | None, last: str | None
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        terms = Terms()
        condition = terms.equals("pk", text(f"COUNT#{scope_name}"))
        if first is not None and last is not None:
            low, high = terms.value(text(first)), terms.value(text(last))
            condition += f" AND {terms.name('sk')} BETWEEN {low} AND {high}"
        request = {"KeyConditionExpression": condition, "ConsistentRead": True}
        for item in self._table.query(terms.attach(request)):
            yield item["sk"]["S"].rpartition("#")[0], item


def _read_tally(item: Mapping[str, Any]) -> Tally:
    return Tally(**{name: int(item[name]["N"]) for name in TALLY_FIELDS if name in item})


def _read_names(item: Mapping[str, Any]) -> dict[_Name, Tally]:
    found: defaultdict[_Name, dict[str, int]] = defaultdict(dict)
    for attribute, value in item.items():
        family, _, rest = attribute.partition("#")
        name, _, short = rest.rpartition("#")
        if family in (TOOL, TYPE) and short in _LONG_NAMES:
            found[family, name][_LONG_NAMES[short]] = int(value["N"])
    return {name: Tally(**values) for name, values in found.items()}


def _family(names: Mapping[_Name, Tally], family: str) -> dict[str, Tally]:
    return limit_names({name: tally for (of, name), tally in names.items() if of == family})
