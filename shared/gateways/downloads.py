"""Fetching result images from addresses that others tell us (see guarded_network)."""

import base64
import binascii
import io
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import httpcore
import httpx
import imagesize

from shared.domain.addresses import DEFAULT_PORTS, is_allowed
from shared.domain.errors import OutputExpiredError, OutputRefusedError, RetryableError
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
from shared.usecases.ports import Clock, Download

MAX_BYTES = 20 * 1024 * 1024
MAX_REDIRECTS = 3
DEADLINE_S = 20.0

_HEADERS = [
    # Images are compressed already; an encoding would only be a way to hide a bomb.
    (b"Accept-Encoding", b"identity"),
    (b"Accept", b"image/*"),
    (b"User-Agent", b"job-tracker"),
]
_INLINE = "data:"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Worth another try: everything else among the 4xx means that the link is dead (S3 and the
# like answer 403 or 400 to an expired signature).
_TRANSIENT = frozenset({408, 425, 429})

# Leading bytes → content type and extension.
# Source: the formats' own specifications (JFIF/SOI, PNG 5.2, GIF 87a/89a, RIFF container).
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"GIF87a", "image/gif", "gif"),
    (b"GIF89a", "image/gif", "gif"),
)


def sniff(body: bytes) -> tuple[str, str] | None:
    """Tell an image's content type and extension from its first bytes; None for others.

    >>> sniff(b"GIF89a..."), sniff(b"<svg>")
    (('image/gif', 'gif'), None)
    """
    for magic, content_type, extension in _MAGIC:
        if body.startswith(magic):
            return content_type, extension
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp", "webp"
    return None


def measure(body: bytes) -> tuple[int, int] | None:
    """Read an image's width and height, in pixels; None when its header does not tell."""
    try:
        width, height = imagesize.get(io.BytesIO(body))
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, OSError, struct.error):
        # A hostile header: the bytes are kept all the same, Shopify has the last word.
        return None
    return (int(width), int(height)) if width > 0 and height > 0 else None


class GuardedDownloads:
    """Fetches result images, as `Downloads` says.

    Parameters
        extra_hosts: hosts allowed besides those that a call names (RESULT_HOSTS).
        private_hosts: of these, the ones that may be plain http and private: RESULT_HOSTS on
            a laptop, nothing on AWS.
        backend, resolver, monotonic, ssl_context: the network, the name service, the
            stopwatch and the trusted certificates.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        extra_hosts: Sequence[str] = (),
        private_hosts: Sequence[str] = (),
        backend: httpcore.NetworkBackend | None = None,
        resolver: Resolver = resolve,
        monotonic: Callable[[], float] = time.monotonic,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._extra_hosts = tuple(extra_hosts)
        self._private_hosts = tuple(private_hosts)
        self._backend = backend or httpcore.SyncBackend()
        self._resolver = resolver
        self._monotonic = monotonic
        self._ssl_context = ssl_context or ssl.create_default_context()

    def fetch(self, url: str, hosts: Iterable[str]) -> Download:
        """Fetch an image of at most 20 MiB within 20 s, following at most 3 redirects.

        A link that holds the image itself (`data:`, RFC 2397) is read without any network.

        Parameters
            hosts: `host`, `host:port` or `.suffix`, besides the extra hosts.

        Raises
            OutputExpiredError: the link is dead (a 4xx).
            OutputRefusedError: scheme, host, port, address, size or type is not allowed.
            RetryableError: no connection, time-out, 408, 425, 429 or 5xx.
        Guarantees
            No credentials, cookies or environment (proxies) of ours take part. Neither the
            link nor the answer is in a message of an error.
        """
        if url.startswith(_INLINE):
            return _describe(_inline(url))
        allowed = (*self._extra_hosts, *hosts)
        left = countdown(DEADLINE_S, self._monotonic)
        place = _parse(url)
        for _ in range(MAX_REDIRECTS + 1):
            may_be_private = self._check(place, allowed)
            answer = self._get(place, left, may_be_private=may_be_private)
            if isinstance(answer, bytes):
                return _describe(answer)
            place = _parse(answer, place)
        raise OutputRefusedError("The result's link redirects too often.")

    def _check(self, place: httpx.URL, allowed: Sequence[str]) -> bool:
        """Return whether the place may be private. Raises OutputRefusedError."""
        if place.userinfo or place.scheme not in DEFAULT_PORTS or not place.host:
            raise OutputRefusedError("The result's link is not a plain https address.")
        host, port = place.host.lower(), place.port or DEFAULT_PORTS[place.scheme]
        may_be_private = is_allowed(host, port, place.scheme, self._private_hosts)
        if place.scheme != "https" and not may_be_private:
            raise OutputRefusedError("The result's link is not an https address.")
        if not may_be_private and not is_allowed(host, port, place.scheme, allowed):
            raise OutputRefusedError("The result's host is not one of this provider's.")
        return may_be_private

    def _get(
        self, place: httpx.URL, left: Callable[[], float], *, may_be_private: bool
    ) -> bytes | str:
        """Make one request; returns the body, or where it is redirected to."""
        backend = CheckedBackend(self._backend, self._resolver, left, may_be_private=may_be_private)
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=self._ssl_context, network_backend=backend, max_connections=1
                ) as pool,
                pool.stream(
                    "GET",
                    wire_url(place),
                    headers=[(b"Host", host_header(place)), *_HEADERS],
                ) as response,
            ):
                return self._read(response)
        except ForbiddenAddressError:
            raise OutputRefusedError("The result's host has no public address.") from None
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            httpcore.ConnectionNotAvailable,
        ) as error:
            raise RetryableError(
                f"The result could not be fetched ({type(error).__name__})."
            ) from None

    def _read(self, response: httpcore.Response) -> bytes | str:
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        _check_status(response.status, headers.get(b"retry-after"), self._clock.now())
        if response.status in _REDIRECTS:
            return headers.get(b"location", "")
        if response.status != 200:
            raise OutputRefusedError(f"The result's host answered {response.status}.")
        if headers.get(b"content-encoding", "identity").strip().lower() != "identity":
            raise OutputRefusedError("The result is packed in a way we did not ask for.")
        told = headers.get(b"content-length", "")
        if told.isascii() and told.isdigit() and int(told[:20]) > MAX_BYTES:
            raise OutputRefusedError(_TOO_LARGE)
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > MAX_BYTES:
                raise OutputRefusedError(_TOO_LARGE)
        return bytes(body)


_TOO_LARGE = "The result is larger than 20 MiB."


def _inline(url: str) -> bytes:
    """Read the image that a link holds, as base64."""
    head, _, text = url.partition(",")
    if not head.endswith(";base64"):
        raise OutputRefusedError("The result's link holds no image that can be read.")
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        raise OutputRefusedError(_TOO_LARGE)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise OutputRefusedError("The result's link holds no image that can be read.") from None


def _parse(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        return read_place(url, base)
    except ForbiddenAddressError:
        raise OutputRefusedError("The result's link is not an address.") from None


def _check_status(status: int, retry_after: str | None, now: datetime) -> None:
    if status >= 500 or status in _TRANSIENT:
        raise RetryableError(
            f"The result's host answered {status}.",
            retry_after_s=read_retry_after(retry_after, now),
        )
    if status >= 400:
        raise OutputExpiredError(f"The result's link is dead ({status}).")


def _describe(body: bytes) -> Download:
    kind = sniff(body)
    if kind is None:
        raise OutputRefusedError("The result is not a JPEG, PNG, WebP or GIF image.")
    content_type, extension = kind
    width, height = measure(body) or (None, None)
    return Download(
        body=body, content_type=content_type, extension=extension, width=width, height=height
    )
