"""Build what goes to AWS: the layer with shared/ and its dependencies, each function, the page.

`sam build` calls this through deploy/Makefile; the packaging tests call it for this
machine's own architecture. It needs the standard library, uv, and Python 3.13.

Shape of the results:

    layer:     python/shared/…              our code, with its data files
               python/<dependency>/…        from requirements-layer.lock, hashes checked
               licences/<distribution>/…    their licences
    function:  functions/__init__.py
               functions/<name>/…           the entry point, nothing else
    page:      python/jobs_page/*.gz        what a browser gets, as it gets it

Every module is there as source (for tracebacks) and as **unchecked-hash** .pyc: /opt and
/var/task are read-only on Lambda, so without them everything is compiled again at every
cold start (2.4 times as long when measured), and a time-stamped .pyc would be
checked against a source whose date the zip has changed. What `@dataclass` writes and compiles
at import lies compiled beside them, for the same reason (shared/dataclass_code.py).

Guarantees: two builds of the same input are equal byte for byte, so that a deployment
without a change makes no new version.
"""

from __future__ import annotations

import argparse
import compileall
import gzip
import json
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LAYER_LOCK: Final = ROOT / "requirements-layer.lock"
PAGE: Final = ROOT / "functions" / "dashboard" / "jobs_page"
RUNTIME: Final = (3, 13)
DATACLASS_CODE: Final = f"dataclasses.{sys.implementation.cache_tag}.code"

# The platforms of Lambda's Python 3.13 (Amazon Linux 2023 has glibc 2.34) as uv names
# them; `host` is this machine, for tests.
PLATFORMS: Final = {
    "arm64": "aarch64-manylinux_2_28",
    "x86_64": "x86_64-manylinux_2_28",
    "host": None,
}

# botocore describes some 400 services, 100 MB of JSON. We talk to eight (sts: whoever
# debugs asks who they are). Each brings its endpoint rules along in its own folder.
BOTOCORE_SERVICES: Final = frozenset(
    {"dynamodb", "events", "lambda", "s3", "secretsmanager", "sns", "sqs", "sts"}
)
BOTOCORE_COMMON: Final = frozenset(
    {"_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"}
)

# What no code of ours reaches, with the reason. tests/packaging proves that every function
# still imports and that httpx, pydantic, PyNaCl and botocore still work without it.
UNUSED: Final = (
    "anyio",  # only httpx.AsyncClient needs it; httpcore does without, and imports faster
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/swagger-ui-bundle.min.js",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/swagger-ui.min.css",
    # Powertools for what we do otherwise or not at all.
    "aws_lambda_powertools/utilities/auth_alpha",
    "aws_lambda_powertools/utilities/batch",
    "aws_lambda_powertools/utilities/circuit_breaker",
    "aws_lambda_powertools/utilities/data_masking",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/idempotency",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/metadata",
    "aws_lambda_powertools/utilities/parameters",
    "aws_lambda_powertools/utilities/parser",
    "aws_lambda_powertools/utilities/streaming",
    "aws_lambda_powertools/utilities/validation",
    "bin",
    "boto3",  # the gateways make botocore's clients
    "certifi/tests",
    "cffi",  # builds extensions; what PyNaCl runs with is _cffi_backend
    "dateutil/zoneinfo",  # a second time zone database
    "pycparser",  # cffi's
    "s3transfer",  # boto3's
    "pydantic/mypy.py",
    "pydantic/v1",  # a second pydantic
    "urllib3/contrib/emscripten",  # for browsers
)
UNUSED_FOLDER_NAMES: Final = frozenset({"__pycache__"})
UNUSED_SUFFIXES: Final = frozenset({".pyi", ".typed", ".c", ".h", ".pxd", ".pyx"})


def build_layer(target: Path, architecture: str) -> None:
    """Build the layer into `target`, which is emptied first.

    Parameters: `architecture` is a key of PLATFORMS.
    Raises: subprocess.CalledProcessError when a wheel is missing or its hash is wrong;
    py_compile.PyCompileError when a module of ours does not compile.
    """
    _empty(target)
    python = target / "python"
    _install_dependencies(python, architecture)
    _move_licences(python, target / "licences")
    _remove_unused(python)
    _trim_botocore(python / "botocore" / "data")
    _copy_code(ROOT / "shared", python / "shared")
    compile_tree(python, seen_at="/opt/python")
    _compile_dataclasses(python / "shared" / DATACLASS_CODE)


def build_function(target: Path, name: str) -> None:
    """Build the function in functions/`name` into `target`, which is emptied first.

    Raises: FileNotFoundError when there is no such function.
    """
    _empty(target)
    package = target / "functions"
    package.mkdir()
    shutil.copyfile(ROOT / "functions" / "__init__.py", package / "__init__.py")
    _copy_code(ROOT / "functions" / name, package / name)
    _remove(package / name / PAGE.name)
    compile_tree(target, seen_at="/var/task")


def build_page(target: Path) -> None:
    """Build the layer with the page's files into `target`, which is emptied first."""
    _empty(target)
    folder = target / "python" / PAGE.name
    folder.mkdir(parents=True)
    for path in sorted(PAGE.iterdir()):
        # No date inside: equal files are equal archives.
        content = gzip.compress(path.read_bytes(), 9, mtime=0)
        (folder / f"{path.name}.gz").write_bytes(content)


def compile_tree(folder: Path, seen_at: str) -> None:
    """Write an unchecked-hash .pyc beside every module under `folder`.

    Parameters: `seen_at` is where the folder will lie on Lambda, for tracebacks.
    Raises: SystemExit when a file does not compile, or under a Python whose .pyc the
    runtime would not read.
    """
    if sys.version_info[:2] != RUNTIME:
        raise SystemExit(f"Python {RUNTIME[0]}.{RUNTIME[1]} must compile; this is {sys.version}")
    compiled = compileall.compile_dir(
        folder,
        maxlevels=50,
        quiet=1,
        force=True,
        stripdir=str(folder),
        prependdir=seen_at,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        raise SystemExit(f"{folder} holds a module that does not compile")


def _compile_dataclasses(target: Path) -> None:
    """Write the code of the dataclasses in shared/, in a process of its own: it imports them."""
    script = ROOT / "deploy" / "dataclass_code.py"
    subprocess.run([sys.executable, "-I", str(script), str(target)], check=True)


def _install_dependencies(python: Path, architecture: str) -> None:
    """Install the locked wheels of `architecture`; no source is ever built."""
    platform = PLATFORMS[architecture]
    command = [_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--python", sys.executable, "--link-mode", "copy"]
    command += ["--target", str(python), "--requirement", str(LAYER_LOCK)]
    if platform is not None:
        command += ["--python-platform", platform, "--python-version", "3.13"]
    subprocess.run(command, check=True)


def _uv() -> str:
    """Return the pinned uv that `make install` made, or the one on PATH."""
    pinned = ROOT / ".tools" / "uv" / "bin" / "uv"
    return str(pinned) if pinned.exists() else "uv"


def _move_licences(python: Path, licences: Path) -> None:
    """Keep every licence, drop the rest of the *.dist-info folders.

    pydantic searches each of those for plug-ins at the first model, file by file.
    """
    for info in sorted(python.glob("*.dist-info")):
        name = info.name.removesuffix(".dist-info")
        for text in sorted(info.rglob("*")):
            if text.is_file() and text.name.upper().startswith(("LICEN", "NOTICE", "COPYING")):
                (licences / name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(text, licences / name / text.name)
        shutil.rmtree(info)


def _remove_unused(python: Path) -> None:
    """Remove UNUSED, type stubs, C sources, and the marks that uv leaves behind."""
    for relative in UNUSED:
        _remove(python / relative)
    for path in sorted(python.rglob("*"), reverse=True):
        if path.is_dir() and path.name in UNUSED_FOLDER_NAMES:
            shutil.rmtree(path)
        elif path.is_file() and path.suffix in UNUSED_SUFFIXES:
            path.unlink()
    for mark in python.glob(".*"):
        mark.unlink()


def _remove(path: Path) -> None:
    """Remove a file or a folder, whether it is there or not."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _trim_botocore(data: Path) -> None:
    """Leave the descriptions of the services we talk to, and what botocore itself reads.

    Every process reads the list of all endpoints, and the whole description of a service for its
    client: a megabyte of other services' endpoints and five of ours' documentation were 30 ms of
    each cold start.
    """
    for entry in list(data.iterdir()):
        if entry.name not in BOTOCORE_SERVICES | BOTOCORE_COMMON:
            _remove(entry)
    missing = (BOTOCORE_SERVICES | BOTOCORE_COMMON) - {entry.name for entry in data.iterdir()}
    if missing:
        raise SystemExit(f"botocore has moved {', '.join(sorted(missing))}")
    _trim_endpoints(data / "endpoints.json")
    for packed in sorted(data.rglob("service-2.json.gz")):
        description = json.loads(gzip.decompress(packed.read_bytes()))
        # Elsewhere in it botocore insists on the texts.
        for part in ("operations", "shapes"):
            description[part] = without_documentation(description[part])
        _write_json(packed.with_suffix(""), description)
        packed.unlink()


def _trim_endpoints(path: Path) -> None:
    """Leave every partition and region, and of their services ours."""
    endpoints = json.loads(path.read_bytes())
    for partition in endpoints["partitions"]:
        services = partition["services"].items()
        partition["services"] = {n: each for n, each in services if n in BOTOCORE_SERVICES}
    _write_json(path, endpoints)


def without_documentation(described: Any) -> Any:
    """Return a part of a description without its texts; a member that has that name stays.

    >>> without_documentation(
    ...     {"documentation": "<p>An item.</p>", "members": {"documentation": {}}}
    ... )
    {'members': {'documentation': {}}}
    """
    if isinstance(described, list):
        return [without_documentation(each) for each in described]
    if not isinstance(described, dict):
        return described
    return {
        name: without_documentation(each)
        for name, each in described.items()
        if name != "documentation" or not isinstance(each, str)
    }


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _copy_code(source: Path, target: Path) -> None:
    """Copy a package of ours with its data files, without what a run left behind."""
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "Makefile")
    )


def _empty(folder: Path) -> None:
    """Make `folder` an empty folder. It may be one that `sam build` has just made."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in list(folder.iterdir()):
        _remove(entry)


def main(arguments: list[str]) -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description="Build what goes to AWS.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    layer = kinds.add_parser("layer", help="shared/ and its dependencies")
    layer.add_argument("target", type=Path)
    layer.add_argument("--architecture", choices=sorted(PLATFORMS), default="arm64")
    page = kinds.add_parser("page", help="what a browser gets")
    page.add_argument("target", type=Path)
    function = kinds.add_parser("function", help="one entry point")
    function.add_argument("target", type=Path)
    function.add_argument("--name", required=True)
    chosen = parser.parse_args(arguments)
    if chosen.kind == "layer":
        build_layer(chosen.target.resolve(), chosen.architecture)
    elif chosen.kind == "page":
        build_page(chosen.target.resolve())
    else:
        build_function(chosen.target.resolve(), chosen.name)


if __name__ == "__main__":
    main(sys.argv[1:])
