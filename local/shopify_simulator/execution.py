"""Run one GraphQL operation against the real schema with resolvers of our own.

Every document is validated against Shopify's schema. A field that no resolver serves answers a
clear top-level error (code NOT_SIMULATED) instead of null, so that nothing is believed to work
that was never simulated.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    execute,
    get_named_type,
    parse,
    validate,
)
from graphql.execution import ExecutionResult
from graphql.execution.values import get_variable_values

from .config import Config, Fault, FaultKind, Switches
from .cost import CostModel
from .schema import admin_schema, required_access
from .sources import Download
from .state import Shop, World
from .tokens import AccessToken


@dataclass(frozen=True)
class Call:
    """What resolvers know of the call they serve."""

    world: World
    shop: Shop
    switches: Switches
    config: Config
    token: AccessToken
    now: float
    base_url: str
    fetch: Download
    operations: frozenset[str]
    _gone: dict[str, bool] = field(default_factory=dict)

    def take_fault(self, *kinds: FaultKind, **about: Any) -> Fault | None:
        """Use up a fault that fits this call (see Config.take_fault)."""
        about.setdefault("operations", self.operations)
        return self.config.take_fault(*kinds, now=self.now, shop=self.shop.domain, **about)

    def is_gone(self, product_gid: str) -> bool:
        """Tell whether a fault hides the product, decided once per call."""
        if product_gid not in self._gone:
            self._gone[product_gid] = (
                self.take_fault("product_gone", product_id=product_gid) is not None
            )
        return self._gone[product_gid]


type Resolver = Callable[..., Any]
RESOLVERS: dict[tuple[str, str], Resolver] = {}


def resolver(parent: str, field: str) -> Callable[[Resolver], Resolver]:
    """Register a resolver ``(source, call, **arguments)`` for one field of the schema.

    Arguments arrive in snake_case; ``id`` and ``input`` as ``id_`` and ``input_``.
    """

    def register(function: Resolver) -> Resolver:
        RESOLVERS[parent, field] = function
        return function

    return register


class DocumentError(Exception):
    """The request never reached execution: syntax, validation or variables.

    Shape: ``errors`` is what the answer's ``errors`` holds; HTTP 200, no data, no cost [L].
    """

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


@dataclass(frozen=True)
class Prepared:
    """A validated operation with its coerced variables."""

    document: DocumentNode
    operation: OperationDefinitionNode
    variables: dict[str, Any]
    cost: CostModel

    @property
    def name(self) -> str | None:
        """The operation's name in the document."""
        return self.operation.name.value if self.operation.name else None

    @property
    def root_fields(self) -> list[str]:
        """The names of the root fields, in order."""
        return [node.name.value for node in self.cost._fields(self.operation.selection_set)]


def prepare(query: str, variables: Mapping[str, Any], operation_name: str | None) -> Prepared:
    """Parse, validate and coerce.

    Raises:
        DocumentError: with the errors to answer.
    """
    schema = admin_schema()
    document = _validated(query)
    operation = _operation(document, operation_name)
    coerced = get_variable_values(
        schema, operation.variable_definitions or (), dict(variables), max_errors=10
    )
    if isinstance(coerced, list):
        raise DocumentError([_variable_error(error, variables) for error in coerced])
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    cost = CostModel(schema, fragments, operation, coerced)
    return Prepared(document, operation, dict(variables), cost)


@functools.lru_cache(256)
def _validated(query: str) -> DocumentNode:
    """Parse and validate, once per text: an app sends the same few documents for ever."""
    try:
        document = parse(query)
    except GraphQLError as error:
        raise DocumentError([_formatted(error, "PARSE_ERROR")]) from error
    broken = validate(admin_schema(), document)
    if broken:
        raise DocumentError([_formatted(error, _rule_code(error.message)) for error in broken])
    return document


def run(prepared: Prepared, call: Call) -> ExecutionResult:
    """Execute; mutations run their root fields one after the other."""
    result = execute(
        admin_schema(),
        prepared.document,
        context_value=call,
        variable_values=prepared.variables,
        operation_name=prepared.name,
        field_resolver=_resolve,
    )
    if not isinstance(result, ExecutionResult):
        raise TypeError("a resolver is asynchronous")
    return result


def error_json(error: GraphQLError) -> dict[str, Any]:
    """One error of an executed operation."""
    return _formatted(error, "INTERNAL_SERVER_ERROR")


def _resolve(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    call: Call = info.context
    key = (info.parent_type.name, info.field_name)
    _check_access(call, key, get_named_type(info.return_type))
    function = RESOLVERS.get(key)
    if function is not None:
        return function(source, call, **{_python_name(k): v for k, v in arguments.items()})
    if isinstance(source, Mapping) and info.field_name in source:
        return source[info.field_name]
    raise GraphQLError(
        f"The simulator does not serve {key[0]}.{key[1]}.", extensions={"code": "NOT_SIMULATED"}
    )


def _python_name(argument: str) -> str:
    if argument in ("id", "input"):
        return f"{argument}_"
    return re.sub(r"[A-Z]", lambda match: f"_{match.group().lower()}", argument)


def _check_access(call: Call, field: tuple[str, str], returned: GraphQLNamedType) -> None:
    """Deny what the token's scopes do not cover, by Shopify's own table of scopes."""
    table = required_access()
    for key in (field, (returned.name, None)):
        access = table.get(key)
        if access is not None and not _covers(call.token.scopes, access.scopes):
            raise access_denied(field[1], access.text)


def access_denied(field: str, required: str) -> GraphQLError:
    """The top-level error for a missing scope."""
    return GraphQLError(
        f"Access denied for {field} field. Required access: {required}",
        extensions={
            "code": "ACCESS_DENIED",
            "documentation": "https://shopify.dev/api/usage/access-scopes",
            "requiredAccess": required,
        },
    )


def has_scope(call: Call, scope: str) -> bool:
    """Tell whether the call's token holds a scope."""
    return _covers(call.token.scopes, frozenset({scope}))


def _covers(held: frozenset[str], any_of: frozenset[str]) -> bool:
    writes = {name.replace("read_", "write_", 1) for name in any_of if name.startswith("read_")}
    return bool(held & (any_of | writes))


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [
        node for node in document.definitions if isinstance(node, OperationDefinitionNode)
    ]
    for operation in operations:
        if (name is None and len(operations) == 1) or (
            operation.name is not None and operation.name.value == name
        ):
            return operation
    wanted = "An operation name is required" if name is None else f"No operation named {name!r}"
    raise DocumentError([{"message": wanted, "extensions": {"code": "INVALID_OPERATION"}}])


def _formatted(error: GraphQLError, code: str) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    extensions = dict(formatted.get("extensions") or {})
    extensions.setdefault("code", code)
    return {**formatted, "extensions": extensions}


def _rule_code(message: str) -> str:
    """Shopify's codes of validation errors are lower camel case; two are known [K]."""
    if message.startswith("Cannot query field"):
        return "undefinedField"
    if message.startswith("Unknown argument"):
        return "argumentNotAccepted"
    return "invalidDocument"


def _variable_error(error: GraphQLError, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A malformed variable: HTTP 200, code INVALID_VARIABLE, no data and no cost [L]."""
    name = re.search(r"\$(\w+)", error.message)
    at = re.search(r" at '\w+((?:\[\d+\]|\.\w+)*)'", error.message)
    path = re.findall(r"\d+|\w+", at[1]) if at else []
    explanation = error.message.rpartition("; ")[2]
    formatted = _formatted(error, "INVALID_VARIABLE")
    formatted["extensions"]["value"] = variables.get(name[1]) if name else None
    formatted["extensions"]["problems"] = [
        {
            "path": [int(part) if part.isdigit() else part for part in path],
            "explanation": explanation,
        }
    ]
    return formatted
