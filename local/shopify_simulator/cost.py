"""What a call costs and how much a shop has left, reproduced from recorded answers.

The rule below gives every number measured on dev stores and each recorded answer that
was checked (tests name them). It was fitted, not published: Shopify says only that scalars are
free, objects cost 1 and connections are "sized by their arguments".

* a mutation costs 10; fileCreate, productCreateMedia and productUpdate with ``media`` 20 [L];
* what a mutation's payload selects directly is free, objects inside it cost 1 each [L];
* a list costs what one of its items costs, however long it is: fileCreate of 1 or 60 files, and
  ``nodes(ids:)`` of any number of ids [L: files(first: 2) + nodes(2 ids) = 4];
* a connection of n costs 2 + size(n) x (1 + what a node selects), size(n) = max(1, floor(2 ln n))
  [L: 1 → 3, 3 → 4, 10 → 6, 50 → 9, and ``nodes`` with 250 media of 3 objects each = 47];
* ``pageInfo``, ``userErrors`` and money amounts are free [L];
* afterwards connections are charged for what they held, and empty lists and types that did not
  apply are free; an empty connection still costs 2 + size(n) [L], a null object still 1 [L].
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    value_from_ast_untyped,
)

from .checks import present

MUTATION_COST = 10
MUTATION_COST_BY_FIELD = {"fileCreate": 20, "productCreateMedia": 20}
FREE_TYPES = frozenset({"PageInfo", "MoneyBag", "MoneyV2"})

type Composite = GraphQLObjectType | GraphQLInterfaceType

_COMPOSITE = (GraphQLObjectType, GraphQLInterfaceType)


class _Unknown:
    """Stands for a value that is not known yet: before the query has run."""


_UNKNOWN = _Unknown()


def connection_size(count: int) -> int:
    """The weight of ``count`` nodes.

    >>> [connection_size(n) for n in (1, 2, 3, 10, 50, 250)]
    [1, 1, 2, 4, 7, 11]
    """
    return max(1, math.floor(2 * math.log(count))) if count > 0 else 0


@dataclass(frozen=True)
class CostModel:
    """Prices one operation of a document."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    operation: OperationDefinitionNode
    variables: Mapping[str, Any]

    def requested(self) -> int:
        """The price before execution: what the bucket must hold."""
        return self._operation_cost(_UNKNOWN)

    def actual(self, data: Mapping[str, Any] | None) -> int:
        """The price after execution, from the ``data`` that was answered."""
        return self._operation_cost(_UNKNOWN if data is None else data)

    def _operation_cost(self, data: object) -> int:
        if self.operation.operation is OperationType.MUTATION:
            root = present(self.schema.mutation_type)
            price = self._mutation_field
        else:
            root = present(self.schema.query_type)
            price = self._field
        return sum(
            price(root, node, _member(data, node), nested=False)
            for node in self._fields(self.operation.selection_set)
        )

    def _mutation_field(
        self, parent: Composite, node: FieldNode, value: object, *, nested: bool
    ) -> int:
        base = MUTATION_COST_BY_FIELD.get(node.name.value, MUTATION_COST)
        if node.name.value == "productUpdate" and self._argument(node, "media"):
            base = 20
        payload = get_named_type(parent.fields[node.name.value].type)
        if not isinstance(payload, GraphQLObjectType) or node.selection_set is None:
            return base
        inside = 0
        for child in self._fields(node.selection_set):
            child_type = get_named_type(payload.fields[child.name.value].type)
            if isinstance(child_type, _COMPOSITE) and child.selection_set is not None:
                inside += self._selection(
                    child_type, child.selection_set, _member(value, child), nested=nested
                )
        return base + inside

    def _field(self, parent: Composite, node: FieldNode, value: object, *, nested: bool) -> int:
        if node.name.value.startswith("__"):
            return 0
        kind = get_named_type(parent.fields[node.name.value].type)
        if node.selection_set is None or kind.name in FREE_TYPES or kind.name.endswith("Error"):
            return 0
        if kind.name.endswith("Connection") and isinstance(kind, GraphQLObjectType):
            return self._connection(kind, node, value, nested=nested)
        if value == []:
            return 0
        if not isinstance(kind, _COMPOSITE):
            return 1 + self._union(node.selection_set, value, nested=nested)
        return 1 + self._selection(kind, node.selection_set, value, nested=nested)

    def _selection(
        self, kind: Composite, selection: SelectionSetNode, value: object, *, nested: bool
    ) -> int:
        """The price of what is selected inside; of a list, that of its dearest item."""
        if isinstance(value, list):
            return max(
                (self._selection(kind, selection, item, nested=nested) for item in value),
                default=0,
            )
        total = 0
        for parent, node in self._typed_fields(kind, selection):
            inner = _member(value, node)
            if inner is not _MISSING:
                total += self._field(parent, node, inner, nested=nested)
        return total

    def _union(self, selection: SelectionSetNode, value: object, *, nested: bool) -> int:
        prices = []
        for child in selection.selections:
            if isinstance(child, InlineFragmentNode):
                kind = self.schema.type_map.get(_type_condition(child) or "")
                if isinstance(kind, _COMPOSITE):
                    prices.append(self._selection(kind, child.selection_set, value, nested=nested))
        return max(prices, default=0)

    def _connection(
        self, kind: GraphQLObjectType, node: FieldNode, value: object, *, nested: bool
    ) -> int:
        asked = self._argument(node, "first") or self._argument(node, "last") or 0
        size = connection_size(asked if isinstance(asked, int) else 0)
        node_fields = list(self._node_selections(present(node.selection_set)))
        node_type = _composite(get_named_type(kind.fields["nodes"].type))
        held = _nodes_held(node, value, self)
        if held is None:
            child = sum(
                self._selection(node_type, selection, _UNKNOWN, nested=True)
                for selection in node_fields
            )
            return 2 + size * (1 + child)
        if not held:
            # Empty: the size is charged, the nodes' own objects are not; inside another
            # connection nothing is [L: 7 of 19 asked, and 13 of 82].
            return 0 if nested else 2 + size
        child = max(
            sum(
                self._selection(node_type, selection, item, nested=True)
                for selection in node_fields
            )
            for item in held
        )
        return 2 + connection_size(len(held)) * (1 + child)

    def _node_selections(self, selection: SelectionSetNode) -> Iterator[SelectionSetNode]:
        for child in self._fields(selection):
            if child.name.value == "nodes" and child.selection_set is not None:
                yield child.selection_set
            elif child.name.value == "edges" and child.selection_set is not None:
                for inner in self._fields(child.selection_set):
                    if inner.name.value == "node" and inner.selection_set is not None:
                        yield inner.selection_set

    def _argument(self, node: FieldNode, name: str) -> Any:
        for argument in node.arguments:
            if argument.name.value == name:
                return value_from_ast_untyped(argument.value, dict(self.variables))
        return None

    def _fields(self, selection: SelectionSetNode) -> Iterator[FieldNode]:
        for child in selection.selections:
            if isinstance(child, FieldNode):
                yield child
            elif isinstance(child, InlineFragmentNode):
                yield from self._fields(child.selection_set)
            else:
                name = child.name.value  # type: ignore[attr-defined]
                yield from self._fields(self.fragments[name].selection_set)

    def _typed_fields(
        self, kind: Composite, selection: SelectionSetNode
    ) -> Iterator[tuple[Composite, FieldNode]]:
        for child in selection.selections:
            if isinstance(child, FieldNode):
                yield kind, child
                continue
            fragment: InlineFragmentNode | FragmentDefinitionNode
            if isinstance(child, InlineFragmentNode):
                fragment = child
            else:
                fragment = self.fragments[child.name.value]  # type: ignore[attr-defined]
            condition = _type_condition(fragment)
            named = kind if condition is None else self.schema.type_map[condition]
            if isinstance(named, _COMPOSITE):
                yield from self._typed_fields(named, fragment.selection_set)


_MISSING = object()


def _type_condition(fragment: InlineFragmentNode | FragmentDefinitionNode) -> str | None:
    """The type a fragment is on; graphql-core's types forget that there may be none."""
    condition: NamedTypeNode | None = fragment.type_condition
    return getattr(getattr(condition, "name", None), "value", None)


def _composite(kind: object) -> Composite:
    if isinstance(kind, _COMPOSITE):
        return kind
    raise TypeError(f"{kind} has no fields")


def _member(value: object, node: FieldNode) -> object:
    """The answered value of a field; ``_MISSING`` if its fragment did not apply."""
    if isinstance(value, Mapping):
        name = node.alias.value if node.alias else node.name.value
        return value.get(name, _MISSING)
    return _UNKNOWN


def _nodes_held(node: FieldNode, value: object, model: CostModel) -> list[object] | None:
    """The nodes a connection held; None when that is not known or not shown."""
    if not isinstance(value, Mapping) or node.selection_set is None:
        return None
    for child in model._fields(node.selection_set):
        answered = _member(value, child)
        if child.name.value == "nodes" and isinstance(answered, list):
            return answered
        if child.name.value == "edges" and isinstance(answered, list) and child.selection_set:
            inner = [f for f in model._fields(child.selection_set) if f.name.value == "node"]
            return [_member(edge, inner[0]) if inner else edge for edge in answered]
    return None


@dataclass
class Bucket:
    """The leaky bucket of one app on one shop; starts full."""

    level: float
    at: float

    def refill(self, now: float, capacity: float, restore_rate: float) -> None:
        """Restore what the passed time gives, never above the capacity."""
        self.level = min(capacity, self.level + max(0.0, now - self.at) * restore_rate)
        self.at = now


def throttle_status(bucket: Bucket, capacity: float, restore_rate: float) -> dict[str, object]:
    """The ``throttleStatus`` of an answer."""
    return {
        "maximumAvailable": capacity,
        "currentlyAvailable": int(max(0.0, bucket.level)),
        "restoreRate": restore_rate,
    }
