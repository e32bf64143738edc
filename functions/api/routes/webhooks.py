"""Routes about the shop's own webhook endpoints."""

from typing import Any

from functions.api.calls import Action, Answer, Call
from shared.bodies.requests import ShopQuery
from shared.bodies.webhooks import DeliveriesQuery, EndpointBody, NewEndpointBody, RotateQuery
from shared.domain.notice_types import CHOICES, NoticeType
from shared.serializers.endpoints import delivery_json, endpoint_json
from shared.usecases import manage_endpoints as endpoints


def list_(call: Call, query: ShopQuery) -> Answer:
    """List the shop's endpoints."""
    found = call.app.desk.endpoints.endpoints(call.caller.require_shop())
    return Answer(body={"success": True, "endpoints": [endpoint_json(each) for each in found]})


def create(call: Call, query: ShopQuery, body: NewEndpointBody) -> Answer:
    """Make an endpoint."""
    wish = endpoints.NewEndpoint(
        url=body.url,
        types=CHOICES if body.types is None else tuple(map(NoticeType, body.types)),
        description=body.description,
    )
    shop = call.caller.require_shop()
    return _issued(endpoints.create_endpoint(call.app.desk, shop, wish, idempotency=call.once), 201)


def read(call: Call, endpoint_id: str, query: ShopQuery) -> Answer:
    """Read an endpoint."""
    store, shop = call.app.desk.endpoints, call.caller.require_shop()
    found = endpoints.find_endpoint(store, shop, endpoint_id)
    return Answer(body={"success": True, "endpoint": endpoint_json(found)})


def change(call: Call, endpoint_id: str, query: ShopQuery, body: EndpointBody) -> Answer:
    """Change an endpoint."""
    given: dict[str, Any] = {"url": body.url, "is_enabled": body.is_enabled}
    changes = {name: value for name, value in given.items() if value is not None}
    if body.types is not None:
        changes["types"] = tuple(map(NoticeType, body.types))
    if "description" in body.model_fields_set:
        changes["description"] = body.description
    shop = call.caller.require_shop()
    changed = endpoints.change_endpoint(call.app.desk, shop, endpoint_id, changes)
    return Answer(body={"success": True, "endpoint": endpoint_json(changed)})


def remove(call: Call, endpoint_id: str, query: ShopQuery) -> Answer:
    """Remove an endpoint."""
    store, shop = call.app.desk.endpoints, call.caller.require_shop()
    endpoints.remove_endpoint(store, shop, endpoint_id)
    return Answer(body={"success": True})


def rotate(call: Call, endpoint_id: str, query: RotateQuery) -> Answer:
    """Give an endpoint a new secret."""
    shop, at_once = call.caller.require_shop(), query.keep_old == "0"
    issued = endpoints.rotate_secret(
        call.app.desk, shop, endpoint_id, at_once=at_once, idempotency=call.once
    )
    return _issued(issued, 200)


def send_trial(call: Call, endpoint_id: str, query: ShopQuery) -> Answer:
    """Send an endpoint a webhook that says nothing."""
    shop = call.caller.require_shop()
    made = endpoints.send_trial(call.app.desk, shop, endpoint_id)
    return Answer(status=202, body={"success": True, "delivery": delivery_json(made)})


def deliveries(call: Call, endpoint_id: str, query: DeliveriesQuery) -> Answer:
    """List what was delivered to an endpoint."""
    page = endpoints.list_deliveries(
        call.app.desk.endpoints,
        call.caller.require_shop(),
        endpoint_id,
        limit=query.limit,
        cursor=query.cursor,
        cursor_secrets=call.cursor_secrets(),
    )
    found = [delivery_json(each) for each in page.deliveries]
    return Answer(body={"success": True, "deliveries": found, "nextCursor": page.next_cursor})


def redeliver(call: Call, endpoint_id: str, delivery_id: str, query: ShopQuery) -> Answer:
    """Deliver something once more."""
    shop = call.caller.require_shop()
    again = endpoints.redeliver(call.app.desk, shop, endpoint_id, delivery_id)
    return Answer(status=202, body={"success": True, "delivery": delivery_json(again)})


def _issued(issued: endpoints.Issued, status: int) -> Answer:
    answer = {"success": True, "endpoint": endpoint_json(issued.endpoint), "secret": issued.secret}
    return Answer(status=status, body=answer)


ACTIONS: dict[str, Action] = {
    "listEndpoints": list_,
    "createEndpoint": create,
    "readEndpoint": read,
    "changeEndpoint": change,
    "removeEndpoint": remove,
    "rotateEndpointSecret": rotate,
    "testEndpoint": send_trial,
    "listDeliveries": deliveries,
    "redeliver": redeliver,
}
