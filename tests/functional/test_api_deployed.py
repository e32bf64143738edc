"""functions/api as it is deployed: its own wiring and settings, on an engine for AWS."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from moto import mock_aws

from shared import wiring
from shared.bodies.contract import ROUTES
from shared.bodies.route import Route
from shared.domain.tools import FactKind
from shared.gateways import shopify_http
from shared.gateways.aws import AwsClients
from shared.settings import ApiSettings
from tests.api_world import (
    ADMIN,
    CLIENT_ID,
    CLIENT_SECRET,
    Reply,
    check_documented,
    jwt,
    path_of,
    request,
)
from tests.builders import OTHER_SHOP, SHOP
from tests.fakes.table import make_table

NEW = {"toolId": "background-removal", "inputImageUrl": "https://shop.example/m.jpg"}
SECRETS = {
    "SHOPIFY": {"SHOPIFY_API_KEY": CLIENT_ID, "SHOPIFY_API_SECRET": CLIENT_SECRET},
    "ADMIN": {"ADMIN_API_KEYS": ADMIN},
    "APP": {"APP_SECRET": "an-app-secret-of-some-length"},
}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsClients]:
    with mock_aws():
        wiring.reset()
        clients = wiring.clients()
        make_table(clients.client("dynamodb"), "jobs")
        clients.client("s3").create_bucket(Bucket="outputs")
        sqs = clients.client("sqs")
        push = sqs.create_queue(QueueName="push.fifo", Attributes={"FifoQueue": "true"})
        values = {
            "TABLE_NAME": "jobs",
            "OUTPUT_BUCKET": "outputs",
            "DISPATCH_QUEUE_URL": sqs.create_queue(QueueName="dispatch")["QueueUrl"],
            "PUSH_QUEUE_URL": push["QueueUrl"],
            "BULK_QUEUE_URL": sqs.create_queue(QueueName="bulk")["QueueUrl"],
            "DELIVER_QUEUE_URL": sqs.create_queue(QueueName="deliver")["QueueUrl"],
            "NOTICE_TOPIC_PREFIX": "arn:aws:sns:us-east-1:123456789012:job-tracker-shop-",
            "WEBHOOK_FUNCTION_ARN": "arn:aws:lambda:us-east-1:123456789012:function:webhook:live",
            "SHOPIFY_API_VERSION": "2026-10",
            "SHOPIFY_BASE_URL": "https://{shop}",
            "RESULT_HOSTS": "127.0.0.1:8790",
        }
        for audience, secret in SECRETS.items():
            made = clients.client("secretsmanager").create_secret(
                Name=audience, SecretString=json.dumps(secret)
            )
            values[f"{audience}_SECRET_ID"] = made["ARN"]
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        yield clients
    wiring.reset()


def call(method: str, path: str, shop: str = SHOP, **more: Any) -> Reply:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.api.app import handler

    more["headers"] = {
        "authorization": f"Bearer {ADMIN}",
        "x-shop": shop,
        **more.get("headers", {}),
    }
    reply = Reply(handler(request(method, path, **more), LambdaContext()))
    check_documented(method, path, reply)
    return reply


def test_a_job_is_created_once_listed_cancelled_and_deleted(deployed: AwsClients) -> None:
    key = {"idempotency-key": "once"}
    body = NEW | {"parameters": {"id": 2**53 + 1, "x": 0.1}, "projectId": "p"}
    created = call("POST", "/api/jobs", json_body=body, headers=key)
    again = call("POST", "/api/jobs", json_body=body, headers=key)
    assert (created.status, again.job["id"]) == (202, created.job["id"])
    path = f"/api/jobs/{created.job['id']}"
    read = call("GET", path)
    assert read.job == created.job
    assert read.job["parameters"] == {"id": str(2**53 + 1), "x": 0.1}
    assert call("GET", path, headers={"if-none-match": read.headers["etag"]}).status == 304
    assert call("GET", path, shop=OTHER_SHOP).status == 404
    listed = call("GET", "/api/jobs", query={"projectId": "p", "status": "queued"})
    assert (listed.json["total"], listed.json["jobs"]) == (1, [created.job])
    assert call("GET", "/api/jobs/pending-count").json["total"] == 1
    assert call("POST", "/api/jobs/cancel", json_body={"jobId": created.job["id"]}).status == 200
    assert len(call("GET", f"{path}/logs").json["logs"]) == 2
    grouped = call("GET", "/api/jobs/stats", query={"days": "1", "groupBy": "tool"})
    assert grouped.json["stats"]["cancelled"] == 1
    assert [group["key"] for group in grouped.json["groups"]] == ["background-removal"]
    assert call("DELETE", path).status == 200
    assert call("GET", path).status == 404
    assert call("GET", "/api/jobs/stats").json["stats"]["total"] == 0
    queue = ApiSettings.load().dispatch_queue_url
    received = deployed.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    assert len(received["Messages"]) == 1


def test_the_deep_health_check_asks_table_queues_and_secrets(deployed: AwsClients) -> None:
    reply = call("GET", "/health", query={"deep": "1"})
    assert reply.status == 200
    assert {check["name"] for check in reply.json["checks"]} == {
        "table",
        "queue dispatch",
        "queue push",
        "queue bulk",
        "queue deliver",
        "secret admin",
        "secret app",
        "secret shopify",
    }
    deployed.client("sqs").delete_queue(QueueUrl=ApiSettings.load().push_queue_url)
    reply = call("GET", "/health", query={"deep": "1"})
    assert (reply.status, reply.json["error"]) == (503, "These do not answer: queue push.")


def test_the_first_login_exchanges_its_token_at_shopify_and_stores_it_sealed(
    deployed: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        grant = {"access_token": "shpat_x", "scope": "write_products", "expires_in": 3600}
        more = {"refresh_token": "shprt_x", "refresh_token_expires_in": 7_776_000}
        return httpx.Response(200, json=grant | more)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(shopify_http, "make_client", lambda: client)
    now = int(wiring.api_app().clock.now().timestamp())
    claims = {"iss": f"https://{SHOP}/admin", "dest": f"https://{SHOP}", "aud": CLIENT_ID}
    token = jwt(claims | {"sub": "1", "exp": now + 60, "nbf": now})
    for _ in range(2):
        reply = call("GET", "/api/jobs", shop="", headers={"authorization": f"Bearer {token}"})
        assert reply.status == 200
    assert [str(request.url) for request in asked] == [f"https://{SHOP}/admin/oauth/access_token"]
    assert token in asked[0].content.decode()
    items = deployed.client("dynamodb").scan(TableName="jobs")["Items"]
    assert len(items) == 2  # the shop, and the job that sends the pushes that waited
    assert "shpat_x" not in str(items)
    shop = wiring.api_app().shops.get_shop(SHOP)
    assert shop is not None
    assert shop.token is not None


@pytest.mark.parametrize(("endpoint", "status"), [(None, 400), ("http://127.0.0.1:4566", 202)])
@pytest.mark.usefixtures("deployed")
def test_plain_http_is_for_a_laptops_own_hosts_alone(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, status: int
) -> None:
    if endpoint:
        # The clients are made already: only what the wiring concludes is changed by it.
        for service in ("dynamodb", "sqs", "s3", "secretsmanager"):
            wiring.clients().client(service)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    body = NEW | {"inputImageUrl": "http://127.0.0.1:8790/m.jpg"}
    assert call("POST", "/api/jobs", json_body=body).status == status


@pytest.mark.parametrize(
    "route",
    [pytest.param(route, id=route.name) for route in ROUTES if route.parameters],
)
@pytest.mark.parametrize("name", ["x" * 1100, "x" * 5000])
@pytest.mark.usefixtures("deployed")
def test_a_name_that_no_key_could_hold_is_nobodys(route: Route, name: str) -> None:
    reply = call(route.method, path_of(route, name), json_body={} if route.body else None)
    assert (reply.status, reply.code) == (404, "not_found")


def test_only_who_looks_at_products_waits_for_httpx(
    deployed: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[httpx.Client] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["x-shopify-access-token"] == "shpat_custom"
        assert str(request.url) == f"https://{SHOP}/admin/api/2026-10/graphql.json"
        page = {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
        return httpx.Response(200, json={"data": {"products": page}})

    def make_client() -> httpx.Client:
        made.append(httpx.Client(transport=httpx.MockTransport(answer)))
        return made[-1]

    monkeypatch.setattr(shopify_http, "make_client", make_client)
    secrets = deployed.client("secretsmanager")
    values = SECRETS["SHOPIFY"] | {"SHOPIFY_ACCESS_TOKEN": "shpat_custom"}
    secrets.put_secret_value(SecretId="SHOPIFY", SecretString=json.dumps(values))
    assert call("GET", "/api/jobs").status == 200
    assert made == []
    for _ in range(2):
        reply = call("GET", "/api/products")
        assert (reply.status, reply.json["products"]) == (200, [])
    assert len(made) == 1


def test_templates_tools_and_files_are_put_together_too(deployed: AwsClients) -> None:
    made = call("POST", "/api/templates", json_body={"name": "T", "toolId": "t"}).json["template"]
    body = {"templateId": made["id"], "inputImageUrl": "https://shop.example/m.jpg"}
    assert call("POST", "/api/jobs", json_body=body).job["toolId"] == "t"
    store = wiring.api_app().catalog.store
    now = wiring.api_app().clock.now()
    store.put_fact("pikcel", FactKind.TOOLS, [{"tool_id": "t", "name": "The tool"}], now)
    assert call("GET", "/api/tools").json["tools"][0]["name"] == "The tool"
    exported = call("POST", "/api/jobs/export", json_body={})
    assert (exported.status, exported.job["type"]) == (202, "bulk.export")
