"""The metrics that each function emits, read from its code: nobody has to keep a list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from tests.template.stack import ROOT

# The functions of shared.observability that emit metrics under names that they are given.
EMITTERS = ("count", "seconds")
# What `completion` of shared.observability emits, for each provider apart.
PER_PROVIDER = frozenset({"LearntByPoll", "PollLead"})


@cache
def emitted_by(service: str) -> frozenset[str]:
    """Return the names of the metrics that a function emits, with the one dimension `service`.

    A name is a text in the call itself, or one in a table of the same file that the call names.
    """
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "functions" / service).rglob("*.py"))
    ]
    return frozenset(name for tree in trees for name in _names_in(tree))


@cache
def tells_completions(service: str) -> bool:
    """Whether a function emits `PER_PROVIDER`, with the dimensions `provider` and `service`."""
    return any(
        "completion" in _imported(ast.parse(path.read_text(encoding="utf-8")))
        for path in (ROOT / "functions" / service).rglob("*.py")
    )


def _names_in(tree: ast.Module) -> Iterator[str]:
    if not _imported(tree).intersection(EMITTERS):
        return
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in EMITTERS:
                yield from _texts(first, tables)


def _imported(tree: ast.Module) -> set[str]:
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "shared.observability"
        for alias in node.names
    }


def _texts(given: ast.expr, tables: dict[str, ast.expr]) -> Iterator[str]:
    for node in ast.walk(given):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        table = tables.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(table, ast.Dict):
            yield from (text for value in table.values for text in _texts(value, {}))
