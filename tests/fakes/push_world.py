"""The push lane with everything around it in memory, and Shopify as the simulator has it.

One clock turns them all. The simulator executes our documents against Shopify's own schema.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
from PIL import Image

from local.shopify_simulator import Simulator
from shared.domain import lifecycle
from shared.domain.budget import Budget
from shared.domain.events import LogEntry
from shared.domain.ids import JobRef
from shared.domain.job import Job, Output
from shared.domain.plan import Step
from shared.domain.shop import Shop
from shared.gateways.shop_tokens import ShopifyTokens
from shared.gateways.shopify import ShopifyAdmins
from shared.gateways.token_box import SecretTokenBox
from shared.usecases.ports import PushRequest
from shared.usecases.push_lane import PushLane, PushOutcome, PushReport
from shared.usecases.push_outputs import push_batch
from shared.usecases.shop_access import ShopAccess
from shared.usecases.tracker import Tracker
from tests.builders import SHOP, a_kept_job, a_kept_output
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.memory import InMemoryJobStore, InMemoryShopStore
from tests.fakes.outbox import FakeOutbox
from tests.fakes.randomness import FakeRandomness
from tests.fakes.secrets import FakeSecrets

BASE_URL = "http://127.0.0.1:8790"
CLIENT_SECRET = "a-client-secret-of-thirty-two-bytes"
STATIC_TOKEN = "shpat_simulator"


class Crash(BaseException):
    """The function is gone in the middle of something."""


class CrashingStore(InMemoryJobStore):
    """A store during whose writes the function may die.

    on_save: called before and after every write of a job with "before" or "after".
    """

    on_save: Callable[[str], None] | None = None
    saves = 0

    def save(
        self,
        before: Job,
        after: Job,
        *,
        entry: LogEntry | None = None,
        take_links: bool = False,
        ceiling: Budget | None = None,
    ) -> Job:
        """Write, and tell about it."""
        self._tell("before")
        saved = super().save(before, after, entry=entry, take_links=take_links, ceiling=ceiling)
        self.saves += 1
        self._tell("after")
        return saved

    def _tell(self, moment: str) -> None:
        if self.on_save is not None:
            self.on_save(moment)


class PushWorld:
    """Jobs, files, a shop, and the lane between them.

    on_call: called with "before" or "after" and the request at every HTTP call; what it
    raises is what the caller sees.
    """

    def __init__(self, *, static_token: bool = True) -> None:
        self._numbers = 0
        self.clock = FakeClock()
        self.store = CrashingStore(self.clock)
        self.shops = InMemoryShopStore()
        self.outbox = FakeOutbox()
        self.files = FakeFiles()
        self.secrets = FakeSecrets()
        if static_token:
            self.secrets.values["shopify", "SHOPIFY_ACCESS_TOKEN"] = STATIC_TOKEN
        self.simulator = Simulator(
            BASE_URL,
            clock=lambda: self.clock.now().timestamp(),
            client_id="client-id",
            client_secret=CLIENT_SECRET,
        )
        self.on_call: Callable[[str, httpx.Request], None] | None = None
        self.http = httpx.Client(transport=httpx.MockTransport(self._respond))
        self._inside = self.simulator.transport()
        self._place: str | None = None
        self.tracker = Tracker(
            store=self.store,
            outbox=self.outbox,
            clock=self.clock,
            random=FakeRandomness(),
            adapters={},
        )
        self.lane = self.new_lane()

    def new_lane(self) -> PushLane:
        """Make what a fresh process would have: nothing remembered."""
        access = ShopAccess(
            shops=self.shops,
            tokens=ShopifyTokens(
                self.http, f"{BASE_URL}/{{shop}}", lambda: ("client-id", CLIENT_SECRET), self.clock
            ),
            box=SecretTokenBox(partial(self.secrets.get, "app", "APP_SECRET")),
            secrets=self.secrets,
            clock=self.clock,
        )
        return PushLane(
            tracker=self.tracker,
            files=self.files,
            access=access,
            admins=ShopifyAdmins(self.http, f"{BASE_URL}/{{shop}}", "2026-10", self.clock),
        )

    def _respond(self, request: httpx.Request) -> httpx.Response:
        request.read()
        if self.on_call is not None:
            self.on_call("before", request)
        response = self._inside.handle_request(request)
        if self._place is not None:
            named, told = f'"url": "{BASE_URL}/', f'"url": "{self._place}'
            text = response.read().decode().replace('"url":"', '"url": "').replace(named, told)
            response = httpx.Response(response.status_code, text=text)
        if self.on_call is not None:
            self.on_call("after", request)
        return response

    # --- what is there ---------------------------------------------------------------

    def product(self, title: str = "Blue mug", shop: str = SHOP) -> str:
        """Create a product; returns its id."""
        answer = self.control("POST", "products", {"shop": shop, "title": title})
        return str(answer["product"]["id"])

    def job(self, product: str, *, shop: str = SHOP, images: int = 1, **changes: Any) -> Job:
        """Store a job whose push was asked for, with that many kept pictures."""
        values: dict[str, Any] = {"shop": shop, "product_id": product, "tool_name": "Cut-out"}
        self._numbers += 1
        values["attempt"] = {"provider_job_id": f"pk_{self._numbers}"}
        job = a_kept_job(outputs=(), **(values | changes))
        outputs = tuple(self._kept(job, index) for index in range(images))
        job = lifecycle.request_push(replace(job, outputs=outputs), self.clock.now())
        return self.store.create(job)

    def _kept(self, job: Job, index: int) -> Output:
        body = picture(20 + index, 10)
        key = f"shops/{job.shop}/jobs/{job.job_id}/1-{index}.png"
        self.files.put(key, body, "image/png")
        return a_kept_output(
            index=index, key=key, size_bytes=len(body), width=20 + index, height=10
        )

    def install(self, shop: str = SHOP, *, life_s: float | None = 3600) -> Shop:
        """Give the shop a token pair of its own, as an installation would."""
        form = {"shop": shop}
        id_token = str(self.control("POST", "id-token", form)["idToken"])
        grant = self.lane.access.tokens.exchange(shop, id_token)
        box, now = self.lane.access.box, self.clock.now()
        return self.shops.save_shop(
            self.shops.get_shop(shop),
            replace(
                self.shops.get_shop(shop) or Shop(shop=shop),
                token=box.seal(grant.access_token),
                token_expires_at=None if life_s is None else now + timedelta(seconds=life_s),
                refresh_token=box.seal(grant.refresh_token or ""),
                token_dead=False,
            ),
        )

    # --- what happens ----------------------------------------------------------------

    def push(self, *jobs: Job) -> PushReport:
        """Deliver the jobs' messages in one batch (of one shop)."""
        requests = [PushRequest(ref=job.ref, number=job.push.number) for job in jobs]
        (report,) = push_batch(self.lane, requests).values()
        return report

    def outcome(self, job: Job) -> PushOutcome:
        """Deliver one job's message; returns what became of it."""
        return self.push(job).outcomes[job.ref]

    def finish(self, *jobs: Job, rounds: int = 60) -> None:
        """Play sweep and queue until nobody owes anything: new processes, time passing."""
        self.on_call = None
        self.store.on_save = None
        for _ in range(rounds):
            waiting = [self.now(job) for job in jobs]
            waiting = [job for job in waiting if job.due_at is not None]
            if not waiting:
                return
            first = min(job.due_at for job in waiting if job.due_at is not None)
            self.clock.set(max(first, self.clock.now() + timedelta(seconds=1)))
            self.lane = self.new_lane()
            due = [job for job in waiting if self.tracker.step(job, self.clock.now()) is Step.PUSH]
            if due:
                self.push(*due)
        raise AssertionError("it does not come to an end")

    def request(self, job: Job) -> Job:
        """Ask for the push (again), as a user does."""
        return self.tracker.change(
            job.ref, lambda found, now: (lifecycle.request_push(found, now), None)
        )

    def undo(self, job: Job) -> Job:
        """Ask for the image to be taken off, as a user does."""
        return self.tracker.change(
            job.ref, lambda found, now: (lifecycle.request_undo(found, now), None)
        )

    def fault(self, kind: str, **about: Any) -> None:
        """Make the simulator misbehave."""
        self.control("POST", "faults", {"kind": kind, **about})

    def configure(self, **switches: Any) -> None:
        """Change the simulator's behaviour."""
        self.control("PUT", "config", {"switches": switches})

    def misname_targets(self, place: str | None) -> None:
        """Have Shopify name upload targets elsewhere; None: no more."""
        self._place = place

    def delete_product(self, product: str, shop: str = SHOP) -> None:
        """The merchant deletes a product."""
        self.control("DELETE", f"shops/{shop}/products/{number(product)}")

    def fill(self, product: str, count: int, shop: str = SHOP) -> None:
        """The merchant puts pictures on a product until it shows that many."""
        held = self.simulator.world.shops[shop].products[int(number(product))].media
        for _ in range(count - len(held)):
            self._numbers += 1
            name = {"filename": f"merchants-{self._numbers}.png"}
            held.append(int(number(self.control("POST", f"shops/{shop}/files", name)["id"])))

    def delete_media(self, media: str, shop: str = SHOP) -> None:
        """The merchant deletes a file."""
        self.control("DELETE", f"shops/{shop}/media/{number(media)}")

    def detach(self, product: str, shop: str = SHOP) -> None:
        """The merchant takes everything off a product, and keeps the files."""
        self.simulator.world.shops[shop].products[int(number(product))].media.clear()

    # --- what came of it -------------------------------------------------------------

    def now(self, job: Job) -> Job:
        """Return the job as it is."""
        return self.store.get(job.ref)

    def shown(self, product: str, shop: str = SHOP) -> list[dict[str, Any]]:
        """Return the media of a product, in order."""
        products = self.control("GET", f"shops/{shop}/products")["products"]
        (found,) = [one for one in products if one["id"] == product]
        media: list[dict[str, Any]] = found["media"]
        return media

    def all_files(self, shop: str = SHOP) -> list[dict[str, Any]]:
        """Return all files of the shop."""
        files: list[dict[str, Any]] = self.control("GET", f"shops/{shop}/files")["files"]
        return files

    def calls(self) -> list[str]:
        """Return the root fields of the GraphQL calls so far, one text per call."""
        recorded = self.control("GET", "calls")["calls"]
        return ["+".join(call["fields"]) for call in recorded if call["kind"] == "graphql"]

    def recorded(self) -> list[dict[str, Any]]:
        """Return the recorded calls."""
        calls: list[dict[str, Any]] = self.control("GET", "calls")["calls"]
        return calls

    def forget_calls(self) -> None:
        """Begin counting anew."""
        self.simulator.calls.clear()

    def control(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Use the simulator's own routes."""
        client = httpx.Client(transport=self._inside)
        answer = client.request(method, f"{BASE_URL}/_simulator/{path}", json=body)
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()
        return found


def picture(width: int = 20, height: int = 10) -> bytes:
    """Make a real image file."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), (200, 60, 20)).save(written, "PNG")
    return written.getvalue()


def number(gid: str) -> str:
    """Return the number at the end of a Shopify id."""
    return gid.rpartition("/")[2]


def refs(jobs: Sequence[Job]) -> list[JobRef]:
    """Return whose jobs they are."""
    return [job.ref for job in jobs]
