"""`python -m local.pikcel_simulator --port N`: serve on loopback until interrupted."""

import argparse
import contextlib
import random
import socket
import struct
from pathlib import Path

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.pikcel_simulator.app import create_app
from local.pikcel_simulator.config import Config
from local.pikcel_simulator.service import Simulator

_PHOTOS = Path(__file__).parent.parent / "photos"


class AnnouncingServer(uvicorn.Server):
    """Print one line, with the real port, as soon as requests are answered."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        for server in self.servers:
            host, port = server.sockets[0].getsockname()[:2]
            print(f"PikcelAI simulator ready at http://{host}:{port}", flush=True)


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


def build_server(config: Config, *, port: int, photos: Path, seed: int | None) -> uvicorn.Server:
    """Return the server, not yet running; port 0 takes any free one."""
    dropper = SocketDropper()
    rng = None if seed is None else random.Random(seed)
    simulator = Simulator(config, rng=rng, dropper=dropper, photos=photos)
    server = AnnouncingServer(
        uvicorn.Config(
            create_app(simulator),
            host="127.0.0.1",
            port=port,
            http=H11Protocol,
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
    )
    dropper.servers.append(server)
    return server


def read_config(path: Path | None, api_keys: list[str], secrets: list[str]) -> Config:
    """Return the configuration of the file, if any, with what the command line adds to it."""
    config = Config() if path is None else Config.model_validate_json(path.read_bytes())
    named = {"api_keys": api_keys, "webhook_secrets": secrets}
    changes = {name: values for name, values in named.items() if values}
    return Config.model_validate(config.model_dump(exclude_unset=True) | changes)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m local.pikcel_simulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes any free port")
    parser.add_argument("--config", type=Path, help="JSON file with settings of config.Config")
    parser.add_argument("--api-key", action="append", default=[], help="may be repeated")
    parser.add_argument("--webhook-secret", action="append", default=[], help="the first signs")
    parser.add_argument("--photos", type=Path, default=_PHOTOS, help="served at /photos/")
    parser.add_argument("--seed", type=int, help="makes ids, links and times repeatable")
    given = parser.parse_args()
    config = read_config(given.config, given.api_key, given.webhook_secret)
    server = build_server(config, port=given.port, photos=given.photos, seed=given.seed)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


if __name__ == "__main__":
    main()
