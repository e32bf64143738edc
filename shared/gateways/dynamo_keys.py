"""The `KeyStore` on DynamoDB.

| item | pk | sk |
| --- | --- | --- |
| whom a key belongs to | `KEY#{key id}` | `KEY` |
| that a shop has it | `SHOP#{shop}` | `KEY#{key id}` |
| agent | `SHOP#{shop}` | `AGENT#{agent id}` |
| how many a shop has (active ones) | `SHOP#{shop}` | `KEYS`, `AGENTS` |

The first is all that a call reads; it exists only while the key opens something.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from shared.domain.errors import VersionConflictError
from shared.domain.keys import MAX_AGENTS, MAX_SHOP_KEYS, Agent, KeyHolder, ShopKey
from shared.gateways.dynamo_errors import (
    CONDITION_FAILED,
    ConditionFailedError,
    TransactionCancelledError,
)
from shared.gateways.dynamo_items import from_microseconds, microseconds, shop_pk
from shared.gateways.dynamo_quotas import Making, add_once, quota_row, write_counted
from shared.gateways.dynamo_table import (
    Item,
    Request,
    Role,
    Row,
    Table,
    Terms,
    flag,
    key,
    number,
    text,
    update_expression,
)
from shared.gateways.store_rules import too_many

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from shared.gateways.dynamo_table import Value
    from shared.usecases.ports import Clock, Idempotency

_KEY_PREFIX, _AGENT_PREFIX = "KEY#", "AGENT#"


class DynamoKeyStore:
    """Who may call with which key."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)
        self._clock = clock

    def find_key(self, key_id: str) -> KeyHolder | None:
        """Read consistently whose key that is; None for a revoked one too."""
        item = self._table.get(_holder_key(key_id))
        if item is None:
            return None
        return KeyHolder(
            shop=item["shop"]["S"],
            digest=item["digest"]["S"],
            agent_id=item["agent_id"]["S"] if "agent_id" in item else None,
            last_used_at=_at(item, "last_used_at"),
        )

    def touch_key(self, key_id: str, at: datetime) -> None:
        """Note that the key was used; nothing happens when it is gone."""
        terms = Terms()
        put = update_expression(terms, put={"last_used_at": number(microseconds(at))})
        request = {
            "Key": _holder_key(key_id),
            "UpdateExpression": put,
            "ConditionExpression": terms.present(),
        }
        try:
            self._table.update(terms.attach(request))
        except ConditionFailedError:
            return

    def add_key(self, key: ShopKey, *, idempotency: Idempotency | None = None) -> ShopKey:
        """Store a shop's key; see `KeyStore.add_key`."""
        rows = [
            quota_row(key.shop, "KEYS", MAX_SHOP_KEYS),
            Row(Role.KEY, "Put", {"Item": _key_item(key)}),
            Row(Role.KEY, "Put", {"Item": _pointer_key(key.shop, key.key_id)}),
        ]
        making = Making(
            shop=key.shop,
            thing=key,
            thing_id=key.key_id,
            find=self._shop_key,
            one="key",
            many="keys",
            most=MAX_SHOP_KEYS,
            idempotency=idempotency,
        )
        return add_once(self._table, self._clock, rows, making)

    def _shop_key(self, key_id: str) -> ShopKey | None:
        item = self._table.get(_holder_key(key_id))
        return _read_key(item) if item is not None else None

    def renew_key(self, key: ShopKey, digest: str) -> ShopKey:
        """Give a shop's key another secret; see `KeyStore.renew_key`."""
        renewed = replace(key, digest=digest, last_used_at=None)
        terms = Terms()
        condition = terms.equals("digest", text(key.digest))
        request = {"Item": _key_item(renewed), "ConditionExpression": condition}
        try:
            self._table.put(terms.attach(request))
        except ConditionFailedError:
            raise VersionConflictError("The key was changed meanwhile.") from None
        return renewed

    def shop_keys(self, shop: str) -> list[ShopKey]:
        """Read the shop's keys, the oldest first."""
        ids = [item["sk"]["S"].removeprefix(_KEY_PREFIX) for item in self._of(shop, _KEY_PREFIX)]
        found = self._table.batch_get([_holder_key(i) for i in ids], consistent=True)
        return sorted(map(_read_key, found), key=lambda each: (each.created_at, each.key_id))

    def remove_key(self, shop: str, key_id: str) -> bool:
        """Revoke a shop's key; False when it has no such key."""
        terms = Terms()
        pointer = {"Key": _pointer_key(shop, key_id), "ConditionExpression": terms.present()}
        rows = [
            Row(Role.KEY, "Delete", terms.attach(pointer)),
            Row(Role.KEY, "Delete", {"Key": _holder_key(key_id)}),
            quota_row(shop, "KEYS", None),
        ]
        return write_counted(self._table, self._clock, rows)

    def add_agent(self, agent: Agent, *, idempotency: Idempotency | None = None) -> Agent:
        """Store an agent with its key; see `KeyStore.add_agent`."""
        rows = [
            quota_row(agent.shop, "AGENTS", MAX_AGENTS),
            Row(Role.KEY, "Put", {"Item": _agent_item(agent)}),
            Row(Role.KEY, "Put", {"Item": _agents_key_item(agent)}),
        ]
        making = Making(
            shop=agent.shop,
            thing=agent,
            thing_id=agent.agent_id,
            find=partial(self.get_agent, agent.shop),
            one="agent",
            many="active agents",
            most=MAX_AGENTS,
            idempotency=idempotency,
        )
        return add_once(self._table, self._clock, rows, making)

    def agents(self, shop: str) -> list[Agent]:
        """Read the shop's agents, the oldest first (their ids are time-ordered)."""
        return [_read_agent(shop, item) for item in self._of(shop, _AGENT_PREFIX)]

    def get_agent(self, shop: str, agent_id: str) -> Agent | None:
        """Read an agent consistently; None when the shop has no such agent."""
        item = self._table.get(_agent_key(shop, agent_id))
        return _read_agent(shop, item) if item is not None else None

    def save_agent(self, before: Agent, after: Agent) -> Agent:
        """Write on condition of the version; see `KeyStore.save_agent`."""
        saved = replace(after, version=before.version + 1)
        terms = Terms()
        condition = terms.equals("version", number(before.version))
        item = {"Item": _agent_item(saved), "ConditionExpression": condition}
        rows = [Row(Role.KEY, "Put", terms.attach(item))]
        if saved.is_active and not before.is_active:
            rows.append(Row(Role.KEY, "Put", {"Item": _agents_key_item(saved)}))
            rows.append(quota_row(saved.shop, "AGENTS", MAX_AGENTS))
        elif before.is_active and not saved.is_active:
            rows.append(Row(Role.KEY, "Delete", {"Key": _holder_key(saved.key_id)}))
            rows.append(quota_row(saved.shop, "AGENTS", None))
        elif saved.is_active and saved.digest != before.digest:
            rows.append(Row(Role.KEY, "Put", {"Item": _agents_key_item(saved)}))
        try:
            self._table.transact(rows)
        except TransactionCancelledError as cancelled:
            refused = [reason.code == CONDITION_FAILED for reason in cancelled.reasons]
            if refused[-1] and not refused[0]:
                raise too_many("active agents", MAX_AGENTS) from None
            raise VersionConflictError("The agent was changed meanwhile.") from None
        return saved

    def _of(self, shop: str, prefix: str) -> list[Item]:
        terms = Terms()
        partition = terms.equals("pk", text(shop_pk(shop)))
        starts = f"begins_with({terms.name('sk')}, {terms.value(text(prefix))})"
        request: Request = {
            "KeyConditionExpression": f"{partition} AND {starts}",
            "ConsistentRead": True,
        }
        return list(self._table.query(terms.attach(request)))


def _holder_key(key_id: str) -> Item:
    return key(f"KEY#{key_id}", "KEY")


def _pointer_key(shop: str, key_id: str) -> Item:
    return key(shop_pk(shop), _KEY_PREFIX + key_id)


def _agent_key(shop: str, agent_id: str) -> Item:
    return key(shop_pk(shop), _AGENT_PREFIX + agent_id)


def _key_item(made: ShopKey) -> Item:
    return _holder_key(made.key_id) | {
        "shop": text(made.shop),
        "digest": text(made.digest),
        "name": text(made.name),
        "created_at": number(microseconds(made.created_at)),
        "created_by": text(made.created_by),
    }


def _read_key(item: Mapping[str, Value]) -> ShopKey:
    return ShopKey(
        shop=item["shop"]["S"],
        key_id=item["pk"]["S"].removeprefix(_KEY_PREFIX),
        digest=item["digest"]["S"],
        name=item["name"]["S"],
        created_at=from_microseconds(int(item["created_at"]["N"])),
        created_by=item["created_by"]["S"],
        last_used_at=_at(item, "last_used_at"),
    )


def _agents_key_item(agent: Agent) -> Item:
    return _holder_key(agent.key_id) | {
        "shop": text(agent.shop),
        "digest": text(agent.digest),
        "agent_id": text(agent.agent_id),
    }


def _agent_item(agent: Agent) -> Item:
    item = _agent_key(agent.shop, agent.agent_id) | {
        "key_id": text(agent.key_id),
        "digest": text(agent.digest),
        "name": text(agent.name),
        "is_active": flag(agent.is_active),
        "created_at": number(microseconds(agent.created_at)),
        "updated_at": number(microseconds(agent.updated_at)),
        "version": number(agent.version),
    }
    if agent.description is not None:
        item["description"] = text(agent.description)
    return item


def _read_agent(shop: str, item: Mapping[str, Value]) -> Agent:
    return Agent(
        shop=shop,
        agent_id=item["sk"]["S"].removeprefix(_AGENT_PREFIX),
        key_id=item["key_id"]["S"],
        digest=item["digest"]["S"],
        name=item["name"]["S"],
        description=item["description"]["S"] if "description" in item else None,
        is_active=item["is_active"]["BOOL"],
        created_at=from_microseconds(int(item["created_at"]["N"])),
        updated_at=from_microseconds(int(item["updated_at"]["N"])),
        version=int(item["version"]["N"]),
    )


def _at(item: Mapping[str, Value], name: str) -> datetime | None:
    return from_microseconds(int(item[name]["N"])) if name in item else None
