"""A shop's life in memory: Shopify's webhooks, the duties that follow, the sweep between them."""

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.shop import Shop
from shared.providers.base import Delivery
from shared.providers.shopify import ShopifyWebhooks
from shared.usecases.duty_lane import DutyLane
from shared.usecases.install_shop import Installed, ShopInstaller
from shared.usecases.ports import BulkRequest
from shared.usecases.receive_shop_webhook import (
    Heard,
    ShopDesk,
    ShopReceipt,
    receive_shop_webhook,
)
from shared.usecases.run_bulk import Bulk, BulkLane, run_bulk
from tests.builders import SHOP
from tests.fakes.memory import InMemoryWorkStore
from tests.fakes.memory_erasures import InMemoryErasures
from tests.fakes.memory_keys import InMemoryKeyStore
from tests.fakes.notices import FakeLetters
from tests.fakes.tokens import FakeBox, FakeTokens
from tests.fakes.uploads import FakeUploads
from tests.unit.usecases.lane_world import LaneWorld

SECRET = b"test-secret"
_numbers = count(1)


def body_of(topic: str, shop: str, updated_at: datetime, **more: Any) -> dict[str, Any]:
    """Return what Shopify says of a shop, by topic."""
    if topic == "app/uninstalled":
        return {"id": 1, "domain": "a.example", "myshopify_domain": shop} | more
    if topic == "app/scopes_update":
        scopes = {"previous": [], "current": ["write_files", "write_products"]}
        return {"id": 1, "updated_at": updated_at.isoformat(), "shop_id": 1} | scopes | more
    body = {"shop_id": 1, "shop_domain": shop}
    return body | ({"customer": {"id": 191167}} if topic.startswith("customers/") else {}) | more


class ShopWorld(LaneWorld):
    """Lanes, duties and the desk that Shopify's webhooks come to."""

    def __init__(self) -> None:
        super().__init__()
        self.works = InMemoryWorkStore()
        self.keys = InMemoryKeyStore(self.clock)
        self.letters = FakeLetters()
        self.erasures = InMemoryErasures(self.store, self.shops, self.works, self.keys)
        self.duties = DutyLane(
            tracker=self.tracker,
            shops=self.shops,
            works=self.works,
            files=self.files,
            erasures=self.erasures,
            letters=self.letters,
            log_days=30,
        )
        self.bulk = BulkLane(
            tracker=self.tracker,
            works=self.works,
            shops=self.shops,
            files=self.files,
            uploads=FakeUploads(self.files),
            duties=self.duties,
        )
        self.desk = ShopDesk(
            tracker=self.tracker,
            shops=self.shops,
            erasures=self.erasures,
            secrets=self.secrets,
            sender=ShopifyWebhooks(),
        )
        self.tokens = FakeTokens()
        self.installer = ShopInstaller(
            shops=self.shops,
            tokens=self.tokens,
            box=FakeBox(),
            tracker=self.tracker,
            secrets=self.secrets,
            clock=self.clock,
        )

    # --- Shopify ---------------------------------------------------------------------

    def delivery(self, topic: str, shop: str = SHOP, **more: Any) -> Delivery:
        """Sign a delivery. more: `at`, `named` (the shop in the header), `webhook_id`, `body`."""
        at: datetime = more.pop("at", self.clock.now())
        headers = {
            "x-shopify-topic": topic,
            "x-shopify-shop-domain": more.pop("named", shop),
            "x-shopify-triggered-at": at.isoformat(),
            "x-shopify-webhook-id": more.pop("webhook_id", f"w-{next(_numbers)}"),
        }
        told = more.pop("body", None) or body_of(topic, shop, at, **more)
        body = json.dumps(told).encode()
        digest = hmac.new(SECRET, body, hashlib.sha256).digest()
        headers["x-shopify-hmac-sha256"] = base64.b64encode(digest).decode()
        return Delivery(
            provider="shopify", body=body, headers=headers, received_at=self.clock.now()
        )

    def hear(self, delivery: Delivery) -> ShopReceipt:
        return receive_shop_webhook(self.desk, delivery)

    def tell(self, topic: str, shop: str = SHOP, **more: Any) -> Heard:
        return self.hear(self.delivery(topic, shop, **more)).heard

    def login(self, shop: str = SHOP) -> Installed:
        """Let the merchant open the app, in a process that remembers nothing."""
        self.installer.remembered.clear()
        return self.installer.install(shop, "id-token")

    def shop(self, name: str = SHOP) -> Shop:
        found = self.shops.get_shop(name)
        assert found is not None
        return found

    # --- duties ----------------------------------------------------------------------

    def run(self, ref: JobRef) -> Bulk:
        return run_bulk(self.bulk, BulkRequest(ref=ref))

    def run_messages(self) -> None:
        """Receive bulk messages until there are none."""
        while self.outbox.bulks:
            request, _delay = self.outbox.bulks.pop(0)
            run_bulk(self.bulk, request)

    def go_on(self, hours: float = 0, *, minutes: float = 0) -> None:
        """Let the time pass, a sweep and its messages every minute that something is due in."""
        until = self.clock.now() + timedelta(hours=hours, minutes=minutes)
        self.run_messages()
        while self.clock.now() < until:
            dues = [job.due_at for job in self.jobs_of_all() if job.due_at is not None]
            step = max(min([*dues, until]), self.clock.now() + timedelta(minutes=1))
            self.clock.set(min(step, until))
            self.sweep()
            self.run_messages()

    def jobs_of_all(self) -> list[Job]:
        return list(self.store._jobs.values())

    def duty(self, kind: str, shop: str = SHOP) -> Job:
        (found,) = (j for j in self.jobs_of_all() if (j.type, j.shop) == (f"bulk.{kind}", shop))
        return found

    def names(self, shop: str = SHOP) -> list[str]:
        """Return what in the stores and the bucket still names a shop."""
        stores = (self.store, self.shops, self.works, self.keys)
        held = [f"{name}: {value!r}" for each in stores for name, value in vars(each).items()]
        return [line for line in [*held, *self.files.stored] if shop in line]
