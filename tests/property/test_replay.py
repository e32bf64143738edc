"""The log is enough: from nothing but the deliveries that the timelines hold, the same jobs.

Two shops follow jobs that were made elsewhere. Hypothesis delivers what the provider sends in any
order, several times, forged, late, and before anybody knows the job. Nobody polls. Then a second
world, with an empty table and no provider, registers the same ids at the same instants, and is
told again what the first one logged. Every job must be what it was.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from local.pikcel_simulator.config import DEVELOPMENT_SECRET
from shared.domain.job import Job
from tests.promises import scaled
from tests.unit.providers.senders import SENDERS
from tests.whole.world import OTHER_SHOP, PUBLIC_URL, SHOP, World, a_world

pytestmark = [
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.timeout(900),
    pytest.mark.promise("drift", "logged deliveries replayed from nothing"),
]

WINDOW = timedelta(seconds=300)
TROUBLES: tuple[dict[str, Any], ...] = (
    {},
    {"fail": {}},
    {"webhook_out_of_order": True},
    {"webhook_copies": 2},
    {"status_word": "thinking"},
)


@dataclass(frozen=True, slots=True)
class Logged:
    """A delivery as a timeline holds it."""

    at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """A job that somebody follows. at: when it was registered."""

    provider_job_id: str
    shop: str
    at: datetime


def register(world: World, known: Known) -> str:
    body = {"pikcelJobId": known.provider_job_id}
    return world.ask("POST", "/api/jobs", body, shop=known.shop).job_id


def logged(world: World, job_id: str, shop: str) -> list[Logged]:
    """Read the raw deliveries back from a job's timeline, as anybody can over HTTP."""
    found = []
    path = f"/api/jobs/{job_id}/logs"
    for entry in world.ask("GET", path, shop=shop, query={"limit": "100"}).body["logs"]:
        if entry["hasBody"]:
            told = world.ask("GET", f"{path}/{entry['id']}", shop=shop).body
            assert told["body"] is not None
            is_text = told["bodyEncoding"] == "text"
            raw = told["body"].encode() if is_text else base64.b64decode(told["body"])
            found.append(Logged(_received_at(entry, raw), raw))
    return found


def _received_at(entry: dict[str, Any], raw: bytes) -> datetime:
    """Return when a delivery came, as far as its entry tells: that says when it was applied.

    One that waited, parked, until its job was known came at about its own time: nothing that comes
    later than five minutes after that is ever applied.
    """
    at = datetime.fromisoformat(entry["at"])
    sent_at = datetime.fromisoformat(json.loads(raw)["timestamp"])
    has_waited = at - sent_at > WINDOW and entry["outcome"] != "out_of_window"
    return sent_at if has_waited else at


def what_it_is(job: Job) -> dict[str, Any]:
    """Return all of a job that deliveries decide."""
    return {
        "shop": job.shop,
        "status": job.status,
        "native": job.native_status,
        "error": (job.error_code, job.error_message),
        "progress": job.progress,
        "credits": [(a.number, a.credits, a.processing_ms) for a in job.attempts],
        "outputs": [(o.attempt, o.index, o.url) for o in job.outputs],
        "ended": job.completed_at,
    }


def live(world: World, data: st.DataObject) -> list[Known]:
    """Let jobs be made elsewhere, and their deliveries come anyhow."""
    world.is_held = True
    followed: list[Known] = []
    waiting: list[tuple[str, str]] = []
    for _ in range(data.draw(st.integers(1, 3), "jobs")):
        trouble = data.draw(st.sampled_from(TROUBLES), "trouble")
        simulate = {"parameters": {"simulate": trouble}} if trouble else {}
        shop = data.draw(st.sampled_from((SHOP, OTHER_SHOP)), "shop")
        waiting.append((world.make_elsewhere(**simulate), shop))
    for _ in range(data.draw(st.integers(4, 14), "steps")):
        world.run_for(data.draw(st.sampled_from((1, 12, 290, 700)), "wait"))
        is_time = data.draw(st.booleans(), "register")
        if waiting and is_time:
            known = Known(*waiting.pop(), world.our_clock.now())
            register(world, known)
            followed.append(known)
        elif world.letters:
            letter = data.draw(st.sampled_from(world.letters), "letter")
            if data.draw(st.integers(0, 5), "forged") == 0:
                letter = httpx.Request(
                    "POST",
                    letter.url,
                    headers=letter.headers,
                    content=letter.content.replace(b"job.", b"Job."),
                )
            world.post_webhook(letter)
    return followed


def replay(known: list[Known], deliveries: list[Logged]) -> dict[str, dict[str, Any]]:
    """Begin with nothing; return what the jobs become."""
    steps: list[tuple[datetime, Known | Logged]] = [
        *((each.at, each) for each in known),
        *((each.at, each) for each in deliveries),
    ]
    with a_world() as world:
        world.is_held = True
        for at, step in sorted(steps, key=lambda each: each[0]):
            world.run_for(max(0.0, (at - world.our_clock.now()).total_seconds()))
            if isinstance(step, Known):
                register(world, step)
            else:
                assert deliver(world, step.body) == 200
        assert world.bugs == []
        assert world.tallies() == world.recount()
        return {str(job.provider_job_id): what_it_is(job) for job in world.jobs()}


def deliver(world: World, body: bytes) -> int:
    headers = SENDERS["pikcel"].signs(body, "", 0, DEVELOPMENT_SECRET)
    headers |= {"content-type": "application/json"}
    url = f"{PUBLIC_URL}/webhooks/pikcel"
    answer = world.post_webhook(httpx.Request("POST", url, headers=headers, content=body))
    assert answer is not None
    return int(answer["statusCode"])


@settings(
    max_examples=scaled(15),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # A life takes a tenth of a second: the steps printed say more than minutes of shrinking.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(data=st.data())
def test_the_logged_deliveries_alone_make_the_same_jobs_again(data: st.DataObject) -> None:
    with a_world() as world:
        followed = live(world, data)
        assert world.bugs == []
        lived = {str(job.provider_job_id): what_it_is(job) for job in world.jobs()}
        told = [
            delivery for job in world.jobs() for delivery in logged(world, job.job_id, job.shop)
        ]
    assert replay(followed, told) == lived


def test_something_is_logged_and_replayed() -> None:
    """The property above is not about nothing."""
    with a_world() as world:
        world.is_held = True
        known = Known(world.make_elsewhere(), SHOP, world.our_clock.now())
        job_id = register(world, known)
        world.run_for(timedelta(seconds=20).total_seconds())
        for letter in world.letters:
            world.post_webhook(letter)
        told = logged(world, job_id, SHOP)
        lived = what_it_is(world.job(job_id))
    assert len(told) >= 2
    (again,) = replay([known], told).values()
    assert again == lived
    assert (again["status"], again["progress"], len(again["outputs"])) == ("completed", 100, 1)
    nothing = replay([known], [])[known.provider_job_id]
    assert nothing["status"] == "pending"
