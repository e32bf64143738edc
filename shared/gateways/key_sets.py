"""Public keys that providers publish, fetched when first needed and kept.

urllib3 is used directly: it comes with botocore, and the webhook function, which needs this,
must not wait for httpx.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import urllib3

from shared.domain.errors import SecretUnavailableError
from shared.usecases.ports import Clock

# Source: fal's documentation of its webhooks allows a day (read 2026-11).
KEPT_FOR = timedelta(hours=24)
# A service that is out is not asked by every call: each would wait for it, and be late itself.
ASKED_AGAIN_AFTER = timedelta(seconds=30)
MAX_BYTES = 64 * 1024
TIMEOUT_S = 4.0

KEY_SET_UNAVAILABLE = "key_set_unavailable"


@dataclass(frozen=True, slots=True)
class _Copy:
    keys: tuple[str, ...]
    read_at: datetime


class HttpKeySets:
    """Implements KeySets.

    Parameters
        urls: provider → address of its key set. read: reads the keys in such a document;
            () if there are none. pool: urllib3's.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        read: Callable[[bytes], tuple[str, ...]],
        clock: Clock,
        pool: urllib3.PoolManager | None = None,
    ) -> None:
        self._urls = urls
        self._read_keys = read
        self._clock = clock
        self._pool = pool or urllib3.PoolManager()
        self._copies: dict[str, _Copy] = {}
        self._failed_at: dict[str, datetime] = {}

    def get(self, provider: str) -> tuple[str, ...]:
        """Return the provider's keys: at most a day old, or the last good ones.

        Raises SecretUnavailableError when they cannot be had, and never were.
        """
        copy = self._copies.get(provider)
        if copy is None:
            if self._has_just_failed(provider):
                raise _unavailable(provider)
            copy = self._fetch(provider)
        elif self._clock.now() - copy.read_at > KEPT_FOR and not self._has_just_failed(provider):
            with suppress(SecretUnavailableError):
                copy = self._fetch(provider)
        return copy.keys

    def refresh(self, provider: str, *, older_than_s: float) -> bool:
        """Fetch them anew if the copy is older than that; True if it was.

        False as well when they cannot be had just now: the copy stays.
        """
        copy = self._copies.get(provider)
        if copy and self._clock.now() - copy.read_at <= timedelta(seconds=older_than_s):
            return False
        if self._has_just_failed(provider):
            return False
        try:
            self._fetch(provider)
        except SecretUnavailableError:
            return False
        return True

    def _has_just_failed(self, provider: str) -> bool:
        failed_at = self._failed_at.get(provider)
        return failed_at is not None and self._clock.now() - failed_at <= ASKED_AGAIN_AFTER

    def _fetch(self, provider: str) -> _Copy:
        keys = self._read_keys(self._download(provider))
        if not keys:
            self._failed_at[provider] = self._clock.now()
            raise _unavailable(provider)
        copy = _Copy(keys, self._clock.now())
        self._copies[provider] = copy
        return copy

    def _download(self, provider: str) -> bytes:
        """Return the document, an empty one for an answer that is none."""
        try:
            reply = self._pool.request(
                "GET",
                self._urls[provider],
                timeout=TIMEOUT_S,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                body = reply.read(MAX_BYTES + 1)
            finally:
                reply.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return b""
        return body if reply.status == 200 and len(body) <= MAX_BYTES else b""


def _unavailable(provider: str) -> SecretUnavailableError:
    return SecretUnavailableError(
        f"The public keys of {provider} cannot be had.", code=KEY_SET_UNAVAILABLE
    )
