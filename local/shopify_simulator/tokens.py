"""ID tokens, access tokens and refresh tokens, as shopify.dev describes them.

Offline tokens live 3600 s with a refresh token of 90 days [D]. A refresh rotates the refresh
token; the old one keeps working until the new one is first used, at most 30 days [D].
"""

import hashlib
import re
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any, Literal

import jwt

from .config import Clock

SHOP_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com\Z")
ID_TOKEN_LIFE_S = 60
ID_TOKEN_LEEWAY_S = 10
ACCESS_TOKEN_LIFE_S = 3600
REFRESH_TOKEN_LIFE_S = 90 * 86_400
SUPERSEDED_LIFE_S = 30 * 86_400
CLIENT_CREDENTIALS_LIFE_S = 86_399
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"
OFFLINE_TOKEN_TYPE = "urn:shopify:params:oauth:token-type:offline-access-token"

DEFAULT_SCOPES = frozenset({"read_products", "write_products", "read_files", "write_files"})

TokenState = Literal["live", "dead"]


def mint_id_token(shop: str, client_id: str, secret: str, now: float, **overrides: object) -> str:
    """Sign the ID token that Shopify gives an embedded app's page for ``shop``.

    Claims as on shopify.dev; ``overrides`` replace claims, None removes one,
    so that a test can make any wrong token.
    """
    issued = int(now)
    claims: dict[str, object] = {
        "iss": f"https://{shop}/admin",
        "dest": f"https://{shop}",
        "aud": client_id,
        "sub": "42",
        "exp": issued + ID_TOKEN_LIFE_S,
        "nbf": issued,
        "iat": issued,
        "jti": secrets.token_hex(16),
        "sid": hashlib.sha256(shop.encode()).hexdigest(),
        **overrides,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, secret, algorithm="HS256")


class TokenRefusedError(Exception):
    """The token endpoint's answer 400 (401 for a wrong client [?]) with an OAuth error code."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.status = 401 if code == "invalid_client" else 400


@dataclass
class AccessToken:
    """What ``X-Shopify-Access-Token`` may be; ``app`` names the cost bucket."""

    value: str
    app: str
    scopes: frozenset[str]
    expires_at: float | None = None
    state: TokenState = "live"


@dataclass
class RefreshToken:
    """Good once; the one it ``replaces`` ends at its first use."""

    value: str
    expires_at: float
    replaces: str | None = None


@dataclass
class _ShopTokens:
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)
    static_state: TokenState = "live"


class TokenOffice:
    """Issues tokens and knows which ones live.

    ``static_tokens`` (a custom app's) are good for every shop until a shop's are declared dead.
    """

    def __init__(
        self, clock: Clock, client_id: str, client_secret: str, static_tokens: frozenset[str]
    ) -> None:
        self._clock = clock
        self.client_id = client_id
        self.client_secret = client_secret
        self._static = static_tokens
        self._shops: dict[str, _ShopTokens] = {}
        self._lock = threading.Lock()
        self.scopes = DEFAULT_SCOPES

    def find(self, shop: str, value: str) -> AccessToken | None:
        """The live token of that value, None for unknown, expired or dead ones (→ 401)."""
        with self._lock:
            tokens = self._of(shop)
            token = tokens.access.get(value)
            if token is None:
                if value in self._static and tokens.static_state == "live":
                    return AccessToken(value, "custom-app", self.scopes)
                return None
            if token.expires_at is not None and self._clock() >= token.expires_at:
                return None
            return token if token.state == "live" else None

    def set_state(
        self,
        shop: str,
        state: TokenState,
        value: str | None = None,
        scopes: frozenset[str] | None = None,
    ) -> None:
        """Kill or revive one token, or (without a value) all of the shop, as an uninstall does.

        An unknown value becomes a token of the app.
        """
        with self._lock:
            tokens = self._of(shop)
            if value is None:
                tokens.static_state = state
                for token in tokens.access.values():
                    token.state = state
                if state == "dead":
                    tokens.refresh.clear()
                return
            token = tokens.access.setdefault(
                value, AccessToken(value, self.client_id, scopes or self.scopes)
            )
            token.state = state
            token.scopes = scopes or token.scopes

    def answer(self, shop: str, form: dict[str, str]) -> dict[str, Any]:
        """Serve ``POST /admin/oauth/access_token``.

        Raises:
            TokenRefusedError: with the OAuth error to answer.
        """
        with self._lock:
            client_matches = form.get("client_id") == self.client_id
            if not client_matches or form.get("client_secret") != self.client_secret:
                raise TokenRefusedError("invalid_client", "Client authentication failed")
            grant = form.get("grant_type")
            if grant == EXCHANGE_GRANT:
                return self._exchange(shop, form)
            if grant == "refresh_token":
                return self._refresh(shop, form.get("refresh_token", ""))
            if grant == "client_credentials":
                return self._client_credentials(shop)
            raise TokenRefusedError("unsupported_grant_type", "The grant type is not supported")

    def _of(self, shop: str) -> _ShopTokens:
        return self._shops.setdefault(shop, _ShopTokens())

    def _exchange(self, shop: str, form: dict[str, str]) -> dict[str, Any]:
        if form.get("subject_token_type") != ID_TOKEN_TYPE:
            raise TokenRefusedError("invalid_request", "subject_token_type must be an ID token")
        if form.get("requested_token_type") != OFFLINE_TOKEN_TYPE:
            raise TokenRefusedError("invalid_request", "only offline tokens are simulated")
        self._check_id_token(shop, form.get("subject_token", ""))
        self._of(shop).static_state = "live"
        if form.get("expiring", "0") == "1":
            return self._issue_pair(shop, None)
        token = self._issue_access(shop, None)
        return {"access_token": token.value, "scope": _scope_text(token.scopes)}

    def _check_id_token(self, shop: str, encoded: str) -> None:
        try:
            claims = jwt.decode(
                encoded,
                self.client_secret,
                algorithms=["HS256"],
                audience=self.client_id,
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise TokenRefusedError("invalid_subject_token", str(error)) from error
        now = self._clock()
        exp, nbf = claims.get("exp"), claims.get("nbf")
        if not isinstance(exp, int | float) or now > exp + ID_TOKEN_LEEWAY_S:
            raise TokenRefusedError("invalid_subject_token", "the ID token has expired")
        if not isinstance(nbf, int | float) or now < nbf - ID_TOKEN_LEEWAY_S:
            raise TokenRefusedError("invalid_subject_token", "the ID token is not valid yet")
        if claims.get("dest") != f"https://{shop}":
            raise TokenRefusedError("invalid_subject_token", "the ID token is for another shop")

    def _refresh(self, shop: str, value: str) -> dict[str, Any]:
        tokens = self._of(shop)
        used = tokens.refresh.get(value)
        if used is None or self._clock() >= used.expires_at:
            raise TokenRefusedError("invalid_grant", "The refresh token is invalid or expired")
        if used.replaces is not None:
            # First use of the new one: now the old one ends.
            tokens.refresh.pop(used.replaces, None)
            used.replaces = None
        used.expires_at = min(used.expires_at, self._clock() + SUPERSEDED_LIFE_S)
        return self._issue_pair(shop, value)

    def _client_credentials(self, shop: str) -> dict[str, Any]:
        token = self._issue_access(shop, CLIENT_CREDENTIALS_LIFE_S)
        return {
            "access_token": token.value,
            "scope": _scope_text(token.scopes),
            "expires_in": CLIENT_CREDENTIALS_LIFE_S,
        }

    def _issue_pair(self, shop: str, replaces: str | None) -> dict[str, Any]:
        token = self._issue_access(shop, ACCESS_TOKEN_LIFE_S)
        refresh = RefreshToken(
            f"shprt_{secrets.token_hex(16)}", self._clock() + REFRESH_TOKEN_LIFE_S, replaces
        )
        self._of(shop).refresh[refresh.value] = refresh
        return {
            "access_token": token.value,
            "scope": _scope_text(token.scopes),
            "expires_in": ACCESS_TOKEN_LIFE_S,
            "refresh_token": refresh.value,
            "refresh_token_expires_in": REFRESH_TOKEN_LIFE_S,
        }

    def _issue_access(self, shop: str, life_s: float | None) -> AccessToken:
        expires_at = None if life_s is None else self._clock() + life_s
        token = AccessToken(
            f"shpat_{secrets.token_hex(16)}", self.client_id, self.scopes, expires_at
        )
        self._of(shop).access[token.value] = token
        return token


def _scope_text(scopes: frozenset[str]) -> str:
    """Shopify leaves out a read scope that a write scope implies."""
    implied = {name.replace("write_", "read_", 1) for name in scopes if name.startswith("write_")}
    return ",".join(sorted(scopes - implied))
