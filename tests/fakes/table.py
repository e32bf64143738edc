"""The table of template.yaml, made on an engine; and a client that counts and can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.template.stack import properties

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_DEFINITION = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")


def dynamo_client(endpoint: str | None = None) -> DynamoDBClient:
    """Return a client that is made as ours is on AWS, with a fake account."""
    client: Any = botocore.session.get_session().create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"mode": "standard", "total_max_attempts": 3}),
    )
    found: DynamoDBClient = client
    return found


def make_table(client: DynamoDBClient, name: str) -> None:
    """Make the table that the template describes, under another name."""
    table = properties("Table")
    client.create_table(TableName=name, **{part: table[part] for part in _DEFINITION})


def embedded_client() -> DynamoDBClient:
    """Return a client of ministack's own DynamoDB in this process: no server and no socket.

    It is the engine of the laptop's stack, without the HTTP in between: a transaction of six
    items takes three milliseconds (moto copies the whole table for each).
    """
    client: Any = dynamo_client("http://127.0.0.1:1")
    client.meta.events.register("before-send.dynamodb", _answer_here)
    found: DynamoDBClient = client
    return found


def embedded_items(name: str) -> list[dict[str, Any]]:
    """Return all items of a table of the embedded engine as they are. Do not change them."""
    from ministack.services import dynamodb as engine

    partitions = engine._tables[name]["items"].values()
    return [item for partition in partitions for item in partition.values()]


def embedded_item(name: str, pk: str, sk: str) -> dict[str, Any] | None:
    """Return one item of a table of the embedded engine as it is. Do not change it."""
    from ministack.services import dynamodb as engine

    found: dict[str, Any] | None = engine._tables[name]["items"].get(pk, {}).get(sk)
    return found


def _answer_here(request: Any, **_: Any) -> AWSResponse:
    # It takes half a second to import, which only those wait for who want it.
    from ministack.services import dynamodb as engine

    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    answering = engine.handle_request("POST", "/", headers, request.body, {})
    try:
        answering.send(None)  # it waits for nothing
    except StopIteration as done:
        status, answer_headers, body = done.value
        return AWSResponse(request.url, status, answer_headers, _Body(body))
    raise AssertionError("the engine waits for something")


class _Body:
    """An answer's body as botocore reads it."""

    def __init__(self, content: bytes | str) -> None:
        self._content = content.encode() if isinstance(content, str) else content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content


class ProbedClient:
    """A client that notes every call, and lets a test answer in the table's place.

    calls: (operation, request) of every call, in order. answers: functions that are asked, one
    call each, in order, for the call's answer; one may raise, or return None to pass the call on.
    """

    def __init__(self, client: DynamoDBClient) -> None:
        self._client = client
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[Callable[[str, dict[str, Any]], dict[str, Any] | None]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            self.calls.append((operation, request))
            answer = self.answers.pop(0)(operation, request) if self.answers else None
            return getattr(self._client, operation)(**request) if answer is None else answer

        return call

    @property
    def operations(self) -> list[str]:
        """The names of the operations called, in order."""
        return [operation for operation, _ in self.calls]


def error_answer(code: str, *, status: int = 400, message: str = "", **more: Any) -> ClientError:
    """Return the error that botocore raises for an error answer."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **more,
    }
    return ClientError(response, "TransactWriteItems")


def cancelled(codes: list[str], **more: Any) -> ClientError:
    """Return the error of a cancelled transaction with those reasons, one per item."""
    reasons = [{"Code": code, **more} for code in codes]
    return error_answer("TransactionCanceledException", CancellationReasons=reasons)
