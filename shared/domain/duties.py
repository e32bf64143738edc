"""Duties: bulk jobs about a whole shop that follow from its life, and that nobody starts by hand.

A duty works in hauls. What it will do next is written on the job, and counted, before it is done:
so a haul that is delivered again is done again (each deed can be), and counted once.

Shape of a duty's `bulk_cursor`: the JSON object of a `Haul`, with the fields that say something.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.errors import ConflictError
from shared.domain.ids import uuid7
from shared.domain.job import WORKER, Attempt, Counts, Job
from shared.domain.statistics import BULK_TYPE_PREFIX
from shared.domain.status import JobStatus


class Duty(StrEnum):
    """What is done for a whole shop."""

    UNINSTALL = "uninstall"  # cancel what was under way when the app was uninstalled
    RESUME = "resume"  # a login brought a token: send the pushes that waited for one
    ERASE = "erase"  # delete everything of the shop
    RETAIN = "retain"  # every day, delete the ended jobs that are old enough

    @property
    def job_type(self) -> str:
        """The type of such a job."""
        return BULK_TYPE_PREFIX + self.value


def duty_of(job: Job) -> Duty | None:
    """Return which duty a job is; None if it is none.

    >>> Duty.ERASE.job_type
    'bulk.erase'
    """
    name = job.type.removeprefix(BULK_TYPE_PREFIX)
    return Duty(name) if job.type != name and name in list(Duty) else None


def is_standing(job: Job) -> bool:
    """Whether it must go on until it is done: nobody stops it, and no number of failures does."""
    return duty_of(job) in (Duty.ERASE, Duty.RETAIN)


def check_can_be_stopped(job: Job) -> None:
    """Raise ConflictError `wrong_status` for a job that must go on until it is done."""
    if is_standing(job):
        raise ConflictError("This job looks after the shop itself; nobody ends it by hand.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Haul:
    """How far a duty is, and what it does next.

    names: what is to be done now (counted already). after: the name after which the next ones
    are looked for. part: in which part of the work. look: which look through all parts this is
    (from 1); has_found: whether it has found anything yet.
    """

    names: tuple[str, ...] = ()
    after: str | None = None
    part: int = 0
    look: int = 1
    has_found: bool = False


_NONE = Haul()


def read_haul(job: Job) -> Haul:
    """Read how far a duty is.

    >>> haul = Haul(names=("a", "b"), part=2)
    >>> write_haul(haul)
    '{"names":["a","b"],"part":2}'
    """
    if job.bulk_cursor is None:
        return _NONE
    values: dict[str, Any] = json.loads(job.bulk_cursor)
    return Haul(**values | {"names": tuple(values.get("names", ()))})


def write_haul(haul: Haul) -> str:
    """Write how far a duty is."""
    standard = asdict(_NONE)
    told = {name: value for name, value in asdict(haul).items() if value != standard[name]}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def new_duty(
    duty: Duty,
    shop: str,
    job_id: str,
    created_at: datetime,
    *,
    start_at: datetime | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Job:
    """Return a duty of a shop, its first look not planned yet.

    Parameters
        start_at: when it begins (None: at once). facts: what it must know (`parameters`).
    """
    return Job(
        shop=shop,
        job_id=job_id,
        created_at=created_at,
        updated_at=created_at,
        provider=WORKER,
        type=duty.job_type,
        parameters=dict(facts or {}),
        scheduled_at=start_at,
        counts=Counts(processed=0, successful=0, failed=0),
        attempts=(Attempt(number=1, created_at=created_at),),
    )


def duty_id(duty: Duty, shop: str, occasion: str, at: datetime) -> str:
    """Return the id of a duty that is owed on an occasion: the same at every try.

    >>> from datetime import UTC
    >>> duty_id(Duty.ERASE, "a.myshopify.com", "w-1", datetime(2026, 1, 1, tzinfo=UTC))[:15]
    '019b76da-a800-7'
    """
    digest = hashlib.sha256(f"{duty.value}\n{shop}\n{occasion}".encode()).digest()
    return uuid7(at, digest[:10])


def take_on(job: Job, haul: Haul, found: Mapping[str, int], now: datetime) -> Job:
    """Return a duty with its next haul written down and counted.

    Parameters
        found: how many of which kind the haul takes on.
    """
    done = dict((job.result or {}).get("done", {}))
    for kind, count in found.items():
        done[kind] = done.get(kind, 0) + count
    counted = (job.counts.processed or 0) + sum(found.values())
    return replace(
        job,
        status=JobStatus.PROCESSING,
        started_at=job.started_at or now,
        counts=Counts(processed=counted, successful=counted, failed=0),
        result=dict(job.result or {}) | {"done": done},
        bulk_cursor=write_haul(haul),
        reported_at=now,
        updated_at=now,
        due_tries=0,
    )


def wait_until(job: Job, at: datetime, now: datetime) -> Job:
    """Return a duty that goes on later."""
    return replace(job, scheduled_at=at, updated_at=now, due_tries=0)


def begin_anew(job: Job, at: datetime, now: datetime) -> Job:
    """Return a daily duty that has done its day's work: it begins again at `at`.

    What it did stays readable until then (`result.done`); nothing else piles up.
    """
    rested = wait_until(job, at, now)
    return replace(rested, status=JobStatus.PENDING, bulk_cursor=None, started_at=None)


def wake(job: Job, now: datetime) -> Job:
    """Return a daily duty at the beginning of its day's work, with nothing counted yet."""
    return replace(
        job,
        counts=Counts(processed=0, successful=0, failed=0),
        result={"done": {}},
        scheduled_at=None,
        bulk_cursor=write_haul(Haul()),
        updated_at=now,
    )


def finish(job: Job, now: datetime, **more: Any) -> Job:
    """Return a duty that is done. more: what its result also says."""
    return replace(
        job,
        status=JobStatus.COMPLETED,
        progress=100,
        started_at=job.started_at or now,
        completed_at=now,
        updated_at=now,
        bulk_cursor=None,
        counts=replace(job.counts, total=job.counts.processed),
        result=dict(job.result or {}) | more,
        due_tries=0,
    )
