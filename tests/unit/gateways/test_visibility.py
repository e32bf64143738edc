"""ChangeMessageVisibility, on moto's queue."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from shared.domain.errors import QueueUnavailableError
from shared.gateways.visibility import SqsReceivedMessages

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def sqs() -> "Iterator[SQSClient]":
    with mock_aws():
        yield boto3.client("sqs", region_name="us-east-1")


def test_messages_can_come_again_at_once_or_later(sqs: "SQSClient") -> None:
    url = sqs.create_queue(QueueName="push")["QueueUrl"]
    for number in range(2):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    received = SqsReceivedMessages(sqs, url)

    received.hide([messages[0]["ReceiptHandle"]], 0)
    received.hide([messages[1]["ReceiptHandle"]], 900)

    again = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in again] == [messages[0]["Body"]]


def test_a_receipt_that_is_not_valid_is_told(sqs: "SQSClient") -> None:
    url = sqs.create_queue(QueueName="push")["QueueUrl"]
    with pytest.raises(QueueUnavailableError):
        SqsReceivedMessages(sqs, url).hide(["nonsense"], 5)


def test_a_queue_that_is_away_is_told(sqs: "SQSClient") -> None:
    with pytest.raises(QueueUnavailableError):
        SqsReceivedMessages(sqs, "https://sqs.us-east-1.amazonaws.com/123456789012/no").hide(
            ["x"], 5
        )
