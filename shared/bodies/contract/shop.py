"""Routes about the shop itself: its settings and its keys."""

from shared.bodies.access import NewKeyBody, ShopBody
from shared.bodies.requests import ShopQuery
from shared.bodies.route import Route

ROUTES = (
    Route(
        method="GET",
        path="/api/shop",
        name="readShop",
        summary="Read the shop's settings, its installation, and what its budget took.",
        query=ShopQuery,
        answers={200: "ShopAnswer"},
    ),
    Route(
        method="PUT",
        path="/api/shop",
        name="changeShop",
        summary="Change the shop's settings; what is left out stays.",
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
        query=ShopQuery,
        answers={200: "KeysAnswer"},
    ),
    Route(
        method="POST",
        path="/api/shop/keys",
        name="issueKey",
        summary="Issue a key that acts for the shop (at most 20); it is shown once.",
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
        query=ShopQuery,
        answers={200: "DoneAnswer"},
        errors=(404,),
    ),
)
