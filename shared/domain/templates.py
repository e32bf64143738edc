"""Templates: what a shop presets for its jobs, under a name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.ids import is_job_id

MAX_TEMPLATES = 100
# All of a shop's templates are answered at once.
MAX_PARAMETERS_BYTES = 16 * 1024

# What can be preset: fields of a new job.
PRESETS = (
    "provider",
    "type",
    "tool_id",
    "parameters",
    "priority",
    "auto_push",
    "alt_text",
    "project_id",
    "mode",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a shop presets. presets: name (of PRESETS) → value; what is not preset is left out."""

    shop: str
    template_id: str
    name: str
    created_at: datetime
    updated_at: datetime
    description: str | None = None
    presets: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


def is_template_id(text: str) -> bool:
    """Tell whether an id is one of ours; anything else is a template of the provider's.

    Ours are UUIDv7, as all our ids are.
    """
    return is_job_id(text)


def applied(template: Template, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for, and where nothing was, what is preset; parameters are merged.

    >>> at = datetime(2026, 1, 1)
    >>> presets = {"tool_id": "t", "mode": "a", "parameters": {"x": 1, "y": 1}}
    >>> made = Template(
    ...     shop="s", template_id="i", name="n", created_at=at, updated_at=at, presets=presets
    ... )
    >>> applied(made, {"mode": "b", "parameters": {"y": 2}})
    {'tool_id': 't', 'mode': 'b', 'parameters': {'x': 1, 'y': 2}}
    """
    values = dict(template.presets) | dict(given)
    if "parameters" in values:
        parameters = (template.presets.get("parameters"), given.get("parameters"))
        values["parameters"] = {k: v for each in parameters for k, v in (each or {}).items()}
    return values
