"""A simulator as a program: on loopback until it is interrupted."""

import argparse
import contextlib
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.provider_simulator.config import Config
from local.provider_simulator.service import Simulator

_PHOTOS = Path(__file__).parent.parent / "photos"


class AnnouncingServer(uvicorn.Server):
    """Print one line, with the real port, as soon as requests are answered."""

    name = "The"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        for server in self.servers:
            host, port = server.sockets[0].getsockname()[:2]
            print(f"{self.name} simulator ready at http://{host}:{port}", flush=True)


class SocketDropper:
    """Drop a request's connection at the socket: the client sees a reset, never a status."""

    def __init__(self) -> None:
        """Begin without a server; it is added once it is made, around the application."""
        self.servers: list[uvicorn.Server] = []

    def drop(self, scope: Scope) -> None:
        """Reset the connection whose peer is the request's client."""
        connections = [c for server in self.servers for c in server.server_state.connections]
        for connection in connections:
            if isinstance(connection, H11Protocol) and connection.client == tuple(scope["client"]):
                raw = connection.transport.get_extra_info("socket")
                # Linger of nought: the kernel answers with RST, as a dying peer's would.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.transport.abort()


def serve[C: Config](app: Starlette, simulator: Simulator[C], port: int) -> AnnouncingServer:
    """Return the server of an application, not yet running; port 0 takes any free one."""
    dropper = SocketDropper()
    simulator.dropper = dropper
    server = AnnouncingServer(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            http=H11Protocol,
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
    )
    server.name = simulator.dialect.name
    dropper.servers.append(server)
    return server


def read_config[C: Config](
    kind: type[C], path: Path | None, api_keys: list[str], secrets: list[str]
) -> C:
    """Return the configuration of the file, if any, with what the command line adds to it."""
    config = kind() if path is None else kind.model_validate_json(path.read_bytes())
    named = {"api_keys": api_keys, "webhook_secrets": secrets}
    changes = {name: values for name, values in named.items() if values}
    return kind.model_validate(config.model_dump(exclude_unset=True) | changes)


def run[C: Config](
    kind: type[C],
    simulate: Callable[..., Simulator[C]],
    create_app: Callable[[Any], Starlette],
    *,
    module: str,
    about: str | None,
) -> None:
    """Serve what the command line asks for until interrupted."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--port", type=int, required=True, help="0 takes any free port")
    parser.add_argument("--config", type=Path, help="JSON file with settings of config.Config")
    parser.add_argument("--api-key", action="append", default=[], help="may be repeated")
    parser.add_argument("--webhook-secret", action="append", default=[], help="the first signs")
    parser.add_argument("--photos", type=Path, default=_PHOTOS, help="served at /photos/")
    parser.add_argument("--seed", type=int, help="makes ids, links and times repeatable")
    given = parser.parse_args()
    config = read_config(kind, given.config, given.api_key, given.webhook_secret)
    rng = None if given.seed is None else random.Random(given.seed)
    simulator = simulate(config, rng=rng, photos=given.photos)
    with contextlib.suppress(KeyboardInterrupt):
        serve(create_app(simulator), simulator, given.port).run()
