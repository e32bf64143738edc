"""What the HTTP API promises: exactly the routes of the code, bounds, and a log without secrets."""

from __future__ import annotations

import json
import re

from shared.bodies.contract import ROUTES
from tests.template.stack import FUNCTIONS, function, properties


def declared_routes(name: str) -> set[str]:
    """Return a function's route keys as API Gateway has them: "GET /health", "$default"."""
    return {
        f"{route['Method']} {route['Path']}" if "Path" in route else "$default"
        for event in function(name)["Events"].values()
        if event["Type"] == "HttpApi"
        for route in [event["Properties"]]
    }


def test_one_function_takes_the_webhooks_of_every_provider_and_shopifys_own() -> None:
    assert declared_routes("webhook") == {"POST /webhooks/{provider}", "POST /webhooks/shopify"}


def test_the_page_has_the_root_and_its_files() -> None:
    assert declared_routes("dashboard") == {"GET /", "GET /page/{version}/{file}"}


def test_every_route_belongs_to_the_one_api() -> None:
    for name in ("api", "dashboard", "webhook"):
        for event in function(name)["Events"].values():
            assert event["Type"] == "HttpApi"
            assert event["Properties"]["ApiId"] == {"Ref": "HttpApi"}


def test_a_path_that_nobody_knows_gets_our_own_404() -> None:
    assert "$default" in declared_routes("api")


def test_no_other_function_is_reached_from_outside() -> None:
    assert {name for name in FUNCTIONS if declared_routes(name)} == {"api", "dashboard", "webhook"}


def test_an_embedded_app_may_call_with_its_token_from_its_own_origin() -> None:
    cors = properties("HttpApi")["CorsConfiguration"]
    assert cors["AllowOrigins"] == [{"Ref": "FrontEndOrigin"}]
    assert {"authorization", "content-type", "idempotency-key", "if-none-match", "x-shop"} <= set(
        cors["AllowHeaders"]
    )
    assert {"DELETE", "GET", "PATCH", "POST", "PUT"} <= set(cors["AllowMethods"])
    assert {"etag", "retry-after", "x-shopify-retry-invalid-session-request"} <= set(
        cors["ExposeHeaders"]
    )


def test_no_cookie_is_ever_accepted_across_origins() -> None:
    assert "AllowCredentials" not in properties("HttpApi")["CorsConfiguration"]


def test_a_runaway_client_is_bounded() -> None:
    bounds = properties("HttpApi")["DefaultRouteSettings"]
    assert 0 < bounds["ThrottlingBurstLimit"] <= 5000
    assert 0 < bounds["ThrottlingRateLimit"] <= 5000


def test_the_access_log_is_json_and_never_holds_a_query_or_a_header() -> None:
    settings = properties("HttpApi")["AccessLogSettings"]
    assert settings["DestinationArn"] == {"Fn::GetAtt": ["AccessLogs", "Arn"]}
    line = json.loads(settings["Format"])
    assert {"requestId", "route", "path", "status", "latencyMs"} <= set(line)
    assert not re.search(r"query|header|authorizer|\$context\.request\b", settings["Format"])


def test_every_route_of_the_code_is_in_the_template_and_the_reverse() -> None:
    in_code = {f"{each.method} {each.path}" for each in ROUTES}
    assert declared_routes("api") - {"$default"} == in_code
