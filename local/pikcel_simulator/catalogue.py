"""What PikcelAI sells, and what its requests ask for.

Source: the service's public client (tools, credits by priority). Assumption: the prices of the
tools.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRIORITY_FACTORS: Mapping[str, float] = {"low": 0.8, "normal": 1.0, "high": 1.5, "urgent": 2.0}
OWNER_ID = "user_simulator"


@dataclass(frozen=True, slots=True)
class Tool:
    """One AI model as the service sells it; credits per picture at normal priority."""

    id: str
    name: str
    category: str
    credits: int


TOOLS: Mapping[str, Tool] = {
    tool.id: tool
    for tool in (
        Tool("background-removal", "Background Removal", "background", 1),
        Tool("background-replacement", "Background Replacement", "background", 2),
        Tool("color-correction", "Color Correction", "enhancement", 1),
        Tool("gemini-background-removal", "Gemini Background Removal", "background", 2),
        Tool("gemini-background-replacement", "Gemini Background Replacement", "background", 3),
        Tool("gemini-batch-enhancement", "Gemini Batch Enhancement", "enhancement", 3),
        Tool("ghost-mannequin", "Ghost Mannequin", "apparel", 2),
        Tool("image-enhancement", "Image Enhancement", "enhancement", 1),
        Tool("photo-retouching", "Photo Retouching", "enhancement", 2),
        Tool("upscale-4x", "Upscale 4x", "enhancement", 2),
    )
}


def price(tool_id: str, priority: str) -> int:
    """Return the credits of one picture.

    >>> [price("background-replacement", p) for p in ("low", "normal", "high", "urgent")]
    [2, 2, 3, 4]
    """
    return math.ceil(TOOLS[tool_id].credits * PRIORITY_FACTORS[priority])


def callback_of(request: Mapping[str, Any]) -> str | None:
    """Return where to send webhooks: webhook_url, or parameters.callback_url (plan, form 2)."""
    url = request.get("webhook_url") or (request.get("parameters") or {}).get("callback_url")
    return url if isinstance(url, str) else None
