"""How AWS clients are made."""

import json
import re
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import botocore
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ParamValidationError
from botocore.session import Session

from shared.gateways import aws
from shared.gateways.aws import AwsClients

ROOTS = Path(aws.__file__).with_name("amazon_roots.pem")
NAMES = {
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
}


class FakeSession:
    """A session of botocore that notes how it makes its clients."""

    def __init__(self, **settings: str) -> None:
        self.settings = {"region": "eu-central-1"} | settings
        self.made: list[tuple[str, Any]] = []

    def get_config_variable(self, name: str) -> str | None:
        return self.settings.get(name)

    def create_client(self, service: str, *, config: object, verify: object) -> object:
        self.made.append((service, verify))
        return object()


def trusted(session: FakeSession) -> Any:
    AwsClients(cast("Session", session)).client("dynamodb")
    ((_, verify),) = session.made
    return verify


def test_amazons_roots_are_the_ones_that_botocore_trusts() -> None:
    stock = Path(botocore.__file__).with_name("cacert.pem").read_text()
    ours = re.findall(r"-----BEGIN.*?END CERTIFICATE-----", ROOTS.read_text(), re.DOTALL)
    assert len(ours) == 5
    assert [each for each in ours if each not in stock] == []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ROOTS)
    found: Any = context.get_ca_certs()
    subjects = [dict(part for (part,) in each["subject"]) for each in found]
    assert {each["commonName"] for each in subjects} == NAMES


def test_a_client_trusts_amazons_roots() -> None:
    assert trusted(FakeSession()) == str(ROOTS)


def test_a_bundle_of_the_users_own_goes_before() -> None:
    assert trusted(FakeSession(ca_bundle="/etc/proxy.pem")) == "/etc/proxy.pem"


@pytest.mark.parametrize("region", ["cn-north-1", "cn-northwest-1"])
def test_in_china_it_is_left_to_botocore(region: str) -> None:
    assert trusted(FakeSession(region=region)) is None


def test_a_client_is_made_once() -> None:
    session = FakeSession()
    clients = AwsClients(cast("Session", session))
    assert clients.client("sqs") is clients.client("sqs")
    assert len(session.made) == 1


SENT_UNCHECKED = [
    ("dynamodb", "list_tables", {"Limit": 0}),
    ("sqs", "list_queues", {"MaxResults": ""}),
]


@pytest.mark.parametrize(("service", "operation", "request_"), SENT_UNCHECKED)
def test_what_is_called_with_each_event_checks_its_requests_itself(
    service: Any, operation: str, request_: dict[str, Any]
) -> None:
    client: Any = AwsClients().client(service)
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(json.loads(request.body))
        raw: Any = SimpleNamespace(stream=lambda: iter([b"{}"]))
        return AWSResponse(request.url, 200, {}, raw)  # type: ignore[arg-type]

    client.meta.events.register("before-send", answer)
    getattr(client, operation)(**request_)
    assert sent == [request_]


def test_a_request_whose_path_would_be_another_is_not_sent() -> None:
    client = AwsClients().client("s3")
    with pytest.raises(ParamValidationError):
        client.delete_object(Bucket="outputs", Key="")
