"""The demo's story against a small stand-in of the three services, with a clock moved by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from local.demo.cases import SHOPS, Assignment, Kind, assign
from local.demo.clients import TOKEN_GOOD_FOR_S, DemoError, Provider, Shopify, ShopPage, Web
from local.demo.photos import Picture
from local.demo.story import PATIENCE_S, Places, Sent, Story, StuckError


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


class Services:
    """Answers as our API and both simulators do; each look brings a job one step further."""

    def __init__(self, *, steps: Sequence[dict[str, Any]]) -> None:
        self.steps = list(steps)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.tokens = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        body = json.loads(request.content) if request.content else {}
        if path == "/_simulator/id-token":
            self.tokens += 1
            return httpx.Response(200, json={"idToken": f"token-{self.tokens}"})
        if path == "/_simulator/products":
            return httpx.Response(201, json={"product": {"id": f"gid-{body['title']}"}})
        if path.startswith("/_simulator/"):
            return httpx.Response(200, json={})
        assert request.headers["authorization"].startswith("Bearer token-")
        if path == "/api/jobs/retry":
            job = self.jobs[body["jobId"]]
            job |= {"status": "pending", "attempt": 2, "step": 0}
            return httpx.Response(200, json={"success": True, "job": job})
        if request.method == "POST":
            return self._created(request, body)
        for job in self.jobs.values():
            job.update(self.steps[min(job["step"], len(self.steps) - 1)])
            job["step"] += 1
        return httpx.Response(200, json={"jobs": list(self.jobs.values()), "nextCursor": None})

    def _created(self, request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        key = request.headers["idempotency-key"]
        new = {"status": "pending", "pushStatus": "none", "attempt": 1, "step": 0}
        job = self.jobs.setdefault(key, {"id": key, "asked": body, **new})
        return httpx.Response(202, json={"job": job})


class Silent:
    def show(self, sent: Sequence[Sent], elapsed_s: float) -> None:
        return


COMPLETED = {"status": "completed", "pushStatus": "pushed"}
FAILED = {"status": "failed", "pushStatus": "none"}
WORKING = {"status": "processing", "pushStatus": "none"}


def places(services: Services, time: Time) -> Places:
    client = httpx.Client(transport=httpx.MockTransport(services.answer))
    shopify = Shopify(client, "http://shopify", time.wait)
    api = Web(client, "http://api", time.wait)
    pages = {shop: ShopPage(api, lambda: shopify.id_token("x"), time.now) for shop in SHOPS}
    return Places(Provider(client, "http://pikcel", time.wait), shopify, pages)


def assignments(count: int) -> tuple[Assignment, ...]:
    pictures = [Picture(f"{n}.jpg", f"Photo {n}", "upscale-4x", b"x") for n in range(count)]
    return assign(pictures, "http://pikcel/photos")


def story(services: Services, count: int, time: Time | None = None) -> Story:
    time = time or Time()
    given = places(services, time)
    return Story(given, assignments(count), Silent(), now=time.now, wait=time.wait)


def test_each_photo_becomes_a_job_that_is_pushed_by_itself() -> None:
    services = Services(steps=[WORKING, COMPLETED])
    sent = story(services, 2).run()
    assert [each.job["asked"] for each in sent] == [
        {
            "toolId": "upscale-4x",
            "provider": "pikcel",
            "inputImageUrl": f"http://pikcel/photos/{number}.jpg",
            "productId": f"gid-Photo {number}",
            "productTitle": f"Photo {number}",
            "autoPush": True,
        }
        for number in (0, 1)
    ]
    assert all(each.is_settled for each in sent)


def test_what_fails_first_is_retried_by_the_page_and_nothing_else_is() -> None:
    services = Services(steps=[FAILED])
    sent = story(services, 4).run()
    assert services.asked.count("POST /api/jobs/retry") == 1
    attempts = {each.assignment.case.kind: each.job["attempt"] for each in sent}
    assert attempts == {Kind.LOST: 1, Kind.ANSWER_LOST: 1, Kind.RETRIED: 2, Kind.LATE: 1}


def test_a_job_that_never_ends_is_named_when_patience_ends() -> None:
    time = Time()
    services = Services(steps=[WORKING])
    with pytest.raises(StuckError, match="Photo 0") as caught:
        story(services, 1, time).run()
    assert [each.assignment.picture.title for each in caught.value.jobs] == ["Photo 0"]
    assert PATIENCE_S < time.seconds < PATIENCE_S + 5


def test_a_page_gets_a_new_id_token_before_its_old_one_ends() -> None:
    time = Time()
    services = Services(steps=[WORKING])
    page = places(services, time).pages[SHOPS[0]]
    page.jobs()
    page.jobs()
    assert services.tokens == 1
    time.wait(TOKEN_GOOD_FOR_S + 1)
    page.jobs()
    assert services.tokens == 2


def answers(*statuses: int) -> tuple[Web, list[int]]:
    left = list(statuses)

    def answer(_: httpx.Request) -> httpx.Response:
        status = left.pop(0)
        if status == 0:
            raise httpx.ReadError("the connection broke")
        return httpx.Response(status, json={"status": status})

    client = httpx.Client(transport=httpx.MockTransport(answer))
    return Web(client, "http://api", Time().wait), left


@pytest.mark.parametrize("trouble", [0, 429, 500, 503])
def test_passing_trouble_is_tried_again(trouble: int) -> None:
    web, left = answers(trouble, 200)
    assert web.ask("GET", "/x") == {"status": 200}
    assert left == []


def test_a_refusal_is_told_at_once_with_what_was_asked() -> None:
    web, left = answers(403, 200)
    with pytest.raises(DemoError, match=r"GET http://api/x was answered: 403"):
        web.ask("GET", "/x")
    assert left == [200]


def test_trouble_that_stays_is_told() -> None:
    web, _ = answers(*[503] * 9)
    with pytest.raises(DemoError, match="503"):
        web.ask("GET", "/x")


def test_every_page_of_a_long_list_is_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params.get("cursor")
        page = {"jobs": [{"id": cursor or "first"}], "nextCursor": None if cursor else "a+b"}
        return httpx.Response(200, json=page)

    web = Web(httpx.Client(transport=httpx.MockTransport(answer)), "http://api")
    assert set(ShopPage(web, lambda: "t").jobs()) == {"first", "a+b"}
