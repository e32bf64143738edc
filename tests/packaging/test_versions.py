"""A changed byte in shared/ reaches every function as a new version; no change, none."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.artefacts import FUNCTIONS, ROOT, build, digest
from tests.template.stack import template, transformed

LAYER = "AWS::Lambda::LayerVersion"
VERSION = "AWS::Lambda::Version"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout of what the build reads, free to be changed."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    shutil.copytree(ROOT / "shared", folder / "shared")
    shutil.copyfile(ROOT / "requirements-layer.lock", folder / "requirements-layer.lock")
    (folder / ".tools").symlink_to(ROOT / ".tools")
    return folder


@pytest.fixture(scope="module")
def before(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return layer_digest(checkout, tmp_path_factory.mktemp("before"))


def test_building_twice_gives_the_same_bytes(checkout: Path, before: str, tmp_path: Path) -> None:
    assert layer_digest(checkout, tmp_path) == before


def test_a_changed_byte_in_shared_publishes_every_function_anew(
    checkout: Path, before: str, tmp_path: Path
) -> None:
    changed_file = checkout / "shared" / "__init__.py"
    original = changed_file.read_bytes()
    changed_file.write_bytes(original + b"#\n")
    try:
        after = layer_digest(checkout, tmp_path)
    finally:
        changed_file.write_bytes(original)
    assert after != before

    old, new = published(packaged(before)), published(packaged(after))
    assert len(old[VERSION]) == len(FUNCTIONS)
    assert not old[VERSION] & new[VERSION]
    # The page's files are a layer of their own, which no code of ours changes.
    assert all(name.startswith("PageLayer") for name in old[LAYER] & new[LAYER])


def test_without_a_change_nothing_is_published() -> None:
    assert published(packaged("same")) == published(packaged("same"))


def test_a_changed_setting_publishes_its_function_only() -> None:
    changed = packaged("same")
    changed["Resources"]["PushFunction"]["Properties"]["MemorySize"] = 3008
    fresh = published(changed)[VERSION] - published(packaged("same"))[VERSION]
    assert [name.startswith("PushFunctionVersion") for name in fresh] == [True]


def test_a_changed_file_of_the_page_publishes_its_function_only() -> None:
    changed = published(packaged("same", page="changed"))[VERSION]
    fresh = changed - published(packaged("same"))[VERSION]
    assert [name.startswith("DashboardFunctionVersion") for name in fresh] == [True]


def test_the_layers_own_switch_is_what_makes_functions_follow_it() -> None:
    # The trap: a plain AutoPublishAlias follows CodeUri, and all our code is in the layer.
    versions = []
    for layer in ("before", "after"):
        document = packaged(layer)
        document["Resources"]["SharedLayer"]["Properties"]["PublishLambdaVersion"] = False
        versions.append(published(document)[VERSION])
    assert versions[0] == versions[1]


def layer_digest(checkout: Path, target: Path) -> str:
    build("layer", target, "--architecture", "arm64", root=checkout)
    return digest(target)


def packaged(layer: str, page: str = "page") -> dict[str, Any]:
    """Return the template as `sam package` leaves it: each upload named by its digest."""
    layers = {"SharedLayer": layer, "PageLayer": page}
    document = copy.deepcopy(template())
    for logical_id, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://uploads/{logical_id}"
        elif resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = f"s3://uploads/{layers[logical_id]}"
    return document


def published(document: dict[str, Any]) -> dict[str, set[str]]:
    """Return the logical ids of layer and function versions that a deployment would make."""
    found: dict[str, set[str]] = {LAYER: set(), VERSION: set()}
    for logical_id, resource in transformed(document)["Resources"].items():
        if resource["Type"] in found:
            found[resource["Type"]].add(logical_id)
    return found
