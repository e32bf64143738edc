"""What one simulator process knows and remembers; ``state`` is what its shops have."""

import time
from dataclasses import dataclass, field
from typing import Any

from .config import Clock, Config, to_json
from .execution import Call
from .sources import Download, download
from .state import Shop, World
from .tokens import AccessToken, TokenOffice
from .webhooks import Deliver, deliver

DEFAULT_CLIENT_ID = "simulator-api-key"
DEFAULT_CLIENT_SECRET = "simulator-api-secret-0123456789abcdef"
DEFAULT_STATIC_TOKEN = "shpat_simulator"


@dataclass(frozen=True)
class CallRecord:
    """One call as ``GET /_simulator/calls`` shows it."""

    at: float
    kind: str
    shop: str
    status: int
    outcome: str
    name: str | None = None
    fields: list[str] = field(default_factory=list)
    requested_cost: int | None = None
    actual_cost: int | None = None
    variables: Any = None

    def view(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "at": self.at,
            "kind": self.kind,
            "shop": self.shop,
            "status": self.status,
            "outcome": self.outcome,
            "name": self.name,
            "fields": self.fields,
            "requestedCost": self.requested_cost,
            "actualCost": self.actual_cost,
            "variables": self.variables,
        }


class SimulatorState:
    """All state of one simulator process.

    Parameters:
        base_url: where this server is reached; staged targets and CDN addresses begin with it.
        clock: epoch seconds; everything that takes time follows it.
        fetch: how foreign sources are downloaded.
        static_tokens: access tokens of a custom app, good on every shop.
        webhook_url: where the app takes Shopify's webhooks. deliver: how they are sent.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8790",
        *,
        clock: Clock = time.time,
        fetch: Download = download,
        client_id: str = DEFAULT_CLIENT_ID,
        client_secret: str = DEFAULT_CLIENT_SECRET,
        static_tokens: frozenset[str] = frozenset({DEFAULT_STATIC_TOKEN}),
        config: Config | None = None,
        webhook_url: str | None = None,
        deliver: Deliver = deliver,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.clock = clock
        self.fetch = fetch
        self.webhook_url = webhook_url
        self.deliver = deliver
        self._credentials = (client_id, client_secret, static_tokens)
        self.config = config or Config()
        self._initial_config = to_json(self.config)
        self.world = World()
        self.tokens = TokenOffice(clock, *self._credentials)
        self.calls: list[CallRecord] = []

    def reset(self) -> None:
        """Forget shops, tokens and calls; switches and faults are again what they began as."""
        self.world = World()
        self.tokens = TokenOffice(self.clock, *self._credentials)
        self.config = Config()
        self.config.update(self._initial_config)
        self.calls = []

    def call(
        self, shop: Shop, token: AccessToken, operations: frozenset[str] = frozenset()
    ) -> Call:
        """A call of whoever has the token, which asks for these root fields."""
        return Call(
            self.world,
            shop,
            self.config.for_shop(shop.domain),
            self.config,
            token,
            self.clock(),
            self.base_url,
            self.fetch,
            operations,
        )
