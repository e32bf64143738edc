"""The composition root: the only place where rules meet technology.

Each function asks for its own app, once per process. Nothing here runs at import, and
each app imports only the gateways it needs (the webhook never sees httpx).
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from shared import garbage
from shared.domain.errors import JobTrackerError, SecretUnavailableError
from shared.gateways.aws import AwsClients
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.dynamo_shops import DynamoShopStore
from shared.gateways.queues import SqsOutbox, check_queue
from shared.gateways.secrets import SecretsManagerSecrets
from shared.gateways.system import SystemClock, SystemRandomness
from shared.providers.registry import ADAPTERS
from shared.providers.worker import WORKER_RECEIVER
from shared.settings import (
    ApiSettings,
    BulkSettings,
    DeliverSettings,
    DispatchSettings,
    NotifySettings,
    ProviderSettings,
    PushSettings,
    SettingsError,
    SweepSettings,
    WebhookSettings,
    is_laptop,
    is_on_lambda,
    split_hosts,
)
from shared.usecases.ports import Clock, DispatchMessage, Files, Secrets, ShopStore
from shared.usecases.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from shared.domain.letters import Letter
    from shared.domain.notices import Notice
    from shared.domain.shop import Notifications
    from shared.gateways.key_sets import HttpKeySets
    from shared.providers.base import Delivery, Receiver
    from shared.usecases.announce import NoticeLane
    from shared.usecases.audit_job import AuditLane
    from shared.usecases.count_matches import MatchWatch
    from shared.usecases.deliver_notice import DeliverLane
    from shared.usecases.dispatch_lane import DispatchLane
    from shared.usecases.hold_delivery import Ward
    from shared.usecases.identify_caller import Doors
    from shared.usecases.install_shop import ShopInstaller
    from shared.usecases.list_products import Storefront
    from shared.usecases.manage_endpoints import EndpointDesk
    from shared.usecases.notice_ports import AddressState, Change, EndpointStore, Letters
    from shared.usecases.ports import (
        BulkRequest,
        DeliverRequest,
        Erasures,
        Grant,
        KeyStore,
        PushRequest,
        Receipts,
        ReceivedMessages,
        ShopAdmin,
        ShopAdmins,
        TemplateStore,
        TokenBox,
        TokenService,
        WorkStore,
    )
    from shared.usecases.provider_catalog import Catalog
    from shared.usecases.push_lane import PushLane
    from shared.usecases.quarantine_ports import (
        KnownSecrets,
        Mark,
        Quarantine,
        Reverified,
        SecretMatches,
        Verifier,
    )
    from shared.usecases.receive_report import Desk, WorkerReport
    from shared.usecases.receive_shop_webhook import ShopDesk
    from shared.usecases.receive_webhook import Seals
    from shared.usecases.reverify_quarantine import ReverifyDesk
    from shared.usecases.run_bulk import BulkLane


# Whose webhooks there are, besides Shopify's own.
RECEIVERS: "Mapping[str, Receiver]" = {**ADAPTERS, WORKER_RECEIVER.name: WORKER_RECEIVER}
SHOPIFY = "shopify"
SENDERS = tuple(sorted((*RECEIVERS, SHOPIFY)))


@cache
def clients() -> AwsClients:
    """Return the AWS clients of this process."""
    return AwsClients()


def reset() -> None:
    """Forget everything made so far (tests change the environment)."""
    webhook = (webhook_app, shop_desk, ward, reverify_desk)
    apps = (api_app, dispatch_app, push_app, sweep_app, bulk_app, notify_app, deliver_app)
    for made in (clients, *webhook, *apps):
        made.cache_clear()


def _tracker(
    table_name: str,
    dispatch_url: str | None,
    push_url: str | None,
    secrets: Secrets | None = None,
    *,
    bulk_url: str | None = None,
    deliver_url: str | None = None,
) -> Tracker:
    return Tracker(
        store=DynamoJobStore(
            clients().client("dynamodb"),
            table_name,
            clock=SystemClock(),
            random=SystemRandomness(),
        ),
        outbox=SqsOutbox(clients().client("sqs"), dispatch_url, push_url, bulk_url, deliver_url),
        clock=SystemClock(),
        random=SystemRandomness(),
        adapters=ADAPTERS,
        secrets=secrets,
        shops=DynamoShopStore(clients().client("dynamodb"), table_name, clock=SystemClock()),
    )


def _catalog(tracker: Tracker, table_name: str) -> "Catalog":
    """Make what knows what the providers said of their tools and our account."""
    from shared.gateways.dynamo_facts import DynamoFactStore
    from shared.usecases.provider_catalog import Catalog

    store = DynamoFactStore(clients().client("dynamodb"), table_name, clock=tracker.clock)
    return Catalog(store=store, outbox=tracker.outbox, clock=tracker.clock)


def _secrets(**secret_ids: str) -> SecretsManagerSecrets:
    return SecretsManagerSecrets(clients().client("secretsmanager"), secret_ids, SystemClock())


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookApp:
    """What functions/webhook works with."""

    tracker: Tracker
    seals: "Seals"
    desk: "Desk"
    clock: Clock

    @property
    def secrets(self) -> Secrets:
        """The secrets of the webhook's audiences."""
        return self.seals.secrets


class WorkerDesk:
    """What reports of workers need. It is made, and imported, by the first one that comes: most
    deliveries are a provider's."""

    receiver: "Receiver" = WORKER_RECEIVER

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    @cached_property
    def files(self) -> Files:
        """The bucket of big documents."""
        from shared.gateways.files import S3Files

        return S3Files(clients().client("s3"), self._bucket)

    def read(self, body: bytes) -> "WorkerReport":
        """Read a report by the rules of the HTTP API. Raises InvalidRequestError."""
        from shared.bodies.worker import read_worker_report

        return read_worker_report(body)


class _KeySetsOnDemand:
    """The providers' public keys. What fetches them is imported by the first delivery that needs
    one: most providers sign with a secret of ours."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @cached_property
    def _sets(self) -> "HttpKeySets":
        from shared.gateways.key_sets import HttpKeySets
        from shared.providers.signatures import read_key_set

        urls = {
            name: ProviderSettings.load(name).jwks_url or adapter.key_set_url
            for name, adapter in ADAPTERS.items()
        }
        known = {name: url for name, url in urls.items() if url is not None}
        return HttpKeySets(known, read_key_set, self._clock)

    def get(self, provider: str) -> tuple[str, ...]:
        """Return the provider's keys (see KeySets)."""
        return self._sets.get(provider)

    def refresh(self, provider: str, *, older_than_s: float) -> bool:
        """Fetch them anew (see KeySets)."""
        return self._sets.refresh(provider, older_than_s=older_than_s)


class _WatchOnDemand:
    """Counts which of several secrets fitted. Made by the first delivery while there are."""

    def __init__(self, table_name: str, secrets: Secrets, clock: Clock) -> None:
        self._table_name = table_name
        self._secrets = secrets
        self._clock = clock

    @cached_property
    def _watch(self) -> "MatchWatch":
        from shared.gateways.dynamo_matches import DynamoSecretMatches
        from shared.usecases.count_matches import MatchWatch

        dynamo = clients().client("dynamodb")
        return MatchWatch(
            matches=DynamoSecretMatches(dynamo, self._table_name, clock=self._clock),
            clock=self._clock,
            app_secrets=partial(self._secrets.get, "app", "APP_SECRET"),
        )

    def note(self, name: str, secret: str, received_at: "datetime") -> None:
        """Note that a delivery fitted a secret (see KeyWatch)."""
        self._watch.note(name, secret, received_at)


def _accounts() -> dict[str, str]:
    """Return our accounts at the providers where we were told them."""
    found = {name: ProviderSettings.load(name).user_id for name in ADAPTERS}
    return {name: account for name, account in found.items() if account is not None}


@cache
def webhook_app() -> WebhookApp:
    """Put functions/webhook together. Raises SettingsError."""
    from shared.usecases.receive_webhook import Seals

    settings = WebhookSettings.load()
    secrets = _secrets(signing=settings.signing_secret_id, app=settings.app_secret_id)
    tracker = _tracker(
        settings.table_name,
        settings.dispatch_queue_url,
        None,
        secrets,
        bulk_url=settings.bulk_queue_url,
    )
    seals = Seals(
        secrets=secrets,
        key_sets=_KeySetsOnDemand(tracker.clock),
        accounts=_accounts(),
        watch=_WatchOnDemand(settings.table_name, secrets, tracker.clock),
    )
    desk = WorkerDesk(settings.output_bucket)
    return WebhookApp(tracker=tracker, seals=seals, desk=desk, clock=tracker.clock)


def prepare_webhook() -> None:
    """Do in Lambda's init what the first delivery would wait for.

    Init has a whole processor, an invocation only its memory's share of one: here the clients
    are made, the secrets read and the table's connection opened, with a read of nothing. Nowhere
    else does this do anything. What fails is tried again, and told, by the first delivery. From
    then on Python looks for garbage again, if it had been told to pause.
    """
    if not is_on_lambda():
        return
    with suppress(SettingsError, JobTrackerError):
        app = webhook_app()
        for audience in ("signing", "app"):
            app.secrets.get(audience, "")
        app.tracker.store.find_link("none", "none")
    garbage.resume()


@cache
def shop_desk() -> "ShopDesk":
    """Put together what functions/webhook needs for Shopify's own webhooks.

    The secret that they are verified with lies among the signing ones, which are read anyway;
    what this imports, the providers' webhooks do not wait for.
    """
    from shared.gateways.dynamo_erasures import DynamoErasures
    from shared.providers.shopify import ShopifyWebhooks
    from shared.usecases.receive_shop_webhook import ShopDesk

    settings = WebhookSettings.load()
    app = webhook_app()
    dynamo = clients().client("dynamodb")
    return ShopDesk(
        tracker=app.tracker,
        shops=DynamoShopStore(dynamo, settings.table_name, clock=app.clock),
        erasures=DynamoErasures(dynamo, settings.table_name, clock=app.clock),
        secrets=app.secrets,
        sender=ShopifyWebhooks(),
        watch=app.seals.watch,
    )


@cache
def ward() -> "Ward":
    """Put together what keeps deliveries that failed their check; most never meet one."""
    from shared.usecases.hold_delivery import Ward

    return Ward(quarantine=_quarantine(WebhookSettings.load().table_name), receivers=RECEIVERS)


@cache
def reverify_desk() -> "ReverifyDesk":
    """Put together what checks them again: each by its own rules, and none is kept anew."""
    from shared.usecases.receive_report import receive_report
    from shared.usecases.receive_shop_webhook import receive_shop_webhook
    from shared.usecases.receive_webhook import receive_webhook
    from shared.usecases.reverify_quarantine import ReverifyDesk

    app = webhook_app()
    receivers: dict[str, Callable[[Delivery], object]] = {
        SHOPIFY: lambda delivery: receive_shop_webhook(shop_desk(), delivery),
        WORKER_RECEIVER.name: partial(receive_report, app.tracker, app.seals, app.desk),
    }

    def receive(delivery: "Delivery") -> object:
        by_rule = receivers.get(delivery.provider, partial(receive_webhook, app.tracker, app.seals))
        return by_rule(delivery)

    return ReverifyDesk(
        quarantine=_quarantine(WebhookSettings.load().table_name),
        secrets=app.secrets,
        clock=app.clock,
        receive=receive,
    )


def _quarantine(table_name: str) -> "Quarantine":
    from shared.gateways.dynamo_quarantine import DynamoQuarantine

    return DynamoQuarantine(clients().client("dynamodb"), table_name, clock=SystemClock())


def secret_names() -> dict[str, str]:
    """Return the name of the secret behind each sender of webhooks."""
    from shared.usecases.receive_shop_webhook import SECRET
    from shared.usecases.tell_secrets import secret_names as named

    return named(RECEIVERS, **{SHOPIFY: SECRET})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiApp:
    """What functions/api works with.

    is_allowed_http: whether a `host[:port]` may be plain http (a laptop's own, never on AWS).
    needed_secrets: audience → a secret that must be set. queue_checks: name → a call that
    raises QueueUnavailableError. doors: what callers are checked with. receipts, box: what was
    answered to calls with an Idempotency-Key, sealed. desk: the shops' webhook endpoints.
    verifier: asked for what only the signing secrets can tell.
    """

    tracker: Tracker
    shops: ShopStore
    keys: "KeyStore"
    doors: "Doors"
    receipts: "Receipts"
    box: "TokenBox"
    works: "WorkStore"
    erasures: "Erasures"
    templates: "TemplateStore"
    catalog: "Catalog"
    storefront: "Storefront"
    desk: "EndpointDesk"
    letters: "Letters"
    files: Files
    secrets: Secrets
    clock: Clock
    installer: "ShopInstaller"
    quarantine: "Quarantine"
    matches: "SecretMatches"
    verifier: "Verifier"
    is_allowed_http: "Callable[[str], bool]"
    needed_secrets: "Mapping[str, str]"
    queue_checks: "Mapping[str, Callable[[], None]]"


class _TokensOnDemand:
    """Shopify's token endpoint. httpx is imported by the first shop that installs: the other
    calls of the API need not wait for it."""

    def __init__(self, base_url: str, secrets: Secrets, clock: Clock) -> None:
        self._base_url = base_url
        self._secrets = secrets
        self._clock = clock

    @cached_property
    def _tokens(self) -> "TokenService":
        from shared.gateways.shop_tokens import ShopifyTokens
        from shared.gateways.shopify_http import make_client

        app = partial(_shopify_app, self._secrets)
        return ShopifyTokens(make_client(), self._base_url, app, self._clock)

    def exchange(self, shop: str, id_token: str) -> "Grant":
        """Turn an ID token into an offline token (see TokenService)."""
        return self._tokens.exchange(shop, id_token)

    def refresh(self, shop: str, refresh_token: str) -> "Grant":
        """Turn a refresh token into the next pair (see TokenService)."""
        return self._tokens.refresh(shop, refresh_token)


class _AdminsOnDemand:
    """The shops' Admin API. httpx is imported by the first who looks at products."""

    def __init__(self, base_url: str, version: str, clock: Clock) -> None:
        self._base_url = base_url
        self._version = version
        self._clock = clock

    @cached_property
    def _admins(self) -> "ShopAdmins":
        from shared.gateways.shopify import ShopifyAdmins
        from shared.gateways.shopify_http import make_client

        return ShopifyAdmins(make_client(), self._base_url, self._version, self._clock)

    def open(self, shop: str, token: str) -> "ShopAdmin":
        """Return the shop's API (see ShopAdmins)."""
        return self._admins.open(shop, token)


class _LettersOnDemand:
    """Amazon SNS, whose client is made by the first shop that has people to write to."""

    def __init__(self, topic_prefix: str) -> None:
        self._topic_prefix = topic_prefix

    @cached_property
    def _letters(self) -> "Letters":
        from shared.gateways.sns_letters import SnsLetters

        return SnsLetters(clients().client("sns"), self._topic_prefix)

    def send(self, notice: "Notice", letter: "Letter") -> bool:
        """Send to those of the shop who want to hear of it (see Letters)."""
        return self._letters.send(notice, letter)

    def subscribe(self, shop: str, wanted: "Notifications | None") -> None:
        """Have exactly these people written to (see Letters)."""
        self._letters.subscribe(shop, wanted)

    def states(self, shop: str) -> "Mapping[str, AddressState]":
        """Return who is known, by address."""
        return self._letters.states(shop)


class _VerifierOnDemand:
    """functions/webhook, whose client is made by the first administrator who asks for it."""

    def __init__(self, arn: str) -> None:
        self._arn = arn

    @cached_property
    def _verifier(self) -> "Verifier":
        from shared.gateways.webhook_function import WebhookFunction

        return WebhookFunction(clients().client("lambda"), self._arn)

    def reverify(self, providers: "Sequence[str]", after: "Mark | None") -> "Reverified":
        """Check what is in quarantine again (see Verifier)."""
        return self._verifier.reverify(providers, after)

    def fingerprints(self) -> "KnownSecrets":
        """Return the fingerprints of the secrets (see Verifier)."""
        return self._verifier.fingerprints()


@cache
def api_app() -> ApiApp:
    """Put functions/api together. Raises SettingsError."""
    from shared.gateways.dynamo_endpoints import DynamoEndpointStore
    from shared.gateways.dynamo_erasures import DynamoErasures
    from shared.gateways.dynamo_keys import DynamoKeyStore
    from shared.gateways.dynamo_matches import DynamoSecretMatches
    from shared.gateways.dynamo_receipts import DynamoReceipts
    from shared.gateways.dynamo_templates import DynamoTemplateStore
    from shared.gateways.dynamo_works import DynamoWorkStore
    from shared.gateways.files import S3Files
    from shared.gateways.token_box import SecretTokenBox
    from shared.usecases.identify_caller import Doors
    from shared.usecases.install_shop import ShopInstaller
    from shared.usecases.key_ring import KeyRing
    from shared.usecases.list_products import Storefront
    from shared.usecases.manage_endpoints import EndpointDesk
    from shared.usecases.shop_access import ShopAccess

    settings = ApiSettings.load()
    secrets = _secrets(
        shopify=settings.shopify_secret_id,
        admin=settings.admin_secret_id,
        app=settings.app_secret_id,
    )
    tracker = _tracker(
        settings.table_name,
        settings.dispatch_queue_url,
        settings.push_queue_url,
        secrets,
        bulk_url=settings.bulk_queue_url,
        deliver_url=settings.deliver_queue_url,
    )
    catalog = _catalog(tracker, settings.table_name)
    tracker = replace(tracker, catalog=catalog)
    shops = DynamoShopStore(clients().client("dynamodb"), settings.table_name, clock=tracker.clock)
    installer = ShopInstaller(
        shops=shops,
        tokens=_TokensOnDemand(settings.shopify_base_url, secrets, tracker.clock),
        box=SecretTokenBox(partial(secrets.get, "app", "APP_SECRET")),
        tracker=tracker,
        secrets=secrets,
        clock=tracker.clock,
    )
    plain_hosts = frozenset(split_hosts(settings.result_hosts)) if is_laptop() else frozenset()
    dynamo, sqs = clients().client("dynamodb"), clients().client("sqs")
    keys = DynamoKeyStore(dynamo, settings.table_name, clock=tracker.clock)
    queues = {
        "dispatch": settings.dispatch_queue_url,
        "push": settings.push_queue_url,
        "bulk": settings.bulk_queue_url,
        "deliver": settings.deliver_queue_url,
    }
    desk = EndpointDesk(
        endpoints=DynamoEndpointStore(dynamo, settings.table_name, clock=tracker.clock),
        outbox=tracker.outbox,
        box=installer.box,
        clock=tracker.clock,
        random=tracker.random,
        new_id=lambda: tracker.new_id(tracker.now()),
        is_allowed_http=plain_hosts.__contains__,
    )
    return ApiApp(
        tracker=tracker,
        shops=shops,
        keys=keys,
        doors=Doors(
            secrets=secrets,
            clock=tracker.clock,
            ring=KeyRing(store=keys, clock=tracker.clock),
        ),
        receipts=DynamoReceipts(dynamo, settings.table_name, clock=tracker.clock),
        box=installer.box,
        works=DynamoWorkStore(dynamo, settings.table_name, clock=tracker.clock),
        erasures=DynamoErasures(dynamo, settings.table_name, clock=tracker.clock),
        templates=DynamoTemplateStore(dynamo, settings.table_name, clock=tracker.clock),
        catalog=catalog,
        storefront=Storefront(
            access=ShopAccess(
                shops=shops,
                tokens=installer.tokens,
                box=installer.box,
                secrets=secrets,
                clock=tracker.clock,
            ),
            admins=_AdminsOnDemand(
                settings.shopify_base_url, settings.shopify_api_version, tracker.clock
            ),
        ),
        desk=desk,
        letters=_LettersOnDemand(settings.notice_topic_prefix),
        files=S3Files(clients().client("s3"), settings.output_bucket),
        secrets=secrets,
        clock=tracker.clock,
        installer=installer,
        quarantine=_quarantine(settings.table_name),
        matches=DynamoSecretMatches(dynamo, settings.table_name, clock=tracker.clock),
        verifier=_VerifierOnDemand(settings.webhook_function_arn),
        is_allowed_http=plain_hosts.__contains__,
        needed_secrets={
            "app": "APP_SECRET",
            "shopify": "SHOPIFY_API_SECRET",
            "admin": "ADMIN_API_KEYS",
        },
        queue_checks={name: partial(check_queue, sqs, url) for name, url in queues.items()},
    )


def _shopify_app(secrets: Secrets) -> tuple[str, str]:
    """Return the app's client id and (newest) secret."""
    ids = secrets.get("shopify", "SHOPIFY_API_KEY")
    keys = secrets.get("shopify", "SHOPIFY_API_SECRET")
    if not ids or not keys:
        raise SecretUnavailableError("The Shopify app's id or secret is not set.")
    return ids[0], keys[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchApp:
    """What functions/dispatch works with. read: reads a message, or raises ValueError."""

    lane: "DispatchLane"
    read: "Callable[[str], DispatchMessage]"


@cache
def dispatch_app() -> DispatchApp:
    """Put functions/dispatch together. Raises SettingsError."""
    from shared.gateways.downloads import GuardedDownloads
    from shared.gateways.dynamo_facts import DynamoFactStore
    from shared.gateways.dynamo_limiter import DynamoLimiter
    from shared.gateways.dynamo_paces import DynamoPaces
    from shared.gateways.files import S3Files
    from shared.gateways.provider_http import HttpProviderApi, provider_client
    from shared.gateways.queues import read_dispatch
    from shared.usecases.dispatch_lane import DispatchLane

    settings = DispatchSettings.load()
    secrets = _secrets(providers=settings.providers_secret_id, app=settings.app_secret_id)
    tracker = _tracker(
        settings.table_name, settings.dispatch_queue_url, settings.push_queue_url, secrets
    )
    clock, dynamo = tracker.clock, clients().client("dynamodb")
    hosts = split_hosts(settings.result_hosts)
    http = provider_client()
    apis = {
        name: HttpProviderApi(
            http,
            adapter.access,
            ProviderSettings.load(name).api_url,
            secrets=secrets,
            key_name=f"{name.upper()}_API_KEY",
            clock=clock,
        )
        for name, adapter in ADAPTERS.items()
    }
    lane = DispatchLane(
        tracker=tracker,
        apis=apis,
        limiter=DynamoLimiter(dynamo, settings.table_name, clock=clock),
        secrets=secrets,
        downloads=GuardedDownloads(
            clock, extra_hosts=hosts, private_hosts=hosts if is_laptop() else ()
        ),
        files=S3Files(clients().client("s3"), settings.output_bucket),
        facts=DynamoFactStore(dynamo, settings.table_name, clock=clock),
        public_url=settings.public_url,
        paces=DynamoPaces(dynamo, settings.table_name, clock=clock),
    )
    return DispatchApp(lane=lane, read=read_dispatch)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushApp:
    """What functions/push works with. read: reads a message, or raises ValueError."""

    lane: "PushLane"
    read: "Callable[[str], PushRequest]"
    received: "ReceivedMessages"


@cache
def push_app() -> PushApp:
    """Put functions/push together. Raises SettingsError."""
    from shared.gateways.files import S3Files
    from shared.gateways.queues import read_push
    from shared.gateways.shop_tokens import ShopifyTokens
    from shared.gateways.shopify import ShopifyAdmins
    from shared.gateways.shopify_http import make_client
    from shared.gateways.token_box import SecretTokenBox
    from shared.gateways.visibility import SqsReceivedMessages
    from shared.usecases.push_lane import PushLane
    from shared.usecases.shop_access import ShopAccess

    settings = PushSettings.load()
    tracker = _tracker(settings.table_name, None, settings.push_queue_url)
    clock, http = tracker.clock, make_client()
    secrets = _secrets(shopify=settings.shopify_secret_id, app=settings.app_secret_id)
    access = ShopAccess(
        shops=DynamoShopStore(clients().client("dynamodb"), settings.table_name, clock=clock),
        tokens=ShopifyTokens(
            http, settings.shopify_base_url, partial(_shopify_app, secrets), clock
        ),
        box=SecretTokenBox(partial(secrets.get, "app", "APP_SECRET")),
        secrets=secrets,
        clock=clock,
    )
    lane = PushLane(
        tracker=tracker,
        files=S3Files(clients().client("s3"), settings.output_bucket),
        access=access,
        admins=ShopifyAdmins(http, settings.shopify_base_url, settings.shopify_api_version, clock),
    )
    received = SqsReceivedMessages(clients().client("sqs"), settings.push_queue_url)
    return PushApp(lane=lane, read=read_push, received=received)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepApp:
    """What functions/sweep works with."""

    tracker: Tracker
    endpoints: "EndpointStore"


@cache
def sweep_app() -> SweepApp:
    """Put functions/sweep together. Raises SettingsError."""
    from shared.gateways.dynamo_endpoints import DynamoEndpointStore

    settings = SweepSettings.load()
    tracker = _tracker(
        settings.table_name,
        settings.dispatch_queue_url,
        settings.push_queue_url,
        bulk_url=settings.bulk_queue_url,
        deliver_url=settings.deliver_queue_url,
    )
    dynamo = clients().client("dynamodb")
    return SweepApp(
        tracker=tracker,
        endpoints=DynamoEndpointStore(dynamo, settings.table_name, clock=tracker.clock),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkApp:
    """What functions/bulk works with. read: reads a message, or raises ValueError."""

    lane: "BulkLane"
    audit: "AuditLane"
    read: "Callable[[str], BulkRequest]"


@cache
def bulk_app() -> BulkApp:
    """Put functions/bulk together. Raises SettingsError."""
    from shared.gateways.dynamo_erasures import DynamoErasures
    from shared.gateways.dynamo_samples import DynamoSamples
    from shared.gateways.dynamo_works import DynamoWorkStore
    from shared.gateways.files import S3Files
    from shared.gateways.queues import read_bulk
    from shared.gateways.uploads import S3Uploads
    from shared.usecases.audit_job import AuditLane
    from shared.usecases.duty_lane import DutyLane
    from shared.usecases.run_bulk import BulkLane

    settings = BulkSettings.load()
    tracker = _tracker(
        settings.table_name,
        settings.dispatch_queue_url,
        settings.push_queue_url,
        bulk_url=settings.bulk_queue_url,
    )
    tracker = replace(tracker, catalog=_catalog(tracker, settings.table_name))
    dynamo = clients().client("dynamodb")
    shops = DynamoShopStore(dynamo, settings.table_name, clock=tracker.clock)
    works = DynamoWorkStore(dynamo, settings.table_name, clock=tracker.clock)
    files = S3Files(clients().client("s3"), settings.output_bucket)
    duties = DutyLane(
        tracker=tracker,
        shops=shops,
        works=works,
        files=files,
        erasures=DynamoErasures(dynamo, settings.table_name, clock=tracker.clock),
        letters=_LettersOnDemand(settings.notice_topic_prefix),
        log_days=int(settings.log_retention_days),
    )
    lane = BulkLane(
        tracker=tracker,
        works=works,
        shops=shops,
        files=files,
        uploads=S3Uploads(clients().client("s3"), settings.output_bucket),
        duties=duties,
    )
    audit = AuditLane(
        tracker=tracker,
        samples=DynamoSamples(dynamo, settings.table_name, clock=tracker.clock),
        files=files,
    )
    return BulkApp(lane=lane, audit=audit, read=read_bulk)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyApp:
    """What functions/notify works with. read: reads a record of the table's stream (None: it
    tells nothing), or raises InvariantError."""

    lane: "NoticeLane"
    read: "Callable[[Mapping[str, Any]], Change | None]"


@cache
def notify_app() -> NotifyApp:
    """Put functions/notify together. Raises SettingsError."""
    from shared.gateways.dynamo_endpoints import DynamoEndpointStore
    from shared.gateways.dynamo_works import DynamoWorkStore
    from shared.gateways.event_bus import EventBridgeBus
    from shared.gateways.sns_letters import SnsLetters
    from shared.gateways.stream import read_change
    from shared.usecases.announce import NoticeLane

    settings = NotifySettings.load()
    tracker = _tracker(settings.table_name, None, None, deliver_url=settings.deliver_queue_url)
    clock, dynamo = tracker.clock, clients().client("dynamodb")
    lane = NoticeLane(
        store=tracker.store,
        works=DynamoWorkStore(dynamo, settings.table_name, clock=clock),
        shops=DynamoShopStore(dynamo, settings.table_name, clock=clock),
        endpoints=DynamoEndpointStore(dynamo, settings.table_name, clock=clock),
        outbox=tracker.outbox,
        bus=EventBridgeBus(clients().client("events"), settings.event_bus_name),
        letters=SnsLetters(clients().client("sns"), settings.notice_topic_prefix),
        clock=clock,
    )
    return NotifyApp(lane=lane, read=read_change)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverApp:
    """What functions/deliver works with. read: reads a message, or raises ValueError."""

    lane: "DeliverLane"
    read: "Callable[[str], DeliverRequest]"


@cache
def deliver_app() -> DeliverApp:
    """Put functions/deliver together. Raises SettingsError."""
    from shared.gateways.dynamo_endpoints import DynamoEndpointStore
    from shared.gateways.queues import read_deliver
    from shared.gateways.token_box import SecretTokenBox
    from shared.gateways.webhook_posts import GuardedPosts
    from shared.usecases.deliver_notice import DeliverLane

    settings = DeliverSettings.load()
    clock, dynamo = SystemClock(), clients().client("dynamodb")
    secrets = _secrets(app=settings.app_secret_id)
    hosts = split_hosts(settings.result_hosts)
    lane = DeliverLane(
        endpoints=DynamoEndpointStore(dynamo, settings.table_name, clock=clock),
        outbox=SqsOutbox(
            clients().client("sqs"), None, None, deliver_url=settings.deliver_queue_url
        ),
        box=SecretTokenBox(partial(secrets.get, "app", "APP_SECRET")),
        posts=GuardedPosts(clock, private_hosts=hosts if is_laptop() else ()),
        clock=clock,
        random=SystemRandomness(),
    )
    return DeliverApp(lane=lane, read=read_deliver)
