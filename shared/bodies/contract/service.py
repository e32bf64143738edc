"""Routes about the service itself."""

from shared.bodies.requests import HealthQuery, NoQuery
from shared.bodies.route import Route

ROUTES = (
    Route(
        method="GET",
        path="/health",
        name="readHealth",
        summary="Tell that the API answers; deep=1 (administrators) checks what it stands on.",
        query=HealthQuery,
        answers={200: "HealthAnswer"},
        is_open=True,
        errors=(401, 403, 503),
    ),
    Route(
        method="GET",
        path="/openapi.json",
        name="readOpenApi",
        summary="This document.",
        query=NoQuery,
        answers={200: "OpenApiAnswer"},
        is_open=True,
    ),
)
