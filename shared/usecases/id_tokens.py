"""Verify the ID tokens that Shopify gives to an embedded app's pages.

Source: https://shopify.dev/docs/apps/build/authentication-authorization/session-tokens and the
facts of Shopify's logins: HS256 keyed with the app's secret, one minute of life, ten seconds of
leeway; the shop is read from `dest` alone.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import jwt
from jwt.warnings import InsecureKeyLengthWarning

from shared.domain.ids import is_shop

LEEWAY_S = 10
MAX_CHARACTERS = 8192

# Times and audience are checked here, against our clock and exactly, not by the library.
_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}


@dataclass(frozen=True, slots=True)
class IdToken:
    """Who uses the app (Shopify's user id), in which shop."""

    shop: str
    user_id: str


def looks_like_id_token(credential: str) -> bool:
    """Tell whether a bearer credential is a JWT by its form (`eyJ` is `{"` in base64)."""
    return credential.startswith("eyJ") and credential.count(".") == 2


def verify_id_token(
    text: str, secrets: Sequence[str], client_id: str, now: datetime
) -> IdToken | None:
    """Return what a genuine, current ID token for this app says; None for every other text.

    Parameters
        secrets: the app's secret, and the old one while it is being replaced.
    """
    claims = _claims(text, secrets)
    if claims is None or not _is_current(claims, now) or claims.get("aud") != client_id:
        return None
    user_id, shop = claims.get("sub"), _host(claims.get("dest"))
    if not isinstance(user_id, str) or not user_id or len(user_id) > 100:
        return None
    if shop is None or not is_shop(shop) or _host(claims.get("iss")) != shop:
        return None
    return IdToken(shop=shop, user_id=user_id)


def _claims(text: str, secrets: Sequence[str]) -> Mapping[str, Any] | None:
    if len(text) > MAX_CHARACTERS or not text.isascii():
        return None
    for secret in secrets:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InsecureKeyLengthWarning)
                claims = jwt.decode(text, secret, algorithms=["HS256"], options=_SIGNATURE_ONLY)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            continue
        return claims
    return None


def _is_current(claims: Mapping[str, Any], now: datetime) -> bool:
    expires, begins = _number(claims.get("exp")), _number(claims.get("nbf"))
    if expires is None or begins is None:
        return False
    present = now.timestamp()
    return begins - LEEWAY_S <= present < expires + LEEWAY_S


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e12 and isfinite(value) else None


def _host(value: object) -> str | None:
    """Return the host of an https address without port, user or other extras."""
    if not isinstance(value, str) or len(value) > 300:
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return parts.netloc if parts.scheme == "https" else None
