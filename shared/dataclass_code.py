"""The methods of our dataclasses, compiled when the layer was built.

`@dataclass` writes the source of a class's `__init__`, `__eq__` and the like, and compiles it at
every import: of 115 classes, a quarter of the webhook's cold start. It is what missing .pyc files
would be for the rest of the code, so the build compiles it as well (deploy/dataclass_code.py).

Guarantees: code is found by the digest of the source that it was compiled from. Any other source
(another patch release of Python writes another) is compiled as ever, and so is all of it where
nothing was built: on a laptop and in the tests.
"""

import dataclasses
import marshal
import sys
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

# As .pyc files are: another Python's code is not even looked at.
FILE = Path(__file__).with_name(f"dataclasses.{sys.implementation.cache_tag}.code")


def digest(source: str) -> bytes:
    """Return what a source is found by: 16 bytes instead of a kilobyte of text."""
    return blake2b(source.encode(), digest_size=16).digest()


def use_compiled(file: Path) -> None:
    """Have dataclasses that are defined from now on take their methods from a file.

    Shape: a marshalled dict, digest of the source → marshalled code.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return
    compiled: Mapping[bytes, bytes] = marshal.loads(content)  # noqa: S302 - our own build wrote it

    def execute(source: str, scope: dict[str, Any], names: dict[str, Any]) -> None:
        code = compiled.get(digest(source))
        exec(source if code is None else marshal.loads(code), scope, names)  # noqa: S102, S302

    # What the module calls by this name is the built-in function, until it has one of its own.
    vars(dataclasses)["exec"] = execute
