"""Two secrets at once: which one deliveries fitted, and when the older one may go.

Secrets are told apart by fingerprints, so that a count means the same secret when another one has
been put before it.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# As long as the quarantine keeps deliveries: what the older secret signed before is gone by then.
QUIET_FOR = timedelta(hours=24)
COUNTED_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Matched:
    """How many deliveries a secret fitted, and when the last of them was received."""

    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class HourOfMatches:
    """What fitted in one UTC hour (`2026-11-26T07`), by the secret's fingerprint."""

    hour: str
    matched: Mapping[str, Matched]


class Removal(StrEnum):
    """Whether the older secret may be removed, and why: a closed set."""

    NOT_SET = "not_set"  # there is no secret at all
    ONLY_ONE = "only_one"  # there is no older one
    UNPROVEN = "unproven"  # nothing has come with the current one yet: the sender may not know it
    IN_USE = "in_use"  # the older one fitted within the last 24 hours
    WATCHING = "watching"  # the current one fits, but not for 24 hours yet
    SEALS_MORE = "seals_more"  # it seals stored things too, which no delivery tells of
    SAFE = "safe"  # for 24 hours the current one fitted, and the older one did not


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """One value of a secret, and what it fitted.

    fingerprint: tells it from others, and tells nothing else. is_current: the first one.
    hours: those in which it fitted, the latest first.
    """

    fingerprint: str
    is_current: bool
    last_at: datetime | None
    hours: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """When the older secret is safe to remove; safe_at: None while nobody can say."""

    removal: Removal
    safe_at: datetime | None = None


def fingerprint(app_secret: str, name: str, secret: str) -> str:
    """Return what a secret is told from others by: 12 hexadecimal digits.

    It is made with APP_SECRET, so that nobody without that can try guesses at a weak secret.

    >>> fingerprint("app", "PIKCEL_WEBHOOK_SECRET", "a") == fingerprint("app", "OTHER", "a")
    False
    """
    text = f"fingerprint\n{name}\n{secret}".encode("utf-8", "surrogatepass")
    key = app_secret.encode("utf-8", "surrogatepass")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:12]


def uses(values: Sequence[Sequence[str]], hours: Sequence[HourOfMatches]) -> tuple[KeyUse, ...]:
    """Put together what is known of each value of a secret.

    Parameters
        values: each value's fingerprints (several while APP_SECRET has several), the newest
            value first. hours: the earliest first.
    """
    return tuple(_use(names, hours, is_current=n == 0) for n, names in enumerate(values))


def _use(names: Sequence[str], hours: Sequence[HourOfMatches], *, is_current: bool) -> KeyUse:
    found = [
        (each.hour, [each.matched[name] for name in names if name in each.matched])
        for each in reversed(hours)
    ]
    fitted = [(hour, matches) for hour, matches in found if matches]
    return KeyUse(
        fingerprint=names[0],
        is_current=is_current,
        last_at=max((m.last_at for _, matches in fitted for m in matches), default=None),
        hours=[(hour, sum(m.count for m in matches)) for hour, matches in fitted],
    )


def judge(
    values: Sequence[Sequence[str]], hours: Sequence[HourOfMatches], now: datetime
) -> Judgement:
    """Say whether the older values may be removed: after 24 hours in which deliveries came with
    the newest and none with an older one.

    >>> judge([["aa"]], [], datetime(2026, 11, 26)).removal
    <Removal.ONLY_ONE: 'only_one'>
    """
    if len(values) < 2:
        return Judgement(removal=Removal.ONLY_ONE if values else Removal.NOT_SET)
    current, *older = values
    # The last match of the first hour: not before the first match.
    first = next((at for each in hours if (at := _last(each, current))), None)
    if first is None:
        return Judgement(removal=Removal.UNPROVEN)
    among = [name for names in older for name in names]
    last_older = max((at for each in hours if (at := _last(each, among))), default=None)
    safe_at = max(first, last_older or first) + QUIET_FOR
    if now >= safe_at:
        return Judgement(removal=Removal.SAFE, safe_at=safe_at)
    is_used = last_older is not None and now < last_older + QUIET_FOR
    return Judgement(removal=Removal.IN_USE if is_used else Removal.WATCHING, safe_at=safe_at)


def _last(hour: HourOfMatches, names: Sequence[str]) -> datetime | None:
    return max((hour.matched[name].last_at for name in names if name in hour.matched), default=None)
