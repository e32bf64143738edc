"""Senders of deliveries: each signs as its provider does, with a key that only the tests know.

Written from the schemes' own descriptions, not from our verifiers.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nacl.signing import SigningKey

from shared.domain.ids import JobRef
from shared.domain.references import Reference, delivery_key
from shared.providers.base import Keys, Receiver, Verdict
from shared.providers.registry import ADAPTERS
from shared.providers.worker import WORKER_RECEIVER
from tests.builders import SHOP, later

NOW = later(0)
APP_SECRET = "test-app-secret"
REF = JobRef(SHOP, "019aab7c-5e00-7000-8000-000000000001")

RECEIVERS: Mapping[str, Receiver] = {**ADAPTERS, WORKER_RECEIVER.name: WORKER_RECEIVER}


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery, and the one key that it is to be checked with."""

    receiver: Receiver
    body: bytes
    headers: Mapping[str, str]
    key: str
    now: datetime = NOW
    account: str | None = None

    def check(self) -> Verdict:
        """Have it checked."""
        keys = Keys(texts=(self.key,) if self.key else (), account=self.account)
        return self.receiver.verify(self.body, self.headers, keys, self.now)

    def with_header(self, name: str, value: str) -> "Letter":
        """Return it with another value of a header."""
        return replace(self, headers={**self.headers, name: value})


@dataclass(frozen=True, slots=True)
class Sender:
    """How one provider signs.

    signs: (body, id, seconds since 1970, key) → headers. id_header, time_header,
    signature_header: where those are; None if the scheme has none. sign_key: what it signs with,
    if that is not the key that we check with.
    """

    name: str
    signs: Callable[[bytes, str, int, str], dict[str, str]]
    key: str
    signature_header: str | None = None
    id_header: str | None = None
    time_header: str | None = None
    account: str | None = None
    other_keys: tuple[str, ...] = field(default=())

    def letter(
        self,
        body: bytes = b'{"id": "x"}',
        delivery_id: str = "msg_p5jXN8AQM9LWM0D4loKWxJek",
        at: datetime = NOW,
        key: str | None = None,
        now: datetime = NOW,
    ) -> Letter:
        """Return a genuine delivery."""
        key = self.key if key is None else key
        headers = self.signs(body, delivery_id, int(at.timestamp()), key)
        return Letter(RECEIVERS[self.name], body, headers, key, now, self.account)


def sign_standard(body: bytes, delivery_id: str, seconds: int, secret: str) -> dict[str, str]:
    """Sign as Standard Webhooks 1.0.0 says, v1."""
    key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    return _standard(body, delivery_id, seconds, key)


def sign_openai(body: bytes, delivery_id: str, seconds: int, secret: str) -> dict[str, str]:
    """Sign as OpenAI does: a secret without `whsec_` is text as it stands."""
    if secret.startswith("whsec_"):
        return sign_standard(body, delivery_id, seconds, secret)
    return _standard(body, delivery_id, seconds, secret.encode())


def _standard(body: bytes, delivery_id: str, seconds: int, key: bytes) -> dict[str, str]:
    message = f"{delivery_id}.{seconds}.".encode() + body
    token = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{token}",
    }


# Source: RFC 8032 section 7.1, test 1.
FAL_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
FAL_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
FAL_USER = "user_test"


def sign_fal(body: bytes, delivery_id: str, seconds: int, key: str) -> dict[str, str]:
    """Sign as fal does."""
    digest = hashlib.sha256(body).hexdigest()
    message = f"{delivery_id}\n{FAL_USER}\n{seconds}\n{digest}".encode()
    signature = SigningKey(FAL_SEED).sign(message).signature
    return {
        "x-fal-webhook-request-id": delivery_id,
        "x-fal-webhook-user-id": FAL_USER,
        "x-fal-webhook-timestamp": str(seconds),
        "x-fal-webhook-signature": signature.hex(),
    }


def _hex(header: str, prefix: str) -> Callable[[bytes, str, int, str], dict[str, str]]:
    def sign(body: bytes, delivery_id: str, seconds: int, key: str) -> dict[str, str]:
        return {header: prefix + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}

    return sign


STANDARD: dict[str, Any] = {
    "signature_header": "webhook-signature",
    "id_header": "webhook-id",
    "time_header": "webhook-timestamp",
}
SENDERS: Mapping[str, Sender] = {
    sender.name: sender
    for sender in (
        Sender(
            "replicate",
            sign_standard,
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            other_keys=("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
            **STANDARD,
        ),
        Sender(
            "openai",
            sign_openai,
            "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
            other_keys=("whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c", "plain words"),
            **STANDARD,
        ),
        Sender(
            "worker",
            sign_standard,
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            other_keys=("whsec_" + base64.b64encode(bytes(range(25))).decode(),),
            **STANDARD,
        ),
        Sender(
            "fal",
            sign_fal,
            FAL_KEY,
            signature_header="x-fal-webhook-signature",
            id_header="x-fal-webhook-request-id",
            time_header="x-fal-webhook-timestamp",
            account=FAL_USER,
        ),
        Sender("pikcel", _hex("x-pikcel-signature", ""), "test-secret", "x-pikcel-signature"),
        Sender(
            "bfl",
            _hex("x-bfl-signature", "sha256="),
            delivery_key("bfl", Reference(REF, 1), APP_SECRET),
            "x-bfl-signature",
        ),
        Sender("runpod", lambda *_: {}, delivery_key("runpod", Reference(REF, 1), APP_SECRET)),
    )
}
