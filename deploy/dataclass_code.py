"""Compile what `@dataclass` writes for the classes of shared/ (see shared/dataclass_code.py).

    .venv/bin/python -I deploy/dataclass_code.py TARGET

Every module of shared/ is imported once, with all that it depends on, and what the dataclasses
among them would have compiled is written into TARGET: never two files that differ for one source.
"""

from __future__ import annotations

import dataclasses
import importlib
import marshal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
# The last one that writes equal code as equal bytes: later ones write what is referred to again
# as a reference, and that depends on who else holds it.
MARSHAL_VERSION: Final = 2


def modules() -> Iterator[str]:
    """Yield the full names of all modules of shared/."""
    for path in sorted((ROOT / "shared").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def compile_all() -> dict[bytes, bytes]:
    """Return digest of the source → marshalled code, of every dataclass of shared/."""
    from shared.dataclass_code import digest

    found: dict[bytes, bytes] = {}

    def execute(source: str, scope: dict[str, Any], names: dict[str, Any]) -> None:
        if scope["__name__"].partition(".")[0] == "shared":
            code = compile(source, "<string>", "exec")
            found[digest(source)] = marshal.dumps(code, MARSHAL_VERSION)
        exec(source, scope, names)  # noqa: S102 - what the module itself would do

    vars(dataclasses)["exec"] = execute
    for name in modules():
        importlib.import_module(name)
    return dict(sorted(found.items()))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    Path(sys.argv[1]).write_bytes(marshal.dumps(compile_all(), MARSHAL_VERSION))
