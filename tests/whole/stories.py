"""What happens to jobs from their creation to their end, told once each."""

from typing import Any

from shared.domain.status import JobStatus
from tests.whole.many_stories import MANY_STORIES
from tests.whole.shop_stories import SHOP_STORIES
from tests.whole.story import Story
from tests.whole.world import INPUT, SHOP, World


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


def _held_back(world: World) -> None:
    """Our secret is wrong while the provider delivers; made right, nothing was lost."""
    with world.secret("signing-secret", PIKCEL_WEBHOOK_SECRET="not-the-providers"):
        _create(world)
        world.run_for(20)
    done = _reverify(world)
    assert done["failing"] == 0
    world.settle()
    assert _reverify(world)["checked"] == 0


def _held_back_elsewhere(world: World) -> None:
    """Likewise of a job that was made elsewhere, and is registered only afterwards."""
    with world.secret("signing-secret", PIKCEL_WEBHOOK_SECRET="not-the-providers"):
        provider_job_id = world.make_elsewhere()
        world.run_for(20)
    _reverify(world)
    _create(world, pikcelJobId=provider_job_id)


def _reverify(world: World) -> dict[str, Any]:
    return world.ask("POST", "/api/admin/quarantine/reverify", {}, shop=None).body


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


# Of many jobs, and of a shop's whole life.
LONG_STORIES = (*MANY_STORIES, *SHOP_STORIES)

STORIES = (
    *LONG_STORIES,
    Story("plain", _plain),
    Story("retried", _retried),
    Story("silent_provider", _silent_provider),
    Story("synced", _synced),
    Story("registered", _registered),
    Story("registered_early", _registered_early),
    Story("held_back", _held_back, {"webhook_retry_delays_s": []}),
    Story("held_back_elsewhere", _held_back_elsewhere, {"webhook_retry_delays_s": []}),
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
