"""Shopify's token endpoint: token exchange and refresh.

Source: facts of Shopify's logins (shopify.dev, "Token exchange", "Offline access tokens",
read 2026-10): offline tokens expire after 3600 s and come with a refresh token of 90 days.
"""

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from shared.domain.errors import (
    SecretUnavailableError,
    ShopBusyError,
    ShopRefusedError,
)
from shared.gateways.shopify_http import busy, shop_address
from shared.usecases.ports import Clock, Grant

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a type's name
OFFLINE_TOKEN = "urn:shopify:params:oauth:token-type:offline-access-token"  # noqa: S105


class ShopifyTokens:
    """Implements TokenService over HTTP.

    Parameters
        base_url: `https://{shop}`, or a simulator's address.
        app: returns the app's (client id, client secret); asked at every call.
    """

    def __init__(
        self,
        http: httpx.Client,
        base_url: str,
        app: Callable[[], tuple[str, str]],
        clock: Clock,
    ) -> None:
        self._http = http
        self._base_url = base_url
        self._app = app
        self._clock = clock

    def exchange(self, shop: str, id_token: str) -> Grant:
        """Turn an ID token into an offline token, an expiring one (see TokenService)."""
        return self._ask(
            shop,
            {
                "grant_type": EXCHANGE,
                "subject_token": id_token,
                "subject_token_type": ID_TOKEN,
                "requested_token_type": OFFLINE_TOKEN,
                "expiring": "1",
            },
        )

    def refresh(self, shop: str, refresh_token: str) -> Grant:
        """Turn a refresh token into the next pair (see TokenService)."""
        return self._ask(shop, {"grant_type": "refresh_token", "refresh_token": refresh_token})

    def _ask(self, shop: str, form: Mapping[str, str]) -> Grant:
        client_id, client_secret = self._app()
        if not client_id or not client_secret:
            raise SecretUnavailableError("SHOPIFY_API_KEY and SHOPIFY_API_SECRET are not set.")
        url = f"{shop_address(self._base_url, shop)}/admin/oauth/access_token"
        body = {"client_id": client_id, "client_secret": client_secret, **form}
        try:
            response = self._http.post(url, data=body, headers={"accept": "application/json"})
        except httpx.HTTPError as error:
            # A lost answer is no loss: an exchange may be repeated, and the old refresh token
            # works until the new one is first used.
            raise ShopBusyError(
                f"Shopify's token endpoint does not answer ({type(error).__name__})."
            ) from None
        if response.status_code == 200:
            return _read_grant(_object(response))
        if response.status_code == 429 or response.status_code >= 500:
            raise busy(response, self._clock.now())
        raise ShopRefusedError(
            f"Shopify's token endpoint answered {response.status_code}.",
            code=_oauth_code(_object(response)),
        )


def _object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        value = response.json()
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _oauth_code(body: Mapping[str, Any]) -> str:
    code = body.get("error")
    known = isinstance(code, str) and code.isascii() and code.replace("_", "").isalpha()
    return str(code)[:60] if known else "token_refused"


def _read_grant(body: Mapping[str, Any]) -> Grant:
    token = body.get("access_token")
    if not isinstance(token, str) or not token:
        raise ShopBusyError("Shopify's token endpoint answered without a token.")
    refresh = body.get("refresh_token")
    scopes = body.get("scope")
    return Grant(
        access_token=token,
        scopes=scopes if isinstance(scopes, str) else "",
        expires_in_s=_seconds(body.get("expires_in")),
        refresh_token=refresh if isinstance(refresh, str) and refresh else None,
        refresh_expires_in_s=_seconds(body.get("refresh_token_expires_in")),
    )


def _seconds(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]
