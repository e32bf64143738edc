"""Routes about what jobs are made of: products, templates, the provider's tools and credits."""

from typing import Any

from functions.api.calls import Action, Answer, Call
from shared.bodies.catalogue import NewTemplateBody, ProductsQuery, ProviderQuery, TemplateBody
from shared.bodies.requests import ShopQuery
from shared.domain.templates import Template
from shared.serializers.catalogue import account_json, product_json, template_json, tool_json
from shared.serializers.values import instant
from shared.usecases.keep_templates import (
    change_template,
    create_template,
    delete_template,
    read_template,
)
from shared.usecases.list_products import list_products
from shared.usecases.read_provider import Shown, read_account, read_tools


def products(call: Call, query: ProductsQuery) -> Answer:
    """List the shop's products."""
    found = list_products(
        call.app.storefront,
        call.caller.require_shop(),
        query.q,
        limit=query.limit,
        cursor=query.cursor,
        cursor_secrets=call.cursor_secrets(),
    )
    shown = [product_json(product) for product in found.products]
    return Answer(body={"success": True, "products": shown, "nextCursor": found.next_cursor})


def list_tools(call: Call, query: ProviderQuery) -> Answer:
    """List the provider's tools."""
    shown = read_tools(call.app.tracker, call.app.catalog, query.provider)
    return _shown(query, shown, {"tools": [tool_json(tool) for tool in shown.value]})


def credits_(call: Call, query: ProviderQuery) -> Answer:
    """Read what is left of our account."""
    shown = read_account(call.app.tracker, call.app.catalog, query.provider)
    return _shown(query, shown, {"credits": account_json(shown.value)})


def _shown(query: ProviderQuery, shown: Shown[Any], what: dict[str, Any]) -> Answer:
    told = {"fetchedAt": instant(shown.fetched_at), "stale": shown.is_stale}
    return Answer(body={"success": True, "provider": query.provider, **what, **told})


def list_templates(call: Call, query: ShopQuery) -> Answer:
    """List the shop's templates."""
    found = call.app.templates.templates(call.caller.require_shop())
    return Answer(body={"success": True, "templates": [template_json(each) for each in found]})


def create(call: Call, query: ShopQuery, body: NewTemplateBody) -> Answer:
    """Make a template."""
    app, given = call.app, body.model_dump(exclude_none=True)
    made = create_template(app.tracker, app.templates, call.caller, given, idempotency=call.once)
    return _answer(made, status=201)


def read(call: Call, template_id: str, query: ShopQuery) -> Answer:
    """Read a template."""
    return _answer(read_template(call.app.templates, call.caller.require_shop(), template_id))


def change(call: Call, template_id: str, query: ShopQuery, body: TemplateBody) -> Answer:
    """Change a template."""
    app, shop = call.app, call.caller.require_shop()
    changed = change_template(app.tracker, app.templates, shop, template_id, body.changes())
    return _answer(changed)


def delete(call: Call, template_id: str, query: ShopQuery) -> Answer:
    """Delete a template."""
    delete_template(call.app.templates, call.caller.require_shop(), template_id)
    return Answer(body={"success": True})


def _answer(template: Template, status: int = 200) -> Answer:
    return Answer(status=status, body={"success": True, "template": template_json(template)})


ACTIONS: dict[str, Action] = {
    "listProducts": products,
    "listTools": list_tools,
    "readCredits": credits_,
    "listTemplates": list_templates,
    "createTemplate": create,
    "readTemplate": read,
    "changeTemplate": change,
    "deleteTemplate": delete,
}
