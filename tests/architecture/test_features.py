"""The README's table of features is complete and true: every row has its routes, every route its
row, and every row a test on the running stack."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.features import Feature, features, route_key
from tests.template.stack import ids_of_type, properties

TESTS = Path(__file__).resolve().parents[1]
# Where tests run on the stack: over HTTP, and with a browser.
ON_THE_STACK = ("local", "browser")
LONGEST_NAME = 60

TAKEN = [feature for feature in features().values() if feature.reason is None]


def deployed_routes() -> set[str]:
    """Return the routes of the template, of whichever function."""
    return {
        route_key(event["Properties"]["Method"], event["Properties"]["Path"])
        for function in ids_of_type("AWS::Serverless::Function")
        for event in properties(function).get("Events", {}).values()
        if event["Type"] == "HttpApi" and "Path" in event["Properties"]
    }


def marks() -> Iterator[tuple[str, str]]:
    """Read which features tests on the stack are marked with, and where."""
    for tier in ON_THE_STACK:
        for path in sorted((TESTS / tier).glob("test_*.py")):
            module = ast.parse(path.read_text())
            names = [
                (f"{path.name}::{node.name}", decorator)
                for node in module.body
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
                for decorator in node.decorator_list
            ]
            for where, decorator in names:
                if isinstance(decorator, ast.Call) and _is_mark(decorator.func):
                    assert _is_slow(module), f"{where} shows a feature without the stack"
                    yield from ((ast.literal_eval(name), where) for name in decorator.args)


def _is_mark(node: ast.expr) -> bool:
    return ast.unparse(node) == "pytest.mark.feature"


def _is_slow(module: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "pytestmark"
        and "pytest.mark.slow" in ast.unparse(node.value)
        for node in module.body
    )


def test_the_table_is_read() -> None:
    assert len(TAKEN) > 20


@pytest.mark.parametrize("feature", features().values(), ids=lambda feature: feature.name)
def test_a_row_names_routes_that_exist_or_says_why_it_is_not_taken(feature: Feature) -> None:
    assert 0 < len(feature.name) <= LONGEST_NAME
    if feature.reason is None:
        assert feature.routes, "a row without a route"
        assert feature.routes - deployed_routes() == set()
    else:
        assert len(feature.reason) > 20


def test_every_route_has_a_row() -> None:
    named = {route for feature in TAKEN for route in feature.routes}
    assert deployed_routes() - named == set()


def test_every_row_has_a_test_on_the_running_stack() -> None:
    shown = {name for name, _ in marks()}
    assert [feature.name for feature in TAKEN if feature.name not in shown] == []


def test_every_mark_names_a_row_that_is_taken() -> None:
    taken = {feature.name for feature in TAKEN}
    assert [(name, where) for name, where in marks() if name not in taken] == []
