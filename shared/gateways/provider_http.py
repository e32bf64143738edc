"""HTTP towards one provider: one call, one answer, and what an error proves."""

import re
import time
from collections.abc import Callable

import httpx

from shared.domain.addresses import is_allowed
from shared.domain.errors import (
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
    SecretUnavailableError,
)
from shared.domain.retry import read_retry_after
from shared.gateways.guarded_network import ForbiddenAddressError, read_place
from shared.gateways.timed_network import TimedTransport
from shared.providers.base import Access, Reply, Request
from shared.usecases.ports import Clock, Secrets

TIMEOUT_S = 30.0
# A key that was refused may have been changed just now.
KEY_IS_FRESH_S = 30

# Raised before a byte of the request was sent. Everything else that httpx raises may come
# after the provider has read it.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.ProxyError,
    httpx.InvalidURL,
)

# What a header carries of a key. Pasted ones have blanks without width, or typographic quotes.
_SENDABLE = re.compile("[!-~]+")


def provider_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Make the client that all calls of a process share (connections are kept open).

    No redirects are followed (they would carry the key elsewhere), nothing is retried, and
    no proxy or netrc file of the environment takes part.
    """
    limits = httpx.Limits(max_connections=10, max_keepalive_connections=5)
    return httpx.Client(
        transport=transport or TimedTransport(TIMEOUT_S, limits=limits),
        timeout=httpx.Timeout(TIMEOUT_S, connect=5.0, pool=5.0),
        follow_redirects=False,
        trust_env=False,
    )


def base_address(setting: str, prefix: str) -> str:
    """Normalise a provider's address: paths begin with `prefix`, so it must not end with it.

    >>> base_address("https://app.pikcel.ai/", "/api")
    'https://app.pikcel.ai'
    >>> base_address("http://localhost:3000/api/", "/api")
    'http://localhost:3000'
    """
    return setting.strip().rstrip("/").removesuffix(prefix).rstrip("/")


class HttpProviderApi:
    """Calls one provider with our key, as `ProviderApi` says.

    Parameters
        client: from `provider_client`. access: what the provider's adapter says.
        base_url: as set, None for the provider's public one.
        secrets, audience, key_name: where the key is; of several the first is used.
    """

    def __init__(
        self,
        client: httpx.Client,
        access: Access,
        base_url: str | None = None,
        *,
        secrets: Secrets,
        key_name: str,
        clock: Clock,
        audience: str = "providers",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._access = access
        self._base_url = base_address(base_url or access.url, access.prefix)
        self._secrets = secrets
        self._audience = audience
        self._key_name = key_name
        self._clock = clock
        self._monotonic = monotonic
        self._was_refused = False

    def call(self, request: Request) -> Reply:
        """Make one call, within 30 s in all. Any HTTP status is an answer.

        Raises
            SecretUnavailableError: we have no key; nothing was sent.
            ProviderUnreachableError: no connection was made; nothing was executed.
            ProviderUnknownOutcomeError: it broke or took too long after that.
        """
        access = self._access
        headers = {**access.headers, access.header: f"{access.scheme}{self._key()}"}
        ends_at = self._monotonic() + TIMEOUT_S
        try:
            with self._client.stream(
                request.method,
                self._address(request),
                params=dict(request.query) or None,
                json=None if request.body is None else dict(request.body),
                headers=headers,
            ) as response:
                body = self._read(response, ends_at)
        except _NOT_SENT as error:
            raise ProviderUnreachableError(
                f"The provider cannot be reached ({type(error).__name__})."
            ) from None
        except httpx.HTTPError as error:
            raise ProviderUnknownOutcomeError(
                f"The provider's answer was lost ({type(error).__name__})."
            ) from None
        self._was_refused = response.status_code in (401, 403)
        return Reply(
            status=response.status_code,
            body=body,
            retry_after_s=read_retry_after(response.headers.get("retry-after"), self._clock.now()),
        )

    def _address(self, request: Request) -> str:
        """Return where to call. An address that we were told gets our key only where it may be."""
        if request.url is not None and self._is_own(request.url):
            return request.url
        return f"{self._base_url}{request.path}"

    def _is_own(self, address: str) -> bool:
        if not (address.isascii() and address.isprintable()):
            return False
        try:
            url, base = read_place(address), read_place(self._base_url)
        except ForbiddenAddressError:
            return False
        if url.userinfo or not url.host:
            return False
        if (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port):
            return True
        hosts = self._access.hosts
        return url.scheme == "https" and is_allowed(url.host, url.port or 443, url.scheme, hosts)

    def _key(self) -> str:
        if self._was_refused:
            self._secrets.refresh(self._audience, older_than_s=KEY_IS_FRESH_S)
        keys = self._secrets.get(self._audience, self._key_name)
        if not keys:
            raise SecretUnavailableError(f"{self._key_name} is not set.")
        if not _SENDABLE.fullmatch(keys[0]):
            raise SecretUnavailableError(f"{self._key_name} has a character that no key has.")
        return keys[0]

    def _read(self, response: httpx.Response, ends_at: float) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self._access.max_reply_bytes:
                raise ProviderUnknownOutcomeError("The provider's answer is too large.")
            if self._monotonic() > ends_at:
                raise ProviderUnknownOutcomeError("The provider's answer takes too long.")
        return bytes(body)
