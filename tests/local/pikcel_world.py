"""The PikcelAI simulator in a world without network or waiting: time is moved by hand."""

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import anyio.lowlevel
import httpx
from PIL import Image

from local.photos import photo
from local.pikcel_simulator.app import create_app
from local.pikcel_simulator.config import DEVELOPMENT_KEY, Config
from local.pikcel_simulator.service import Simulator
from local.provider_simulator.clock import ManualClock
from local.provider_simulator.editing import Edited, edit

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
HOOK = "https://receiver.test/webhooks/pikcel"
INPUT = "https://shop.test/cactus.jpg"
REF = "a.myshopify.com:J1:1:token"


@cache
def small_photo() -> bytes:
    """Return a photograph small enough to be edited in a few milliseconds."""
    picture = Image.open(io.BytesIO(photo("cactus-terracotta-pot").read()))
    picture.thumbnail((160, 160))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    return buffer.getvalue()


async def edit_at_once(tool_id: str, data: bytes) -> Edited:
    """Edit in the event loop, so that no thread decides the order of things."""
    return edit(tool_id, data)


async def _let_everything_run() -> None:
    """Give every task its turns until all of them wait for time to move.

    No thread and no socket is involved, so that a fixed number of turns is enough; anyio's
    wait_all_tasks_blocked would sleep a tenth of a second each time.
    """
    for _ in range(60):
        await asyncio.sleep(0)


class World:
    """A simulator, a client of it, a shop that has the input, and a receiver of webhooks."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(START)
        self.received: list[httpx.Request] = []
        self.receiver_answers: list[int | Exception] = []
        self.inputs: dict[str, httpx.Response] = {}
        outside = httpx.AsyncClient(transport=httpx.MockTransport(self._outside))
        settings = {"pending_s": 1, "processing_min_s": 10, "processing_max_s": 10} | settings
        self.simulator = Simulator(
            Config.model_validate(settings),
            clock=self.clock,
            rng=random.Random(7),
            client=outside,
            editor=edit_at_once,
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(self.simulator)),
            base_url="http://pikcel.test",
            headers={"Authorization": f"Bearer {DEVELOPMENT_KEY}"},
        )

    async def _outside(self, request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        if request.url.host == "shop.test":
            return self.inputs.get(str(request.url)) or httpx.Response(200, content=small_photo())
        self.received.append(request)
        answer = self.receiver_answers.pop(0) if self.receiver_answers else 200
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    async def run_for(self, seconds: float) -> None:
        """Move time by `seconds`, letting everything due happen in its order."""
        until = self.clock.now() + timedelta(seconds=seconds)
        await _let_everything_run()
        while self.clock.next_due(until):
            await _let_everything_run()

    async def post_job(self, **changes: Any) -> httpx.Response:
        """Dispatch a valid job, changed as named (None removes a field)."""
        body = {
            "tool_id": "image-enhancement",
            "input_image_url": INPUT,
            "webhook_url": HOOK,
            "metadata": {"ref": REF, "productId": "gid://shopify/Product/1"},
        } | changes
        sent = {name: value for name, value in body.items() if value is not None}
        return await self.client.post("/api/jobs/dispatch", json=sent)

    async def new_job(self, **changes: Any) -> dict[str, Any]:
        """Dispatch a job and return the Job of the answer."""
        answer = await self.post_job(**changes)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()["data"]
        return job

    async def done_job(self, **changes: Any) -> dict[str, Any]:
        """Dispatch a job, let it end, and return it as a poll shows it."""
        job = await self.new_job(**changes)
        await self.run_for(20)
        return await self.poll(job["id"])

    async def poll(self, job_id: str) -> dict[str, Any]:
        """Return the Job of a poll."""
        job: dict[str, Any] = (await self.client.get(f"/api/jobs/{job_id}")).json()["data"]
        return job

    async def look(self, what: str) -> Any:
        """Return the answer of a control route."""
        answer = await self.client.get(f"/_simulator/{what}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def paid(self) -> list[tuple[str | None, int]]:
        """Return what was paid: reference and credits of each charge."""
        return [(line["ref"], line["credits"]) for line in (await self.look("ledger"))["charges"]]

    @property
    def heard(self) -> list[str]:
        """The events that reached the receiver, in their order."""
        return [json.loads(request.content)["event"] for request in self.received]


def always(**faults: Any) -> list[dict[str, Any]]:
    """Return rules that give every job these faults."""
    return [{"faults": faults}]


@asynccontextmanager
async def a_world(**settings: Any) -> AsyncIterator[World]:
    """Open a world and end everything that runs in it."""
    world = World(**settings)
    try:
        yield world
    finally:
        await world.client.aclose()
        await world.simulator.close()
