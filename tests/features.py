"""The README's table of features, as data.

A row reads `| name: what it does | routes |`. Its *name* is what stands before the first colon of
its first cell (the whole cell if there is none); its second cell names at least one route in
backticks, written `METHOD /path`, or says `not taken, because …`. In a route, `GET/POST` are two
methods, `{retry,cancel}` two paths, and `{jobId}` is a parameter, whatever it is called.

Every row that is taken has a test on the running stack that says so:

    @pytest.mark.feature("batches")  # several names: several rows
    def test_…

tests/architecture/test_features.py holds the table, the template and the marks together;
tests/local/conftest.py sees to it that a marked test calls a route of each row that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
NOT_TAKEN = "not taken, because "

_METHODS = "GET|POST|PUT|PATCH|DELETE"
_SPAN = re.compile(rf"`((?:{_METHODS})(?:/(?:{_METHODS}))*) (/[^`\s]*)`")
_CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")
_PARAMETER = re.compile(r"\{[^{},]*\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One row. routes: as `route_key` writes them. reason: why it is not taken, else None."""

    name: str
    routes: frozenset[str]
    reason: str | None


@cache
def features() -> dict[str, Feature]:
    """Return the rows of the table by name, in its order."""
    section = README.read_text().partition("\n## Features\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    found = {}
    for line in lines[1:]:  # the first one has the titles
        if set(line) <= set("| -"):
            continue
        feature = read_row(line)
        assert feature.name not in found, f"two features are called {feature.name!r}"
        found[feature.name] = feature
    return found


def read_row(line: str) -> Feature:
    """Read one row of the table.

    >>> read_row("| keys: for programs | `GET/POST /api/shop/keys` |").routes == {
    ...     "GET /api/shop/keys",
    ...     "POST /api/shop/keys",
    ... }
    True
    >>> read_row("| flying: up | not taken, because of gravity |").reason
    'of gravity'
    """
    what, how = (cell.strip() for cell in line.strip().strip("|").split(" | "))
    is_taken = not how.startswith(NOT_TAKEN)
    return Feature(
        name=what.partition(":")[0],
        routes=frozenset(routes_in(how)),
        reason=None if is_taken else how.removeprefix(NOT_TAKEN),
    )


def routes_in(cell: str) -> list[str]:
    """Return the routes that a cell names.

    >>> routes_in("`POST /api/jobs/{retry,cancel}`, `GET /api/jobs/{jobId}?x=1` and `dryRun`")
    ['POST /api/jobs/retry', 'POST /api/jobs/cancel', 'GET /api/jobs/{}']
    """
    return [
        route_key(method, path)
        for methods, written in _SPAN.findall(cell)
        for method, path in product(methods.split("/"), _paths(written.partition("?")[0]))
    ]


def route_key(method: str, path: str) -> str:
    """Write a route without the names of its parameters.

    >>> route_key("GET", "/api/jobs/{jobId}/logs")
    'GET /api/jobs/{}/logs'
    """
    return f"{method} {_PARAMETER.sub('{}', path)}"


def route_of(method: str, path: str, routes: Iterable[str]) -> str | None:
    """Return which of the routes a request goes to: one without parameters before all others.

    >>> route_of("GET", "/api/jobs/stats", ["GET /api/jobs/{}", "GET /api/jobs/stats"])
    'GET /api/jobs/stats'
    """
    call = f"{method} {path}"
    fitting = [
        route
        for route in routes
        if re.fullmatch(re.escape(route).replace(re.escape("{}"), "[^/]+"), call)
    ]
    return min(fitting, key=lambda route: route.count("{}"), default=None)


def _paths(written: str) -> list[str]:
    choice = _CHOICE.search(written)
    if choice is None:
        return [written]
    before, after = written[: choice.start()], written[choice.end() :]
    return [path for word in choice[1].split(",") for path in _paths(f"{before}{word}{after}")]
