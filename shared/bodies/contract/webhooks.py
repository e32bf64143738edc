"""Routes about the shop's own webhook endpoints."""

from shared.bodies.requests import ShopQuery
from shared.bodies.route import Route
from shared.bodies.webhooks import DeliveriesQuery, EndpointBody, NewEndpointBody, RotateQuery

_ALL = "/api/shop/webhooks"
_ONE = f"{_ALL}/{{endpointId}}"

ROUTES = (
    Route(
        method="GET",
        path=_ALL,
        name="listEndpoints",
        summary="List the shop's webhook endpoints.",
        query=ShopQuery,
        answers={200: "EndpointsAnswer"},
    ),
    Route(
        method="POST",
        path=_ALL,
        name="createEndpoint",
        summary="Make a webhook endpoint (at most 10); its secret is shown once.",
        query=ShopQuery,
        body=NewEndpointBody,
        answers={201: "EndpointSecretAnswer"},
        errors=(409, 413),
        once=True,
    ),
    Route(
        method="GET",
        path=_ONE,
        name="readEndpoint",
        summary="Read a webhook endpoint.",
        query=ShopQuery,
        answers={200: "EndpointAnswer"},
        errors=(404,),
    ),
    Route(
        method="PATCH",
        path=_ONE,
        name="changeEndpoint",
        summary="Change a webhook endpoint; what is left out stays.",
        query=ShopQuery,
        body=EndpointBody,
        answers={200: "EndpointAnswer"},
        errors=(404, 413),
    ),
    Route(
        method="DELETE",
        path=_ONE,
        name="removeEndpoint",
        summary="Remove a webhook endpoint; what is under way to it is dropped.",
        query=ShopQuery,
        answers={200: "DoneAnswer"},
        errors=(404,),
    ),
    Route(
        method="POST",
        path=f"{_ONE}/rotate",
        name="rotateEndpointSecret",
        summary="Give an endpoint a new secret, shown once; the old one signs too for 24 hours.",
        query=RotateQuery,
        answers={200: "EndpointSecretAnswer"},
        errors=(404,),
        once=True,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/test",
        name="testEndpoint",
        summary="Send an endpoint a webhook of the type endpoint.test.",
        query=ShopQuery,
        answers={202: "DeliveryAnswer"},
        errors=(404, 409),
        once=True,
    ),
    Route(
        method="GET",
        path=f"{_ONE}/deliveries",
        name="listDeliveries",
        summary="List what was delivered to an endpoint in the last 30 days, newest first.",
        query=DeliveriesQuery,
        answers={200: "DeliveriesAnswer"},
        errors=(404,),
    ),
    Route(
        method="POST",
        path=f"{_ONE}/deliveries/{{deliveryId}}/redeliver",
        name="redeliver",
        summary="Deliver something once more, now.",
        query=ShopQuery,
        answers={202: "DeliveryAnswer"},
        errors=(404, 409),
        once=True,
    ),
)
