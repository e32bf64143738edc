"""Check deliveries in quarantine again, and apply those that are genuine with today's secrets."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.errors import InvariantError, RejectedError
from shared.domain.quarantine import HeldDelivery, left_after
from shared.providers.base import Delivery
from shared.usecases.ports import Clock, Secrets
from shared.usecases.quarantine_ports import Mark, Quarantine, Reverified
from shared.usecases.receive_webhook import SignatureError, UncheckedError

log = logging.getLogger(__name__)

# The function has ten seconds; one delivery's calls may be slow.
BUDGET = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverifyDesk:
    """What checking again needs.

    receive: takes a delivery as if it came just now, but keeps none (raises as
    `receive_webhook` does).
    """

    quarantine: Quarantine
    secrets: Secrets
    clock: Clock
    receive: Callable[[Delivery], object]


@dataclass(slots=True)
class _Walk:
    """Where the walk is, and what it has counted."""

    mark: Mark | None
    checked: int = 0
    accepted: int = 0
    refused: int = 0
    failing: int = 0


def reverify(desk: ReverifyDesk, providers: Sequence[str], after: Mark | None) -> Reverified:
    """Check what is kept again, in the order of its reception at each provider, for five seconds.

    Parameters
        providers: whose. after: where the last call ended (None: from the beginning).

    Returns what became of it. What is genuine now is applied as of the instant of its
    reception, and is kept no longer; what is not stays until its day is over, and so does what
    is genuine but asks for what cannot be done.
    Raises StoreUnavailableError, SecretUnavailableError: what was applied until then is; begin
    again.
    Guarantees
        Whatever is done twice has one effect: a delivery is released after it was applied, and
        applied again it is a duplicate. The secrets are read anew first.
    """
    now = desk.clock.now()
    for audience in ("signing", "app"):
        desk.secrets.refresh(audience, older_than_s=0)
    walk, ends_at = _Walk(after), now + BUDGET
    ahead = [name for name in sorted(providers) if after is None or name >= after.provider]
    for number, provider in enumerate(ahead):
        if not _walk_through(desk, provider, walk, now, ends_at):
            return _told(walk, _remaining(desk.quarantine, ahead[number:], walk.mark, now))
    walk.mark = None
    return _told(walk, 0)


def _walk_through(
    desk: ReverifyDesk, provider: str, walk: _Walk, now: datetime, ends_at: datetime
) -> bool:
    """Check all of a provider's; False when the time was over before the end."""
    place = walk.mark.place if walk.mark and walk.mark.provider == provider else None
    while page := desk.quarantine.take(provider, now, after=place):
        for held in page:
            _check(desk, held, walk)
            place = held.place
            walk.mark = Mark(provider=provider, place=place)
            # Not before: each call gets on, however slow it was so far.
            if desk.clock.now() >= ends_at:
                return False
    return True


def _check(desk: ReverifyDesk, held: HeldDelivery, walk: _Walk) -> None:
    walk.checked += 1
    delivery = Delivery(
        provider=held.provider,
        body=held.body,
        headers=held.headers,
        received_at=held.received_at,
        reference=held.reference,
        is_held=True,
    )
    told: Mapping[str, str] = {"provider": held.provider, "place": held.place}
    try:
        desk.receive(delivery)
    except (SignatureError, UncheckedError):
        walk.failing += 1
    except RejectedError as error:
        walk.refused += 1
        log.info("held delivery refused", extra={**told, "code": error.code})
    except InvariantError:
        # One that we cannot take must not stand in the way of the others.
        walk.failing += 1
        log.exception("held delivery failed", extra=dict(told))
    else:
        desk.quarantine.release(held.provider, held.place)
        walk.accepted += 1
        log.info("held delivery accepted", extra=dict(told))


def _remaining(
    quarantine: Quarantine, ahead: Sequence[str], mark: Mark | None, now: datetime
) -> int:
    places = {name: mark.place if mark and mark.provider == name else None for name in ahead}
    return sum(left_after(quarantine.taken(name, now), place) for name, place in places.items())


def _told(walk: _Walk, remaining: int) -> Reverified:
    return Reverified(
        checked=walk.checked,
        accepted=walk.accepted,
        refused=walk.refused,
        failing=walk.failing,
        remaining=remaining,
        mark=walk.mark,
    )
