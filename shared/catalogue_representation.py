"""Templates as JSON."""

from typing import Any

from shared.domain.templates import Template
from shared.representation import instant, safe


def template_json(template: Template) -> dict[str, Any]:
    """Describe a template."""
    presets = template.presets
    return {
        "id": template.template_id,
        "shop": template.shop,
        "name": template.name,
        "description": template.description,
        "provider": presets.get("provider"),
        "type": presets.get("type"),
        "toolId": presets.get("tool_id"),
        "parameters": safe(presets.get("parameters") or {}),
        "priority": presets.get("priority"),
        "autoPush": presets.get("auto_push"),
        "altText": presets.get("alt_text"),
        "projectId": presets.get("project_id"),
        "mode": presets.get("mode"),
        "createdAt": instant(template.created_at),
        "updatedAt": instant(template.updated_at),
    }
