"""Serve one route: who calls, what was sent, the action, and one log line and metric for it."""

from collections.abc import Mapping
from typing import Any

from functions.api.calls import Action, Answer, Call
from functions.api.once import answer_once
from shared import wiring
from shared.bodies.reading import read_body, read_query, validate
from shared.bodies.route import Route
from shared.domain.errors import (
    ForbiddenError,
    InvalidRequestError,
    JobTrackerError,
    NotFoundError,
    SecretUnavailableError,
    ShopBusyError,
)
from shared.observability import count, logger
from shared.responses import HttpResponse, error_response, error_status, json_response
from shared.usecases.identify_caller import Caller, WrongIdTokenError, identify_caller
from shared.usecases.install_shop import Installation

NO_ROUTE = "$default"
# Nothing has a longer name, and the table's keys would not hold one.
MAX_NAME_CHARACTERS = 200
# App Bridge sees it and sends the request once more with a new ID token.
RETRY_WITH_NEW_TOKEN = {"x-shopify-retry-invalid-session-request": "1"}


def serve(
    route: Route, action: Action, event: Mapping[str, Any], path: Mapping[str, str]
) -> HttpResponse:
    """Answer a request to `route` by its action. Raises JobTrackerError."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    opened = None if route.is_open else _open(event, headers)
    arguments: dict[str, Any] = {}
    if opened is not None:
        _check_may_call(route, opened.caller)
    for name in route.parameters:
        if len(path[name]) > MAX_NAME_CHARACTERS:
            raise NotFoundError("There is no such thing.")
        arguments[_snake(name)] = path[name]
    if route.query is not None:
        arguments["query"] = validate(route.query, read_query(event))
    if route.body is not None:
        content_type = headers.get("content-type", "")
        data = read_body(
            event,
            content_type,
            takes_forms=route.takes_forms,
            max_bytes=route.max_body_bytes,
        )
        arguments["body"] = validate(route.body, data)
    if opened is not None and route.once:
        answer = answer_once(route, action, opened, arguments)
    else:
        answer = action(opened or (lambda: _open(event, headers)), **arguments)
    return _answer(answer, route, event, opened.caller if opened else None)


def refuse(error: JobTrackerError, event: Mapping[str, Any], route: str) -> HttpResponse:
    """Answer with an error: the caller's is normal life, ours is logged as what it is."""
    status = error_status(error)
    extra = {"route": route, "status": status, "code": error.code}
    if status < 500:
        logger.info("refused", extra=extra)
        count("ApiRefused")
    elif isinstance(error, ShopBusyError):
        logger.info("shop busy", extra={**extra, "reason": error.message})
        count("ShopBusy")
    elif status == 503:
        logger.error("unavailable", extra={**extra, "reason": error.message})
        is_secret = isinstance(error, SecretUnavailableError)
        count("SecretUnavailable" if is_secret else "ApiUnavailable")
    else:
        logger.error("our bug", extra=extra, exc_info=error.__cause__ or error)
        count("ApiFailed")
    headers = RETRY_WITH_NEW_TOKEN if isinstance(error, WrongIdTokenError) else None
    return error_response(error, _request_id(event), headers)


def _check_may_call(route: Route, caller: Caller) -> None:
    if route.for_admins and not caller.is_admin:
        raise ForbiddenError("This is for administrators only.")
    if caller.is_agent and not route.for_agents:
        raise ForbiddenError("Agents may create, read and report on their own jobs only.")


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _open(event: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
    app = wiring.api_app()
    caller = identify_caller(headers.get("authorization"), _named_shop(event, headers), app.doors)
    if caller.shop is not None and caller.id_token is not None:
        installed = app.installer.install(caller.shop, caller.id_token)
        if installed.installation is Installation.INSTALLED:
            logger.info("shop installed", extra={"shop": caller.shop})
            count("ShopInstalled")
        elif installed.installation is Installation.FAILED:
            # The request itself goes on; pushes of this shop wait for a later login.
            extra = {"shop": caller.shop, "reason": installed.reason}
            logger.error("shop not installed", extra=extra)
            count("ShopInstallFailed")
    return Call(app=app, caller=caller, headers=headers)


def _named_shop(event: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    named = headers.get("x-shop") or None
    try:
        asked = read_query(event).get("shop")
    except InvalidRequestError:
        # Told after it is known who calls.
        return named
    if named is not None and asked not in (None, named):
        raise InvalidRequestError(
            "X-Shop and ?shop= name two different shops.",
            details=[{"field": "shop", "message": "contradicts the X-Shop header"}],
        )
    return named or asked


def _answer(
    answer: Answer, route: Route, event: Mapping[str, Any], caller: Caller | None
) -> HttpResponse:
    name = f"{route.method} {route.path}"
    who = {"shop": caller.shop, "actor": caller.actor} if caller else {}
    logger.info("answered", extra={"route": name, "status": answer.status, **who})
    count("ApiAnswered" if answer.status < 500 else "ApiUnavailable")
    if answer.csv is not None:
        headers = {"content-type": "text/csv; charset=utf-8", "cache-control": "no-store"}
        headers |= answer.headers
        return {"statusCode": answer.status, "headers": headers, "body": answer.csv}
    if answer.body is None:
        return {"statusCode": answer.status, "headers": dict(answer.headers), "body": ""}
    body = dict(answer.body)
    if body.get("success") is False:
        body["requestId"] = _request_id(event)
    return json_response(answer.status, body, answer.headers)


def _request_id(event: Mapping[str, Any]) -> str:
    return str(event["requestContext"]["requestId"])
