"""One source, pyproject.toml; what is installed and deployed follows from it, by hash."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.build import UNUSED
from tests.packaging.artefacts import ROOT

LOCKS: Final = (
    *("requirements", "requirements-bench", "requirements-layer", "requirements-proof"),
    *("requirements-sam", "requirements-uv"),
)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return name → (version, hashes) of a lock file."""
    text = (ROOT / f"{lock}.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    pins: dict[str, tuple[str, frozenset[str]]] = {}
    for line in text.splitlines():
        if found := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line):
            hashes = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
            pins[canonicalize_name(found[1])] = (found[2], hashes)
    return pins


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_is_pinned_by_version_and_hash(lock: str) -> None:
    pins = locked(lock)
    assert pins
    assert all(hashes for _, hashes in pins.values())
    text = (ROOT / f"{lock}.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    required = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(required) == len(pins)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_registry_and_no_machine(lock: str) -> None:
    text = (ROOT / f"{lock}.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index-url|--find-links|@ file", text)


def test_the_layer_carries_exactly_what_the_project_depends_on() -> None:
    wanted = set(closure(Requirement(text) for text in project()["project"]["dependencies"]))
    assert set(locked("requirements-layer")) == wanted


def test_what_is_deployed_is_what_was_tested() -> None:
    tested = locked("requirements")
    for name, pin in locked("requirements-layer").items():
        assert tested[name] == pin


def test_the_peers_have_the_same_boto3_and_powertools_as_we() -> None:
    tested, peers = locked("requirements"), locked("requirements-bench")
    for name in set(tested) & set(peers):
        assert peers[name] == tested[name]


@pytest.mark.parametrize("group", ["local", "test", "check"])
def test_every_group_is_in_the_lock(group: str) -> None:
    names = {canonicalize_name(Requirement(t).name) for t in project()["dependency-groups"][group]}
    assert names <= set(locked("requirements"))


@pytest.mark.parametrize(
    ("group", "lock"),
    [("bench", "-bench"), ("proof", "-proof"), ("sam", "-sam"), ("bootstrap", "-uv")],
)
def test_every_tool_with_an_environment_of_its_own_is_in_its_lock(group: str, lock: str) -> None:
    names = {canonicalize_name(Requirement(t).name) for t in project()["dependency-groups"][group]}
    assert names <= set(locked(f"requirements{lock}"))


def test_what_is_fuzzed_is_what_is_deployed() -> None:
    deployed, fuzzed = locked("requirements-layer"), locked("requirements-proof")
    assert {name: fuzzed.get(name) for name in deployed} == deployed


def test_nobody_imports_what_the_build_removes() -> None:
    removed = {re.sub(r"\.py$", "", path).replace("/", ".") for path in UNUSED}
    found = [
        (path.relative_to(ROOT).as_posix(), name)
        for folder in ("functions", "shared")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in imported(path)
        if any(name == each or name.startswith(f"{each}.") for each in removed)
    ]
    assert found == []


def closure(requirements: Iterator[Requirement]) -> Iterator[str]:
    """Yield the names of requirements and of all that they require in turn, as installed."""
    waiting, seen = list(requirements), set[str]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        waiting.extend(
            further
            for further in map(Requirement, metadata.requires(name) or ())
            if canonicalize_name(further.name) not in seen and applies(further, requirement.extras)
        )
        seen.add(name)
        yield name


def applies(requirement: Requirement, extras: set[str]) -> bool:
    """Tell whether a requirement holds here for somebody who asked for these extras."""
    marker = requirement.marker
    return not marker or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports, members included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
