"""The lives of jobs at the other providers: each proves its webhooks in its own way, some can
stop a job, and none can say of an unanswered create call that it was not executed."""

from collections.abc import Callable
from functools import partial
from typing import Any

from shared.domain.status import JobStatus
from tests.whole.elsewhere import TOOLS
from tests.whole.story import Story
from tests.whole.world import INPUT, World


def _create(world: World, provider: str) -> str:
    body: dict[str, Any] = {"toolId": TOOLS[provider], "provider": provider, "inputImageUrl": INPUT}
    body |= {"productId": world.new_product(), "autoPush": True}
    return world.ask("POST", "/api/jobs", body).job_id


def _plain(provider: str, world: World) -> None:
    _create(world, provider)


def _retried(provider: str, world: World) -> None:
    job_id = _create(world, provider)
    world.settle()
    if world.job(job_id).error_code != "dispatch_unknown":
        answer = world.ask("POST", "/api/jobs/retry", {"jobId": job_id})
        assert answer.status in (200, 409), answer


def _stopped(provider: str, world: World) -> None:
    """Cancelled here while it is worked on there."""
    job_id = _create(world, provider)
    while world.job(job_id).status not in (JobStatus.PROCESSING, JobStatus.FAILED):
        world.run_for(5)
    answer = world.ask("POST", "/api/jobs/cancel", {"jobId": job_id})
    assert answer.status in (200, 409), answer


_STORIES: dict[str, tuple[Callable[[str, World], None], dict[str, Any], tuple[str, str, int]]] = {
    "plain": (_plain, {}, ("completed", "pushed", 1)),
    "silent": (_plain, {"webhook_lost": "all"}, ("completed", "pushed", 1)),
    "answer_lost": (_plain, {"create": "lost_answer"}, ("completed", "pushed", 1)),
    "retried": (_retried, {"fail": {}}, ("completed", "pushed", 1)),
    "stopped": (_stopped, {"processing_s": 900}, ("cancelled", "none", 0)),
}


def _story(provider: str, name: str) -> Story:
    play, faults, ends = _STORIES[name]
    rules = [{"times": 1, "per": "job", "faults": faults}] if faults else []
    settings = {"elsewhere": provider, "rules": rules}
    return Story(f"{provider} {name}", partial(play, provider), settings, ends=ends)


ELSEWHERE_STORIES = tuple(_story(provider, name) for provider in TOOLS for name in _STORIES)
