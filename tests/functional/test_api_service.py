"""functions/api: what is nobody's route, what is our fault, health, and the document."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.api.routes import ACTIONS
from functions.api.version import VERSION
from shared.bodies.contract import ROUTES
from shared.domain.errors import QueueUnavailableError, StoreUnavailableError
from tests.api_world import DOCUMENT, World, request, world

__all__ = ["world"]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("GET", "/api/jobs/"),
        ("PUT", "/api/jobs/x/logs"),
        ("PUT", "/api/jobs"),
        ("PUT", "/api/jobs/sync"),
        ("HEAD", "/health"),
        ("GET", "/api/jobs/a/b/c"),
        ("GET", "/webhooks/pikcel"),
        ("BREW", "/health"),
        ("GET", "/\n"),
        ("GET", ""),
    ],
)
def test_what_is_nobodys_route_is_not_found_in_our_own_shape(
    world: World, method: str, path: str
) -> None:
    reply = world.send(request(method, path))
    assert (reply.status, reply.code) == (404, "not_found")
    assert set(reply.json) == {"success", "error", "code", "requestId"}


def test_every_route_of_the_contract_has_one_action_and_the_reverse() -> None:
    names = [route.name for route in ROUTES]
    assert len(set(names)) == len(names)
    assert set(ACTIONS) == set(names)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_but_the_open_ones_wants_to_know_who_calls(world: World, route: Any) -> None:
    path = route.path.replace("{jobId}", "x")
    reply = world.call(route.method, path, key=None, body="{")
    assert reply.status == (200 if route.is_open else 401)


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_bug_of_ours_is_a_500_without_details_and_is_logged_once(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the inside of our house")

    monkeypatch.setattr(world.store, "count_active", fail)
    reply = world.get("/api/jobs/pending-count")
    assert (reply.status, reply.code) == (500, "internal_error")
    assert "house" not in reply.text
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.message for record in errors] == ["our bug"]
    assert "the inside of our house" in caplog.text
    assert "ApiFailed" in capsys.readouterr().out


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
def test_a_table_that_is_out_is_a_503_that_tells_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError("ThrottlingException at the table")

    monkeypatch.setattr(world.store, "list_jobs", fail)
    reply = world.get("/api/jobs")
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "5")
    assert "Throttling" not in reply.text
    assert "ApiUnavailable" in capsys.readouterr().out


# --- health ----------------------------------------------------------------------------


def test_anybody_may_ask_whether_the_api_answers(world: World) -> None:
    reply = world.get("/health", key=None, shop=None)
    assert (reply.status, reply.json["status"]) == (200, "ok")
    assert reply.json["version"] == VERSION


def test_the_version_is_the_projects(world: World) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_administrators_see_what_the_api_stands_on(world: World) -> None:
    reply = world.get("/health", shop=None, query={"deep": "1"})
    assert reply.status == 200
    assert {check["name"]: check["ok"] for check in reply.json["checks"]} == {
        "table": True,
        "queue dispatch": True,
        "secret app": True,
        "secret shopify": True,
    }


def test_what_does_not_answer_is_named(world: World) -> None:
    world.broken_queues["dispatch"] = QueueUnavailableError("It does not answer.")
    world.secrets.values["shopify", "SHOPIFY_API_SECRET"] = ""
    reply = world.get("/health", shop=None, query={"deep": "1"})
    assert (reply.status, reply.code) == (503, "unavailable")
    failed = [check["name"] for check in reply.json["details"] if not check["ok"]]
    assert failed == ["queue dispatch", "secret shopify"]
    assert reply.json["requestId"]


def test_a_secret_that_nobody_has_set_yet_is_named(world: World) -> None:
    world.secrets.values["shopify", "SHOPIFY_API_SECRET"] = "change-me"
    reply = world.get("/health", shop=None, query={"deep": "1"})
    (failed,) = [check for check in reply.json["details"] if not check["ok"]]
    assert (failed["name"], failed["reason"]) == (
        "secret shopify",
        "SHOPIFY_API_SECRET is a placeholder.",
    )
    assert "change-me" not in reply.text


def test_nobody_else_looks_that_deep(world: World) -> None:
    deep = {"deep": "1"}
    assert world.get("/health", key=None, shop=None, query=deep).status == 401
    assert world.get("/health", key=world.id_token(), shop=None, query=deep).status == 403


# --- the document ----------------------------------------------------------------------


def test_the_document_is_served_to_anybody_and_is_valid(world: World) -> None:
    reply = world.get("/openapi.json", key=None, shop=None)
    assert reply.json == DOCUMENT
    OpenAPIV31SpecValidator(reply.json).validate()


def test_the_document_tells_of_every_route_and_no_other() -> None:
    told = {
        (method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert told == {(route.method, route.path) for route in ROUTES}


def test_the_document_names_every_field_that_may_be_sent() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    body = schemas["CreateBody"]
    assert body["additionalProperties"] is False
    assert {"toolId", "inputImageUrl", "pikcelJobId", "scheduledAt"} <= set(body["properties"])
    listed = DOCUMENT["paths"]["/api/jobs"]["get"]["parameters"]
    assert {"status", "from", "to", "q", "ids", "sort", "limit", "cursor"} <= {
        parameter["name"] for parameter in listed
    }
