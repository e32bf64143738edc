"""What holds for every test of the running stack: a marked one uses what it says it shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack import Stack, running_stack
from tests.features import features, route_of

MARK = "feature"


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Stack]:
    """One running stack for every test that minds its own shops; its policies are enforced.

    The sweep runs one at a time: here it runs when a test says so.
    """
    with running_stack(auth=True) as stack:
        stack.set_schedule(enabled=False)
        yield stack
        refusals = [
            line
            for name in stack.info.functions
            for line in stack.function_logs(name)
            if "AccessDenied" in line
        ]
        assert refusals == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse marks that name no row of the README's table of features."""
    for item in items:
        unknown = [name for name in names_of(item) if name not in features()]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: the README has no feature {unknown[0]!r}")


@pytest.fixture(autouse=True)
def shows_its_features(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail a test that is marked with a feature and calls none of its routes."""
    names = names_of(request.node)
    if not names:
        yield
        return
    called: set[tuple[str, str]] = set()
    send = httpx.Client.send

    def noting(client: httpx.Client, asked: httpx.Request, **more: Any) -> httpx.Response:
        called.add((asked.method, asked.url.path))
        return send(client, asked, **more)

    monkeypatch.setattr(httpx.Client, "send", noting)
    yield
    known = {route for feature in features().values() for route in feature.routes}
    routes = {route_of(method, path, known) for method, path in called}
    idle = [name for name in names if not features()[name].routes & routes]
    assert not idle, f"marked with {idle}, but none of their routes was called"


def names_of(item: pytest.Item) -> list[str]:
    """Return the features that a test is marked with."""
    return [name for mark in item.iter_markers(MARK) for name in mark.args]
