"""The environment, read here and nowhere else: one settings model per function.

A field is the lower-case name of its variable, so the template and these classes are
compared by a test, in both directions.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self
from urllib.parse import urlsplit


class SettingsError(RuntimeError):
    """A variable is missing. The deployment is wrong; nothing can run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the fields from the environment. Raises SettingsError."""
        source = os.environ if environment is None else environment
        names = [field.name for field in fields(cls)]
        missing = [name.upper() for name in names if name.upper() not in source]
        if missing:
            raise SettingsError(f"These variables are not set: {', '.join(missing)}.")
        return cls(**{name: source[name.upper()] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings(_Settings):
    """functions/webhook."""

    table_name: str
    dispatch_queue_url: str
    output_bucket: str
    bulk_queue_url: str
    signing_secret_id: str
    app_secret_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings(_Settings):
    """functions/dispatch.

    result_hosts: extra hosts for outputs, comma-separated `host` or `host:port`.
    """

    table_name: str
    dispatch_queue_url: str
    push_queue_url: str
    output_bucket: str
    public_url: str
    result_hosts: str
    providers_secret_id: str
    app_secret_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings(_Settings):
    """functions/push. shopify_base_url: `https://{shop}`, or a simulator's address."""

    table_name: str
    push_queue_url: str
    output_bucket: str
    shopify_api_version: str
    shopify_base_url: str
    shopify_secret_id: str
    app_secret_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings(_Settings):
    """functions/sweep."""

    table_name: str
    dispatch_queue_url: str
    push_queue_url: str
    bulk_queue_url: str
    deliver_queue_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkSettings(_Settings):
    """functions/bulk.

    log_retention_days: for the report about an erasure. notice_topic_prefix: what the ARN of
    every shop's SNS topic begins with.
    """

    table_name: str
    bulk_queue_url: str
    dispatch_queue_url: str
    push_queue_url: str
    output_bucket: str
    log_retention_days: str
    notice_topic_prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings(_Settings):
    """functions/notify.

    notice_topic_prefix: what the ARN of every shop's SNS topic begins with.
    """

    table_name: str
    deliver_queue_url: str
    event_bus_name: str
    notice_topic_prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverSettings(_Settings):
    """functions/deliver. result_hosts: on a laptop, endpoints there may be plain and private."""

    table_name: str
    deliver_queue_url: str
    result_hosts: str
    app_secret_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings(_Settings):
    """functions/api. notice_topic_prefix: what the ARN of every shop's SNS topic begins with.

    webhook_function_arn: whom to ask for what only the signing secrets can tell.
    """

    table_name: str
    dispatch_queue_url: str
    push_queue_url: str
    bulk_queue_url: str
    deliver_queue_url: str
    notice_topic_prefix: str
    output_bucket: str
    shopify_api_version: str
    shopify_base_url: str
    result_hosts: str
    shopify_secret_id: str
    admin_secret_id: str
    app_secret_id: str
    webhook_function_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """What may be set about one provider, as `{PROVIDER}_{FIELD}`; None where nothing is.

    api_url: where its API is. jwks_url: where its public keys are. user_id: our account there.
    """

    api_url: str | None = None
    jwks_url: str | None = None
    user_id: str | None = None

    @classmethod
    def load(cls, provider: str, environment: Mapping[str, str] | None = None) -> Self:
        """Read what is set; what is set to nothing is not set.

        >>> ProviderSettings.load("fal", {"FAL_API_URL": "http://127.0.0.1:9", "FAL_USER_ID": ""})
        ProviderSettings(api_url='http://127.0.0.1:9', jwks_url=None, user_id=None)
        """
        source = os.environ if environment is None else environment
        names = {field.name: f"{provider}_{field.name}".upper() for field in fields(cls)}
        return cls(**{name: source.get(key, "").strip() or None for name, key in names.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings(_Settings):
    """functions/dashboard. shopify_api_key: the app's client id, which every page shows."""

    shopify_api_key: str


def is_laptop(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether AWS itself is an emulator on this machine.

    Only then may a host named in RESULT_HOSTS be plain http and private.

    >>> is_laptop({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}), is_laptop({})
    (True, False)
    """
    source = os.environ if environment is None else environment
    host = urlsplit(source.get("AWS_ENDPOINT_URL", "")).hostname
    return host in ("127.0.0.1", "localhost", "::1")


def is_on_lambda(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether this is a process of Lambda itself, and not of a test or of an emulator.

    Source: Lambda developer guide, "Defined runtime environment variables", read 2026-11-26.

    >>> is_on_lambda({"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}), is_on_lambda({})
    (True, False)
    """
    source = os.environ if environment is None else environment
    return "AWS_LAMBDA_INITIALIZATION_TYPE" in source


def split_hosts(text: str) -> tuple[str, ...]:
    """Split a comma-separated setting.

    >>> split_hosts("cdn.example.com, 127.0.0.1:8790,")
    ('cdn.example.com', '127.0.0.1:8790')
    """
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())
