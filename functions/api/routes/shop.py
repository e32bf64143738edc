"""Routes about the shop itself: its settings and its keys."""

from typing import Any

from functions.api.calls import Action, Answer, Call
from shared.access_representation import key_json, shop_json
from shared.bodies.access import NewKeyBody, ShopBody
from shared.bodies.requests import ShopQuery
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
    return Answer(body={"success": True, "shop": shop_json(view)})


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
    change_shop(call.app.tracker, call.app.shops, call.caller.require_shop(), changes)
    return read(call, query)


def list_keys(call: Call, query: ShopQuery) -> Answer:
    """List the shop's keys."""
    found = call.app.keys.shop_keys(call.caller.require_shop())
    return Answer(body={"success": True, "keys": [key_json(key) for key in found]})


def issue_key(call: Call, query: ShopQuery, body: NewKeyBody) -> Answer:
    """Issue a key."""
    made = issue_shop_key(call.app.tracker, call.app.keys, call.caller, body.name)
    answer = {"success": True, "key": key_json(made.record), "secret": made.key}
    return Answer(status=201, body=answer)


def revoke_key(call: Call, key_id: str, query: ShopQuery) -> Answer:
    """Revoke a key."""
    revoke_shop_key(call.app.keys, call.caller, key_id)
    return Answer(body={"success": True})


ACTIONS: dict[str, Action] = {
    "readShop": read,
    "changeShop": change,
    "listKeys": list_keys,
    "issueKey": issue_key,
    "revokeKey": revoke_key,
}
