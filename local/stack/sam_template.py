"""Read template.yaml as data: what the deploy and its repairs must know of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

FUNCTION = "AWS::Serverless::Function"
LAYER = "AWS::Serverless::LayerVersion"
HTTP_API = "AWS::Serverless::HttpApi"
QUEUE = "AWS::SQS::Queue"
SECRET = "AWS::SecretsManager::Secret"
TABLE = "AWS::DynamoDB::Table"
ROLE = "AWS::IAM::Role"
BUCKET_POLICY = "AWS::S3::BucketPolicy"
_DEAD_LETTERS = "DeadLetterQueue"


class _TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (``!Ref x``) as their long ones (``{"Ref": "x"}``)."""


def _intrinsic(loader: _TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = node.value
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _intrinsic)
# "2010-09-09" is a version, not a date, and JSON has no dates.
_TemplateLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class TemplateFunction:
    """One function of the template.

    ``name`` is the room under functions/ ("webhook"); ``routes`` are API Gateway route keys
    ("POST /api/jobs", "$default").
    """

    logical_id: str
    name: str
    code_dir: Path
    reserved_concurrency: int | None
    routes: tuple[str, ...]


@dataclass(frozen=True)
class TemplateLayer:
    """One layer of the template and the folder of ours that it carries."""

    logical_id: str
    content_dir: Path


class SamTemplate:
    """template.yaml, in memory. Nothing here changes the file."""

    def __init__(self, document: dict[str, Any], base_dir: Path) -> None:
        self.document = document
        self._base_dir = base_dir

    @classmethod
    def load(cls, path: Path) -> SamTemplate:
        """Read the template at ``path``."""
        document = yaml.load(path.read_text(encoding="utf-8"), _TemplateLoader)  # noqa: S506
        return cls(document, path.parent)

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The Parameters section."""
        return dict(self.document.get("Parameters", {}))

    def resources(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (logical id, Properties) of every resource of a type."""
        for logical_id, resource in self.document["Resources"].items():
            if resource["Type"] == kind:
                yield logical_id, resource.get("Properties", {})

    @cached_property
    def functions(self) -> tuple[TemplateFunction, ...]:
        """Every function of the template, in its order."""
        shared = self.document.get("Globals", {}).get("Function", {})
        return tuple(
            self._function(logical_id, {**shared, **properties})
            for logical_id, properties in self.resources(FUNCTION)
        )

    @cached_property
    def layers(self) -> tuple[TemplateLayer, ...]:
        """Every layer of the template."""
        return tuple(
            TemplateLayer(logical_id, self._base_dir / properties["ContentUri"])
            for logical_id, properties in self.resources(LAYER)
        )

    @cached_property
    def queue_names(self) -> dict[str, str]:
        """Our names of the queues → logical ids: dispatch, push, dispatch-dlq, notify-dlq.

        A dead-letter queue is called after the queue that redrives into it, or the function that
        gives up into it: the template names it so.
        """
        return {
            (
                f"{_kebab(logical_id, _DEAD_LETTERS)}-dlq"
                if logical_id.endswith(_DEAD_LETTERS)
                else _kebab(logical_id, "Queue")
            ): logical_id
            for logical_id, _ in self.resources(QUEUE)
        }

    def only(self, kind: str) -> str:
        """Return the logical id of the one resource of a type."""
        (logical_id,) = (logical_id for logical_id, _ in self.resources(kind))
        return logical_id

    def _function(self, logical_id: str, properties: dict[str, Any]) -> TemplateFunction:
        events = properties.get("Events", {}).values()
        return TemplateFunction(
            logical_id=logical_id,
            name=properties["Handler"].split(".")[1],
            code_dir=self._base_dir / properties["CodeUri"],
            reserved_concurrency=properties.get("ReservedConcurrentExecutions"),
            routes=tuple(
                _route_key(event.get("Properties", {}))
                for event in events
                if event["Type"] == "HttpApi"
            ),
        )


def _route_key(event: dict[str, Any]) -> str:
    """Return the route key of an HttpApi event; an event without a path is the catch-all.

    Source: SAM specification, HttpApi event source, read 2026-11-22.

    >>> _route_key({"Path": "/api/jobs", "Method": "post"})
    'POST /api/jobs'
    >>> _route_key({})
    '$default'
    """
    path = event.get("Path", "$default")
    if path == "$default":
        return "$default"
    method = event.get("Method", "any").upper()
    return f"{'ANY' if method.startswith('X-AMAZON') else method} {path}"


def _kebab(logical_id: str, suffix: str) -> str:
    """Return a logical id as a lower-case name without its type.

    >>> _kebab("DispatchQueue", "Queue")
    'dispatch'
    """
    words = re.findall(r"[A-Z][a-z0-9]*", logical_id.removesuffix(suffix))
    return "-".join(word.lower() for word in words)


def variable_name(parameter: str) -> str:
    """Return the setting that fills a template parameter.

    >>> variable_name("PikcelApiUrl")
    'PIKCEL_API_URL'
    """
    return "".join(f"_{each}" if each.isupper() else each.upper() for each in parameter).lstrip("_")
