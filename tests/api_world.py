"""functions/api with everything around it in memory, and requests as API Gateway sends them."""

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from openapi_schema_validator import OAS31Validator

from functions.api.app import handler
from functions.api.version import VERSION
from local.shopify_simulator import Simulator
from shared import wiring
from shared.bodies.contract import ROUTES
from shared.bodies.openapi import document
from shared.bodies.route import Route
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.tools import Account, FactKind, Tool, account_value, tools_value
from shared.gateways.shopify import ShopifyAdmins
from shared.providers.registry import ADAPTERS
from shared.usecases.identify_caller import Doors
from shared.usecases.install_shop import ShopInstaller
from shared.usecases.key_ring import KeyRing
from shared.usecases.list_products import Storefront
from shared.usecases.manage_endpoints import EndpointDesk
from shared.usecases.provider_catalog import Catalog
from shared.usecases.run_bulk import BulkLane
from shared.usecases.shop_access import ShopAccess
from shared.usecases.tracker import Tracker
from tests.builders import SHOP
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.memory import InMemoryJobStore, InMemoryShopStore, InMemoryWorkStore
from tests.fakes.memory_endpoints import InMemoryEndpointStore
from tests.fakes.memory_erasures import InMemoryErasures
from tests.fakes.memory_facts import InMemoryFactStore
from tests.fakes.memory_keys import InMemoryKeyStore, InMemoryReceipts
from tests.fakes.memory_quarantine import InMemoryQuarantine, InMemorySecretMatches
from tests.fakes.memory_templates import InMemoryTemplateStore
from tests.fakes.notices import FakeLetters
from tests.fakes.outbox import FakeOutbox
from tests.fakes.randomness import FakeRandomness
from tests.fakes.secrets import FakeSecrets
from tests.fakes.tokens import FakeBox, FakeTokens
from tests.fakes.uploads import FakeUploads
from tests.fakes.verifier import FakeVerifier

EVENTS = Path(__file__).parents[1] / "events"
ADMIN = "admin-key-1"
CLIENT_ID, CLIENT_SECRET = "client-id", "client-secret"
SHOPIFY_URL = "http://127.0.0.1:8790"

DOCUMENT = document(ROUTES, VERSION)


class OtherChance(FakeRandomness):
    """Makes other ids than the builders, which count up from nothing too."""

    def token_bytes(self, count: int) -> bytes:
        return b"\xff" + super().token_bytes(count)[1:]


class Reply:
    """An answer: status, headers, and the JSON in it (None if there is no body)."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        self.status: int = response["statusCode"]
        self.headers: dict[str, str] = dict(response["headers"])
        self.text: str = response["body"]
        is_json = self.text and "json" in self.headers.get("content-type", "")
        self.json: Any = json.loads(self.text) if is_json else None
        # As Lambda sends it: at most 6 MB (6,291,556 bytes), the body as a JSON string in it.
        self.sent_bytes = len(json.dumps(dict(response), ensure_ascii=False).encode())

    @property
    def job(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["job"]
        return found

    @property
    def code(self) -> str:
        return str(self.json["code"])


class World:
    """The function and its surroundings. `call` checks every answer against the document."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = InMemoryJobStore(self.clock)
        self.shops = InMemoryShopStore()
        self.works = InMemoryWorkStore()
        self.templates = InMemoryTemplateStore(self.clock)
        self.outbox = FakeOutbox()
        self.files = FakeFiles()
        self.uploads = FakeUploads(self.files)
        self.secrets = FakeSecrets()
        self.tokens = FakeTokens()
        self.letters = FakeLetters()
        self.plain_hosts: set[str] = set()
        self.broken_queues: dict[str, Exception] = {}
        self.facts = InMemoryFactStore()
        self.catalog = Catalog(store=self.facts, outbox=self.outbox, clock=self.clock)
        self.tracker = Tracker(
            store=self.store,
            outbox=self.outbox,
            clock=self.clock,
            random=OtherChance(),
            adapters=ADAPTERS,
            secrets=self.secrets,
            shops=self.shops,
            catalog=self.catalog,
        )
        self.keys = InMemoryKeyStore(self.clock)
        self.erasures = InMemoryErasures(self.store, self.shops, self.works, self.keys)
        self.receipts = InMemoryReceipts(self.clock)
        self.doors = Doors(
            secrets=self.secrets,
            clock=self.clock,
            ring=KeyRing(store=self.keys, clock=self.clock),
        )
        self.quarantine = InMemoryQuarantine()
        self.matches = InMemorySecretMatches()
        self.verifier = FakeVerifier()
        self.installer = ShopInstaller(
            shops=self.shops,
            tokens=self.tokens,
            box=FakeBox(),
            tracker=self.tracker,
            secrets=self.secrets,
            clock=self.clock,
        )

        self.shopify = Simulator(SHOPIFY_URL, clock=lambda: self.clock.now().timestamp())
        http = httpx.Client(transport=self.shopify.transport())
        self.storefront = Storefront(
            access=ShopAccess(
                shops=self.shops,
                tokens=self.tokens,
                box=self.installer.box,
                secrets=self.secrets,
                clock=self.clock,
            ),
            admins=ShopifyAdmins(http, SHOPIFY_URL + "/{shop}", "2026-10", self.clock),
        )
        self.endpoints = InMemoryEndpointStore(self.clock)
        self.desk = EndpointDesk(
            endpoints=self.endpoints,
            outbox=self.outbox,
            box=FakeBox(),
            clock=self.clock,
            random=self.tracker.random,
            new_id=lambda: self.tracker.new_id(self.clock.now()),
            is_allowed_http=self.plain_hosts.__contains__,
        )

    def app(self) -> wiring.ApiApp:
        return wiring.ApiApp(
            tracker=self.tracker,
            shops=self.shops,
            keys=self.keys,
            doors=self.doors,
            receipts=self.receipts,
            box=self.installer.box,
            works=self.works,
            erasures=self.erasures,
            templates=self.templates,
            catalog=self.catalog,
            storefront=self.storefront,
            desk=self.desk,
            letters=self.letters,
            files=self.files,
            secrets=self.secrets,
            clock=self.clock,
            installer=self.installer,
            quarantine=self.quarantine,
            matches=self.matches,
            verifier=self.verifier,
            is_allowed_http=self.plain_hosts.__contains__,
            needed_secrets={"app": "APP_SECRET", "shopify": "SHOPIFY_API_SECRET"},
            queue_checks={"dispatch": lambda: self._check("dispatch")},
        )

    def provider_said(self, *, balance: float | None = None, **prices: float) -> None:
        """Let PikcelAI have told just now what its tools cost (names with `_` for `-`), and what
        is left of our account."""
        now, named = self.clock.now(), {name.replace("_", "-"): n for name, n in prices.items()}
        tools = {
            name: Tool(tool_id=name, name=name.title(), credits=price)
            for name, price in named.items()
        }
        if tools:
            self.facts.put_fact("pikcel", FactKind.TOOLS, tools_value(tools), now)
        if balance is not None:
            value = account_value(Account(balance=balance, plan="professional"))
            self.facts.put_fact("pikcel", FactKind.ACCOUNT, value, now)
        self.catalog.remembered.clear()

    def bulk_lane(self) -> BulkLane:
        """What functions/bulk works with, around the same table and bucket."""
        return BulkLane(
            tracker=self.tracker,
            works=self.works,
            shops=self.shops,
            files=self.files,
            uploads=self.uploads,
        )

    def _check(self, queue: str) -> None:
        if queue in self.broken_queues:
            raise self.broken_queues[queue]

    def has(self, *jobs: Job) -> Job:
        """Store jobs; returns the last one."""
        return [self.store.create(job) for job in jobs][-1]

    def job(self, job_id: str, shop: str = SHOP) -> Job:
        return self.store.get(JobRef(shop, job_id))

    def send(self, event: dict[str, Any]) -> Reply:
        """Send an event as it is."""
        return Reply(handler(event, LambdaContext()))

    def call(
        self,
        method: str,
        path: str,
        *,
        shop: str | None = SHOP,
        key: str | None = ADMIN,
        **more: Any,
    ) -> Reply:
        """Call as an administrator for a shop; see `request` for `more`."""
        headers = {"x-shop": shop} if shop else {}
        if key:
            headers["authorization"] = f"Bearer {key}"
        more["headers"] = headers | more.get("headers", {})
        reply = self.send(request(method, path, **more))
        check_documented(method, path, reply)
        return reply

    def get(self, path: str, **more: Any) -> Reply:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Reply:
        return self.call("POST", path, json_body=body, **more)

    def lose_answers(self) -> None:
        """Have it as if we had died, a minute ago, before any answer was kept."""
        self.receipts._found.clear()

    def id_token(self, **claims: Any) -> str:
        """Return a genuine ID token of SHOP, changed by claims (None: left out)."""
        now = int(self.clock.now().timestamp())
        shop = claims.pop("shop", SHOP)
        values = {
            "iss": f"https://{shop}/admin",
            "dest": f"https://{shop}",
            "aud": CLIENT_ID,
            "sub": "42",
            "exp": now + 60,
            "nbf": now,
            "iat": now,
            "jti": "j",
            "sid": "s",
        } | claims
        return jwt({name: value for name, value in values.items() if value is not None})


def jwt(
    claims: Any, secret: str = CLIENT_SECRET, header: Any = None, method: str = "sha256"
) -> str:
    """Make a JWT by hand, as wrong as a test wants it."""
    head = {"alg": "HS256"} if header is None else header
    parts = [b64(json.dumps(part).encode()) for part in (head, claims)]
    signed = ".".join(parts)
    mac = hmac.new(secret.encode(), signed.encode(), method).digest()
    return f"{signed}.{b64(mac)}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@cache
def _sample() -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / "api_list_jobs.json").read_text())
    return event


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def request(
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    raw_query: str | None = None,
    headers: Mapping[str, str] | None = None,
    json_body: Any = None,
    body: str | None = None,
    is_base64: bool = False,
) -> dict[str, Any]:
    """Make an event as API Gateway does."""
    event = copy.deepcopy(_sample())
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    event["routeKey"] = event["requestContext"]["routeKey"] = f"{method} {path}"
    event["rawQueryString"] = raw_query if raw_query is not None else urlencode(query or {})
    event.pop("queryStringParameters")
    event["headers"] = {"host": "api.example", **(headers or {})}
    if json_body is not None:
        body = json.dumps(json_body)
        event["headers"].setdefault("content-type", "application/json")
    if body is not None:
        event["body"] = body
    event["isBase64Encoded"] = is_base64
    return event


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that was logged, extra fields included."""
    return "\n".join(str(vars(record)) for record in caplog.records)


def path_of(route: Route, value: str, **named: str) -> str:
    """Return a route's path with every parameter filled in: with its own value, or with `value`."""
    return "/".join(
        named.get(part[1:-1], value) if part.startswith("{") else part
        for part in route.path.split("/")
    )


def template_path(method: str, path: str) -> str | None:
    """Return the declared path that a request's path belongs to."""
    parts = path.split("/")
    for route in ROUTES:
        declared = route.path.split("/")
        if route.method == method and len(declared) == len(parts):
            pairs = zip(declared, parts, strict=True)
            if all(d == p or d.startswith("{") for d, p in pairs):
                return route.path
    return None


def check_documented(method: str, path: str, reply: Reply) -> None:
    """Assert that the answer is one that the OpenAPI document tells of."""
    declared = template_path(method, path)
    if declared is None:
        assert reply.status == 404
        _validator("#/components/schemas/ErrorAnswer").validate(reply.json)
        return
    responses = DOCUMENT["paths"][declared][method.lower()]["responses"]
    assert str(reply.status) in responses, f"{method} {declared} answers {reply.status}"
    content = responses[str(reply.status)].get("content")
    if content is None:
        assert reply.text == ""
    elif "text/csv" in content:
        assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    else:
        _validator(content["application/json"]["schema"]["$ref"]).validate(reply.json)


@cache
def _validator(reference: str) -> OAS31Validator:
    schema = {"$ref": reference, "components": DOCUMENT["components"]}
    return OAS31Validator(schema)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(wiring, "api_app", made.app)
    return made
