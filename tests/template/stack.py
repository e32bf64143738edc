"""template.yaml as data, before and after the SAM transform."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT: Final = Path(__file__).resolve().parents[2]

FUNCTIONS: Final = (
    "api", "bulk", "dashboard", "deliver", "dispatch", "notify", "push", "sweep", "webhook",
)  # fmt: skip
CONSUMERS: Final = {
    "bulk": "BulkQueue",
    "deliver": "DeliverQueue",
    "dispatch": "DispatchQueue",
    "push": "PushQueue",
}


@cache
def template() -> dict[str, Any]:
    """Return template.yaml with !Ref and its like in the long form. Do not change it."""
    parsed: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return parsed


def resource(logical_id: str) -> dict[str, Any]:
    """Return one resource, with Type, Properties and policies."""
    found: dict[str, Any] = template()["Resources"][logical_id]
    return found


def properties(logical_id: str) -> dict[str, Any]:
    """Return the Properties of one resource."""
    found: dict[str, Any] = resource(logical_id)["Properties"]
    return found


def ids_of_type(resource_type: str) -> list[str]:
    """Return the logical ids of every resource of a type, in the template's order."""
    return [
        logical_id
        for logical_id, each in template()["Resources"].items()
        if each["Type"] == resource_type
    ]


def function(name: str) -> dict[str, Any]:
    """Return a function's properties, those of Globals included."""
    shared = template()["Globals"]["Function"]
    own = properties(f"{name.capitalize()}Function")
    variables = {**shared["Environment"]["Variables"], **own["Environment"]["Variables"]}
    # Lists of Globals and of a function are put together (SAM specification, "Globals section").
    layers = [*shared["Layers"], *own.get("Layers", [])]
    return {**shared, **own, "Environment": {"Variables": variables}, "Layers": layers}


def statements(name: str) -> list[dict[str, Any]]:
    """Return every statement of a function's role, with Action and Resource as lists."""
    return [
        each | {key: as_list(each[key]) for key in ("Action", "Resource")}
        for policy in properties(f"{name.capitalize()}Role")["Policies"]
        for each in policy["PolicyDocument"]["Statement"]
    ]


def as_list(value: Any) -> list[Any]:
    """Return a value of a policy as the list that it may be written without."""
    return value if isinstance(value, list) else [value]


def transformed(document: dict[str, Any]) -> dict[str, Any]:
    """Return what CloudFormation gets: the document after the SAM transform.

    `document` names its code by S3 addresses, as after `sam package`.
    """
    result: dict[str, Any] = transform(document, {}, SimpleNamespace(load=dict))
    return result
