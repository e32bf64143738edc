"""Our own reference, as it travels through a provider and back.

`{shop}:{job_id}:{attempt}:{token}`: in the callback URL and in the provider's metadata.
The token is an HMAC with APP_SECRET; without a valid one the reference does not count,
so a provider's other customers (or another shop) cannot point an event at a job.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.ids import JobRef, is_job_id, is_shop

_GRAMMAR = re.compile(r"([a-z0-9.-]{1,120}):([0-9a-f-]{36}):([1-9][0-9]{0,5}):([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Reference:
    """Which job, and which attempt of it."""

    ref: JobRef
    attempt: int


def make_reference(provider: str, ref: JobRef, attempt: int, secret: str) -> str:
    """Write the reference of one attempt at one provider.

    >>> ref = JobRef("a.myshopify.com", "019b76da-a800-7000-8000-000000000000")
    >>> make_reference("pikcel", ref, 1, "s").rpartition(":")[0]
    'a.myshopify.com:019b76da-a800-7000-8000-000000000000:1'
    """
    return f"{ref.shop}:{ref.job_id}:{attempt}:{_token(provider, ref, attempt, secret)}"


def has_form_of_reference(text: str | None) -> bool:
    """Tell whether a text could be a reference: no secret makes one of any other."""
    return _GRAMMAR.fullmatch(text or "") is not None


def read_reference(provider: str, text: str | None, secrets: Sequence[str]) -> Reference | None:
    """Read a reference; None unless its token was made with one of the secrets."""
    match = _GRAMMAR.fullmatch(text or "")
    if match is None:
        return None
    shop, job_id, attempt, token = match.groups()
    if not (is_shop(shop) and is_job_id(job_id)):
        return None
    ref, number = JobRef(shop, job_id), int(attempt)
    for secret in secrets:
        if hmac.compare_digest(_token(provider, ref, number, secret), token):
            return Reference(ref, number)
    return None


def delivery_key(provider: str, reference: Reference, secret: str) -> str:
    """Make the key that a provider signs the deliveries about one attempt with.

    Each attempt has its own (64 hexadecimal digits): whoever learns one can forge this attempt's
    deliveries, and nobody else's.

    >>> ref = JobRef("a.myshopify.com", "019b76da-a800-7000-8000-000000000000")
    >>> delivery_key("bfl", Reference(ref, 1), "s") == delivery_key("bfl", Reference(ref, 2), "s")
    False
    """
    return _hmac("delivery", provider, reference.ref, reference.attempt, secret)


def _token(provider: str, ref: JobRef, attempt: int, secret: str) -> str:
    return _hmac("callback", provider, ref, attempt, secret)[:32]


def _hmac(purpose: str, provider: str, ref: JobRef, attempt: int, secret: str) -> str:
    text = f"{purpose}\n{provider}\n{ref.shop}\n{ref.job_id}\n{attempt}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
