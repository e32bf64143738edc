"""Shopify's published Admin GraphQL schema, version 2026-10, for validation and execution.

The file beside this module is a full introspection, vendored with its ISC notice (NOTICE.md).
Its key ``data`` holds ``__schema``; ``offline_scopes`` lists the access scopes per type and field.
It knows names and types only: no runtime rule of Shopify's is in it, the resolvers add those.
Source: npm ``@shopify/dev-mcp`` 1.16.0, read 2026-11.
"""

import functools
import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    IntValueNode,
    StringValueNode,
    ValueNode,
    build_client_schema,
)

API_VERSION = "2026-10"
SCHEMA_FILE = Path(__file__).with_name(f"admin_{API_VERSION}.json.gz")
SCHEMA_SHA256 = "f3b522f264556925eada700e795e4a002a9cba83444ebcc6c0d724254a0c6593"


@dataclass(frozen=True)
class Access:
    """What a type or field asks of a token: any one of ``scopes``; ``text`` as Shopify words it."""

    scopes: frozenset[str]
    text: str


@functools.cache
def _introspection() -> dict[str, Any]:
    packed = SCHEMA_FILE.read_bytes()
    if hashlib.sha256(packed).hexdigest() != SCHEMA_SHA256:
        raise ValueError(f"{SCHEMA_FILE.name} is not the file that was vendored")
    loaded: dict[str, Any] = json.loads(gzip.decompress(packed))
    return loaded


@functools.cache
def admin_schema() -> GraphQLSchema:
    """Build the schema of the Admin API 2026-10 (about 0.5 s the first time, then cached).

    Use it to ``validate`` documents offline. One scalar is stricter than the introspection can
    say: an ``UnsignedInt64`` variable is a JSON string (facts: ``MoveInput.newPosition``).
    """
    schema = build_client_schema(_introspection()["data"])
    unsigned = schema.type_map["UnsignedInt64"]
    if not isinstance(unsigned, GraphQLScalarType):
        raise TypeError("UnsignedInt64 is no scalar")
    # On the instance, as graphql-core's own constructor does with custom parsers.
    vars(unsigned).update(parse_value=_parse_unsigned, parse_literal=_parse_unsigned_literal)
    return schema


def _parse_unsigned(value: object) -> int:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise GraphQLError("Expected an unsigned 64-bit integer as a string")
    return int(value)


def _parse_unsigned_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> int:
    if not isinstance(node, IntValueNode | StringValueNode):
        raise GraphQLError("Expected an unsigned 64-bit integer", node)
    return _parse_unsigned(node.value)


@functools.cache
def required_access() -> dict[tuple[str, str | None], Access]:
    """Scopes by (type, field), or by (type, None) for the type itself; absent = none needed."""
    return {
        (item["typeName"], item.get("fieldName")): Access(
            frozenset(item["offlineScopes"]), item["requiredAccess"]
        )
        for item in _introspection()["offline_scopes"]["items"]
        if item["offlineScopes"]
    }
