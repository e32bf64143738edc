"""The route that describes all the others."""

from collections.abc import Sequence

from functions.api.calls import Answer, OpenCall, Route
from functions.api.version import VERSION
from shared.bodies.requests import NoQuery


def describe(routes: Sequence[Route]) -> Route:
    """Make the route that answers with the OpenAPI document of `routes` and itself."""

    def openapi(opened: OpenCall, query: NoQuery) -> Answer:
        # Models of the answers are needed for nothing else: callers do not wait for them.
        from shared.bodies.openapi import document

        body = document((*routes, itself), VERSION)
        return Answer(body=body, headers={"cache-control": "public, max-age=300"})

    itself = Route(
        method="GET",
        path="/openapi.json",
        name="readOpenApi",
        summary="This document.",
        action=openapi,
        query=NoQuery,
        answers={200: "OpenApiAnswer"},
        is_open=True,
    )
    return itself
