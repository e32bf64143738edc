"""What was deployed: who works with the stack finds its resources here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.stack.emulator import aws_client
from local.stack.sam_template import SamTemplate, variable_name


@dataclass(frozen=True)
class Deployment:
    """A deployed stack: its template, and logical id → physical id of its resources."""

    endpoint: str
    template: SamTemplate
    settings: Mapping[str, str]
    physical_ids: Mapping[str, str]
    _clients: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def value_of(self, value: Any) -> Any:
        """Return a template value with ``!Ref`` of a parameter as the parameter's value."""
        if isinstance(value, dict) and value.keys() == {"Ref"}:
            parameter = value["Ref"]
            default = self.template.parameters[parameter].get("Default")
            return self.settings.get(variable_name(parameter), default)
        return [self.value_of(each) for each in value] if isinstance(value, list) else value

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulator's administrator: one of each service, since to
        make one takes a second of a busy laptop."""
        if service not in self._clients:
            self._clients[service] = aws_client(self.endpoint, service)
        return self._clients[service]
