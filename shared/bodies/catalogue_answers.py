"""What is answered about templates, tools, credits and products.

Imported for the OpenAPI document only.
"""

from typing import Any

from pydantic import Field

from shared.bodies.answers import Instant, _Answer, _Success
from shared.domain.job import Priority


class ProductImageJson(_Answer):
    """An image of a product. url: Shopify's public address, fit for inputImageUrl."""

    id: str
    url: str
    alt: str | None
    width: int | None
    height: int | None


class ProductJson(_Answer):
    """A product of the shop."""

    id: str
    title: str
    handle: str | None
    status: str | None = Field(description="Shopify's word: ACTIVE, DRAFT, ARCHIVED, …")
    media_count: int
    images: list[ProductImageJson] = Field(description="The first ten that are ready.")


class ProductsAnswer(_Success):
    """A page of the shop's products, by title."""

    products: list[ProductJson]
    next_cursor: str | None = Field(description="null at the end.")


class ToolJson(_Answer):
    """A tool of a provider's."""

    id: str
    name: str
    description: str | None
    category: str | None
    is_active: bool
    credits_required: float | None = Field(
        description="The provider's price for a job of normal priority: a quote, not a charge."
    )
    quotes: dict[Priority, int] | None = Field(description="The same, for each priority.")
    base_price: str | None = Field(description="As the provider writes it.")
    default_parameters: dict[str, Any]


class ToolsAnswer(_Success):
    """What the provider offered at fetchedAt. stale: it could not be asked anew."""

    provider: str
    tools: list[ToolJson]
    fetched_at: Instant
    stale: bool


class CreditsJson(_Answer):
    """An account at a provider."""

    balance: float
    plan: str | None
    plan_status: str | None
    credits_included: float | None
    renews_at: Instant | None


class CreditsAnswer(_Success):
    """What the account held at fetchedAt. stale: the provider could not be asked anew."""

    provider: str
    credits: CreditsJson
    fetched_at: Instant
    stale: bool


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
