"""What happens to jobs from their creation to their end, told once each.

A story is played on a fresh world, with or without a fault somewhere in it. Its ending is
everything that matters to the merchant and to the bill, and nothing that may rightly differ
from one telling to the next (times, ids of others, the timeline's words).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.job import Job
from shared.domain.references import read_reference
from shared.domain.status import JobStatus
from tests.whole.calls import Fault
from tests.whole.world import INPUT, SHOP, Engine, World, a_world

APP_SECRET = "app-secret-0123456789-0123456789"


@dataclass(frozen=True, slots=True)
class Story:
    """One story.

    play: does what people do, and leaves. world: how the world is made. ends: the status and
    push status that every job has in the end, and how many images are on products.
    """

    name: str
    play: Callable[[World], None]
    world: dict[str, Any] = field(default_factory=dict)
    ends: tuple[str, str, int] = ("completed", "pushed", 1)

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
            f"dead letter: {dead.body}" for q in (world.dispatch, world.push) for dead in q.dead
        ]
        if world.tallies() != world.recount():
            wrong.append(f"statistics {world.tallies()} instead of {world.recount()}")
        paid = Counter(ref for ref, credits_ in world.charges() if ref and credits_ > 0)
        wrong += [f"paid {times} times: {ref}" for ref, times in paid.items() if times > 1]
        return Ending(
            state=ending_of(world),
            calls=tuple(world.probe.names),
            possible=tuple(world.probe.possible),
            hits=tuple(world.probe.hits),
            wrong=tuple(wrong),
        )


def ending_of(world: World) -> dict[str, Any]:
    """Return everything that must not depend on what went wrong on the way."""
    jobs = world.jobs()
    names = {job.job_id: f"job {number}" for number, job in enumerate(jobs)}
    shown = [
        (_named(media["filename"], names), media["alt"], media["status"])
        for product in world.products
        for media in world.product_media(product)
    ]
    return {
        "jobs": [_job(job) for job in jobs],
        "charges": sorted(_charge(ref, paid, names) for ref, paid in world.charges()),
        "on the product": sorted(shown),
        "files": sorted(_named(each["filename"], names) for each in world.files()),
        "kept": [name.rpartition("/")[2] for name in _kept(world, names)],
        "statistics": {
            _named(f"{scope.name} {scope.bucket}", names): _counts(tally)
            for scope, tally in world.tallies().items()
        },
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "status": job.status.value,
        "progress": job.progress,
        "error": job.error_code,
        "attempts": [(a.number, a.credits, a.cost_micros) for a in job.attempts],
        "outputs": [
            (o.attempt, o.index, o.sha256, o.error_code, o.push_status.value) for o in job.outputs
        ],
        "push": (job.push.status.value, job.push.error_code, job.push.undo),
        "documents": job.documents_key and job.documents_key.rpartition("/")[2],
        "parameters": dict(job.parameters),
    }


def _charge(ref: str | None, paid: int, names: dict[str, str]) -> tuple[str, int]:
    found = read_reference("pikcel", ref, [APP_SECRET])
    if found is None:
        return "made elsewhere", paid
    job = names.get(found.ref.job_id, "a deleted job")
    return f"{job}, attempt {found.attempt}", paid


def _named(text: str, names: dict[str, str]) -> str:
    for job_id, name in names.items():
        text = text.replace(job_id, name)
    return text


def _kept(world: World, names: dict[str, str]) -> list[str]:
    """Return what the bucket holds, but for the documents of a job that came not to be made."""
    found = [_named(key, names) for key in world.kept()]
    return [name for name in found if "documents-" not in name or "/jobs/job " in name]


def _counts(tally: Any) -> tuple[int, ...]:
    return tally.completed, tally.failed, tally.cancelled, tally.credits, tally.cost_micros


def differences(told: Ending, expected: Ending) -> list[str]:
    """Return in what an ending differs from the one it must equal."""
    found = list(told.wrong)
    for part, value in expected.state.items():
        if told.state[part] != value:
            found.append(f"{part}: {told.state[part]} instead of {value}")
    return found


# --- the stories -----------------------------------------------------------------------


def _create(world: World, **changes: Any) -> str:
    body: dict[str, Any] = {
        "toolId": "image-enhancement",
        "inputImageUrl": INPUT,
        "productId": world.new_product(),
        "autoPush": True,
        "projectId": "spring",
    }
    return world.ask("POST", "/api/jobs", body | changes).job_id


def _then(world: World, action: str, job_id: str) -> None:
    """Have the user do something; an answer 409 to a repeated request says that it was done."""
    answer = world.ask("POST", f"/api/jobs/{action}", {"jobId": job_id})
    assert answer.status in (200, 409), answer


def _plain(world: World) -> None:
    _create(world)


def _retried(world: World) -> None:
    job_id = _create(world, parameters={"simulate": {"fail": {}, "times": 1}})
    world.settle()
    _then(world, "retry", job_id)


def _silent_provider(world: World) -> None:
    _create(world, parameters={"simulate": {"webhook_lost": "all"}})


def _synced(world: World) -> None:
    job_id = _create(world, parameters={"simulate": {"webhook_lost": "all"}})
    world.run_for(15)
    _then(world, "sync", job_id)


def _registered(world: World) -> None:
    provider_job_id = world.make_elsewhere()
    world.run_for(20)
    _create(world, pikcelJobId=provider_job_id)


def _registered_early(world: World) -> None:
    provider_job_id = world.make_elsewhere()
    _create(world, pikcelJobId=provider_job_id)


def _undone(world: World) -> None:
    job_id = _create(world)
    world.settle()
    _then(world, "undo-push", job_id)


def _pushed_on_demand(world: World) -> None:
    job_id = _create(world, autoPush=False)
    world.settle()
    _then(world, "push-to-shopify", job_id)


def _cancelled(world: World) -> None:
    job_id = _create(world, parameters={"simulate": {"processing_s": 900}})
    while world.job(job_id).status is not JobStatus.PROCESSING:
        world.run_for(5)
    _then(world, "cancel", job_id)


def _several(world: World) -> None:
    for _ in range(3):
        _create(world)


def _lost_answer(world: World) -> None:
    _create(world, parameters={"simulate": {"create": "lost_answer", "webhook_lost": "all"}})


def _listed_late(world: World) -> None:
    """The provider's own list is behind: that a job is not in it proves nothing yet."""
    faults = {"create": "lost_answer", "webhook_lost": "all", "listed_after_s": 60}
    _create(world, parameters={"simulate": faults})


def _never_arrived(world: World) -> None:
    _create(world, parameters={"simulate": {"create": "reset_before", "times": 1}})


def _failed_media(world: World) -> None:
    answer = world.merchant.post(
        "/_simulator/faults", json={"kind": "media_failed", "shop": SHOP, "times": 1}
    )
    assert answer.status_code == 201, answer.text
    _create(world)


def _scheduled(world: World) -> None:
    _create(world, scheduledAt="2026-11-22T12:30:00Z")


def _deleted(world: World) -> None:
    job_id = _create(world, autoPush=False)
    world.settle()
    answer = world.ask("DELETE", f"/api/jobs/{job_id}")
    assert answer.status in (200, 404), answer


def _big_parameters(world: World) -> None:
    """Too big for the item: they are in the bucket, and fetched for each of two attempts."""
    prompts = [f"A mug on a shelf, number {number}" for number in range(1_800)]
    job_id = _create(world, parameters={"prompts": prompts, "simulate": {"fail": {}, "times": 1}})
    world.settle()
    shown = world.ask("GET", f"/api/jobs/{job_id}").body["job"]
    assert shown["parameters"].get("prompts") == prompts
    _then(world, "retry", job_id)
    world.settle()
    sent = [job.parameters.get("prompts") for job in world.pikcel.book.jobs.values()]
    assert sent, "nothing was sent"
    assert all(each == prompts for each in sent)


def _big_deleted(world: World) -> None:
    job_id = _create(world, autoPush=False, metadata={"notes": ["kept with the job"] * 200})
    world.settle()
    assert [key for key in world.kept() if f"{job_id}/documents-" in key]
    answer = world.ask("DELETE", f"/api/jobs/{job_id}")
    assert answer.status in (200, 404), answer
    assert not [key for key in world.kept() if job_id in key]


def _dead_link(world: World) -> None:
    _create(world, parameters={"simulate": {"result": "expired"}})


STORIES = (
    Story("plain", _plain),
    Story("retried", _retried),
    Story("silent_provider", _silent_provider),
    Story("synced", _synced),
    Story("registered", _registered),
    Story("registered_early", _registered_early),
    Story("undone", _undone, ends=("completed", "none", 0)),
    Story("pushed_on_demand", _pushed_on_demand),
    Story("cancelled", _cancelled, ends=("cancelled", "none", 0)),
    Story("several", _several, ends=("completed", "pushed", 3)),
    Story("lost_answer", _lost_answer),
    Story("listed_late", _listed_late),
    Story("never_arrived", _never_arrived),
    Story("failed_media", _failed_media),
    Story("big_parameters", _big_parameters),
    Story("big_deleted", _big_deleted, ends=("", "", 0)),
    Story("dead_link", _dead_link),
    Story("scheduled", _scheduled),
    Story("deleted", _deleted, ends=("", "", 0)),
    # A provider that sends a webhook once, whatever becomes of it.
    Story("two_images", _plain, {"links": 2}, ends=("completed", "pushed", 2)),
    Story("told_once", _plain, {"webhook_retry_delays_s": []}),
)


def story_of(name: str) -> Story:
    """Return a story by its name."""
    return next(story for story in STORIES if story.name == name)
