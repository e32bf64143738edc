"""The whole product in one process: real functions, real wiring, both simulators, one clock.

What Lambda, SQS, EventBridge and API Gateway do is done here by hand: messages come at least
once and again after their visibility timeout, the sweep runs every minute, the provider sends a
webhook again until it is acknowledged, and a caller repeats a request that was not answered.
"""

import asyncio
import importlib
import json
import random
import ssl
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import httpx
import pytest
import urllib3
from botocore.exceptions import ClientError
from moto import mock_aws

import shared.gateways.downloads
import shared.gateways.dynamo_endpoints
import shared.gateways.dynamo_erasures
import shared.gateways.dynamo_facts
import shared.gateways.dynamo_keys
import shared.gateways.dynamo_limiter
import shared.gateways.dynamo_matches
import shared.gateways.dynamo_paces
import shared.gateways.dynamo_quarantine
import shared.gateways.dynamo_receipts
import shared.gateways.dynamo_templates
import shared.gateways.dynamo_works
import shared.gateways.key_sets
import shared.gateways.provider_http
import shared.gateways.shopify_http
from local.pikcel_simulator.app import create_app
from local.pikcel_simulator.config import DEVELOPMENT_KEY, DEVELOPMENT_SECRET, Config
from local.pikcel_simulator.service import Simulator as Pikcel
from local.provider_simulator.clock import ManualClock
from local.provider_simulator.editing import Edited, edit
from local.provider_simulator.jobs import JobRecord
from local.shopify_simulator import Simulator as Shopify
from local.shopify_simulator.simulator_state import DEFAULT_STATIC_TOKEN
from local.shopify_simulator.webhooks import Answer as Taken
from shared import wiring
from shared.domain.errors import NotFoundError, RetryableError
from shared.domain.ids import JobRef, instant
from shared.domain.job import Job
from shared.domain.statistics import Scope, Tally, contribution, scopes
from shared.gateways.aws import AwsClients
from shared.gateways.dynamo_items import read_job
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.store_rules import answered_now
from shared.usecases import expand_batch, run_bulk
from shared.usecases.ports import JobStore
from tests.fakes.memory import (
    InMemoryJobStore,
    InMemoryLimiter,
    InMemoryPaces,
    InMemoryShopStore,
    InMemoryWorkStore,
)
from tests.fakes.memory_endpoints import InMemoryEndpointStore
from tests.fakes.memory_erasures import InMemoryErasures
from tests.fakes.memory_facts import InMemoryFactStore
from tests.fakes.memory_keys import InMemoryKeyStore, InMemoryReceipts
from tests.fakes.memory_quarantine import InMemoryQuarantine, InMemorySecretMatches
from tests.fakes.memory_templates import InMemoryTemplateStore
from tests.fakes.randomness import FakeRandomness
from tests.fakes.table import dynamo_client, embedded_client, embedded_items, make_table
from tests.local.pikcel_world import small_photo
from tests.whole.calls import (
    NOTHING_CAN_FAIL,
    Fault,
    Killed,
    Probe,
    ProbedClient,
    ProbedPort,
    ProbedTransport,
)
from tests.whole.elsewhere import KeyPool, environment_of, open_provider, secrets_of
from tests.whole.leaks import eavesdropping, values_of
from tests.whole.network import ProviderLine, ResultNetwork, let_everything_run
from tests.whole.queues import Queue, QueueService, queue_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SHOP, OTHER_SHOP = "mugs.myshopify.com", "lamps.myshopify.com"
ADMIN_KEY = "admin-key-0123456789"
INPUT = "https://shop.test/cactus.jpg"
TABLE, BUCKET = "jobs", "outputs"
PUBLIC_URL = "https://hooks.test"
PIKCEL_URL, SHOPIFY_URL = "http://pikcel.test", "http://shopify.test"
# Of a caller who wants it done (a call that died bars its repetition for a minute), of a run
# that does not come to rest.
PATIENCE_TRIES = 150
LONGEST = timedelta(hours=6)
EVERY_MINUTE = timedelta(minutes=1)

# Where the jobs are: on moto's table (with its other services too), on ministack's table in this
# process, or in the stores in memory. The last two are fast.
type Engine = Literal["table", "embedded", "memory"]

WORKER_SECRET = "whsec_YSBwcm9ncmFtIG9mIHRoZSBzaG9wJ3Mgb3du"
CLIENT_ID, CLIENT_SECRET = "client-id", "client-secret-0123456789-0123456789"

_SECRETS = {
    "signing-secret": {
        "PIKCEL_WEBHOOK_SECRET": DEVELOPMENT_SECRET,
        "SHOPIFY_API_SECRET": CLIENT_SECRET,
        "WORKER_WEBHOOK_SECRET": WORKER_SECRET,
    },
    "providers-secret": {"PIKCEL_API_KEY": DEVELOPMENT_KEY},
    "shopify-secret": {
        "SHOPIFY_API_KEY": CLIENT_ID,
        "SHOPIFY_API_SECRET": CLIENT_SECRET,
        "SHOPIFY_ACCESS_TOKEN": DEFAULT_STATIC_TOKEN,
    },
    "admin-secret": {"ADMIN_API_KEYS": ADMIN_KEY},
    "app-secret": {"APP_SECRET": "app-secret-0123456789-0123456789"},
}


class WorldClock:
    """The simulator's clock as our functions see it: whole milliseconds, and others go on
    while somebody waits."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def now(self) -> datetime:
        """Return the present instant."""
        now = self._world.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def sleep(self, seconds: float) -> None:
        """Let the world go on for that long."""
        self._world.run_for(seconds)


class OthersClock:
    """The clock of somebody else, which is off, and may be set."""

    def __init__(self, clock: ManualClock, off: timedelta) -> None:
        self._clock = clock
        self.off = off

    def now(self) -> datetime:
        """Return what that clock shows."""
        return self._clock.now() + self.off

    async def sleep(self, seconds: float) -> None:
        """Wait: that takes as long on any clock."""
        await self._clock.sleep(seconds)


class _Secrets:
    """A botocore client of Secrets Manager."""

    def __init__(self) -> None:
        self.values = dict(_SECRETS)

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - AWS's name
        return {"SecretString": json.dumps(self.values[SecretId])}

    def put_secret_value(self, SecretId: str, SecretString: str) -> None:  # noqa: N803
        self.values[SecretId] = json.loads(SecretString)


class _Topics:
    """A botocore client of SNS in which no shop has a topic."""

    def delete_topic(self, **_request: Any) -> dict[str, Any]:
        return {}


class _Functions:
    """A botocore client of Lambda: another function runs while the caller waits for it."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        answer = self._world.invoke(FunctionName, json.loads(Payload))
        said = json.dumps({"errorMessage": "no answer"} if answer is None else answer).encode()
        failed = {"FunctionError": "Unhandled"} if answer is None else {}
        return {"Payload": SimpleNamespace(read=lambda: said), **failed}


class _Bus:
    """A botocore client of EventBridge. told: every entry that was put."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def put_events(self, **request: Any) -> dict[str, Any]:
        self.told += request["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{} for _ in request["Entries"]]}


class _Bucket:
    """A botocore client of S3 with one bucket in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, **request: Any) -> dict[str, Any]:
        self.objects[request["Key"]] = bytes(request["Body"])
        return {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "None."}}, "GetObject")
        body = self.objects[request["Key"]]
        return {"Body": SimpleNamespace(read=lambda: body)}

    def list_object_versions(self, **request: Any) -> dict[str, Any]:
        keys = [key for key in sorted(self.objects) if key.startswith(request["Prefix"])]
        found = [{"Key": key, "VersionId": "null"} for key in keys[: request["MaxKeys"]]]
        return {"Versions": found}

    def list_multipart_uploads(self, **_request: Any) -> dict[str, Any]:
        return {}

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        found = [key for key in sorted(self.objects) if key.startswith(request["Prefix"])]
        return {"Contents": [{"Key": key} for key in found], "IsTruncated": False}

    def delete_objects(self, **request: Any) -> dict[str, Any]:
        for each in request["Delete"]["Objects"]:
            self.objects.pop(each["Key"], None)
        return {}

    def generate_presigned_url(self, *_: Any, **request: Any) -> str:
        return f"https://bucket.test/{request['Params']['Key']}"


@cache
def _aws() -> AwsClients:
    """Return clients for moto, made once: their state goes with each `mock_aws`."""
    return AwsClients()


@cache
def _no_certificates() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


_table_client = cache(dynamo_client)
_embedded_client = cache(embedded_client)


@cache
def _edited(tool_id: str, data: bytes) -> Edited:
    return edit(tool_id, data)


async def _edit_at_once(tool_id: str, data: bytes) -> Edited:
    return _edited(tool_id, data)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said: `body` is its JSON (empty if it is none), `text` what came."""

    status: int
    body: dict[str, Any]
    text: str

    @property
    def is_answered_elsewhere(self) -> bool:
        """Whether the same call, by its Idempotency-Key, is being answered at this moment."""
        return self.status == 409 and self.body["error"] == answered_now().message

    @property
    def job_id(self) -> str:
        """The id of the job in the answer."""
        assert self.status < 300, self
        found: str = self.body["job"]["id"]
        return found


class World:
    """Everything between a merchant's click and the product's image."""

    def __init__(
        self,
        stack: ExitStack,
        engine: Engine = "memory",
        *,
        faults: Mapping[int, Fault] | None = None,
        links: int = 1,
        chunk: int | None = None,
        has_own_token: bool = True,
        start: datetime = START,
        others_off: timedelta = timedelta(0),
        elsewhere: str | None = None,
        **provider: Any,
    ) -> None:
        """Put it together.

        Parameters: `faults` by the number of the call; `links` is how many result images the
        provider gives (the simulator itself gives one); `chunk` is how many jobs a message of
        bulk work sees to; `has_own_token`: the app is one merchant's own, and needs no login to
        be installed; `start` is what time it is; `others_off`: how much later it is on the
        clocks of PikcelAI and Shopify; `elsewhere` names another provider that is there besides
        PikcelAI; `provider` are settings of their simulators.
        """
        self._engine = engine
        self.probe = Probe(faults or {})
        self.clock = ManualClock(start)
        self.our_clock = WorldClock(self)
        self.random = FakeRandomness()
        self.bugs: list[Exception] = []
        self.products: list[str] = []
        # Held: webhooks, messages and sweeps wait until the test delivers them.
        self.is_held = False
        self.letters: list[httpx.Request] = []
        # Every webhook that was ever sent, for those who send it again.
        self.sent: list[httpx.Request] = []
        # Those of PikcelAI that were acknowledged: its id of the job → the events.
        self.acknowledged: defaultdict[str, set[str]] = defaultdict(set)
        self._dynamo: DynamoDBClient | None = None
        self.failed_runs: list[str] = []
        self.dispatch = queue_of("DispatchQueue", "dispatch", batch_size=1)
        self.push = queue_of("PushQueue", "push", batch_size=10)
        self.bulk = queue_of("BulkQueue", "bulk", batch_size=1)
        self.queues: dict[str, Queue] = {
            queue.name.partition(".")[0]: queue for queue in (self.dispatch, self.push, self.bulk)
        }
        self._keys = count(1)
        self._swept_at = start
        self._seen_at: int | None = None
        self._jobs: list[Job] = []
        self._loop = asyncio.new_event_loop()
        stack.callback(self._loop.close)
        self._elsewhere = elsewhere
        self.others = OthersClock(self.clock, others_off)
        self._start_simulators(stack, self.others, provider)
        self._give_links(links)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        self.store = self._open_store(stack, patch, engine)
        self._wire(patch, engine)
        self._standard = _secrets(has_own_token=has_own_token, elsewhere=elsewhere)
        self._fill_secrets()
        self.ear = stack.enter_context(eavesdropping(values_of(self._standard)))
        if chunk is not None:
            patch.setattr(run_bulk, "PAGE", chunk)
            patch.setattr(run_bulk, "CHUNK", chunk)
            patch.setattr(expand_batch, "CHUNK", chunk)
        stack.callback(wiring.reset)
        wiring.reset()

    # --- putting it together -----------------------------------------------------------

    def _start_simulators(
        self, stack: ExitStack, others: OthersClock, settings: dict[str, Any]
    ) -> None:
        chosen = {"pending_s": 1, "processing_min_s": 10, "processing_max_s": 10} | settings
        outside: dict[str, Any] = {
            "clock": others,
            "rng": random.Random(7),
            "client": httpx.AsyncClient(transport=httpx.MockTransport(self._outside)),
            "editor": _edit_at_once,
        }
        self.pikcel = Pikcel(Config.model_validate(chosen), **outside)
        self.books = {"pikcel": self.pikcel.book}
        stack.callback(lambda: self._loop.run_until_complete(self.pikcel.close()))
        self.line = ProviderLine(self._loop, httpx.ASGITransport(create_app(self.pikcel)))
        self._lines = {"pikcel.test": self.line}
        if self._elsewhere is not None:
            other, app = open_provider(self._elsewhere, chosen, f"{PUBLIC_URL}/webhooks", **outside)
            stack.callback(lambda: self._loop.run_until_complete(other.background.stop()))
            self.books[self._elsewhere] = other.book
            line = ProviderLine(self._loop, httpx.ASGITransport(app))
            self._lines[f"{self._elsewhere}.test"] = line
        self.shopify = Shopify(
            SHOPIFY_URL,
            clock=lambda: others.now().timestamp(),
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            webhook_url=f"{PUBLIC_URL}/webhooks/shopify",
            deliver=self._take_from_shopify,
        )
        self.merchant = httpx.Client(transport=self.shopify.transport(), base_url=SHOPIFY_URL)
        stack.callback(self.merchant.close)

    def _send_to_provider(self, request: httpx.Request) -> httpx.Response:
        return self._lines[request.url.host].send(request)

    def _give_links(self, number: int) -> None:
        """Have the provider give the same image several times, as one that makes variants."""
        book = self.pikcel.book
        give_one = book.link

        def give(job: JobRecord, output: Edited, now: datetime, lifetime_s: float) -> None:
            given = []
            for _ in range(number):
                give_one(job, output, now, lifetime_s)
                given.append(job.output_image_url)
            job.output_image_url = given  # type: ignore[assignment]  # the adapter reads lists

        if number > 1:
            book.link = give  # type: ignore[method-assign]

    def _open_store(self, stack: ExitStack, patch: pytest.MonkeyPatch, engine: Engine) -> JobStore:
        """Return the store as the test looks into it, unwatched."""
        if engine == "table":
            stack.enter_context(mock_aws())
            self._dynamo = client = _table_client()
            make_table(client, TABLE)
            return DynamoJobStore(client, TABLE, clock=self.our_clock, random=FakeRandomness())
        if engine == "embedded":
            self._dynamo = client = _embedded_client()
            make_table(client, TABLE)
            stack.callback(lambda: client.delete_table(TableName=TABLE))
            return DynamoJobStore(client, TABLE, clock=self.our_clock, random=FakeRandomness())
        store, shops = InMemoryJobStore(self.our_clock), InMemoryShopStore()
        works, keys = InMemoryWorkStore(), InMemoryKeyStore(self.our_clock)
        erasures = InMemoryErasures(store, shops, works, keys)
        self._in_memory = (store, shops, works, keys)
        gateways = shared.gateways
        for module, name, port in (
            (wiring, "DynamoJobStore", store),
            (wiring, "DynamoShopStore", shops),
            (
                gateways.dynamo_endpoints,
                "DynamoEndpointStore",
                InMemoryEndpointStore(self.our_clock),
            ),
            (gateways.dynamo_limiter, "DynamoLimiter", InMemoryLimiter()),
            (gateways.dynamo_paces, "DynamoPaces", InMemoryPaces()),
            (gateways.dynamo_facts, "DynamoFactStore", InMemoryFactStore()),
            (gateways.dynamo_works, "DynamoWorkStore", works),
            (gateways.dynamo_erasures, "DynamoErasures", erasures),
            (gateways.dynamo_keys, "DynamoKeyStore", keys),
            (
                gateways.dynamo_templates,
                "DynamoTemplateStore",
                InMemoryTemplateStore(self.our_clock),
            ),
            (gateways.dynamo_receipts, "DynamoReceipts", InMemoryReceipts(self.our_clock)),
            (gateways.dynamo_quarantine, "DynamoQuarantine", InMemoryQuarantine()),
            (gateways.dynamo_matches, "DynamoSecretMatches", InMemorySecretMatches()),
        ):
            role = name.removeprefix("Dynamo").removesuffix("Store").lower()
            probed = ProbedPort(self.probe, role, port)
            patch.setattr(module, name, lambda *_, port=probed, **__: port)
        return store

    def _wire(self, patch: pytest.MonkeyPatch, engine: Engine) -> None:
        """Put our own edges under the product's wiring, and nothing else."""
        self._bus = _Bus()
        made: dict[str, Any] = {
            "sqs": QueueService(list(self.queues.values()), self.our_clock.now),
            "secretsmanager": _Secrets(),
            "s3": _Bucket(),
            "sns": _Topics(),
            "lambda": _Functions(self),
            "events": self._bus,
            "dynamodb": self._dynamo,
        }
        if engine == "table":
            made |= self._moto_clients()
        self._bucket, self._secrets = made["s3"], made["secretsmanager"]
        # After the clients are made: one of these says that AWS is on this machine.
        for name, value in self._environment().items():
            patch.setenv(name, value)
        probed = {name: ProbedClient(self.probe, name, each) for name, each in made.items()}
        clients = SimpleNamespace(client=probed.__getitem__)
        patch.setattr(wiring, "clients", cache(lambda: clients))
        patch.setattr(wiring, "SystemClock", lambda: self.our_clock)
        patch.setattr(wiring, "SystemRandomness", lambda: self.random)
        provider_client = shared.gateways.provider_http.provider_client
        self.provider_transport = ProbedTransport(
            self.probe, self._send_to_provider, _provider_call
        )
        patch.setattr(
            shared.gateways.provider_http,
            "provider_client",
            lambda: provider_client(self.provider_transport),
        )
        pool = KeyPool(self.probe)
        patch.setattr(
            shared.gateways.key_sets,
            "urllib3",
            SimpleNamespace(PoolManager=lambda: pool, exceptions=urllib3.exceptions),
        )
        to_shopify = ProbedTransport(
            self.probe, self.shopify.transport().handle_request, _shopify_call
        )
        patch.setattr(
            shared.gateways.shopify_http, "make_client", lambda: httpx.Client(transport=to_shopify)
        )
        # Reading the machine's certificates takes a tenth of a second, and nobody needs them here.
        patch.setattr(
            shared.gateways.downloads,
            "ssl",
            SimpleNamespace(create_default_context=_no_certificates),
        )
        downloads = shared.gateways.downloads.GuardedDownloads
        network = ResultNetwork(self.probe, self._send_to_provider)
        patch.setattr(
            shared.gateways.downloads,
            "GuardedDownloads",
            lambda clock, **hosts: downloads(
                clock, **hosts, backend=network, resolver=lambda *_: ["127.0.0.1"]
            ),
        )

    @staticmethod
    def _moto_clients() -> dict[str, Any]:
        manager, bucket = _aws().client("secretsmanager"), _aws().client("s3")
        for name, values in _SECRETS.items():
            manager.create_secret(Name=name, SecretString=json.dumps(values))
        bucket.create_bucket(Bucket=BUCKET)
        return {"secretsmanager": manager, "s3": bucket}

    def _environment(self) -> dict[str, str]:
        there = {} if self._elsewhere is None else environment_of(self._elsewhere)
        return there | {
            "POWERTOOLS_METRICS_NAMESPACE": "JobTracker",
            "POWERTOOLS_SERVICE_NAME": "whole",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "TABLE_NAME": TABLE,
            "OUTPUT_BUCKET": BUCKET,
            "DISPATCH_QUEUE_URL": self.dispatch.url,
            "PUSH_QUEUE_URL": self.push.url,
            "BULK_QUEUE_URL": self.bulk.url,
            # Nobody listens in these stories: what is told of a job has tests of its own.
            "DELIVER_QUEUE_URL": "https://sqs.test/deliver",
            "EVENT_BUS_NAME": "notices",
            "NOTICE_TOPIC_PREFIX": "arn:aws:sns:us-east-1:123456789012:job-tracker-shop-",
            "PUBLIC_URL": PUBLIC_URL,
            "PIKCEL_API_URL": PIKCEL_URL,
            "SHOPIFY_API_VERSION": "2026-10",
            "SHOPIFY_BASE_URL": SHOPIFY_URL + "/{shop}",
            "RESULT_HOSTS": ",".join(self._lines),
            # A laptop: the simulator's results come over plain http.
            "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
            "SIGNING_SECRET_ID": "signing-secret",
            "PROVIDERS_SECRET_ID": "providers-secret",
            "SHOPIFY_SECRET_ID": "shopify-secret",
            "ADMIN_SECRET_ID": "admin-secret",
            "APP_SECRET_ID": "app-secret",
            "WEBHOOK_FUNCTION_ARN": "webhook",
            "LOG_RETENTION_DAYS": "30",
        }

    # --- functions -----------------------------------------------------------------------

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Run a function once; None when it ended without an answer."""
        handler: Callable[[Any, Any], Any] = importlib.import_module(
            f"functions.{function}.app"
        ).handler
        with self.probe.invocation(function, event):
            try:
                answer = handler(event, _CONTEXT)
                # The last moment: it is done, but nobody hears of it.
                self.probe.call("(its own answer)", lambda: None, NOTHING_CAN_FAIL)
            except Killed:
                # The process is gone, and with it whatever it remembered.
                wiring.reset()
                return None
            except RetryableError as error:
                self.failed_runs.append(f"{function}: {error.code}")
                return None
            except Exception as error:  # noqa: BLE001 - reported by the test
                self.bugs.append(error)
                return None
        return answer

    async def _outside(self, request: httpx.Request) -> httpx.Response:
        """Be the internet that PikcelAI sees: the shop's photo, and our webhooks."""
        await asyncio.sleep(0)
        if request.url.host in ("shop.test", "cdn.shopify.com"):
            return httpx.Response(200, content=small_photo())
        self.sent.append(request)
        if self.is_held:
            self.letters.append(request)
            raise httpx.ReadError("no answer", request=request)
        answer = self.post_webhook(request)
        if answer is None:
            raise httpx.ReadError("no answer", request=request)
        return httpx.Response(answer["statusCode"], text=answer["body"])

    def post_webhook(self, request: httpx.Request) -> dict[str, Any] | None:
        """Deliver a webhook once; None when it was not answered."""
        answer: dict[str, Any] | None = self.invoke("webhook", _webhook_event(request))
        if answer is not None and answer["statusCode"] == 200:
            self._note_acknowledged(request)
        return answer

    def _note_acknowledged(self, request: httpx.Request) -> None:
        if not request.url.path.endswith("/pikcel"):
            return
        told = json.loads(request.content)
        # Its two forms: `{event, job: {id}}`, and the flat `{jobId, status}`.
        if "job" in told:
            self.acknowledged[told["job"]["id"]].add(told["event"])
        else:
            self.acknowledged[told["jobId"]].add(told["status"])

    def _take_from_shopify(self, url: str, headers: Mapping[str, str], body: bytes) -> Taken:
        """Deliver one of Shopify's own webhooks once."""
        answer = self.post_webhook(httpx.Request("POST", url, headers=headers, content=body))
        return Taken(None, "") if answer is None else Taken(answer["statusCode"], answer["body"])

    def hear_from_shopify(self, topic: str, shop: str = SHOP) -> dict[str, Any]:
        """Have Shopify tell of a shop until it is acknowledged; returns the last answer."""
        told: dict[str, Any] = {"shop": shop, "topic": topic, "at": self.clock.now().timestamp()}
        for _ in range(PATIENCE_TRIES):
            shown = self.merchant.post("/_simulator/webhooks", json=told).json()
            if shown["status"] is not None and shown["status"] < 500:
                found: dict[str, Any] = json.loads(shown["answer"])
                assert shown["status"] == 200, shown
                return found
            told |= {"headers": shown["headers"], "body": shown["body"]}
            self.run_for(60)
        raise AssertionError(f"{topic} is not acknowledged")

    def login(self, shop: str = SHOP) -> None:
        """Have the merchant open the app until it is installed: a token is good for a minute."""
        for _ in range(PATIENCE_TRIES):
            minted = self.merchant.post("/_simulator/id-token", json={"shop": shop}).json()
            answer = self.ask_once("GET", "/api/shop", by=minted["idToken"])
            if answer is not None and answer.status == 200:
                shown = answer.body["shop"]
                if shown["token"] == "ok":
                    return
            self.run_for(10)
        raise AssertionError("the app is not installed")

    def ask_once(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        shop: str | None = SHOP,
        by: str = ADMIN_KEY,
        key: str | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer | None:
        """Call the API; None when the call was not answered.

        by: with which credential; shop: for which shop (only an administrator need say it).
        key: the Idempotency-Key.
        """
        event = _api_event(method, path, body, shop if by == ADMIN_KEY else None, by, key, query)
        answer = self.invoke("api", event)
        if answer is None:
            return None
        text = answer["body"]
        is_json = text.startswith("{")
        return Answer(answer["statusCode"], json.loads(text) if is_json else {}, text)

    def ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        shop: str | None = SHOP,
        by: str = ADMIN_KEY,
        key: str | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        """Call the API until it answers, as a caller does who wants it done."""
        if key is None and method == "POST":
            key = f"key-{next(self._keys)}"
        for _ in range(PATIENCE_TRIES):
            answer = self.ask_once(method, path, body, shop=shop, by=by, key=key, query=query)
            if answer is not None and answer.status < 500 and not answer.is_answered_elsewhere:
                return answer
            assert answer is None or answer.status != 500, f"{method} {path}: {answer.text}"
            self.run_for(2)
        raise AssertionError(f"{method} {path} is not answered")

    # --- time ----------------------------------------------------------------------------

    def run_for(self, seconds: float) -> None:
        """Let everything happen that falls into the next so many seconds."""
        until = self.clock.now() + timedelta(seconds=seconds)
        self._do_what_can_be_done()
        while self.clock.now() < until:
            self._move(until)
            self._do_what_can_be_done()

    def settle(self) -> None:
        """Let time pass until nobody owes anybody anything."""
        until = self.clock.now() + LONGEST
        self._do_what_can_be_done()
        while not self.is_quiet:
            assert self.clock.now() < until, f"no rest: {self.unrest()}"
            self._move(until)
            self._do_what_can_be_done()

    @property
    def is_quiet(self) -> bool:
        """Whether no message, no task of the provider and no due job is left."""
        return not self.unrest()

    def unrest(self) -> list[str]:
        """Return what is still to be done."""
        found = [
            f"{queue.name}: {message.body}"
            for queue in self.queues.values()
            for message in queue.messages
        ]
        found += [f"due {due_at}" for due_at in self._due()]
        if self.clock._sleepers:
            found.append("the provider has plans")
        return found

    def _move(self, until: datetime) -> None:
        """Go to the next instant at which something happens."""
        now = self.clock.now()
        if self.is_held:
            self.clock.next_due(until)
            return
        ahead = [at for queue in self.queues.values() if (at := queue.next_at(now))]
        due = min(self._due(), default=None)
        if due is not None:
            ahead.append(_minute_from(max(due, self._swept_at + EVERY_MINUTE)))
        self.clock.next_due(min([*ahead, until]))

    def _do_what_can_be_done(self) -> None:
        self._let_simulators_run()
        if self.is_held:
            return
        while any(map(self.deliver, self.queues)) or self._sweep_when_due():
            self._let_simulators_run()

    def _let_simulators_run(self) -> None:
        if not self._loop.is_running():
            self._loop.run_until_complete(let_everything_run())

    def deliver(self, name: str, *, is_lost: bool = False) -> bool:
        """Hand one batch to its function; False when there is none.

        is_lost: the queue never hears that it is done, and the messages come again.
        """
        queue = self.queues[name]
        batch = queue.receive(self.our_clock.now())
        if not batch:
            return False
        answer = self.invoke(name, {"Records": [message.record(queue.name) for message in batch]})
        if answer is not None and not is_lost:
            failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
            for message in batch:
                if message.message_id not in failed:
                    queue.delete(message)
        return True

    def sweep(self) -> None:
        """Run a sweep now."""
        self.invoke("sweep", {"source": "aws.scheduler"})

    def _sweep_when_due(self) -> bool:
        """Run the minute's sweep, once; left out when it would find nothing."""
        minute = self.clock.now().replace(second=0, microsecond=0)
        if minute <= self._swept_at:
            return False
        now = self.our_clock.now()
        if not any(due_at <= now for due_at in self._due()):
            return False
        self._swept_at = minute
        self.sweep()
        return True

    def _due(self) -> list[datetime]:
        """Return when jobs are due."""
        if self._engine != "embedded":
            return [job.due_at for job in self.jobs() if job.due_at]
        found = (item.get("due_at") for item in embedded_items(TABLE))
        return [instant(int(due_at["N"])) for due_at in found if due_at]

    # --- looking in ------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """Return all jobs of all shops, the oldest first."""
        if self._seen_at != len(self.probe.names):
            self._seen_at = len(self.probe.names)
            self._jobs = sorted(self._read_jobs(), key=lambda job: job.job_id)
        return self._jobs

    def _read_jobs(self) -> Iterator[Job]:
        if self._dynamo is None:
            assert isinstance(self.store, InMemoryJobStore)
            yield from self.store._jobs.values()
            return
        if self._engine == "embedded":
            items = embedded_items(TABLE)
            yield from (read_job(item) for item in items if item["sk"]["S"].startswith("JOB#"))
            return
        reply = self._dynamo.scan(
            TableName=TABLE,
            ConsistentRead=True,
            FilterExpression="begins_with(sk, :job)",
            ExpressionAttributeValues={":job": {"S": "JOB#"}},
        )
        assert "LastEvaluatedKey" not in reply
        for item in reply["Items"]:
            shop, job_id = item["pk"]["S"].removeprefix("SHOP#"), item["sk"]["S"]
            try:
                yield self.store.get(JobRef(shop, job_id.removeprefix("JOB#")))
            except NotFoundError:
                continue

    @property
    def dynamo(self) -> "DynamoDBClient":
        """The table's client, unwatched (of the engines that have a table)."""
        assert self._dynamo is not None
        return self._dynamo

    def items(self) -> list[dict[str, Any]]:
        """Return every item of the table as it is (of the embedded engine)."""
        return embedded_items(TABLE)

    def job(self, job_id: str, shop: str = SHOP) -> Job:
        """Return one job."""
        return self.store.get(JobRef(shop, job_id))

    @property
    def told(self) -> list[dict[str, Any]]:
        """Everything that was put on the event bus."""
        return self._bus.told

    def new_product(self, shop: str = SHOP) -> str:
        """Have the merchant make a product; returns its id."""
        answer = self.merchant.post(
            "/_simulator/products", json={"shop": shop, "title": "Blue mug"}
        )
        found: str = answer.json()["product"]["id"]
        self.products += [found] if shop == SHOP else []
        return found

    def product_media(self, product: str, shop: str = SHOP) -> list[dict[str, Any]]:
        """Return what a product shows."""
        answer = self.merchant.get(f"/_simulator/shops/{shop}/products").json()
        found: list[dict[str, Any]] = next(
            each["media"] for each in answer["products"] if each["id"] == product
        )
        return found

    def files(self, shop: str = SHOP) -> list[dict[str, Any]]:
        """Return every file of a shop."""
        if shop not in self.shopify.world.shops:
            return []
        found: list[dict[str, Any]] = self.merchant.get(f"/_simulator/shops/{shop}/files").json()[
            "files"
        ]
        return found

    @contextmanager
    def secret(self, name: str, **values: str) -> Iterator[None]:
        """Have a secret say something else for a while; every process starts afresh."""
        held = self._standard[name]
        self.ear.secrets += values_of({name: values})
        self._secrets.put_secret_value(SecretId=name, SecretString=json.dumps(held | values))
        wiring.reset()
        yield
        self._secrets.put_secret_value(SecretId=name, SecretString=json.dumps(held))
        wiring.reset()

    def _fill_secrets(self) -> None:
        for name, values in self._standard.items():
            self._secrets.put_secret_value(SecretId=name, SecretString=json.dumps(values))

    def naming(self, shop: str) -> list[str]:
        """Return what in the table (or the stores in memory) and the bucket names a shop."""
        if self._dynamo is None:
            held = [repr(value) for each in self._in_memory for value in vars(each).values()]
        elif self._engine == "embedded":
            held = [json.dumps(item, default=str) for item in self.items()]
        else:
            reply = self._dynamo.scan(TableName=TABLE, ConsistentRead=True)
            held = [json.dumps(item, default=str) for item in reply["Items"]]
        return [line for line in [*held, *self.kept()] if shop in line]

    def kept(self) -> dict[str, bytes]:
        """Return everything in the bucket, by key."""
        if isinstance(self._bucket, _Bucket):
            return self._bucket.objects
        listed = self._bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {
            each["Key"]: self._bucket.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
            for each in listed
        }

    def charges(self) -> list[tuple[str | None, int]]:
        """Return what was paid at the providers: reference and credits of each charge."""
        return [(line.ref, line.credits) for book in self.books.values() for line in book.ledger]

    def make_elsewhere(self, **changes: Any) -> str:
        """Have somebody else create a job at the provider; returns the provider's id."""
        body = {
            "tool_id": "image-enhancement",
            "input_image_url": INPUT,
            "webhook_url": f"{PUBLIC_URL}/webhooks/pikcel",
        } | changes
        answer = self.line.send(
            httpx.Request(
                "POST",
                f"{PIKCEL_URL}/api/jobs/dispatch",
                json=body,
                headers={"Authorization": f"Bearer {DEVELOPMENT_KEY}"},
            )
        )
        found: str = answer.json()["data"]["id"]
        return found

    def tallies(self) -> dict[Scope, Tally]:
        """Return the stored statistics of every scope in which a job is counted."""
        return {
            scope: self.store.tally(scope.name, scope.bucket)
            for job in self.jobs()
            for scope in _all_scopes(job)
        }

    def recount(self) -> dict[Scope, Tally]:
        """Return what the statistics must be."""
        found = {scope: Tally() for job in self.jobs() for scope in _all_scopes(job)}
        for job in self.jobs():
            for scope in scopes(job):
                found[scope] += contribution(job)
        return found


def _secrets(*, has_own_token: bool, elsewhere: str | None) -> dict[str, dict[str, str]]:
    """Return our secrets, those of an app that gets its tokens by exchange, if it does."""
    there = {} if elsewhere is None else secrets_of(elsewhere)
    found = {name: values | there.get(name, {}) for name, values in _SECRETS.items()}
    if not has_own_token:
        del found["shopify-secret"]["SHOPIFY_ACCESS_TOKEN"]
    return found


def _all_scopes(job: Job) -> tuple[Scope, ...]:
    """Return where the job is counted, or was before it was opened again."""
    every_end = {job.updated_at, job.completed_at or job.updated_at}
    return tuple(
        {
            scope
            for end in every_end
            for status in ("completed", "failed", "cancelled")
            for scope in scopes(replace(job, completed_at=end, status=type(job.status)(status)))
        }
    )


@contextmanager
def a_world(engine: Engine = "memory", **settings: Any) -> Iterator[World]:
    """Open a world, and end everything that runs in it."""
    with ExitStack() as stack:
        yield World(stack, engine, **settings)


_CONTEXT = SimpleNamespace(
    function_name="whole",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:whole",
    aws_request_id="00000000-0000-4000-8000-000000000000",
    get_remaining_time_in_millis=lambda: 60_000,
)


def _minute_from(at: datetime) -> datetime:
    """Return the first whole minute that is not before an instant."""
    minute = at.replace(second=0, microsecond=0)
    return minute if minute == at else minute + EVERY_MINUTE


def _provider_call(request: httpx.Request) -> str:
    path = request.url.path
    if path.startswith("/api/jobs/") and request.method == "GET":
        path = "/api/jobs/{id}"
    return f"{request.url.host.partition('.')[0]} {request.method} {path}"


def _shopify_call(request: httpx.Request) -> str:
    if request.url.path.endswith("graphql.json"):
        document: str = json.loads(request.read())["query"]
        kind, name, *_ = document.replace("(", " ").split()
        return f"shopify {kind} {name}"
    return "shopify " + ("token" if "oauth" in request.url.path else "upload")


def _http_event(
    method: str, route: str, path: str, query: str, headers: dict[str, str], body: str
) -> dict[str, Any]:
    """Return API Gateway's event, payload format 2.0 (as the samples in events/)."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc123",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "test",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
            "time": "22/Nov/2026:12:00:01 +0000",
            "timeEpoch": 1795348801000,
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = dict(httpx.QueryParams(query))
    if body:
        event["body"] = body
    return event


def _webhook_event(request: httpx.Request) -> dict[str, Any]:
    path = request.url.path
    event = _http_event(
        "POST",
        "POST /webhooks/{provider}",
        path,
        request.url.query.decode(),
        dict(request.headers),
        request.content.decode(),
    )
    return event | {"pathParameters": {"provider": path.rpartition("/")[2]}}


def _api_event(
    method: str,
    path: str,
    body: dict[str, Any] | None,
    shop: str | None,
    by: str,
    key: str | None,
    query: dict[str, str] | None,
) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {by}", "content-type": "application/json"}
    if shop is not None:
        headers["x-shop"] = shop
    if key is not None:
        headers["idempotency-key"] = key
    text = json.dumps(body) if body is not None else ""
    return _http_event(method, f"{method} {path}", path, urlencode(query or {}), headers, text)
