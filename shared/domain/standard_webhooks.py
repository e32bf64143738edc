"""Signing as Standard Webhooks 1.0.0 has it: HMAC-SHA256 over `id.timestamp.body`.

Source: the specification of standard-webhooks/standard-webhooks (read 2026-11).
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES = 32  # the specification allows 24 to 64


def write_secret(key: bytes) -> str:
    """Write a signing key as receivers enter it.

    >>> write_secret(bytes(24))
    'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return SECRET_PREFIX + base64.b64encode(key).decode("ascii")


def signed_headers(
    secrets: Sequence[str], webhook_id: str, at: datetime, body: bytes
) -> dict[str, str]:
    """Return the three headers of one try, signed with each secret (two during a rotation).

    Parameters
        secrets: as `write_secret` writes them. webhook_id: without a dot. at: of this try.
    """
    timestamp = str(int(at.timestamp()))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, content) for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")
