"""Connections to addresses that others tell us, checked where they are made.

The name is resolved here, every address it has must be public, and the connection goes to a
checked address. A name that changes its mind between check and connect changes nothing.

httpcore is used directly, because httpx has no public place for a network backend.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore
import httpx

from shared.domain.addresses import is_public
from shared.gateways.timed_network import TimedStream

type Resolver = Callable[[str, int], Sequence[str]]


class ForbiddenAddressError(Exception):
    """It is no address, its name is no name, or has an address that is not public."""


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def read_place(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """Read an address, or one that is relative to another. Raises ForbiddenAddressError."""
    try:
        place = httpx.URL(url) if base is None else base.join(url)
        _ = place.host  # httpx decodes a name (`xn--…`) only now, and raises UnicodeError
    except (httpx.InvalidURL, ValueError, TypeError):
        raise ForbiddenAddressError from None
    return place


def wire_url(place: httpx.URL) -> httpcore.URL:
    """Return an address as httpcore takes it."""
    return httpcore.URL(
        scheme=place.raw_scheme, host=place.raw_host, port=place.port, target=place.raw_path
    )


def host_header(place: httpx.URL) -> bytes:
    """Return the value of the Host header for an address."""
    port = f":{place.port}" if place.port else ""
    host = f"[{place.host}]" if ":" in place.host else place.raw_host.decode()
    return f"{host}{port}".encode()


class CheckedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only, within a deadline.

    Parameters
        left: from `timed_network.countdown`.
        may_be_private: the place of this exchange may be private (a laptop).
        connect_s: the longest that one connection may take to be made.
    """

    def __init__(
        self,
        backend: httpcore.NetworkBackend,
        resolver: Resolver,
        left: Callable[[], float],
        *,
        may_be_private: bool,
        connect_s: float | None = None,
    ) -> None:
        self._backend = backend
        self._resolver = resolver
        self._left = left
        self._may_be_private = may_be_private
        self._connect_s = connect_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first checked address that answers. Raises ForbiddenAddressError."""
        failure: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in self._addresses(host, port):
            try:
                stream = self._backend.connect_tcp(address, port, self._wait_s())
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                # TLS still names and checks the host, not the address.
                return TimedStream(stream, self._left)
        raise failure or httpcore.ConnectError("the name has no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Refuse: nothing outside is reached so."""
        raise ForbiddenAddressError

    def sleep(self, seconds: float) -> None:
        """Refuse: nothing is retried here."""
        raise NotImplementedError("nothing is retried here")

    def _wait_s(self) -> float:
        left_s = self._left()
        return left_s if self._connect_s is None else min(left_s, self._connect_s)

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            found = self._resolver(host, port)
        except UnicodeError:
            raise ForbiddenAddressError from None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if not self._may_be_private and not all(map(is_public, found)):
            raise ForbiddenAddressError
        return found
