"""Routes about the shop itself: its settings and its keys."""

from typing import Any

from functions.api.calls import Answer, Call, Route
from shared.bodies.access import NewKeyBody, ShopBody
from shared.bodies.requests import ShopQuery
from shared.domain.keys import ShopKey
from shared.representation import instant, safe
from shared.usecases.issue_keys import issue_shop_key, revoke_shop_key
from shared.usecases.shop_settings import change_shop, read_shop


def read(call: Call, query: ShopQuery) -> Answer:
    """Read the shop's settings."""
    app = call.app
    view = read_shop(
        app.tracker,
        app.shops,
        call.caller.require_shop(),
        has_own_token=bool(app.secrets.get("shopify", "SHOPIFY_ACCESS_TOKEN")),
    )
    shop, spent = view.shop, view.spent
    limits = {"credits": shop.budget_credits, "costMicros": shop.budget_cost_micros}
    used = {"credits": spent.credits, "costMicros": spent.cost_micros}
    body = {
        "shop": shop.shop,
        "installed": shop.installed_at is not None,
        "installedAt": instant(shop.installed_at),
        "scopes": [scope for scope in (shop.scopes or "").split(",") if scope],
        "token": view.token.value,
        "autoPush": shop.auto_push,
        "monthlyBudget": safe(limits),
        "spent": {"month": view.month, **safe(used)},
        "retentionDays": shop.retention_days,
    }
    return Answer(body={"success": True, "shop": body})


def change(call: Call, query: ShopQuery, body: ShopBody) -> Answer:
    """Change the shop's settings."""
    changes: dict[str, Any] = {}
    if body.auto_push is not None:
        changes["auto_push"] = body.auto_push
    if "monthly_budget" in body.model_fields_set:
        limits = body.monthly_budget
        changes["budget_credits"] = limits.credits if limits else None
        changes["budget_cost_micros"] = limits.cost_micros if limits else None
    if "retention_days" in body.model_fields_set:
        changes["retention_days"] = body.retention_days
    change_shop(call.app.shops, call.caller.require_shop(), changes)
    return read(call, query)


def list_keys(call: Call, query: ShopQuery) -> Answer:
    """List the shop's keys."""
    found = call.app.keys.shop_keys(call.caller.require_shop())
    return Answer(body={"success": True, "keys": [_key(key) for key in found]})


def issue_key(call: Call, query: ShopQuery, body: NewKeyBody) -> Answer:
    """Issue a key."""
    made = issue_shop_key(call.app.tracker, call.app.keys, call.caller, body.name)
    answer = {"success": True, "key": _key(made.record), "secret": made.key}
    return Answer(status=201, body=answer)


def revoke_key(call: Call, key_id: str, query: ShopQuery) -> Answer:
    """Revoke a key."""
    revoke_shop_key(call.app.keys, call.caller, key_id)
    return Answer(body={"success": True})


def _key(key: ShopKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "createdAt": instant(key.created_at),
        "createdBy": key.created_by,
        "lastUsedAt": instant(key.last_used_at),
    }


ROUTES = (
    Route(
        method="GET",
        path="/api/shop",
        name="readShop",
        summary="Read the shop's settings, its installation, and what its budget took.",
        action=read,
        query=ShopQuery,
        answers={200: "ShopAnswer"},
    ),
    Route(
        method="PUT",
        path="/api/shop",
        name="changeShop",
        summary="Change the shop's settings; what is left out stays.",
        action=change,
        query=ShopQuery,
        body=ShopBody,
        answers={200: "ShopAnswer"},
        errors=(413,),
    ),
    Route(
        method="GET",
        path="/api/shop/keys",
        name="listKeys",
        summary="List the shop's keys.",
        action=list_keys,
        query=ShopQuery,
        answers={200: "KeysAnswer"},
    ),
    Route(
        method="POST",
        path="/api/shop/keys",
        name="issueKey",
        summary="Issue a key that acts for the shop (at most 20); it is shown once.",
        action=issue_key,
        query=ShopQuery,
        body=NewKeyBody,
        answers={201: "NewKeyAnswer"},
        errors=(409, 413),
        once=True,
    ),
    Route(
        method="DELETE",
        path="/api/shop/keys/{keyId}",
        name="revokeKey",
        summary="Revoke a key; it is refused everywhere within 30 seconds.",
        action=revoke_key,
        query=ShopQuery,
        answers={200: "DoneAnswer"},
        errors=(404,),
    ),
)
