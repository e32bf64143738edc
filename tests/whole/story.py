"""How a story is told: with what goes wrong in it, and what must be the same in the end.

A story is played on a fresh world, with or without a fault somewhere in it. Its ending is
everything that matters to the merchant and to the bill, and nothing that may rightly differ
from one telling to the next (times, ids of others, the timeline's words).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.bulk import BulkAction, action_of
from shared.domain.events import Source
from shared.domain.job import Job
from shared.domain.references import read_reference
from shared.domain.statistics import is_uncounted
from tests.whole.auditing import differences_of
from tests.whole.calls import Fault
from tests.whole.world import SHOP, Engine, World, a_world

APP_SECRET = "app-secret-0123456789-0123456789"


@dataclass(frozen=True, slots=True)
class Story:
    """One story.

    play: does what people do, and leaves. world: how the world is made. ends: the status and
    push status that every job has in the end, and how many images are on products. free: the
    parts of the ending that may depend on how far others were when something was done.
    """

    name: str
    play: Callable[[World], None]
    world: dict[str, Any] = field(default_factory=dict)
    ends: tuple[str, str, int] = ("completed", "pushed", 1)
    free: tuple[str, ...] = ()
    look: Callable[[World], Any] = lambda _world: None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Ending:
    """How a story ended.

    calls: all of them, in order; possible: the faults that each could have. hits: the faults
    that happened. wrong: what must never be, whatever happened.
    """

    state: dict[str, Any]
    calls: tuple[str, ...]
    possible: tuple[frozenset[Fault], ...]
    hits: tuple[str, ...]
    wrong: tuple[str, ...]


def tell(
    story: Story, engine: Engine = "memory", faults: Mapping[int, Fault] | None = None
) -> Ending:
    """Play a story to its end and look at what is left."""
    with a_world(engine, faults=faults, **story.world) as world:
        wrong: list[str] = []
        try:
            story.play(world)
            world.settle()
        except AssertionError as error:
            wrong.append(str(error))
        wrong += [f"unhandled {type(bug).__name__}: {bug}" for bug in world.bugs]
        wrong += [
            f"dead letter: {dead.body}" for queue in world.queues.values() for dead in queue.dead
        ]
        calls, possible = tuple(world.probe.names), tuple(world.probe.possible)
        world.probe.faults = {}  # from here on we only look
        if world.tallies() != world.recount():
            wrong.append(f"statistics {world.tallies()} instead of {world.recount()}")
        paid = Counter(ref for ref, credits_ in world.charges() if ref and credits_ > 0)
        wrong += [f"paid {times} times: {ref}" for ref, times in paid.items() if times > 1]
        wrong += differences_of(world)
        wrong += world.ear.leaks
        wrong += _forgotten(world)
        state = ending_of(world) | {"seen": story.look(world)}
        return Ending(
            state={part: value for part, value in state.items() if part not in story.free},
            calls=calls,
            possible=possible,
            hits=tuple(world.probe.hits),
            wrong=tuple(wrong),
        )


def _forgotten(world: World) -> list[str]:
    """Return which acknowledged webhooks are on no timeline: polls would hide their loss."""
    found = []
    for job in world.jobs():
        ids = [attempt.provider_job_id or "" for attempt in job.attempts]
        told = sum(len(world.acknowledged.get(name, ())) for name in ids)
        entries = world.store.log(job.ref, limit=100).entries
        noted = len([entry for entry in entries if entry.source is Source.WEBHOOK])
        if noted < told:
            found.append(f"{told} webhooks acknowledged, {noted} noted")
    return found


def ending_of(world: World) -> dict[str, Any]:
    """Return everything that must not depend on what went wrong on the way."""
    jobs = [job for job in world.jobs() if not is_uncounted(job)]
    bulk_jobs = [j for j in world.jobs() if is_uncounted(j) and j.type not in REPEATABLE]
    names = {job.job_id: f"job {number}" for number, job in enumerate(jobs)}
    names |= {job.job_id: f"bulk {number}" for number, job in enumerate(bulk_jobs)}
    shown = [
        (_named(media["filename"], names), media["alt"], media["status"])
        for product in world.products
        for media in world.product_media(product)
    ]
    return {
        "jobs": [_job(job, world) for job in jobs],
        "charges": sorted(_charge(world, ref, paid, names) for ref, paid in world.charges()),
        "on the product": sorted(shown),
        "files": sorted(_named(each["filename"], names) for each in world.files()),
        "kept": _kept(world, names),
        "statistics": {
            _named(f"{scope.name} {scope.bucket}", names): _counts(tally)
            for scope, tally in world.tallies().items()
        },
        "bulk jobs": [_bulk_job(job) for job in bulk_jobs],
        "batches": [_batch(world, job) for job in bulk_jobs if action_of(job) is BulkAction.EXPAND],
        "spent": {month: world.store.spent(SHOP, month) for month in MONTHS},
    }


# Asked for again without an answer, these make another bulk job, which finds nothing to do. So
# does a login whose token could not be stored, and every login owes one, in case.
REPEATABLE = ("bulk.sync", "bulk.cancel", "bulk.resume")
MONTHS = ("2026-11", "2026-12")


def _job(job: Job, world: World) -> dict[str, Any]:
    return {
        "status": job.status.value,
        "progress": job.progress,
        "native": job.native_status,
        "error": (job.error_code, job.error_message),
        "attempts": [(a.number, a.credits, a.cost_micros) for a in job.attempts],
        "outputs": [
            (o.attempt, o.index, o.sha256, o.error_code, o.push_status.value) for o in job.outputs
        ],
        "push": (job.push.status.value, job.push.error_code, job.push.undo),
        "documents": job.documents_key and world.kept()[job.documents_key],
        "parameters": dict(job.parameters),
        "work": (job.counts, job.message, job.metadata, job.result, job.cancel_requested),
        "whose": (job.shop, job.agent_id is not None, job.batch_id is not None),
    }


def _bulk_job(job: Job) -> dict[str, Any]:
    return {
        "type": job.type,
        "status": job.status.value,
        "counts": job.counts,
        "result": job.result,
        "error": job.error_code,
    }


def _batch(world: World, job: Job) -> dict[str, Any]:
    shown = world.ask("GET", f"/api/batches/{job.job_id}", shop=job.shop).body["batch"]
    return {name: value for name, value in shown.items() if name not in _NOT_THE_SAME}


_NOT_THE_SAME = ("id", "createdAt", "updatedAt", "startedAt", "completedAt")


def _charge(world: World, ref: str | None, paid: int, names: dict[str, str]) -> tuple[str, int]:
    read = (read_reference(provider, ref, [APP_SECRET]) for provider in world.books)
    found = next((each for each in read if each is not None), None)
    if found is None:
        return "made elsewhere", paid
    job = names.get(found.ref.job_id, "a deleted job")
    return f"{job}, attempt {found.attempt}", paid


def _named(text: str, names: dict[str, str]) -> str:
    for job_id, name in names.items():
        text = text.replace(job_id, name)
    return text


def _kept(world: World, names: dict[str, str]) -> list[str]:
    """Return what the bucket holds: images, and the documents that some job names.

    Documents have other names when their job was written more often on the way.
    """
    documents = {job.documents_key for job in world.jobs()}
    return sorted(
        _named(key, names) if "/documents-" not in key else _named(key, names)[:-37]
        for key in world.kept()
        if "/documents-" not in key or key in documents
    )


def _counts(tally: Any) -> tuple[int, ...]:
    return tally.completed, tally.failed, tally.cancelled, tally.credits, tally.cost_micros


def differences(told: Ending, expected: Ending) -> list[str]:
    """Return in what an ending differs from the one it must equal."""
    found = list(told.wrong)
    for part, value in expected.state.items():
        if told.state[part] != value:
            found.append(f"{part}: {told.state[part]} instead of {value}")
    return found
