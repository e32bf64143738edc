"""What happens between us and a provider, told as data and played through the real use-cases.

A story is a file, `tests/fixtures/providers/{provider}/{name}.json`:

    says      one sentence
    job       changes of the job that is made (tool_id, parameters, …)
    created   the answer to the create call
    steps     in order, each one of
        webhook   a delivery: a body; or `text`, where it is no plain JSON; `grow` makes fields long
        outcome   what that must amount to
        poll      the answers to the calls of one look at the job, in order
        cancel    true: the user cancels
        keep      the answers to the calls of keeping the results
        after     seconds that pass first
    links     result links that work; every other one is dead
    expect    how the job is in the end, by the names of the HTTP API, and `asked`: the calls
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.domain.references import make_reference
from shared.providers.base import Delivery, Reply, Request
from shared.providers.registry import ADAPTERS
from shared.serializers.jobs import job_json
from shared.usecases.cancel_job import cancel_job
from shared.usecases.identify_caller import Caller, CallerKind
from shared.usecases.receive_webhook import Receipt, Seals, receive_webhook
from tests.builders import SHOP, a_job, later
from tests.fakes.key_sets import FakeKeySets
from tests.unit.providers.senders import APP_SECRET, FAL_KEY, REF, SENDERS
from tests.unit.usecases.lane_world import LaneWorld

FIXTURES = Path(__file__).parents[2] / "fixtures" / "providers"
# What each provider must be told in.
NAMES = (
    *("happy", "failed", "cancelled", "expired", "duplicate", "late"),
    *("partial", "huge", "non_ascii", "big_numbers"),
)
TOOLS = {
    "pikcel": "background-removal",
    "replicate": "an-owner/a-model",
    "fal": "an-owner/a-model/with/a-path",
    "runpod": "endpoint1",
    "bfl": "flux-kontext-pro",
    "openai": "gpt-5",
}
# Those whose callback address is not ours to choose for each job.
WITHOUT_CALLBACK = frozenset({"openai"})
USER = Caller(kind=CallerKind.USER, shop=SHOP, actor="user")


class ScriptedApi:
    """Implements ProviderApi: answers what a story says. asked: the calls, in order."""

    def __init__(self) -> None:
        self.answers: deque[Reply] = deque()
        self.asked: list[Request] = []

    def call(self, request: Request) -> Reply:
        """Answer one call."""
        self.asked.append(request)
        assert self.answers, f"nothing is told of {request.method} {request.url or request.path}"
        return self.answers.popleft()


class StoryWorld(LaneWorld):
    """One job at one provider, with its webhooks, its polls and its results."""

    def __init__(self, provider: str, **job: Any) -> None:
        super().__init__()
        self.provider = provider
        self.scripted = ScriptedApi()
        sender = SENDERS[provider]
        self.secrets.values["signing", f"{provider.upper()}_WEBHOOK_SECRET"] = sender.key
        self.tracker = replace(self.tracker, adapters=ADAPTERS)
        self.lane = replace(
            self.lane,
            tracker=self.tracker,
            apis=dict.fromkeys(ADAPTERS, self.scripted),
        )
        self.seals = Seals(secrets=self.secrets, key_sets=FakeKeySets(fal=(FAL_KEY,)))
        values = {"provider": provider, "tool_id": TOOLS[provider], "shop": REF.shop, **job}
        self.ref = self.has(a_job(job_id=REF.job_id, **values))

    def answers(self, *answers: Mapping[str, Any]) -> None:
        """Have the provider's API answer so."""
        self.scripted.answers.extend(map(_reply, answers))

    def look(self, *answers: Mapping[str, Any], poll: bool = False) -> None:
        """Have the lane look at the job, with those answers to its calls."""
        self.answers(*answers)
        self.advance(self.ref, poll=poll)
        assert not self.scripted.answers, "an answer that nobody asked for"

    def deliver(self, webhook: Mapping[str, Any]) -> Receipt:
        """Have the provider deliver, rightly signed, now."""
        body = _body(webhook)
        now = self.clock.now()
        told = json.loads(body.decode("utf-8", "replace"))
        # fal names the request in a header too.
        letter = SENDERS[self.provider].letter(body, told.get("request_id", "msg_1"), at=now)
        number = self.job(self.ref).attempt.number
        reference = make_reference(self.provider, self.ref, number, APP_SECRET)
        return receive_webhook(
            self.tracker,
            self.seals,
            Delivery(
                provider=self.provider,
                body=body,
                headers=letter.headers,
                received_at=now,
                reference=None if self.provider in WITHOUT_CALLBACK else reference,
            ),
        )

    def cancel(self) -> None:
        """Have the user cancel."""
        cancel_job(self.tracker, USER, self.ref)

    def shown(self) -> dict[str, Any]:
        """Return the job as people see it."""
        return job_json(self.job(self.ref), str)

    @property
    def asked(self) -> list[str]:
        """The calls to the provider, as "METHOD address"."""
        return [f"{each.method} {each.url or each.path}" for each in self.scripted.asked]


def read_story(provider: str, name: str) -> dict[str, Any]:
    """Read a story."""
    story: dict[str, Any] = json.loads((FIXTURES / provider / f"{name}.json").read_text("utf-8"))
    return story


def play(provider: str, story: Mapping[str, Any]) -> StoryWorld:
    """Play a story to its end."""
    world = StoryWorld(provider, **story.get("job", {}))
    for link in story.get("links", ()):
        world.link_works(link)
    world.look(story["created"])
    for step in story["steps"]:
        if "after" in step:
            world.at((world.clock.now() - later(0)) / timedelta(seconds=1) + step["after"])
        if "webhook" in step:
            outcome = world.deliver(step["webhook"]).outcome
            assert outcome.value == step["outcome"], step
        elif step.get("cancel"):
            world.cancel()
        elif "poll" in step:
            world.look(*step["poll"], poll=True)
        else:
            world.look(*step["keep"])
    return world


def _reply(answer: Mapping[str, Any]) -> Reply:
    return Reply(
        status=answer["status"], body=_body(answer), retry_after_s=answer.get("retryAfter")
    )


def _body(told: Mapping[str, Any]) -> bytes:
    if "text" in told:
        text: str = told["text"]
        return text.encode("utf-8", "surrogateescape")
    body = json.loads(json.dumps(told["body"]))
    for path, length in told.get("grow", {}).items():
        *above, last = path.split(".")
        place = body
        for name in above:
            place = place[name]
        place[last] = place.get(last, "") + "x" * length
    return json.dumps(body, ensure_ascii=False).encode()
