"""What people send about templates, and to look at tools and products."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints

from shared.bodies.requests import (
    AltText,
    CursorQuery,
    Id,
    Input,
    Prose,
    ShopQuery,
    Title,
    small_object,
    whole_number,
)
from shared.domain.templates import MAX_PARAMETERS_BYTES

Presets = Annotated[dict[str, Any], AfterValidator(small_object(MAX_PARAMETERS_BYTES))]


class ProductsQuery(CursorQuery):
    """Which products."""

    q: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="Words, or how they begin; in titles, and wherever Shopify searches."
    )
    limit: Annotated[int, BeforeValidator(whole_number), Field(ge=1, le=50)] = 20


class ProviderQuery(ShopQuery):
    """Which provider."""

    provider: Id = "pikcel"


class _Presets(Input):
    model_config = ConfigDict(strict=True)

    description: Prose | None = None
    provider: Id | None = None
    type: Id | None = None
    tool_id: Id | None = None
    parameters: Presets | None = Field(None, description="At most 16 KB of JSON.")
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    auto_push: bool | None = None
    alt_text: AltText | None = None
    project_id: Id | None = None
    mode: Id | None = None


class NewTemplateBody(_Presets):
    """A template to make: what jobs made with it have, unless they say otherwise."""

    name: Title


class TemplateBody(_Presets):
    """What to change of a template; what is left out stays, null is no longer preset."""

    name: Title | None = None

    def changes(self) -> dict[str, Any]:
        """Return what is to be changed: a name can be changed, not taken away."""
        given = self.model_dump(include=self.model_fields_set)
        return {n: v for n, v in given.items() if n != "name" or v is not None}
