"""The OpenAPI 3.1 document, written from the routes and the models themselves."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.bodies import access_answers, answers, catalogue_answers, webhook_answers
from shared.bodies.route import Route

_ANSWERS = (answers, access_answers, catalogue_answers, webhook_answers)
# Instead of a model: the answer is such a file.
CSV = "text/csv"
_REFERENCE = "#/components/schemas/{model}"

# Status → what its codes mean.
ERRORS = {
    400: "`invalid_request`: what is wrong is in `details`",
    401: "`unauthorized`: no credential, or a wrong one",
    402: "`budget_exceeded`: the shop's budget of the month does not allow it; or "
    "`insufficient_credits`: nor does what is left of the account at the provider",
    403: "`forbidden`: another shop's login, or nobody who may do this",
    404: "`not_found`: no such thing, or another shop's",
    409: "`wrong_status`, `job_active`, `provider_job_taken`, `already_running`, "
    "`not_a_worker_job`; of products: `shop_not_installed`, `token_dead`, `missing_scope` or "
    "`shop_…`",
    413: "`too_large`",
    422: "`idempotency_key_reused`: the key came with another body before",
    500: "`internal_error`: our fault",
    503: "`unavailable`: try again in a few seconds",
}
_ALWAYS = (400, 401, 403, 500, 503)
_WITHOUT_BODY: dict[int, dict[str, Any]] = {
    302: {
        "description": "The image is there.",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
    304: {"description": "It is as you know it."},
}
_HEADERS = {
    "Idempotency-Key": "The same key and body within 24 hours give the same answer, once done.",
    "If-None-Match": "An ETag: 304 if the job is still as it was.",
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Write the document of these routes."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in (*_bodies(routes), *_answer_models(routes))],
        ref_template=_REFERENCE,
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Job Tracker",
            "version": version,
            "description": "Dependable AI image jobs for Shopify, from webhook to product.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas["$defs"].items())),
            "securitySchemes": {
                "shopifyIdToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An ID token of the embedded app: acts for its own shop.",
                },
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of a shop (jts_…) or of an agent (jta_…): acts for its "
                    "own shop; an agent for its own jobs only.",
                },
                "administratorKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of ADMIN_API_KEYS, with X-Shop or ?shop=.",
                },
            },
        },
        "security": [{"shopifyIdToken": []}, {"key": []}, {"administratorKey": []}],
    }


def _bodies(routes: Sequence[Route]) -> list[type[BaseModel]]:
    return list(dict.fromkeys(route.body for route in routes if route.body is not None))


def _answer_models(routes: Sequence[Route]) -> list[type[BaseModel]]:
    found = {name for route in routes for name in route.answers.values() if name}
    names = found - {CSV}
    return [_model(name) for name in sorted({*names, "ErrorAnswer"})]


def _model(name: str) -> type[BaseModel]:
    found: type[BaseModel] = next(
        getattr(module, name) for module in _ANSWERS if hasattr(module, name)
    )
    return found


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_headers(route), *_query(route)],
        "responses": {
            **{str(status): _answer(status, name) for status, name in route.answers.items()},
            **{str(status): _error(status) for status in sorted(_errors(route))},
        },
    }
    if route.is_open:
        operation["security"] = [{}, {"administratorKey": []}]
    elif route.for_admins:
        operation["security"] = [{"administratorKey": []}]
    if route.body is not None:
        schema = {"$ref": _REFERENCE.format(model=route.body.__name__)}
        types = ["application/json"]
        if route.takes_forms:
            types += ["application/x-www-form-urlencoded", "multipart/form-data"]
        content = {media_type: {"schema": schema} for media_type in types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _errors(route: Route) -> set[int]:
    if route.is_open:
        return {*route.errors, 400, 500}
    return {*route.errors, *_ALWAYS, *((409, 422) if route.once else ())}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    text = {"type": "string"}
    return [
        {"name": name, "in": "path", "required": True, "schema": text} for name in route.parameters
    ]


def _headers(route: Route) -> list[dict[str, Any]]:
    named = [*route.headers, *(["Idempotency-Key"] if route.once else [])]
    if not route.is_open:
        named.append("X-Shop")
    shop = {"X-Shop": "Administrators: the shop to act for."}
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": (_HEADERS | shop)[name],
            "schema": {"type": "string"},
        }
        for name in named
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            **({"description": field["description"]} if "description" in field else {}),
            "schema": _inlined(field, definitions),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _inlined(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a query parameter's schema: it is a text or absent, never null."""
    choices = [c for c in field.get("anyOf", [field]) if c.get("type") != "null"]
    chosen = choices[0]
    if "$ref" in chosen:
        chosen = definitions[chosen["$ref"].rpartition("/")[2]]
    kept = {k: v for k, v in chosen.items() if k not in ("title", "description")}
    if field.get("default") is not None:
        kept["default"] = field["default"]
    return kept


def _answer(status: int, name: str | None) -> dict[str, Any]:
    if name is None:
        return _WITHOUT_BODY[status]
    if name == CSV:
        return {"description": "A file.", "content": {CSV: {"schema": {"type": "string"}}}}
    model = _model(name)
    schema = {"$ref": _REFERENCE.format(model=name)}
    return {
        "description": (model.__doc__ or name).partition("\n")[0],
        "content": {"application/json": {"schema": schema}},
    }


def _error(status: int) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model="ErrorAnswer")}
    return {
        "description": ERRORS[status],
        "content": {"application/json": {"schema": schema}},
    }
