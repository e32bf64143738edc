"""Find out who calls, and for which shop.

A credential's form says what it claims to be; each kind has one verifier.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from shared.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    SecretUnavailableError,
    UnauthorizedError,
)
from shared.domain.events import Source
from shared.domain.ids import is_shop
from shared.domain.job import Job
from shared.domain.keys import read_key
from shared.usecases.id_tokens import looks_like_id_token, verify_id_token
from shared.usecases.key_ring import KeyRing
from shared.usecases.ports import Clock, Secrets

# A failed check reads a secret again that is older than this: it may just have been rotated.
REREAD_AFTER_S = 30
MAX_CREDENTIAL_CHARACTERS = 8192


class CallerKind(StrEnum):
    """As what somebody calls. A worker is one who signs webhooks: it calls no route."""

    USER = "user"
    ADMIN = "admin"
    SHOP_KEY = "shop_key"
    AGENT = "agent"
    WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls.

    shop: the one they are or act for; None for an administrator who named none.
    actor: for the timeline and the log: a Shopify user's id, or a key's fingerprint.
    id_token: what may be exchanged for the shop's offline token. agent_id: of an agent, who
    sees its own jobs only.
    """

    kind: CallerKind
    shop: str | None
    actor: str
    id_token: str | None = field(default=None, repr=False)
    agent_id: str | None = None

    @property
    def source(self) -> Source:
        """What the timeline calls them."""
        if self.kind in (CallerKind.AGENT, CallerKind.WORKER):
            return Source.WORKER
        return Source.ADMIN if self.kind is CallerKind.ADMIN else Source.USER

    @property
    def is_admin(self) -> bool:
        """Whether they may act for any shop."""
        return self.kind is CallerKind.ADMIN

    @property
    def is_agent(self) -> bool:
        """Whether they see nothing but their own jobs."""
        return self.kind is CallerKind.AGENT

    def may_see(self, job: Job) -> bool:
        """Tell whether a job of their shop is theirs to see."""
        return not self.is_agent or job.agent_id == self.agent_id

    def require_shop(self) -> str:
        """Return the shop that everything is scoped by.

        Raises InvalidRequestError when an administrator named none.
        """
        if self.shop is None:
            raise InvalidRequestError(
                "Name the shop in the X-Shop header or as ?shop=.",
                details=[{"field": "shop", "message": "is required for administrators"}],
            )
        return self.shop


class WrongIdTokenError(UnauthorizedError):
    """An ID token that is not valid: the page may get a new one and try once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What callers are checked with."""

    secrets: Secrets
    clock: Clock
    ring: KeyRing


def identify_caller(authorization: str | None, named_shop: str | None, doors: Doors) -> Caller:
    """Return who calls.

    Parameters
        authorization: the Authorization header. named_shop: what X-Shop or ?shop= says.

    Raises UnauthorizedError (missing or wrong), ForbiddenError (a user or a key named another
    shop), InvalidRequestError (not a shop's name), SecretUnavailableError,
    StoreUnavailableError (we cannot check).
    """
    scheme, _, credential = (authorization or "").strip().partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise UnauthorizedError("Send `Authorization: Bearer …`.")
    if len(credential) > MAX_CREDENTIAL_CHARACTERS:
        raise UnauthorizedError("Nobody has this credential.")
    for is_meant, identify in KINDS:
        if is_meant(credential):
            return _acting_for(identify(credential, doors), named_shop)
    raise UnauthorizedError("Nobody has this credential.")


def _acting_for(caller: Caller, named_shop: str | None) -> Caller:
    if named_shop is None:
        return caller
    if not is_shop(named_shop):
        raise InvalidRequestError(
            "This is not the name of a shop.",
            details=[{"field": "shop", "message": "must look like name.myshopify.com"}],
        )
    if caller.is_admin:
        return replace(caller, shop=named_shop)
    if caller.shop != named_shop:
        raise ForbiddenError("This login is for another shop.")
    return caller


def fingerprint(key: str) -> str:
    """Return what may be logged of a key: the first eight hex digits of its SHA-256.

    >>> fingerprint("admin-key")
    '69a52655'
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _identify_key(credential: str, doors: Doors) -> Caller:
    holder = doors.ring.find(credential)
    if holder is None:
        raise UnauthorizedError("Nobody has this credential.")
    if holder.agent_id is not None:
        actor = f"agent:{holder.agent_id}"
        return Caller(
            kind=CallerKind.AGENT, shop=holder.shop, actor=actor, agent_id=holder.agent_id
        )
    actor = f"key:{fingerprint(credential)}"
    return Caller(kind=CallerKind.SHOP_KEY, shop=holder.shop, actor=actor)


def _identify_user(credential: str, doors: Doors) -> Caller:
    secrets = doors.secrets
    for _ in _with_reread(secrets, "shopify"):
        keys = secrets.get("shopify", "SHOPIFY_API_SECRET")
        client_ids = secrets.get("shopify", "SHOPIFY_API_KEY")
        if not keys or not client_ids:
            raise SecretUnavailableError("The Shopify app's id or secret is not set.")
        token = verify_id_token(credential, keys, client_ids[0], doors.clock.now())
        if token is None:
            continue
        actor = f"user:{token.user_id}"
        return Caller(kind=CallerKind.USER, shop=token.shop, actor=actor, id_token=credential)
    raise WrongIdTokenError("This ID token is not valid. Get a new one and try again.")


def _identify_admin(credential: str, doors: Doors) -> Caller:
    secrets = doors.secrets
    digest = _digest(credential)
    for _ in _with_reread(secrets, "admin"):
        # All are compared, whatever the first ones say: the time tells nothing.
        hits = [
            hmac.compare_digest(_digest(key), digest)
            for key in secrets.get("admin", "ADMIN_API_KEYS")
        ]
        if any(hits):
            actor = f"admin:{fingerprint(credential)}"
            return Caller(kind=CallerKind.ADMIN, shop=None, actor=actor)
    raise UnauthorizedError("Nobody has this credential.")


def _with_reread(secrets: Secrets, audience: str) -> Iterator[None]:
    """Yield once, and once more if the secret was read anew in between."""
    yield
    if secrets.refresh(audience, older_than_s=REREAD_AFTER_S):
        yield


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


Identify = Callable[[str, Doors], Caller]
KINDS: tuple[tuple[Callable[[str], bool], Identify], ...] = (
    (looks_like_id_token, _identify_user),
    (lambda credential: read_key(credential) is not None, _identify_key),
    (lambda _credential: True, _identify_admin),
)
