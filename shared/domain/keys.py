"""Keys of shops and agents: issued once, shown once, stored as digests.

A key is `{prefix}_{key id}_{secret}`: the prefix says whose it is (and lets a leaked one be
recognised), the id finds it without a search, the secret is 256 random bits. A digest of that
much chance needs neither salt nor stretching.
"""

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime

SHOP_PREFIX = "jts"
AGENT_PREFIX = "jta"
KEY_ID_BYTES = 12
SECRET_BYTES = 32
MAX_SHOP_KEYS = 20
MAX_AGENTS = 100

_FORM = re.compile(r"(jts|jta)_([0-9a-f]{24})_[A-Za-z0-9_-]{43}", re.ASCII)


def write_key(prefix: str, key_id: str, secret: bytes) -> str:
    """Write a key.

    >>> write_key("jts", "00" * 12, bytes(32))
    'jts_000000000000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return f"{prefix}_{key_id}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"


def read_key(text: str) -> tuple[str, str] | None:
    """Return the prefix and the id of what has the form of a key, else None.

    >>> read_key("jta_" + "0a" * 12 + "_" + "-" * 43), read_key("jts_x_y")
    (('jta', '0a0a0a0a0a0a0a0a0a0a0a0a'), None)
    """
    found = _FORM.fullmatch(text)
    return (found[1], found[2]) if found else None


def key_digest(text: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopKey:
    """A key that acts for its shop. last_used_at: to the hour."""

    shop: str
    key_id: str
    digest: str = field(repr=False)
    name: str
    created_at: datetime
    created_by: str
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A program that works on a shop's tasks. Its key opens nothing while it is inactive."""

    shop: str
    agent_id: str
    key_id: str
    digest: str = field(repr=False)
    name: str
    description: str | None = None
    is_active: bool = True
    created_at: datetime
    updated_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """Whom a key's id belongs to. agent_id: None for a key of the shop itself."""

    shop: str
    digest: str = field(repr=False)
    agent_id: str | None = None
    last_used_at: datetime | None = None
