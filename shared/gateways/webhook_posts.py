"""Calls of the shops' own webhook endpoints: addresses that others tell us (guarded_network)."""

import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence

import httpcore
import httpx

from shared.domain.addresses import DEFAULT_PORTS, is_allowed
from shared.domain.endpoints import MAX_EXCERPT_BYTES
from shared.domain.retry import read_retry_after
from shared.gateways.guarded_network import (
    CheckedBackend,
    ForbiddenAddressError,
    Resolver,
    host_header,
    read_place,
    resolve,
    wire_url,
)
from shared.gateways.timed_network import countdown
from shared.usecases.notice_ports import Posted
from shared.usecases.ports import Clock

# Source: Standard Webhooks 1.0.0: senders wait 15 to 30 s.
DEADLINE_S = 15.0
CONNECT_S = 5.0

TIMED_OUT = "timed_out"
UNREACHABLE = "unreachable"
ADDRESS_REFUSED = "address_refused"
NOT_HTTP = "not_http"

_HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"Accept", b"*/*"),
    # What is kept of the answer is read by people: no encoding, and no bomb in one.
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"job-tracker-webhooks"),
    (b"Connection", b"close"),
]
_LARGEST_PORT = 65_535
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class GuardedPosts:
    """Calls endpoints, as `Posts` says.

    Parameters
        private_hosts: `host` or `host:port` that may be plain http and private: RESULT_HOSTS on
            a laptop, nothing on AWS.
        backend, resolver, monotonic, ssl_context: the network, the name service, the stopwatch
            and the trusted certificates.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        private_hosts: Sequence[str] = (),
        backend: httpcore.NetworkBackend | None = None,
        resolver: Resolver = resolve,
        monotonic: Callable[[], float] = time.monotonic,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._private_hosts = tuple(private_hosts)
        self._backend = backend or httpcore.SyncBackend()
        self._resolver = resolver
        self._monotonic = monotonic
        self._ssl_context = ssl_context or ssl.create_default_context()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        """Make one call, within 15 s, 5 of them to connect.

        Guarantees
            Redirects are not followed: 3xx is the answer. No credentials, cookies or environment
            (proxies) of ours take part. At most 1 KB of the answer is read as text.
        """
        began, left = self._monotonic(), countdown(DEADLINE_S, self._monotonic)

        def answered(status: int | None, code: str | None) -> Posted:
            duration_ms = max(0, round((self._monotonic() - began) * 1000))
            return Posted(status=status, code=code, duration_ms=duration_ms)

        try:
            place = read_place(url)
            may_be_private = self._check(place)
            status, excerpt, retry_after = self._call(
                place, headers, body, left, may_be_private=may_be_private
            )
        except ForbiddenAddressError:
            return answered(None, ADDRESS_REFUSED)
        except httpcore.TimeoutException:
            return answered(None, TIMED_OUT)
        except (httpcore.NetworkError, httpcore.ConnectionNotAvailable, ssl.SSLError):
            return answered(None, UNREACHABLE)
        except httpcore.ProtocolError:
            return answered(None, NOT_HTTP)
        found = answered(status, None)
        return Posted(
            status=found.status,
            code=None,
            duration_ms=found.duration_ms,
            retry_after_s=read_retry_after(retry_after, self._clock.now()),
            excerpt=excerpt,
        )

    def _check(self, place: httpx.URL) -> bool:
        """Return whether the place may be private. Raises ForbiddenAddressError."""
        if place.userinfo or place.scheme not in DEFAULT_PORTS or not place.host:
            raise ForbiddenAddressError
        port = place.port or DEFAULT_PORTS[place.scheme]
        if port > _LARGEST_PORT:
            raise ForbiddenAddressError
        may_be_private = is_allowed(place.host.lower(), port, place.scheme, self._private_hosts)
        if place.scheme != "https" and not may_be_private:
            raise ForbiddenAddressError
        return may_be_private

    def _call(
        self,
        place: httpx.URL,
        headers: Mapping[str, str],
        body: bytes,
        left: Callable[[], float],
        *,
        may_be_private: bool,
    ) -> tuple[int, str | None, str | None]:
        """Make the call; returns the status, the beginning of the answer, and Retry-After."""
        backend = CheckedBackend(
            self._backend,
            self._resolver,
            left,
            may_be_private=may_be_private,
            connect_s=CONNECT_S,
        )
        sent = [(b"Host", host_header(place)), *_HEADERS]
        sent += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        with (
            httpcore.ConnectionPool(
                ssl_context=self._ssl_context, network_backend=backend, max_connections=1
            ) as pool,
            pool.stream("POST", wire_url(place), headers=sent, content=body) as response,
        ):
            told = {name.lower(): value for name, value in response.headers}
            retry_after = told.get(b"retry-after")
            return (
                response.status,
                _excerpt(response),
                retry_after.decode("latin-1") if retry_after is not None else None,
            )


def _excerpt(response: httpcore.Response) -> str | None:
    """Read at most 1 KB of the answer. What breaks or drips after the status does not matter."""
    found = b""
    try:
        for chunk in response.iter_stream():
            found += chunk[: MAX_EXCERPT_BYTES - len(found)]
            if len(found) >= MAX_EXCERPT_BYTES:
                break
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        pass
    text = _NOT_TEXT.sub("", found.decode("utf-8", "replace"))
    # A replaced byte takes three: the kept text is at most 1 KB too.
    return text.encode()[:MAX_EXCERPT_BYTES].decode("utf-8", "ignore") or None
