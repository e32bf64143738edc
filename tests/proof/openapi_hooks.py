"""What Schemathesis is told beside our document: names of things that are there.

It runs in an environment of its own (`.tools/proof`) and reads this file by its path. Drawn ids
name nothing, and every such question ends at 404; so half of them are given real ones.

Environment: `KNOWN_NAMES`, JSON: parameter of a path, or field of a body → values.
Source: Schemathesis 4, reference of hooks, read 2026-11-26.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies as st

_KNOWN: dict[str, list[Any]] = json.loads(os.environ["KNOWN_NAMES"])


def _with_known(drawn: Any) -> Any:
    if not isinstance(drawn, dict):
        return st.just(drawn)
    names = [name for name in drawn if name in _KNOWN]
    known = st.fixed_dictionaries({name: st.sampled_from(_KNOWN[name]) for name in names})
    return st.just(drawn) | known.map(lambda chosen: drawn | chosen)


def _named(_context: Any, drawn: Any) -> Any:
    """Name something that is there, half of the time."""
    return _with_known(drawn)


for _part in ("path_parameters", "query", "body"):
    schemathesis.hook(f"flatmap_{_part}")(_named)
