"""The composition root: the only place where rules meet technology.

Each function asks for its own app, once per process. Nothing here runs at import, and
each app imports only the gateways it needs (the webhook never sees httpx).
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from shared.gateways.aws import AwsClients
from shared.gateways.dynamo import DynamoJobStore
from shared.gateways.queues import SqsOutbox
from shared.gateways.secrets import SecretsManagerSecrets
from shared.gateways.system import SystemClock, SystemRandomness
from shared.providers.pikcel import PikcelAdapter
from shared.settings import WebhookSettings
from shared.usecases.ports import Clock, Secrets
from shared.usecases.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.providers.base import ProviderAdapter


@cache
def adapters() -> "Mapping[str, ProviderAdapter]":
    """Return every provider's adapter by name."""
    return {adapter.name: adapter for adapter in (PikcelAdapter(),)}


@cache
def clients() -> AwsClients:
    """Return the AWS clients of this process."""
    return AwsClients()


def reset() -> None:
    """Forget everything made so far (tests change the environment)."""
    for made in (clients, webhook_app):
        made.cache_clear()


def _tracker(table_name: str, dispatch_url: str | None, push_url: str | None) -> Tracker:
    return Tracker(
        store=DynamoJobStore(clients().client("dynamodb"), table_name, SystemRandomness()),
        outbox=SqsOutbox(clients().client("sqs"), dispatch_url, push_url),
        clock=SystemClock(),
        random=SystemRandomness(),
        adapters=adapters(),
    )


def _secrets(**secret_ids: str) -> SecretsManagerSecrets:
    return SecretsManagerSecrets(clients().client("secretsmanager"), secret_ids, SystemClock())


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookApp:
    """What functions/webhook works with."""

    tracker: Tracker
    secrets: Secrets
    clock: Clock


@cache
def webhook_app() -> WebhookApp:
    """Put functions/webhook together. Raises SettingsError."""
    settings = WebhookSettings.load()
    tracker = _tracker(settings.table_name, settings.dispatch_queue_url, None)
    secrets = _secrets(signing=settings.signing_secret_id, app=settings.app_secret_id)
    return WebhookApp(tracker=tracker, secrets=secrets, clock=tracker.clock)
