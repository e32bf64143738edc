"""Sign as Standard Webhooks 1.0.0 say, for the providers that do.

Source: standard-webhooks at b2fa7b8 (read 2026-11): `v1`, over id, time and raw body. A retry
keeps its id and has a time, and so a signature, of its own.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from local.provider_simulator.dialect import FORGER, Envelope, Forgery, Letter


def new_secret() -> str:
    """Return a secret in the form that they are shown in."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def sign(secret: str, key: str, seconds: int, body: bytes) -> str:
    """Return the signature header.

    >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> body = b'{"test": 2432232314}'
    >>> sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    return _signed(base64.b64decode(secret.removeprefix("whsec_")), key, seconds, body)


def seal(letter: Letter, now: datetime) -> Envelope:
    """Sign a letter as of now."""
    seconds = int(now.timestamp())
    return _sealed(letter, seconds, sign(letter.secret, letter.key, seconds, letter.body))


def forge(letter: Letter, now: datetime, forgery: Forgery) -> Envelope:
    """Sign a letter as of now, as somebody who does not know the secret."""
    seconds = int(now.timestamp())
    signatures = {
        "wrong_secret": _signed(FORGER.encode(), letter.key, seconds, letter.body),
        "missing": None,
        "malformed": "v1,not base64!",
    }
    return _sealed(letter, seconds, signatures[forgery])


def _signed(secret: bytes, key: str, seconds: int, body: bytes) -> str:
    message = f"{key}.{seconds}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(secret, message, hashlib.sha256)).decode()}"


def _sealed(letter: Letter, seconds: int, signature: str | None) -> Envelope:
    headers = {"webhook-id": letter.key, "webhook-timestamp": str(seconds)}
    if signature is not None:
        headers["webhook-signature"] = signature
    return Envelope(letter.body, headers, signature)
