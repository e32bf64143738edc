"""Fetch what ``originalSource`` points to, as Shopify's media processing does.

Our own addresses (staged uploads, the CDN) are read from memory; everything else is really
downloaded, so that a private, dead or non-image link fails here as it fails there.
"""

from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import httpx

from .images import MAX_BYTES, MediaFailure, Picture, judge
from .state import World

type Download = Callable[[str], bytes]
"""Gives the bytes behind a URL; raises DownloadFailedError."""

DOWNLOAD_TIMEOUT_S = 10.0


class DownloadFailedError(Exception):
    """The source could not be fetched."""


def download(url: str) -> bytes:
    """Fetch over http(s), following redirects, at most one byte more than an image may have.

    Raises:
        DownloadFailedError: no answer, or not a 2xx.
    """
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=DOWNLOAD_TIMEOUT_S) as answer:
            if not answer.is_success:
                raise DownloadFailedError(f"HTTP {answer.status_code}")
            content = bytearray()
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    break
            return bytes(content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadFailedError(type(error).__name__) from error


def staged_key(base_url: str, url: str) -> str | None:
    """The key of one of our own staged targets, None for other URLs."""
    prefix = f"{base_url}/staged/"
    return unquote(url.removeprefix(prefix).partition("?")[0]) if url.startswith(prefix) else None


def basename(url: str) -> str:
    """The last path segment of a URL.

    >>> basename("https://host/a/b%20c.png?x=1")
    'b c.png'
    """
    return unquote(urlsplit(url).path.rpartition("/")[2])


def process(world: World, base_url: str, url: str, fetch: Download) -> Picture | MediaFailure:
    """Decide what becomes of a source: a picture, or why its media will be FAILED."""
    key = staged_key(base_url, url)
    if key is not None:
        staged = world.staged.get(key)
        if staged is None or staged.content is None:
            return MediaFailure("IMAGE_DOWNLOAD_FAILURE", "The staged file was never uploaded")
        return judge(staged.content)
    own = _own_cdn_picture(world, base_url, url)
    if own is not None:
        return own
    try:
        return judge(fetch(url))
    except DownloadFailedError as error:
        return MediaFailure("IMAGE_DOWNLOAD_FAILURE", f"The image could not be downloaded: {error}")


def _own_cdn_picture(world: World, base_url: str, url: str) -> Picture | None:
    prefix = f"{base_url}/cdn/"
    if not url.startswith(prefix):
        return None
    domain, _, rest = url.removeprefix(prefix).partition("/")
    shop = world.shops.get(domain)
    if shop is None:
        return None
    number = shop.names.get(unquote(rest.removeprefix("files/").partition("?")[0]))
    return None if number is None else shop.media[number].picture
