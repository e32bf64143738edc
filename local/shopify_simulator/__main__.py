"""Run the Shopify simulator: ``python -m local.shopify_simulator --port 8790``.

Prints ``Shopify simulator ready on http://127.0.0.1:8790`` when it accepts calls. Our app calls
it with ``SHOPIFY_BASE_URL=http://127.0.0.1:8790/{shop}``.
"""

import argparse
import json
import socket
from pathlib import Path

import uvicorn

from .app import create_app
from .config import Config
from .schema import admin_schema
from .simulator import Simulator
from .simulator_state import DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_STATIC_TOKEN


class _Server(uvicorn.Server):
    """Says when it is ready."""

    base_url = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"Shopify simulator ready on {self.base_url}", flush=True)


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m local.shopify_simulator")
    parser.add_argument("--port", type=int, default=8790)
    parser.add_argument("--base-url", help="how clients reach this server; default the loopback")
    parser.add_argument("--client-id", default=DEFAULT_CLIENT_ID)
    parser.add_argument("--client-secret", default=DEFAULT_CLIENT_SECRET)
    parser.add_argument(
        "--access-token",
        action="append",
        help=f"a custom app's token, good on every shop (repeatable; {DEFAULT_STATIC_TOKEN})",
    )
    parser.add_argument("--webhook-url", help="where the app takes Shopify's webhooks")
    parser.add_argument("--config", type=Path, help="JSON as for PUT /_simulator/config")
    given = parser.parse_args()
    base_url = given.base_url or f"http://127.0.0.1:{given.port}"
    config = Config()
    if given.config:
        config.update(json.loads(given.config.read_text()))
    simulator = Simulator(
        base_url,
        config=config,
        client_id=given.client_id,
        client_secret=given.client_secret,
        static_tokens=frozenset(given.access_token or [DEFAULT_STATIC_TOKEN]),
        webhook_url=given.webhook_url,
    )
    admin_schema()  # now, so that the first call is not the slow one
    server = _Server(
        uvicorn.Config(
            create_app(simulator),
            host="127.0.0.1",
            port=given.port,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
    )
    server.base_url = base_url
    server.run()


if __name__ == "__main__":
    main()
