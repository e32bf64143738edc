"""Tokens at rest: PyNaCl's SecretBox (XSalsa20-Poly1305) with keys made from APP_SECRET."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random

from shared.domain.errors import SecretUnavailableError, ShopRefusedError
from shared.domain.job import TOKEN_DEAD

# The first byte of a sealed text names the scheme, so that it can be changed one day.
_SCHEME = b"\x01"


class SecretTokenBox:
    """Seals with the first secret, opens with any (rotation: put the new one first).

    Parameters
        secrets: returns the present values of APP_SECRET; asked at every call.
        nonce: makes 24 unguessable bytes.

    Shape of a sealed text: base64url of scheme (1 byte), nonce (24), ciphertext with tag.
    """

    def __init__(
        self,
        secrets: Callable[[], Sequence[str]],
        nonce: Callable[[int], bytes] = random,
    ) -> None:
        self._secrets = secrets
        self._nonce = nonce

    def seal(self, text: str) -> str:
        """Encrypt with the first secret. Raises SecretUnavailableError when there is none."""
        box = self._boxes()[0]
        sealed = box.encrypt(text.encode(), self._nonce(SecretBox.NONCE_SIZE))
        return base64.urlsafe_b64encode(_SCHEME + bytes(sealed)).decode("ascii")

    def open(self, text: str) -> str:
        """Decrypt with whichever secret fits.

        Raises ShopRefusedError `token_dead` when none does, SecretUnavailableError.
        """
        boxes = self._boxes()
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _unreadable() from None
        if raw[:1] != _SCHEME:
            raise _unreadable()
        for box in boxes:
            try:
                return box.decrypt(raw[1:]).decode()
            except (CryptoError, ValueError):
                continue
        raise _unreadable()

    def _boxes(self) -> list[SecretBox]:
        secrets = self._secrets()
        if not secrets:
            raise SecretUnavailableError("APP_SECRET is not set.")
        return [SecretBox(_key(secret)) for secret in secrets]


def _key(secret: str) -> bytes:
    """Make a key for this one purpose: the secret has others (callback tokens, cursors)."""
    return hashlib.blake2b(secret.encode(), digest_size=32, person=b"shopify-token").digest()


def _unreadable() -> ShopRefusedError:
    return ShopRefusedError("The shop's token cannot be read.", code=TOKEN_DEAD)
