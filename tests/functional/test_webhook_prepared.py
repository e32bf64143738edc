"""What functions/webhook does in Lambda's init, before anybody waits for it."""

import gc
import json
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared import garbage, wiring

SETTINGS = {
    "TABLE_NAME": "jobs",
    "DISPATCH_QUEUE_URL": "https://sqs.test/dispatch",
    "BULK_QUEUE_URL": "https://sqs.test/bulk",
    "OUTPUT_BUCKET": "outputs",
    "SIGNING_SECRET_ID": "signing-secret",
    "APP_SECRET_ID": "app-secret",
}
ON_LAMBDA = {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}


class FakeAws:
    """AWS as three clients that note their calls; `broken` ones fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken = False

    def client(self, service: str) -> Any:
        return SimpleNamespace(get_secret_value=self.get_secret_value, get_item=self.get_item)

    def get_secret_value(self, **request: Any) -> dict[str, Any]:
        self._note(f"read {request['SecretId']}")
        return {"SecretString": json.dumps({})}

    def get_item(self, **request: Any) -> dict[str, Any]:
        self._note(f"get {request['Key']['pk']['S']}")
        return {}

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.broken:
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "Any")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    fake = FakeAws()
    wiring.reset()
    monkeypatch.setattr(wiring, "clients", cache(lambda: fake))
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    yield fake
    wiring.reset()
    gc.unfreeze()
    gc.enable()


def go_to_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ON_LAMBDA.items():
        monkeypatch.setenv(name, value)


def test_on_lambda_the_secrets_are_read_and_the_table_is_connected(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_to_lambda(monkeypatch)
    wiring.prepare_webhook()
    assert aws.calls == ["read signing-secret", "read app-secret", "get LINK#none#none"]


def test_the_first_delivery_does_not_read_the_secrets_again(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_to_lambda(monkeypatch)
    wiring.prepare_webhook()
    aws.calls.clear()
    assert wiring.webhook_app().secrets.get("signing", "PIKCEL_WEBHOOK_SECRET") == ()
    assert aws.calls == []


def test_elsewhere_nothing_is_done(aws: FakeAws) -> None:
    wiring.prepare_webhook()
    assert aws.calls == []


def test_what_fails_there_is_left_to_the_first_delivery(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_to_lambda(monkeypatch)
    aws.broken = True
    wiring.prepare_webhook()
    assert aws.calls == ["read signing-secret"]
    aws.broken = False
    assert wiring.webhook_app().secrets.get("signing", "PIKCEL_WEBHOOK_SECRET") == ()


def test_a_deployment_without_its_settings_still_starts(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_to_lambda(monkeypatch)
    monkeypatch.delenv("TABLE_NAME")
    wiring.prepare_webhook()
    assert aws.calls == []


@pytest.mark.parametrize("is_broken", [False, True])
def test_on_lambda_nothing_looks_for_garbage_until_it_is_ready(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch, is_broken: bool
) -> None:
    go_to_lambda(monkeypatch)
    aws.broken = is_broken
    garbage.pause()
    assert not gc.isenabled()
    wiring.prepare_webhook()
    assert gc.isenabled()


def test_what_init_has_made_is_not_looked_at_again(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_to_lambda(monkeypatch)
    wiring.prepare_webhook()
    assert not any(each is wiring.webhook_app() for each in gc.get_objects())
    assert gc.get_freeze_count() > 10_000


def test_elsewhere_garbage_is_looked_for_as_ever(aws: FakeAws) -> None:
    garbage.pause()
    assert gc.isenabled()
    wiring.prepare_webhook()
    assert gc.get_freeze_count() == 0
