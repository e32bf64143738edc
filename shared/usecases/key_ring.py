"""Open the door to keys of shops and agents."""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.keys import AGENT_PREFIX, KeyHolder, key_digest, read_key
from shared.usecases.ports import Clock, KeyStore

# A revoked key is refused everywhere after this time at the latest.
KNOWN_FOR = timedelta(seconds=30)
# Use is noted to the hour: a busy key is not written at every call.
NOTED_EVERY = timedelta(hours=1)
MAX_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """Tells whose key a credential is.

    remembered: key id → until when, and whose, for keys that were right in this process.
    """

    store: KeyStore
    clock: Clock
    remembered: dict[str, tuple[datetime, KeyHolder]] = field(default_factory=dict)

    def find(self, credential: str) -> KeyHolder | None:
        """Return whose key this is, None when it is nobody's (any more).

        One consistent read, at most once in 30 s per key. Raises StoreUnavailableError.
        """
        named = read_key(credential)
        if named is None:
            return None
        prefix, key_id = named
        now = self.clock.now()
        until, holder = self.remembered.get(key_id, (now, None))
        is_known = until > now and holder is not None
        if not is_known:
            holder = self.store.find_key(key_id)
        digest = holder.digest if holder is not None else ""
        is_right = hmac.compare_digest(digest, key_digest(credential))
        if holder is None or not is_right:
            return None
        if (prefix == AGENT_PREFIX) != (holder.agent_id is not None):
            return None
        if not is_known:
            self._remember(key_id, holder, now)
        return holder

    def _remember(self, key_id: str, holder: KeyHolder, now: datetime) -> None:
        if holder.last_used_at is None or now - holder.last_used_at >= NOTED_EVERY:
            self.store.touch_key(key_id, now)
        if len(self.remembered) >= MAX_REMEMBERED:
            self.remembered.clear()
        self.remembered[key_id] = (now + KNOWN_FOR, holder)
