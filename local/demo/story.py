"""Set the scene, send the photos, follow the jobs, retry the one that failed."""

import base64
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from local.demo.cases import (
    CASES,
    SHOPS,
    THROTTLED_SHOP,
    Assignment,
    Kind,
    simulator_rules,
)
from local.demo.clients import DemoError, Provider, Shopify, ShopPage
from local.demo.providers import PIKCEL, DemoProvider

# The lost webhook costs a minute until its poll is due, and up to another until the sweep runs.
PATIENCE_S = 180.0
PATIENCE_PER_PHOTO_S = 3.0
# Each call in progress has a process of its own on the emulator: not all of them at once.
SEND_EVERY_S = 1.0
LOOK_EVERY_S = 1.0
TICK_S = 0.1

# Both ways in which Shopify throttles, at the call that must never be made twice, on a shop
# with little to spend: real buckets hold 2,000 points and fill by 100 a second.
RETRY_AFTER_S = 3.0
THROTTLING = {
    "shops": {THROTTLED_SHOP: {"bucketSize": 60.0, "restoreRate": 10.0}},
    "faults": [
        {"kind": "throttled", "shop": THROTTLED_SHOP, "operation": "fileCreate"},
        {
            "kind": "throttled",
            "shop": THROTTLED_SHOP,
            "operation": "fileCreate",
            "status": 429,
            "retryAfterS": RETRY_AFTER_S,
        },
    ],
}

# The poll that finds the first photo's result is due a minute after the provider took the job, and
# the sweep runs once a minute: a job taken late waits another minute.
HEAD_START_S = 4.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A photo on its way: its product, and the job as the API last showed it."""

    assignment: Assignment
    product_id: str
    job: Mapping[str, Any]

    @property
    def job_id(self) -> str:
        """Return our id of the job."""
        return str(self.job["id"])

    @property
    def shop(self) -> str:
        """Return the shop that it belongs to."""
        return self.assignment.case.shop

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing more happens by itself; a job to be retried is not settled."""
        status, push = self.job["status"], self.job["pushStatus"]
        if status == "failed":
            return int(self.job["attempt"]) >= self.assignment.case.attempts
        return status == "cancelled" or (status == "completed" and push in ("pushed", "failed"))


class Viewer(Protocol):
    """Whoever shows the progress."""

    def show(self, sent: Sequence[Sent], elapsed_s: float) -> None:
        """Show where each job is."""
        ...


class StuckError(DemoError):
    """Jobs have not ended in time. jobs: those."""

    def __init__(self, jobs: Sequence[Sent], waited_s: float) -> None:
        """Name the jobs."""
        titles = ", ".join(f"“{each.assignment.picture.title}”" for each in jobs)
        super().__init__(f"After {waited_s:.0f} s these have not ended: {titles}.")
        self.jobs = tuple(jobs)


@dataclass(frozen=True, slots=True)
class Places:
    """Whom the story speaks to; a page per shop. inside: the provider's simulator."""

    inside: Provider
    shopify: Shopify
    pages: Mapping[str, ShopPage]
    provider: DemoProvider = PIKCEL


class Story:
    """The demo from its first product to its last push."""

    def __init__(
        self,
        places: Places,
        assignments: Sequence[Assignment],
        viewer: Viewer,
        *,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare to send `assignments`; `now` gives seconds, `wait` lets some pass."""
        self._places = places
        self._assignments = tuple(assignments)
        self._viewer = viewer
        self._now = now
        self._wait = wait
        # So that the same demo on a kept stack makes new jobs.
        self._run_id = secrets.token_hex(4)
        self.sent: list[Sent] = []

    def run(self) -> tuple[Sent, ...]:
        """Send every photo and follow until each job has ended; return them as they then are.

        Raises StuckError when some have not ended in time, DemoError when somebody refuses.
        """
        self._set_the_scene()
        begun = next_send = next_look = self._now()
        more = max(0, len(self._assignments) - len(CASES))
        deadline = begun + PATIENCE_S + PATIENCE_PER_PHOTO_S * more
        while not self._is_over():
            now = self._now()
            if now > deadline:
                raise StuckError([e for e in self.sent if not e.is_settled], now - begun)
            if now >= next_send and len(self.sent) < len(self._assignments):
                is_first = not self.sent
                self.sent.append(self._send(self._assignments[len(self.sent)]))
                next_send = self._now() + (HEAD_START_S if is_first else SEND_EVERY_S)
            elif now >= next_look:
                self._look()
                self._retry_failed()
                next_look = self._now() + LOOK_EVERY_S
            self._viewer.show(self.sent, now - begun)
            self._wait(TICK_S)
        self._viewer.show(self.sent, self._now() - begun)
        return tuple(self.sent)

    def _set_the_scene(self) -> None:
        self._places.inside.configure(
            rules=simulator_rules(self._assignments),
            credits_balance=max(1_000, 10 * len(self._assignments)),
            processing_min_s=1.0,
            processing_max_s=3.0,
            # Cold starts of many functions on a slow laptop are no part of the story.
            webhook_timeout_s=30.0,
        )
        self._places.shopify.configure(**THROTTLING)

    def _send(self, assignment: Assignment) -> Sent:
        """Put the photo's product into the shop, then do what the shop's page does."""
        picture, shop = assignment.picture, assignment.case.shop
        product_id = self._places.shopify.create_product(
            shop, picture.title, base64.b64encode(picture.data).decode(), picture.file_name
        )
        wish = {
            "toolId": self._places.provider.tool(picture.tool_id),
            "provider": self._places.provider.name,
            "inputImageUrl": assignment.input_url,
            "productId": product_id,
            "productTitle": picture.title,
            "autoPush": True,
        }
        key = f"demo-{self._run_id}-{len(self.sent)}"
        return Sent(assignment, product_id, self._places.pages[shop].create(wish, key))

    def _look(self) -> None:
        used = {each.shop for each in self.sent}
        jobs = {
            job_id: job
            for shop in SHOPS
            if shop in used
            for job_id, job in self._places.pages[shop].jobs().items()
        }
        self.sent = [replace(each, job=jobs.get(each.job_id, each.job)) for each in self.sent]

    def _retry_failed(self) -> None:
        """Press the page's button once an attempt that was made to fail has failed."""
        for each in self.sent:
            is_ours = each.assignment.case.kind is Kind.RETRIED
            if is_ours and each.job["status"] == "failed" and not each.is_settled:
                self._places.pages[each.shop].retry(each.job_id)

    def _is_over(self) -> bool:
        everything = len(self.sent) == len(self._assignments)
        return everything and all(each.is_settled for each in self.sent)
