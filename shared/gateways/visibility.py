"""When messages that were received and not finished come again."""

from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import QueueUnavailableError
from shared.gateways.queues import queue_unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH_SIZE = 10  # SQS's own limit
MAX_HIDDEN_S = 43_200  # SQS's own limit: twelve hours


class SqsReceivedMessages:
    """Implements ReceivedMessages for one queue, with ChangeMessageVisibility."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """Have them come again after that time. Raises QueueUnavailableError."""
        hidden_s = min(max(seconds, 0), MAX_HIDDEN_S)
        for chunk in batched(receipts, BATCH_SIZE, strict=False):
            try:
                reply = self._client.change_message_visibility_batch(
                    QueueUrl=self._queue_url,
                    Entries=[
                        {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": hidden_s}
                        for n, receipt in enumerate(chunk)
                    ],
                )
            except (ClientError, BotoCoreError) as error:
                raise queue_unavailable(error) from error
            if reply.get("Failed"):
                raise QueueUnavailableError("Some messages could not be hidden.")
