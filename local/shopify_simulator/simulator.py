"""The simulated Shopify: one entry, ``Simulator.handle(request) -> Response``.

Serves, for every shop ``*.myshopify.com`` and either under ``/{shop}/admin/…`` or by Host:

* POST …/admin/api/{version}/graphql.json   the Admin API (``_graphql``)
* POST …/admin/oauth/access_token            token exchange, refresh, client credentials
* PUT/POST /staged/…                         the storage behind staged uploads
* GET /cdn/{shop}/files/{filename}           the CDN
* /_simulator/…                              configuration and inspection (``control``)
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import httpx

from . import files, products  # noqa: F401  (they register the resolvers)
from .config import Fault, Switches
from .control import Control
from .cost import Bucket, throttle_status
from .execution import Call, DocumentError, Prepared, error_json, prepare, run
from .messages import ConnectionDroppedError, Request, Response
from .schema import API_VERSION
from .simulator_state import CallRecord, SimulatorState
from .state import Shop
from .tokens import SHOP_PATTERN, AccessToken, TokenRefusedError
from .uploads import receive_post, receive_put

SUPPORTED_VERSIONS = ("2026-01", "2026-04", "2026-07", "2026-10", "unstable")
"""2026-11; an older version falls forward to the oldest of these [D]."""

THROTTLE_DOCUMENTATION = "https://shopify.dev/api/usage/rate-limits"

_ADMIN_PATH = re.compile(r"(?:/(?P<shop>[^/]+))?/admin/(?P<rest>.*)\Z")
_GRAPHQL_PATH = re.compile(r"api/(?P<version>\d{4}-\d{2}|unstable)/graphql\.json\Z")

_AROUND_A_CALL = ("status_before", "status_after", "drop_before", "drop_after")
_REFUSALS = {
    401: "[API] Invalid API key or access token (unrecognized login or wrong password)",
    402: "This shop's plan does not have access to this feature",
    403: "Forbidden",
    404: "Not Found",
    423: "Locked",
}


class Simulator(SimulatorState):
    """Answers for one process, out of its state."""

    def transport(self) -> httpx.MockTransport:
        """An httpx transport that answers in process, without sockets.

        A dropped connection surfaces as ``httpx.RemoteProtocolError``.
        """

        def respond(request: httpx.Request) -> httpx.Response:
            answer = self.handle(
                Request(
                    request.method,
                    request.url.path,
                    dict(request.url.params),
                    {name.lower(): value for name, value in request.headers.items()},
                    request.read(),
                )
            )
            return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

        return httpx.MockTransport(respond)

    def handle(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            ConnectionDroppedError: the caller shall get no answer.
        """
        if request.path.startswith("/_simulator/"):
            return Control(self).handle(request)
        if request.path.startswith("/staged/"):
            return self._staged(request)
        if request.path.startswith("/cdn/"):
            return self._cdn(request)
        return self._admin(request)

    # --- storage --------------------------------------------------------------------------------

    def _staged(self, request: Request) -> Response:
        key = unquote(request.path.removeprefix("/staged/"))
        if request.method not in ("PUT", "POST"):
            return Response(403, b"<Error><Code>AccessDenied</Code></Error>")

        def receive() -> Response:
            if request.method == "PUT":
                return receive_put(self.world, key, request, self.clock())
            return receive_post(self.world, request, self.clock())

        fault = self._take("", "upload", *_AROUND_A_CALL, filename=key)
        return self._around(fault, "upload", "", key.rpartition("/")[2], receive)

    def _cdn(self, request: Request) -> Response:
        domain, _, rest = unquote(request.path.removeprefix("/cdn/")).partition("/")
        shop = self.world.shops.get(domain)
        if shop is None or request.method not in ("GET", "HEAD"):
            return Response(404)
        # Without the shop's lock: its holder may be fetching this very picture.
        media = shop.media.get(shop.names.get(rest.removeprefix("files/"), 0))
        if media is not None:
            media.settle(self.clock())
        picture = media.picture if media is not None else None
        if picture is None:
            return Response(404)
        headers = {
            "content-type": picture.media_type,
            "cache-control": "public, max-age=31557600",
            "access-control-allow-origin": "*",
        }
        return Response(200, picture.content if request.method == "GET" else b"", headers)

    # --- the Admin API --------------------------------------------------------------------------

    def _admin(self, request: Request) -> Response:
        found = _ADMIN_PATH.match(request.path)
        host = request.headers.get("host", "").partition(":")[0]
        domain = (found and found["shop"]) or host
        if found is None or not SHOP_PATTERN.match(domain):
            return Response.of_json({"errors": "Not Found"}, 404)
        switches = self.config.for_shop(domain)
        answer = self._admin_of_shop(request, found["rest"], self.world.shop(domain), switches)
        headers = {**answer.headers, "x-request-id": secrets.token_hex(16)}
        return Response(answer.status, answer.body, headers, switches.latency_s)

    def _admin_of_shop(
        self, request: Request, rest: str, shop: Shop, switches: Switches
    ) -> Response:
        if switches.shop_status:
            self._record("refused", shop.domain, switches.shop_status, "shop status")
            return _refusal(switches.shop_status)
        if rest == "oauth/access_token" and request.method == "POST":
            return self._token(request, shop)
        endpoint = _GRAPHQL_PATH.match(rest)
        if endpoint is None or request.method != "POST":
            return _refusal(404)
        version = endpoint["version"]
        if version > API_VERSION and version != "unstable":
            return _refusal(404)
        token = self.tokens.find(shop.domain, request.headers.get("x-shopify-access-token", ""))
        if token is None:
            self._record("graphql", shop.domain, 401, "unauthorized")
            answer = _refusal(401)
        else:
            answer = self._graphql(request, shop, switches, token)
        served = version if version in SUPPORTED_VERSIONS else SUPPORTED_VERSIONS[0]
        return Response(
            answer.status, answer.body, {**answer.headers, "x-shopify-api-version": served}
        )

    def _token(self, request: Request, shop: Shop) -> Response:
        form = request.form_or_json()
        grant = form.get("grant_type", "").rpartition(":")[2]

        def give() -> Response:
            try:
                return Response.of_json(self.tokens.answer(shop.domain, form))
            except TokenRefusedError as refused:
                said = {"error": refused.code, "error_description": refused.description}
                return Response.of_json(said, refused.status)

        fault = self._take(shop.domain, "token", *_AROUND_A_CALL)
        return self._around(fault, "token", shop.domain, grant, give)

    def _graphql(
        self, request: Request, shop: Shop, switches: Switches, token: AccessToken
    ) -> Response:
        body = _graphql_body(request)
        if body is None:
            return Response.of_json(
                {"errors": {"query": "Required parameter missing or invalid"}}, 400
            )
        try:
            prepared = prepare(*body)
        except DocumentError as bad:
            self._record("graphql", shop.domain, 200, "bad_document", body[2])
            return Response.of_json({"errors": bad.errors})
        with shop.lock:
            return self._execute(prepared, shop, switches, token)

    def _execute(
        self, prepared: Prepared, shop: Shop, switches: Switches, token: AccessToken
    ) -> Response:
        now = self.clock()
        shop.settle(now)
        operations = frozenset(prepared.root_fields)
        bucket = shop.buckets.setdefault(token.app, Bucket(switches.bucket_size, now))
        bucket.refill(now, switches.bucket_size, switches.restore_rate)
        requested = prepared.cost.requested()

        def done(outcome: str, answer: Response, actual: int | None = None) -> Response:
            self.calls.append(
                CallRecord(
                    now,
                    "graphql",
                    shop.domain,
                    answer.status,
                    outcome,
                    prepared.name,
                    prepared.root_fields,
                    requested,
                    actual,
                    prepared.variables,
                )
            )
            return answer

        fault = self._take(shop.domain, operations, "throttled", "graphql_error", *_AROUND_A_CALL)
        kind = fault.kind if fault else None
        if fault is not None and kind == "drop_before":
            done("dropped_before", Response(0))
            raise ConnectionDroppedError("the connection was cut before execution")
        if fault is not None and kind == "status_before":
            return done("failed_before", Response(fault.status or 502))
        if fault is not None and kind == "graphql_error":
            return done("graphql_error", _injected(fault))
        if requested > switches.max_query_cost:
            return done("max_cost_exceeded", _too_costly(requested, switches))
        if kind == "throttled" or bucket.level < requested:
            return done("throttled", _throttled(requested, bucket, switches, fault))
        call = self.call(shop, token, operations)
        answer, actual = _run(prepared, call, bucket, requested, switches)
        if fault is not None and kind == "drop_after":
            done("dropped_after", Response(0), actual)
            raise ConnectionDroppedError("the connection was cut after execution")
        if fault is not None and kind == "status_after":
            return done("failed_after", Response(fault.status or 502), actual)
        return done("executed", answer, actual)

    # --- helpers --------------------------------------------------------------------------------

    def _around(
        self, fault: Fault | None, call: str, shop: str, name: str, execute: Callable[[], Response]
    ) -> Response:
        """Execute a call, unless a fault comes before it; one after it takes the answer."""
        kind = fault.kind if fault is not None else None
        spoilt = Response((fault.status if fault is not None else None) or 503)
        if kind == "drop_before":
            raise ConnectionDroppedError(f"the {call} was cut off")
        answer = spoilt if kind == "status_before" else execute()
        self._record(call, shop, answer.status, name)
        if kind == "drop_after":
            raise ConnectionDroppedError(f"the answer to the {call} was lost")
        return spoilt if kind == "status_after" else answer

    def _take(
        self, shop: str, operations: str | frozenset[str], *kinds: Any, filename: str | None = None
    ) -> Fault | None:
        named = frozenset({operations}) if isinstance(operations, str) else operations
        return self.config.take_fault(
            *kinds, now=self.clock(), shop=shop, operations=named, filename=filename
        )

    def _record(
        self, kind: str, shop: str, status: int, outcome: str, name: str | None = None
    ) -> None:
        self.calls.append(CallRecord(self.clock(), kind, shop, status, outcome, name))


def _graphql_body(request: Request) -> tuple[str, Mapping[str, Any], str | None] | None:
    """Query, variables and operation name; None if the body is not a GraphQL request."""
    try:
        body = request.json()
        if not isinstance(body, dict) or not isinstance(body.get("query"), str):
            return None
        variables = body.get("variables") or {}
        if isinstance(variables, str):
            variables = json.loads(variables)
    except ValueError:
        return None
    name = body.get("operationName")
    return (body["query"], variables, name) if isinstance(variables, dict) else None


def _run(
    prepared: Prepared, call: Call, bucket: Bucket, requested: int, switches: Switches
) -> tuple[Response, int]:
    result = run(prepared, call)
    actual = min(requested, prepared.cost.actual(result.data))
    bucket.level -= actual
    answer: dict[str, Any] = {}
    if result.errors:
        answer["errors"] = [error_json(error) for error in result.errors]
    answer["data"] = result.data
    answer["extensions"] = _cost(requested, actual, bucket, switches)
    return Response.of_json(answer), actual


def _cost(requested: int, actual: int | None, bucket: Bucket, switches: Switches) -> dict[str, Any]:
    return {
        "cost": {
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": throttle_status(bucket, switches.bucket_size, switches.restore_rate),
        }
    }


def _throttled(requested: int, bucket: Bucket, switches: Switches, fault: Fault | None) -> Response:
    as_429 = switches.throttle_as_429 or (fault is not None and fault.status == 429)
    if as_429:
        wait_s = max(0.0, requested - bucket.level) / max(switches.restore_rate, 0.001)
        given = fault.retry_after_s if fault else switches.throttle_retry_after_s
        text = f"{wait_s if given is None else given:.1f}"
        return Response.of_json({"errors": "Throttled"}, 429, retry_after=text)
    error = {
        "message": "Throttled",
        "extensions": {"code": "THROTTLED", "documentation": THROTTLE_DOCUMENTATION},
    }
    return Response.of_json(
        {"errors": [error], "extensions": _cost(requested, None, bucket, switches)}
    )


def _too_costly(requested: int, switches: Switches) -> Response:
    limit = int(switches.max_query_cost)
    error = {
        "message": f"Query cost is {requested}, which exceeds the single query max cost limit"
        f" ({limit}).\n\nSee {THROTTLE_DOCUMENTATION} for more information.",
        "extensions": {
            "code": "MAX_COST_EXCEEDED",
            "cost": requested,
            "maxCost": limit,
            "documentation": THROTTLE_DOCUMENTATION,
        },
    }
    return Response.of_json({"errors": [error]})


def _injected(fault: Fault) -> Response:
    code = fault.code or "INTERNAL_SERVER_ERROR"
    message = fault.message or "Internal error. Looks like something went wrong on our end."
    return Response.of_json(
        {
            "errors": [
                {
                    "message": message,
                    "extensions": {"code": code, "requestId": secrets.token_hex(16)},
                }
            ]
        }
    )


def _refusal(status: int) -> Response:
    return Response.of_json({"errors": _REFUSALS[status]}, status)
