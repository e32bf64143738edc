"""Zip our own code as a real build lays it out, without the dependencies.

ministack runs every function in its own interpreter, so the dependencies come from the
environment that it was started from. Our code comes from these packages alone: a function's
room at ``functions/<name>/``, and ``python/<folder>/`` of each layer (``shared``, ``jobs_page``).
"""

from __future__ import annotations

import hashlib
import io
import py_compile
import sys
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local.stack.processes import StackError
from local.stack.sam_template import TemplateFunction

_IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """A zip archive; ``key`` is its content's name, so that equal code is an equal key."""

    content: bytes

    @property
    def key(self) -> str:
        """The object key to upload it under."""
        return f"{hashlib.sha256(self.content).hexdigest()[:32]}.zip"


def function_package(function: TemplateFunction, apart: Collection[Path] = ()) -> Package:
    """Return the package of one function: its folder under functions/, nobody else's.

    apart: folders that layers carry.
    """
    rooms = function.code_dir.parent
    own = [path for path in _files(function.code_dir) if not set(path.parents) & set(apart)]
    return _zip(rooms.parent, [rooms / "__init__.py", *own], prefix="")


def layer_package(content_dir: Path) -> Package:
    """Return a layer: a folder such as ``shared/``, importable from ``/opt/python``."""
    return _zip(content_dir.parent, _files(content_dir), prefix="python/")


def _zip(base_dir: Path, files: Iterable[Path], *, prefix: str) -> Package:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        for path in files:
            name = f"{prefix}{path.relative_to(base_dir).as_posix()}"
            _add(package, name, path.read_bytes())
            if path.suffix == ".py":
                _add(package, _compiled_name(name), _compiled(path, name))
    return Package(archive.getvalue())


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise StackError(f"The template names {folder}, which is no folder")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _IGNORED.intersection(path.parts) and path.suffix != ".pyc":
            yield path


def _add(package: zipfile.ZipFile, name: str, content: bytes) -> None:
    # A fixed date: equal content must be an equal archive, whenever it is built.
    package.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def _compiled_name(name: str) -> str:
    # Not importlib.util.cache_from_source: its tag must be the functions' interpreter's,
    # which on a laptop is this one, and it would follow PYTHONPYCACHEPREFIX.
    folder, _, module = name.rpartition("/")
    return f"{folder}/__pycache__/{module.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"


def _compiled(source: Path, name: str) -> bytes:
    """Compile as `make build` does: unchecked, because unpacking changes every date."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder, "module.pyc")
        try:
            py_compile.compile(
                str(source),
                cfile=str(compiled),
                dfile=name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError as error:
            raise StackError(f"{source} does not compile: {error.msg.strip()}") from error
        return compiled.read_bytes()
