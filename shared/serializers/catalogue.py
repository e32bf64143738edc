"""Products, templates, tools and credits as JSON."""

from typing import Any

from shared.domain.job import Priority
from shared.domain.templates import Template
from shared.domain.tools import Account, Tool
from shared.serializers.values import instant, safe
from shared.usecases.ports import CatalogueProduct


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


def tool_json(tool: Tool) -> dict[str, Any]:
    """Describe a tool, with what each priority is quoted at."""
    quotes = {priority.value: tool.quote(priority) for priority in Priority}
    return {
        "id": tool.tool_id,
        "name": tool.name,
        "description": tool.description,
        "category": tool.category,
        "isActive": tool.is_active,
        "creditsRequired": tool.credits,
        "quotes": quotes if tool.credits is not None else None,
        "basePrice": tool.base_price,
        "defaultParameters": safe(tool.default_parameters),
    }


def account_json(account: Account) -> dict[str, Any]:
    """Describe our account at a provider."""
    return {
        "balance": account.balance,
        "plan": account.plan,
        "planStatus": account.plan_status,
        "creditsIncluded": account.credits_included,
        "renewsAt": instant(account.renews_at),
    }


def product_json(product: CatalogueProduct) -> dict[str, Any]:
    """Describe a product and its images."""
    images = [
        {
            "id": image.media_id,
            "url": image.url,
            "alt": image.alt,
            "width": image.width,
            "height": image.height,
        }
        for image in product.images
    ]
    return {
        "id": product.product_id,
        "title": product.title,
        "handle": product.handle,
        "status": product.status,
        "mediaCount": product.media_count,
        "images": images,
    }
