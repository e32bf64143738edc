"""What both Shopify gateways share: addresses, the client's time-outs, and what failures mean."""

from datetime import datetime

import httpx

from shared.domain.errors import InvariantError, ShopBusyError
from shared.domain.ids import is_shop
from shared.domain.retry import read_retry_after

# Below the push function's reserve: its budget of 40 s and one call stay under its 60 s.
TIMEOUT = httpx.Timeout(10.0, connect=3.0, pool=1.0)
POOL = httpx.Limits(max_connections=10, max_keepalive_connections=10, keepalive_expiry=60.0)

# httpx raises these before a byte of the request was sent: nothing was executed.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def make_client() -> httpx.Client:
    """Make the pooled client of a process. It follows no redirect: tokens stay where they go."""
    return httpx.Client(timeout=TIMEOUT, limits=POOL, follow_redirects=False, trust_env=False)


def shop_address(base_url: str, shop: str) -> str:
    """Put the shop into the base address, which names it as `{shop}` (anywhere).

    Raises InvariantError for anything that is not a shop's domain.

    >>> shop_address("https://{shop}", "a.myshopify.com")
    'https://a.myshopify.com'
    >>> shop_address("http://127.0.0.1:8790/{shop}/", "a.myshopify.com")
    'http://127.0.0.1:8790/a.myshopify.com'
    """
    if not is_shop(shop):
        raise InvariantError("This is not a shop's domain.")
    return base_url.replace("{shop}", shop).rstrip("/")


def busy(response: httpx.Response, now: datetime) -> ShopBusyError:
    """Describe an answer that asks for patience, with its Retry-After."""
    wait_s = read_retry_after(_whole(response.headers.get("retry-after")), now)
    return ShopBusyError(f"Shopify answered {response.status_code}.", retry_after_s=wait_s)


def _whole(text: str | None) -> str | None:
    """Round Shopify's "2.0" up to whole seconds, which is all the header may have."""
    try:
        return str(int(-(-float(text) // 1))) if text is not None else None
    except (ValueError, OverflowError):
        return text
