"""The signature schemes that providers share. Total: any bytes and headers give a verdict.

What is signed are bytes, never what was read in them. Grammar comes first, and is strict: of the
many spellings in which one signature could be written, one is accepted. Comparisons take the same
time wherever the difference is, and every key and token is compared, whichever fits.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.events import Proof
from shared.providers.base import Check, MalformedDeliveryError, Verdict
from shared.providers.reading import mapping, read_object

WINDOW_S = 300

ID_HEADER = "webhook-id"
TIME_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

# No dot (it separates what is signed) and no comma (API Gateway joins two headers with one).
_ID = re.compile(r"[!-+\-/-~]{1,256}", re.ASCII)
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_TOKEN = re.compile(r"v1,[A-Za-z0-9+/]{43}=|v1a,[A-Za-z0-9+/]{86}==", re.ASCII)
# 32 bytes: the last of 43 characters has two bits to spare, which are zero.
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)
_ED25519 = ("OKP", "Ed25519")
_HEX_256 = re.compile(r"[0-9a-f]{64}", re.ASCII)

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins
PUBLIC_PREFIX = "whpk_"


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key of HMAC-SHA256 (tokens `v1`)."""

    key: bytes = field(repr=False)

    def fits(self, message: bytes, token: bytes) -> bool:
        """Tell whether a token signs a message."""
        digest = hmac.new(self.key, message, hashlib.sha256).digest()
        # As text: several texts decode to the same bytes, only one is what a sender writes.
        return hmac.compare_digest(b"v1," + base64.b64encode(digest), token)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key of ed25519 (tokens `v1a`)."""

    key: bytes

    def fits(self, message: bytes, token: bytes) -> bool:
        """Tell whether a token signs a message."""
        if not token.startswith(b"v1a,"):
            return False
        signature = _decoded(token.removeprefix(b"v1a,").decode("ascii", "replace"))
        return signature is not None and fits_ed25519(self.key, message, signature)


type StandardKey = SharedKey | PublicKey


def standard_key(text: str) -> StandardKey | None:
    """Read a key of Standard Webhooks; None if it is none.

    `whsec_` and base64 (with its padding or without), or the base64 alone; `whpk_` and the base64
    of a public key.

    Source: Standard Webhooks 1.0.0, read 2026-11.
    """
    if text.startswith(PUBLIC_PREFIX):
        public = _decoded(text.removeprefix(PUBLIC_PREFIX))
        return PublicKey(public) if public is not None and len(public) == 32 else None
    secret = _decoded(text.removeprefix(SECRET_PREFIX))
    return SharedKey(secret) if secret else None


def verify_standard(
    body: bytes, headers: Mapping[str, str], keys: Sequence[StandardKey | None], now: datetime
) -> Verdict:
    """Check a delivery that is signed as Standard Webhooks says.

    Parameters
        keys: any of them may have signed; those that are None could not be read.

    Returns accepted with proof of body and time; what was signed at another time is rightly
    signed, but no more. One junk token does not spoil a good one.
    """
    given = [headers.get(name, "") for name in (ID_HEADER, TIME_HEADER, SIGNATURE_HEADER)]
    if not all(given):
        return Verdict(Check.MISSING)
    delivery_id, timestamp, signature = given
    if _ID.fullmatch(delivery_id) is None or _TIMESTAMP.fullmatch(timestamp) is None:
        return Verdict(Check.MALFORMED)
    tokens = [token.encode() for token in re.split(r"[ \t]+", signature) if _TOKEN.fullmatch(token)]
    if not tokens:
        return Verdict(Check.MALFORMED)
    if all(key is None for key in keys):
        return Verdict(Check.NO_KEY)
    message = f"{delivery_id}.{timestamp}.".encode() + body
    fitting: int | None = None
    for number, key in enumerate(keys):
        for token in tokens:
            if key is not None and key.fits(message, token) and fitting is None:
                fitting = number
    if fitting is None:
        return Verdict(Check.WRONG)
    return timely(Proof.BODY_TIME, fitting, timestamp, now)


def timely(proof: Proof, key: int, timestamp: str, now: datetime) -> Verdict:
    """Return the verdict on a right signature over a time in whole seconds since 1970."""
    is_of_now = abs(now.timestamp() - int(timestamp)) <= WINDOW_S
    return Verdict(Check.ACCEPTED if is_of_now else Check.OUT_OF_WINDOW, proof, key)


def is_timestamp(text: str) -> bool:
    """Tell whether a text is a time in whole seconds since 1970, and nothing else."""
    return _TIMESTAMP.fullmatch(text) is not None


def verify_hex(signature: str, message: bytes, secrets: Sequence[str], proof: Proof) -> Verdict:
    """Check an HMAC-SHA256 that is written as 64 lower-case hexadecimal digits.

    The secrets are used as text, as they stand.
    """
    if _HEX_256.fullmatch(signature) is None:
        return Verdict(Check.MALFORMED)
    signed = bytes.fromhex(signature)
    fitting: int | None = None
    for number, secret in enumerate(secrets):
        key = secret.encode("utf-8", "surrogatepass")
        digest = hmac.new(key, message, hashlib.sha256).digest()
        if hmac.compare_digest(digest, signed) and fitting is None:
            fitting = number
    if fitting is None:
        return Verdict(Check.WRONG)
    return Verdict(Check.ACCEPTED, proof, fitting)


def fits_ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether an ed25519 signature is right; never raises."""
    # Most senders sign with a shared secret: those need not wait for the library.
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import CryptoError

    if len(key) != 32 or len(signature) != 64:
        return False
    try:
        crypto_sign_open(signature + message, key)
    except CryptoError:
        return False
    return True


def read_key_set(document: bytes) -> tuple[str, ...]:
    """Read the ed25519 keys of a JSON Web Key Set, each as its `x`; () if there are none.

    Source: RFC 8037 section 2, RFC 7517 section 5.
    """
    try:
        rows = read_object(document).get("keys")
    except MalformedDeliveryError:
        return ()
    keys = map(mapping, rows) if isinstance(rows, list) else ()
    found = (key.get("x") for key in keys if (key.get("kty"), key.get("crv")) == _ED25519)
    return tuple(x for x in found if isinstance(x, str) and public_key(x) is not None)


def public_key(x: str) -> bytes | None:
    """Read the `x` of an ed25519 key in a key set; None if it is none."""
    if _URL_SAFE.fullmatch(x) is None:
        return None
    return base64.urlsafe_b64decode(x + "=")


def _decoded(text: str) -> bytes | None:
    """Read base64, with its padding or without; None unless it is the one way to write it."""
    bare = text.removesuffix("=").removesuffix("=")
    try:
        found = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if base64.b64encode(found).rstrip(b"=").decode() == bare else None
