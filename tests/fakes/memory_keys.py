"""Keys, agents and receipts in memory, for tests."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from shared.domain.errors import VersionConflictError
from shared.domain.keys import MAX_AGENTS, MAX_SHOP_KEYS, Agent, KeyHolder, ShopKey
from shared.gateways.store_rules import (
    IDEMPOTENT_FOR,
    ONE_CALL_TAKES,
    answered_now,
    key_reused,
    too_many,
)
from shared.usecases.ports import Clock, Idempotency
from tests.fakes.memory_once import Makings, made_before, remember


class InMemoryKeyStore:
    """A `KeyStore` without a table."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._holders: dict[str, KeyHolder] = {}
        self._keys: dict[tuple[str, str], ShopKey] = {}
        self._agents: dict[tuple[str, str], Agent] = {}
        self._made: Makings[str] = {}

    def find_key(self, key_id: str) -> KeyHolder | None:
        """Read whose key that is; None for a revoked one too."""
        return self._holders.get(key_id)

    def touch_key(self, key_id: str, at: datetime) -> None:
        """Note that the key was used; nothing happens when it is gone."""
        holder = self._holders.get(key_id)
        if holder is not None:
            self._holders[key_id] = replace(holder, last_used_at=at)

    def add_key(self, key: ShopKey, *, idempotency: Idempotency | None = None) -> ShopKey:
        """Store a shop's key; see `KeyStore.add_key`."""
        now = self._clock.now()
        earlier = made_before(
            self._made,
            key.shop,
            idempotency,
            now,
            find=lambda key_id: self._keys.get((key.shop, key_id)),
            one="key",
        )
        if earlier is not None:
            return earlier
        if len(self.shop_keys(key.shop)) >= MAX_SHOP_KEYS:
            raise too_many("keys", MAX_SHOP_KEYS)
        self._keys[key.shop, key.key_id] = key
        self._holders[key.key_id] = KeyHolder(shop=key.shop, digest=key.digest)
        remember(self._made, key.shop, idempotency, key.key_id, now)
        return key

    def renew_key(self, key: ShopKey, digest: str) -> ShopKey:
        """Give a shop's key another secret; see `KeyStore.renew_key`."""
        stored = self._keys.get((key.shop, key.key_id))
        if stored is None or stored.digest != key.digest:
            raise VersionConflictError("The key was changed meanwhile.")
        renewed = replace(stored, digest=digest, last_used_at=None)
        self._keys[key.shop, key.key_id] = renewed
        self._holders[key.key_id] = KeyHolder(shop=key.shop, digest=digest)
        return renewed

    def shop_keys(self, shop: str) -> list[ShopKey]:
        """Read the shop's keys, the oldest first."""
        found = [
            replace(key, last_used_at=self._holders[key.key_id].last_used_at)
            for key in self._keys.values()
            if key.shop == shop
        ]
        return sorted(found, key=lambda each: (each.created_at, each.key_id))

    def remove_key(self, shop: str, key_id: str) -> bool:
        """Revoke a shop's key; False when it has no such key."""
        if self._keys.pop((shop, key_id), None) is None:
            return False
        del self._holders[key_id]
        return True

    def add_agent(self, agent: Agent, *, idempotency: Idempotency | None = None) -> Agent:
        """Store an agent with its key; see `KeyStore.add_agent`."""
        now = self._clock.now()
        find = partial(self.get_agent, agent.shop)
        earlier = made_before(self._made, agent.shop, idempotency, now, find=find, one="agent")
        if earlier is not None:
            return earlier
        self._check_room(agent.shop)
        self._agents[agent.shop, agent.agent_id] = agent
        self._admit(agent)
        remember(self._made, agent.shop, idempotency, agent.agent_id, now)
        return agent

    def agents(self, shop: str) -> list[Agent]:
        """Read the shop's agents, the oldest first."""
        found = [agent for agent in self._agents.values() if agent.shop == shop]
        return sorted(found, key=lambda agent: agent.agent_id)

    def get_agent(self, shop: str, agent_id: str) -> Agent | None:
        """Read an agent; None when the shop has no such agent."""
        return self._agents.get((shop, agent_id))

    def save_agent(self, before: Agent, after: Agent) -> Agent:
        """Write on condition of the version; see `KeyStore.save_agent`."""
        stored = self._agents.get((before.shop, before.agent_id))
        if stored is None or stored.version != before.version:
            raise VersionConflictError("The agent was changed meanwhile.")
        if after.is_active and not before.is_active:
            self._check_room(after.shop)
        saved = replace(after, version=before.version + 1)
        self._agents[saved.shop, saved.agent_id] = saved
        if not saved.is_active:
            self._holders.pop(saved.key_id, None)
        elif not before.is_active or saved.digest != before.digest:
            self._admit(saved)
        return saved

    def _check_room(self, shop: str) -> None:
        if sum(agent.is_active for agent in self.agents(shop)) >= MAX_AGENTS:
            raise too_many("active agents", MAX_AGENTS)

    def _admit(self, agent: Agent) -> None:
        holder = KeyHolder(shop=agent.shop, digest=agent.digest, agent_id=agent.agent_id)
        self._holders[agent.key_id] = holder


class InMemoryReceipts:
    """`Receipts` without a table."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._found: dict[tuple[str, str], tuple[datetime, str, str | None]] = {}

    def begin(self, shop: str, idempotency: Idempotency) -> str | None:
        """Begin a call; or return the answer that it got before. See `Receipts.begin`."""
        now = self._clock.now()
        begun, digest, answer = self._found.get((shop, idempotency.key), (None, "", None))
        if begun is not None and begun + IDEMPOTENT_FOR > now:
            if digest != idempotency.body_sha256:
                raise key_reused()
            if answer is not None:
                return answer
            if begun + ONE_CALL_TAKES > now:
                raise answered_now()
        self._found[shop, idempotency.key] = (now, idempotency.body_sha256, None)
        return None

    def finish(self, shop: str, idempotency: Idempotency, answer: str) -> None:
        """Keep the answer of a call that was begun."""
        _, digest, _ = self._found[shop, idempotency.key]
        self._found[shop, idempotency.key] = (self._clock.now(), digest, answer)

    def forget(self, shop: str, idempotency: Idempotency) -> None:
        """Let a call be made anew: it was refused, nothing was done."""
        self._found.pop((shop, idempotency.key), None)
