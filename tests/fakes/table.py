"""The table of template.yaml, made on an engine; and a client that counts and can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import botocore.session
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
