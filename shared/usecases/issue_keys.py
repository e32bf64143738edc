"""Issue and revoke the keys of a shop, and look after its agents.

A key that is asked for again with an Idempotency-Key has been made, and its secret was told to
nobody: an answer that was given is kept. Nobody can read that secret again, so the same key (or
agent) gets another one, and the lost one opens nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.keys import (
    AGENT_PREFIX,
    KEY_ID_BYTES,
    SECRET_BYTES,
    SHOP_PREFIX,
    Agent,
    ShopKey,
    key_digest,
    write_key,
)
from shared.usecases.conflicts import retry_on_conflict
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency, KeyStore
from shared.usecases.tracker import Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued[Record]:
    """What was made, and its key, which nobody can read again."""

    record: Record
    key: str = field(repr=False)


def issue_shop_key(
    tracker: Tracker,
    keys: KeyStore,
    caller: Caller,
    name: str,
    *,
    idempotency: Idempotency | None = None,
) -> Issued[ShopKey]:
    """Make a key of the caller's shop.

    Parameters
        idempotency: the same key with the same body gives what was made then, with a new secret.

    Raises ConflictError when the shop has 20 of them, or when that one was revoked.
    """
    key_id = _new_id(tracker)
    key = _new_key(tracker, SHOP_PREFIX, key_id)
    made = ShopKey(
        shop=caller.require_shop(),
        key_id=key_id,
        digest=key_digest(key),
        name=name,
        created_at=tracker.now(),
        created_by=caller.actor,
    )
    stored = keys.add_key(made, idempotency=idempotency)
    if stored.key_id == key_id:
        return Issued(record=stored, key=key)
    key = _new_key(tracker, SHOP_PREFIX, stored.key_id)
    return Issued(record=keys.renew_key(stored, key_digest(key)), key=key)


def revoke_shop_key(keys: KeyStore, caller: Caller, key_id: str) -> None:
    """Revoke a key of the caller's shop. Raises NotFoundError."""
    if not keys.remove_key(caller.require_shop(), key_id):
        raise NotFoundError("This shop has no such key.")


def add_agent(
    tracker: Tracker,
    keys: KeyStore,
    shop: str,
    name: str,
    description: str | None,
    *,
    idempotency: Idempotency | None = None,
) -> Issued[Agent]:
    """Make an agent of a shop, with its key.

    Parameters
        idempotency: the same key with the same body gives the agent made then, with a new secret.

    Raises ConflictError when the shop has 100 active ones.
    """
    now = tracker.now()
    key_id = _new_id(tracker)
    key = _new_key(tracker, AGENT_PREFIX, key_id)
    agent = Agent(
        shop=shop,
        agent_id=tracker.new_id(now),
        key_id=key_id,
        digest=key_digest(key),
        name=name,
        description=description,
        created_at=now,
        updated_at=now,
    )
    stored = keys.add_agent(agent, idempotency=idempotency)
    if stored.agent_id == agent.agent_id:
        return Issued(record=stored, key=key)
    key = _new_key(tracker, AGENT_PREFIX, stored.key_id)
    renewed = change_agent(tracker, keys, shop, stored.agent_id, {"digest": key_digest(key)})
    return Issued(record=renewed, key=key)


def find_agent(keys: KeyStore, shop: str, agent_id: str) -> Agent:
    """Read an agent of a shop. Raises NotFoundError."""
    agent = keys.get_agent(shop, agent_id)
    if agent is None:
        raise NotFoundError("This shop has no such agent.")
    return agent


def active_agent(keys: KeyStore, shop: str, agent_id: str) -> Agent:
    """Read an agent of a shop that jobs may be given to.

    Raises NotFoundError; ConflictError `wrong_status` when it is not active.
    """
    agent = find_agent(keys, shop, agent_id)
    if not agent.is_active:
        raise ConflictError("This agent is not active.")
    return agent


def change_agent(
    tracker: Tracker,
    keys: KeyStore,
    shop: str,
    agent_id: str,
    changes: Mapping[str, object],
) -> Agent:
    """Change what is given of an agent (fields of `Agent`); its key works only while it is active.

    Raises NotFoundError, StoreUnavailableError; ConflictError when it would be one too many.
    """

    def change() -> Agent:
        before = find_agent(keys, shop, agent_id)
        after = replace(before, **changes)  # type: ignore[arg-type]  # the API's model names them
        if after == before:
            return before
        return keys.save_agent(before, replace(after, updated_at=tracker.now()))

    return retry_on_conflict("agent", change)


def _new_id(tracker: Tracker) -> str:
    return tracker.random.token_bytes(KEY_ID_BYTES).hex()


def _new_key(tracker: Tracker, prefix: str, key_id: str) -> str:
    return write_key(prefix, key_id, tracker.random.token_bytes(SECRET_BYTES))
