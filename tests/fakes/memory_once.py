"""What was made with an Idempotency-Key, for the stores in memory."""

from collections.abc import Callable
from datetime import datetime

from shared.gateways.store_rules import IDEMPOTENT_FOR, key_reused, made_and_deleted
from shared.usecases.ports import Idempotency

# By shop and key: until when, with which body, and which thing.
type Makings[Ref] = dict[tuple[str, str], tuple[datetime, str, Ref]]


def made_before[Ref, Thing](
    makings: Makings[Ref],
    shop: str,
    idempotency: Idempotency | None,
    now: datetime,
    *,
    find: Callable[[Ref], Thing | None],
    one: str = "job",
) -> Thing | None:
    """Return what was made with this key and body within 24 hours, None if nothing was.

    find: reads such a thing; one: what people call it. Raises IdempotencyKeyReusedError, and
    ConflictError when it is gone.
    """
    found = makings.get((shop, idempotency.key)) if idempotency is not None else None
    if found is None or idempotency is None:
        return None
    until, digest, ref = found
    if until <= now:
        return None
    if digest != idempotency.body_sha256:
        raise key_reused()
    thing = find(ref)
    if thing is None:
        raise made_and_deleted(one)
    return thing


def remember[Ref](
    makings: Makings[Ref], shop: str, idempotency: Idempotency | None, ref: Ref, now: datetime
) -> None:
    """Note what is made with a key."""
    if idempotency is not None:
        until = now + IDEMPOTENT_FOR
        makings[shop, idempotency.key] = (until, idempotency.body_sha256, ref)
