"""`make build` for real: what lies in .aws-sam/build is what Lambda gets."""

from __future__ import annotations

import gzip
import importlib.util
import json
import marshal
import re
import struct
from pathlib import Path
from types import CodeType
from typing import Any

import botocore
import pytest

from deploy.build import BOTOCORE_COMMON, BOTOCORE_SERVICES
from tests.packaging.artefacts import FUNCTIONS, ROOT, files, make, zipped_bytes

MEGABYTE = 1_000_000
KILOBYTE = 1_000
# Source: the ELF specification's e_machine, 183 = EM_AARCH64.
AARCH64 = 183


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam") / "build"
    make("build", f"BUILD_DIR={folder}")
    return folder


@pytest.fixture(scope="module")
def layer(built: Path) -> Path:
    return built / "SharedLayer"


def test_the_layer_is_at_most_ten_megabytes_zipped(layer: Path) -> None:
    assert zipped_bytes(layer) <= 10 * MEGABYTE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_own_code_is_at_most_64_kilobytes(built: Path, name: str) -> None:
    # What we wrote; its bytecode comes on top and is what makes it start at once.
    found = files(built / f"{name.capitalize()}Function")
    own = sum(len(content) for path, content in found.items() if not path.endswith(".pyc"))
    assert own <= 64 * KILOBYTE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_holds_its_own_folder_under_functions_and_nothing_else(
    built: Path, name: str
) -> None:
    found = files(built / f"{name.capitalize()}Function")
    tops = {path for path in found if not path.startswith(f"functions/{name}/")}
    assert tops == {
        "functions/__init__.py",
        "functions/__pycache__/__init__.cpython-313.pyc",
    }
    assert f"functions/{name}/app.py" in found


def test_the_layer_of_the_page_holds_its_files_compressed_and_nothing_else(built: Path) -> None:
    found = files(built / "PageLayer")
    source = files(ROOT / "functions" / "dashboard" / "jobs_page")
    assert set(found) == {f"python/jobs_page/{name}.gz" for name in source}
    for name, content in source.items():
        assert gzip.decompress(found[f"python/jobs_page/{name}.gz"]) == content


def test_shared_code_lies_under_its_own_name_and_is_complete(layer: Path) -> None:
    # A flat layer builds, and then fails with "No module named 'shared'".
    deployed = {
        path
        for path in files(layer / "python" / "shared")
        if not path.endswith((".pyc", ".cpython-313.code"))
    }
    ours = {
        path
        for path in files(ROOT / "shared")
        if not path.endswith(".pyc") and not Path(path).name.startswith(".")
    }
    assert deployed == ours


def test_compiled_wheels_are_for_the_processor_of_the_functions(layer: Path) -> None:
    libraries = [path for path in layer.rglob("*.so*") if path.is_file()]
    assert len(libraries) >= 3  # pydantic_core, PyNaCl, cffi's back end
    for library in libraries:
        (machine,) = struct.unpack_from("<H", library.read_bytes(), 18)
        assert machine == AARCH64, library


def test_every_module_is_compiled_once_and_never_checked(built: Path) -> None:
    sources = sorted(built.rglob("*.py"))
    assert len(sources) > 500
    for source in sources:
        flags = pyc_flags(pyc_of(source))
        assert flags == 0b01, f"{source} is not an unchecked-hash .pyc"
    assert len(sources) == len(list(built.rglob("*.pyc")))


def test_bytecode_is_that_of_the_runtimes_python(built: Path) -> None:
    magics = {path.read_bytes()[:4] for path in built.rglob("*.pyc")}
    assert magics == {importlib.util.MAGIC_NUMBER}


@pytest.mark.parametrize(
    ("source", "seen_as"),
    [
        ("SharedLayer/python/shared/settings.py", "/opt/python/shared/settings.py"),
        ("WebhookFunction/functions/webhook/app.py", "/var/task/functions/webhook/app.py"),
    ],
)
def test_tracebacks_name_files_where_lambda_has_them(
    built: Path, source: str, seen_as: str
) -> None:
    code = marshal.loads(pyc_of(built / source).read_bytes()[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == seen_as


def test_botocore_knows_our_services_only_and_knows_them_as_ever(layer: Path) -> None:
    trimmed = files(layer / "python" / "botocore" / "data")
    assert {path.split("/")[0] for path in trimmed} == BOTOCORE_SERVICES | BOTOCORE_COMMON
    stock = Path(botocore.__file__).parent / "data"
    for path, content in trimmed.items():
        if path == "endpoints.json":
            assert json.loads(content) == our_endpoints(stock / path)
        elif path.endswith("/service-2.json"):
            assert json.loads(content) == without_texts(stock / f"{path}.gz")
        else:
            assert content == (stock / path).read_bytes(), path


def our_endpoints(path: Path) -> Any:
    """Return botocore's endpoints, those of other services apart."""
    endpoints = json.loads(path.read_bytes())
    for partition in endpoints["partitions"]:
        for name in set(partition["services"]) - BOTOCORE_SERVICES:
            del partition["services"][name]
    return endpoints


def without_texts(path: Path) -> Any:
    """Return botocore's description of a service without the texts of operations and shapes."""
    description = json.loads(gzip.decompress(path.read_bytes()))
    operations, shapes = description["operations"].values(), description["shapes"].values()
    members = (each for shape in shapes for each in shape.get("members", {}).values())
    # What a list or a map is of has texts of its own.
    inner = (shape.get(name, {}) for shape in shapes for name in ("member", "key", "value"))
    references = (
        operation.get(name, {}) for operation in operations for name in ("input", "output")
    )
    errors = (error for operation in operations for error in operation.get("errors", []))
    for each in (*operations, *shapes, *members, *inner, *references, *errors):
        each.pop("documentation", None)
    return description


def test_nothing_in_the_layer_is_there_for_developers(layer: Path) -> None:
    unwanted = re.compile(
        r"(^|/)(tests?|[^/]+\.dist-info|examples|bin)/|\.(pyi|c|h|pyx|js|css)$|conftest"
        r"|\.(lock|md|toml)$"
    )
    found = [path for path in files(layer) if unwanted.search(path)]
    assert [path for path in found if not path.startswith("licences/")] == []


def test_there_is_no_second_botocore_and_no_heavy_wheel(layer: Path) -> None:
    found = {path.name for path in (layer / "python").iterdir()}
    assert not found & {"aws_xray_sdk", "cryptography", "PIL", "wrapt"}


def test_every_dependency_brings_its_licence(layer: Path) -> None:
    licensed = {path.name.rsplit("-", 1)[0] for path in (layer / "licences").iterdir()}
    pinned = re.findall(
        r"^([a-z0-9._-]+)==", (ROOT / "requirements-layer.lock").read_text(), re.MULTILINE
    )
    without = {name for name in pinned if name.replace("-", "_") not in licensed}
    assert without == set()


def pyc_of(source: Path) -> Path:
    return source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"


def pyc_flags(pyc: Path) -> int:
    """Return PEP 552's flags: 0 time-stamped, 1 unchecked hash, 3 checked hash."""
    (flags,) = struct.unpack_from("<I", pyc.read_bytes(), 4)
    assert isinstance(flags, int)
    return flags
