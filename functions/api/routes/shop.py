"""Routes about the shop itself: its settings and its keys."""

from typing import Any

from functions.api.calls import Action, Answer, Call
from shared.bodies.access import NewKeyBody, ShopBody
from shared.bodies.requests import ShopQuery
from shared.bodies.webhooks import NotificationsBody
from shared.domain.notice_types import NoticeType
from shared.domain.shop import USUAL_NOTICES, Notifications
from shared.serializers.access import key_json, shop_json
from shared.usecases.issue_keys import issue_shop_key, revoke_shop_key
from shared.usecases.shop_letters import address_states, change_notifications
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
    states = address_states(app.shops, app.letters, view.shop)
    return Answer(body={"success": True, "shop": shop_json(view, states)})


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
    app, shop = call.app, call.caller.require_shop()
    if "notifications" in body.model_fields_set:
        # First: Amazon SNS may refuse an address, and then nothing is to be changed.
        wanted = _wanted(body.notifications)
        change_notifications(app.tracker, app.shops, app.letters, shop, wanted)
    change_shop(app.tracker, app.shops, shop, changes)
    return read(call, query)


def _wanted(body: NotificationsBody | None) -> Notifications | None:
    if body is None or not (body.emails or body.phones):
        return None
    types = USUAL_NOTICES if body.types is None else tuple(map(NoticeType, body.types))
    return Notifications(emails=tuple(body.emails), phones=tuple(body.phones), types=types)


def list_keys(call: Call, query: ShopQuery) -> Answer:
    """List the shop's keys."""
    found = call.app.keys.shop_keys(call.caller.require_shop())
    return Answer(body={"success": True, "keys": [key_json(key) for key in found]})


def issue_key(call: Call, query: ShopQuery, body: NewKeyBody) -> Answer:
    """Issue a key."""
    app, name = call.app, body.name
    made = issue_shop_key(app.tracker, app.keys, call.caller, name, idempotency=call.once)
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
