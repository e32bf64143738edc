"""What must be true of a job that nobody is working on, whoever wrote it and whatever crashed.

Pure: a job and what is stored beside it come in, differences go out. Nothing is asked of the
job's own plan or counters that could not be derived again from the rest: its next look from its
status, its end from its timeline, its charge from the deliveries, its sums from the jobs.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.budget import Spending, spending
from shared.domain.events import Link, LogEntry, Source
from shared.domain.job import Job
from shared.domain.plan import Patience, next_look
from shared.domain.statistics import (
    DAY,
    OTHER,
    TALLY_FIELDS,
    TYPE,
    Scope,
    Tally,
    contribution,
    counted_names,
    is_uncounted,
    scopes,
    total,
)
from shared.domain.status import JobStatus, PushStatus

# A job that was written this recently is left alone: somebody is at it.
SETTLED_AFTER = timedelta(minutes=10)
# Nobody plans a look so much later than the job itself calls for, and the sweep comes every minute.
TOO_LATE = timedelta(hours=1)
# Two functions' clocks may differ: entries so near to each other have no order.
SAME_MOMENT = timedelta(seconds=5)


class Wrong(StrEnum):
    """What can be wrong: a closed set."""

    NEVER_DUE = "never_due"  # something is owed, and nobody would ever look at the job again
    OVERDUE = "overdue"  # it has been due for long, or will be far too late
    MISPLACED = "misplaced"  # an index has it elsewhere, or not at all: questions miss it
    UNREADABLE = "unreadable"  # no version of ours that is deployed can read it
    END = "end"  # it ended and does not say when, or the reverse
    TIMELINE = "timeline"  # its timeline says another status
    ATTEMPTS = "attempts"  # attempts are missing
    COST = "cost"  # what a delivery charged is not what is booked
    LINK = "link"  # its provider's id does not lead to it
    OUTPUT = "output"  # what is kept of it is not in the bucket
    PUSH = "push"  # it says that it is on its product, and no media is known
    COUNTER = "counter"  # statistics differ from a recount
    BUDGET = "budget"  # a month knows of less than its attempts took


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be. what: a sentence for an operator, the same at every
    look; it names no secret and no content."""

    wrong: Wrong
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is stored beside a job.

    entries: its timeline; is_whole: all of it. links: by the provider's id, None where there is
    none; elsewhere: those ids whose link leads, rightly, to another job that has them too.
    files: the keys in its folder. charges: by attempt, the credits that deliveries said.
    """

    entries: Sequence[LogEntry] = ()
    is_whole: bool = True
    links: Mapping[str, Link | None] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    charges: Mapping[int, frozenset[int]] = field(default_factory=dict)


def is_settled(job: Job, now: datetime) -> bool:
    """Whether a job has been left alone for long enough to be judged."""
    return now - job.updated_at >= SETTLED_AFTER


def place_differences(
    job: Job, misplaced: Sequence[str], now: datetime, patience: Patience
) -> list[Difference]:
    """Judge what the job's own item says: whether it will be looked at again, and is found.

    Parameters
        misplaced: attributes of indexes that are not what the job's fields make them.
    """
    return [
        *(
            Difference(Wrong.MISPLACED, f"Its {name} is not what it should be.")
            for name in misplaced
        ),
        *_when_due(job, now, patience),
        *_end(job),
        *_push(job),
    ]


def evidence_differences(job: Job, evidence: Evidence) -> list[Difference]:
    """Judge the job by what is stored beside it.

    Our own bulk jobs have no timeline to speak of.
    """
    found = [*_links(job, evidence), *_files(job, evidence)]
    if not is_uncounted(job):
        found += [*_timeline(job, evidence), *_attempts(job, evidence), *_charges(job, evidence)]
    return found


def _when_due(job: Job, now: datetime, patience: Patience) -> Iterator[Difference]:
    wanted = next_look(job, now, patience)
    if wanted is not None and job.due_at is None:
        yield Difference(Wrong.NEVER_DUE, "Something is owed, and it is due nowhere.")
    elif wanted is not None and job.due_at is not None and job.due_at > wanted + TOO_LATE:
        yield Difference(Wrong.OVERDUE, "Its next look is far later than it should be.")
    elif job.due_at is not None and job.due_at < now - TOO_LATE:
        yield Difference(Wrong.OVERDUE, "It has been due for more than an hour.")


def _end(job: Job) -> Iterator[Difference]:
    if job.status.is_active != (job.completed_at is None):
        said = "no end" if job.completed_at is None else "an end"
        yield Difference(Wrong.END, f"It is {job.status} and has {said}.")


def _push(job: Job) -> Iterator[Difference]:
    outputs = job.current_outputs
    # (Taking it off failed because its file was gone: it stays pushed, with a reason.)
    if job.push.status is PushStatus.PUSHED and job.push.error_code is None:
        pushed = [output for output in outputs if output.push_status is PushStatus.PUSHED]
        if not pushed or any(output.media_id is None for output in pushed):
            yield Difference(Wrong.PUSH, "It is pushed, and the media of it is not known.")
    if not job.push.status.is_active and any(output.push_status.is_active for output in outputs):
        yield Difference(Wrong.PUSH, f"A result is under way, and the push is {job.push.status}.")


def _timeline(job: Job, evidence: Evidence) -> Iterator[Difference]:
    moves = [e for e in evidence.entries if e.to_status not in (None, e.from_status)]
    if not moves:
        if evidence.is_whole:
            yield Difference(Wrong.TIMELINE, "Its timeline says nothing of where it came from.")
        return
    newest = max(move.at for move in moves)
    said = {move.to_status for move in moves if newest - move.at <= SAME_MOMENT}
    # Work begins without a line of its own.
    is_begun = job.status is JobStatus.PROCESSING and JobStatus.PENDING in said
    if job.status not in said and not is_begun:
        words = " or ".join(sorted(str(status) for status in said))
        yield Difference(Wrong.TIMELINE, f"It is {job.status}; its timeline says {words}.")


def _attempts(job: Job, evidence: Evidence) -> Iterator[Difference]:
    numbers = [attempt.number for attempt in job.attempts]
    told = max((entry.attempt or 0 for entry in evidence.entries), default=0)
    if numbers != list(range(1, len(numbers) + 1)) or told > len(numbers):
        yield Difference(
            Wrong.ATTEMPTS, f"It has {len(numbers)} attempts; its timeline tells of {told}."
        )


def _charges(job: Job, evidence: Evidence) -> Iterator[Difference]:
    asked = {
        entry.attempt
        for entry in evidence.entries
        if entry.source in (Source.POLL, Source.DISPATCH)
        and entry.to_status is not entry.from_status
    }
    for attempt in job.attempts:
        said = evidence.charges.get(attempt.number, frozenset())
        # The answer to a question of ours may have come first, and said something else.
        is_sure = attempt.number not in asked and job.polled_at is None
        if said and (attempt.credits is None or (is_sure and attempt.credits not in said)):
            amounts = " or ".join(map(str, sorted(said)))
            yield Difference(
                Wrong.COST,
                f"Attempt {attempt.number} was charged {amounts}; booked is {attempt.credits}.",
            )


def _links(job: Job, evidence: Evidence) -> Iterator[Difference]:
    held: defaultdict[str, set[int]] = defaultdict(set)
    for attempt in job.attempts:
        if attempt.provider_job_id is not None:
            held[attempt.provider_job_id].add(attempt.number)
    for name, numbers in held.items():
        link = evidence.links.get(name)
        where = f"The id of attempt {max(numbers)} at its provider"
        if link is None:
            yield Difference(Wrong.LINK, f"{where} leads nowhere: deliveries would be parked.")
        elif link.ref != job.ref:
            if name not in evidence.elsewhere:
                yield Difference(Wrong.LINK, f"{where} leads to another job, which has it not.")
        elif link.is_tombstone or link.attempt not in numbers:
            yield Difference(Wrong.LINK, f"{where} leads to what it is not.")


def _files(job: Job, evidence: Evidence) -> Iterator[Difference]:
    for output in job.outputs:
        if output.key is not None and output.key not in evidence.files:
            yield Difference(
                Wrong.OUTPUT,
                f"Result {output.index} of attempt {output.attempt} is not in the bucket.",
            )
    if job.documents_key is not None and job.documents_key not in evidence.files:
        yield Difference(Wrong.OUTPUT, "Its documents are not in the bucket.")


# What days count apart: by UTC date and family (tool or type), then by name.
type NamesOfDays = Mapping[tuple[str, str], Mapping[str, Tally]]


@dataclass(frozen=True, slots=True)
class Recount:
    """What jobs add up to. is_whole: they are all the jobs that the counters are about."""

    tallies: Mapping[Scope, Tally]
    months: Mapping[str, Spending]
    is_whole: bool
    names: NamesOfDays = field(default_factory=dict)


def recount(jobs: Iterable[Job], *, is_whole: bool) -> Recount:
    """Count jobs, one by one, wherever they are counted."""
    tallies: defaultdict[Scope, Tally] = defaultdict(Tally)
    months: defaultdict[str, Spending] = defaultdict(Spending)
    names: defaultdict[tuple[str, str], defaultdict[str, Tally]] = defaultdict(
        lambda: defaultdict(Tally)
    )
    for job in jobs:
        for scope in scopes(job):
            tallies[scope] += contribution(job)
        for family, name in counted_names(job) if scopes(job) else ():
            names[f"{job.completed_at:%Y-%m-%d}", family][name] += contribution(job)
        for month, taken in spending(job).items():
            months[month] += taken
    return Recount(tallies, months, is_whole, names)


def counter_differences(
    recounted: Recount, counted: Mapping[Scope, Tally], spent: Mapping[str, Spending]
) -> list[Difference]:
    """Compare statistics and months with a recount.

    Parameters
        counted: every counter that the recount is about, and more if it is whole.
        spent: of the months that are compared.

    Of a part of the jobs it is only sure that the counters have no less. A month keeps what
    deleted jobs took, so it never has less, and may have more.

    >>> from shared.domain.statistics import Scope, Tally
    >>> found = Recount({Scope(name="SHOP#a", bucket="ALL"): Tally(completed=2)}, {}, True)
    >>> [each.what for each in counter_differences(found, {}, {})]
    ['SHOP#a ALL: completed -2.']
    """
    found = []
    names = {*recounted.tallies, *counted} if recounted.is_whole else {*recounted.tallies}
    for scope in sorted(names, key=lambda each: (each.name, each.bucket)):
        more = counted.get(scope, Tally()) - recounted.tallies.get(scope, Tally())
        wrong = _unlike(more, is_whole=recounted.is_whole)
        if wrong:
            found.append(Difference(Wrong.COUNTER, f"{scope.name} {scope.bucket}: {wrong}."))
    for month, known in sorted(spent.items()):
        rest = known - recounted.months.get(month, Spending())
        if rest.credits < 0 or rest.cost_micros < 0:
            what = f"{month}: credits {rest.credits:+d}, cost {rest.cost_micros:+d}."
            found.append(Difference(Wrong.BUDGET, what))
    return found


def name_differences(recounted: Recount, counted: NamesOfDays) -> list[Difference]:
    """Compare a shop's statistics by tool and by type with a recount.

    Where a day calls some of them `other`, only the sum of all is compared.
    """
    found = []
    days = {*recounted.names, *counted} if recounted.is_whole else {*recounted.names}
    for date, family in sorted(days):
        have = counted.get((date, family), {})
        want = recounted.names.get((date, family), {})
        if OTHER in have or OTHER in want:
            have, want = {OTHER: total(have.values())}, {OTHER: total(want.values())}
        for name in sorted({*have, *want} if recounted.is_whole else want):
            more = have.get(name, Tally()) - want.get(name, Tally())
            wrong = _unlike(more, is_whole=recounted.is_whole)
            if wrong:
                found.append(Difference(Wrong.COUNTER, f"{date} by {family}, {name}: {wrong}."))
    return found


def type_differences(shop_counters: Mapping[str, Tally], counted: NamesOfDays) -> list[Difference]:
    """Compare each day's counter with the sum of its types: every job has one.

    Parameters
        shop_counters: every bucket of the shop's own family (`ALL`, `DAY#…`).
    """
    found = []
    for bucket, tally in sorted(shop_counters.items()):
        if bucket.startswith(DAY):
            date = bucket.removeprefix(DAY)
            wrong = _unlike(total(counted.get((date, TYPE), {}).values()) - tally, is_whole=True)
            if wrong:
                found.append(Difference(Wrong.COUNTER, f"The types of {date}: {wrong}."))
    return found


def day_differences(shop_counters: Mapping[str, Tally]) -> list[Difference]:
    """Compare a shop's counter of all jobs with the sum of its days: true at any number of jobs.

    Parameters
        shop_counters: every bucket of the shop's own family (`ALL`, `DAY#…`).
    """
    days = sum((t for name, t in shop_counters.items() if name.startswith(DAY)), Tally())
    wrong = _unlike(shop_counters.get("ALL", Tally()) - days, is_whole=True)
    return [Difference(Wrong.COUNTER, f"ALL and its days: {wrong}.")] if wrong else []


def _unlike(more: Tally, *, is_whole: bool) -> str:
    """Say by how much a counter is off: above zero it has too much, below too little."""
    amounts = {name: getattr(more, name) for name in TALLY_FIELDS}
    return ", ".join(
        f"{name} {amount:+d}"
        for name, amount in amounts.items()
        if amount < 0 or (is_whole and amount > 0)
    )
