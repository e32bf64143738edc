"""The HTTP API.

Trigger: API Gateway HTTP API, payload format 2.0: the routes of shared/bodies/contract, and
`$default` for every other path.
Samples: events/api_*.json.

| answer | when |
| --- | --- |
| 200, 202, 302, 304 | as the route says |
| 400 `invalid_request` | anything wrong with what was sent; `details` names it |
| 401 `unauthorized` | no credential, or a wrong one (an ID token: get a new one, once) |
| 403 `forbidden` | a login for another shop, or not an administrator |
| 404 `not_found` | no such route, no such job, another shop's job |
| 402, 409, 413, 422 | as `code` says |
| 500 `internal_error` | our bug, logged once |
| 503 `unavailable` | table, queue or secret do not answer; try again |

Guarantee: what was answered with success is in the table.
"""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as NoRouteError
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api.routes import ACTIONS
from functions.api.serving import NO_ROUTE, refuse, serve
from shared.bodies.contract import ROUTES
from shared.bodies.route import Route
from shared.domain.errors import InvariantError, JobTrackerError, NotFoundError
from shared.observability import metrics
from shared.responses import HttpResponse

resolver = APIGatewayHttpResolver()


def _register(route: Route) -> None:
    @resolver.route(route.rule, method=route.method)
    def action(**path: str) -> Response[str]:
        return _respond(serve(route, ACTIONS[route.name], resolver.current_event.raw_event, path))


for _route in ROUTES:
    _register(_route)


@resolver.not_found
def _no_route(_error: NoRouteError) -> Response[str]:
    return _respond(refuse(NotFoundError("There is no such route."), _event(), NO_ROUTE))


@resolver.exception_handler(JobTrackerError)  # type: ignore[untyped-decorator]
def _refused(error: JobTrackerError) -> Response[str]:
    return _respond(refuse(error, _event(), _route_name()))


@resolver.exception_handler(Exception)  # type: ignore[untyped-decorator]
def _our_bug(error: Exception) -> Response[str]:
    bug = InvariantError("unexpected")
    bug.__cause__ = error
    return _respond(refuse(bug, _event(), _route_name()))


@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> HttpResponse:
    """Route one request."""
    return resolver.resolve(event, context)


def _event() -> dict[str, Any]:
    return resolver.current_event.raw_event


def _route_name() -> str:
    route = resolver.context.get("_route")
    return f"{route.method} {route.path}" if route else NO_ROUTE


def _respond(answer: HttpResponse) -> Response[str]:
    return Response(
        status_code=answer["statusCode"], headers=answer["headers"], body=answer["body"]
    )
