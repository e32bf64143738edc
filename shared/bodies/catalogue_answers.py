"""What is answered about templates, tools, credits and products.

Imported for the OpenAPI document only.
"""

from typing import Any

from pydantic import Field

from shared.bodies.answers import Instant, _Answer, _Success
from shared.domain.job import Priority


class TemplateJson(_Answer):
    """A template. null: not preset."""

    id: str
    shop: str
    name: str
    description: str | None
    provider: str | None
    type: str | None
    tool_id: str | None
    parameters: dict[str, Any] = Field(description="Merged with a job's own, which win.")
    priority: Priority | None
    auto_push: bool | None
    alt_text: str | None
    project_id: str | None
    mode: str | None
    created_at: Instant
    updated_at: Instant


class TemplateAnswer(_Success):
    """The template as it now is."""

    template: TemplateJson


class TemplatesAnswer(_Success):
    """The shop's templates, the oldest first."""

    templates: list[TemplateJson]
