"""SQS as our functions meet it, on a clock that a test moves.

Source: Amazon SQS developer guide, "visibility timeout", "FIFO delivery logic", "dead-letter
queues", "exactly-once processing" (deduplication for five minutes); AWS Lambda, "using Lambda
with SQS" (partial batch responses). Requests are checked against botocore's own description of
the service.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from tests.template.stack import properties

DEDUPLICATED_FOR = timedelta(minutes=5)
ORIGIN = "https://sqs.test/123456789012/"


@dataclass(slots=True)
class Message:
    """One message. receives: how often it was handed out."""

    message_id: str
    body: str
    group: str | None
    deduplication_id: str | None
    sent_at: datetime
    visible_at: datetime
    receives: int = 0

    def record(self, queue: str) -> dict[str, Any]:
        """Return it as Lambda puts it into an event."""
        attributes = {
            "ApproximateReceiveCount": str(self.receives),
            "SentTimestamp": str(int(self.sent_at.timestamp() * 1000)),
        }
        if self.group is not None:
            attributes["MessageGroupId"] = self.group
        if self.deduplication_id is not None:
            attributes["MessageDeduplicationId"] = self.deduplication_id
        return {
            "messageId": self.message_id,
            "receiptHandle": f"receipt-{self.message_id}-{self.receives}",
            "body": self.body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
            "awsRegion": "us-east-1",
        }


@dataclass(slots=True)
class Queue:
    """One queue, with the settings of template.yaml.

    dead: what was handed out too often.
    """

    name: str
    is_fifo: bool
    visibility: timedelta
    max_receives: int
    batch_size: int
    messages: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)
    seen: dict[tuple[str | None, str], datetime] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The queue's address."""
        return ORIGIN + self.name

    def receive(self, now: datetime) -> list[Message]:
        """Hand out a batch: oldest first; of a FIFO group nothing while some of it is out."""
        for message in [m for m in self.messages if m.visible_at <= now]:
            if message.receives >= self.max_receives:
                self.messages.remove(message)
                self.dead.append(message)
        blocked: set[str | None] = set()
        batch: list[Message] = []
        for message in self.messages:
            if self.is_fifo and message.group in blocked:
                continue
            if message.visible_at > now:
                if self.is_fifo:
                    blocked.add(message.group)
                continue
            if len(batch) < self.batch_size:
                batch.append(message)
        for message in batch:
            message.receives += 1
            message.visible_at = now + self.visibility
        return batch

    def delete(self, message: Message) -> None:
        """Forget a message that was seen to."""
        if message in self.messages:
            self.messages.remove(message)

    def next_at(self, now: datetime) -> datetime | None:
        """Return when the next message appears, None if none will."""
        return min((m.visible_at for m in self.messages if m.visible_at > now), default=None)


def queue_of(resource: str, function: str, *, batch_size: int) -> Queue:
    """Make a queue as the template describes it."""
    described = properties(resource)
    is_fifo = bool(described.get("FifoQueue"))
    return Queue(
        name=function + (".fifo" if is_fifo else ""),
        is_fifo=is_fifo,
        visibility=timedelta(seconds=described["VisibilityTimeout"]),
        max_receives=described["RedrivePolicy"]["maxReceiveCount"],
        batch_size=batch_size,
    )


@cache
def _service() -> ServiceModel:
    return botocore.session.get_session().get_service_model("sqs")


class QueueService:
    """A botocore client of SQS, as far as our functions use it."""

    def __init__(self, queues: Sequence[Queue], now: Callable[[], datetime]) -> None:
        self._queues = {queue.url: queue for queue in queues}
        self._now = now
        self._ids = count(1)

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """Take messages in."""
        self._check("SendMessageBatch", request)
        queue = self._queues[request["QueueUrl"]]
        for entry in request["Entries"]:
            self._take(queue, entry)
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]], "Failed": []}

    def change_message_visibility(self, **request: Any) -> dict[str, Any]:
        """Hide a message that is out for another while from now on."""
        self._check("ChangeMessageVisibility", request)
        self._hide(request["QueueUrl"], request)
        return {}

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        """Hide messages that are out for another while from now on."""
        self._check("ChangeMessageVisibilityBatch", request)
        for entry in request["Entries"]:
            self._hide(request["QueueUrl"], entry)
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]], "Failed": []}

    def get_queue_attributes(self, **request: Any) -> dict[str, Any]:
        """Describe a queue."""
        self._check("GetQueueAttributes", request)
        return {"Attributes": {"QueueArn": self._queues[request["QueueUrl"]].name}}

    def _check(self, operation: str, request: dict[str, Any]) -> None:
        shape = _service().operation_model(operation).input_shape
        assert shape is not None
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()

    def _take(self, queue: Queue, entry: dict[str, Any]) -> None:
        now = self._now()
        group, deduplication_id = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
        if queue.is_fifo:
            assert group is not None, "a FIFO queue wants a group"
            assert deduplication_id is not None, "a FIFO queue wants a deduplication id"
            assert not entry.get("DelaySeconds"), "a FIFO queue delays no single message"
            key = (group, deduplication_id)
            if queue.seen.get(key, now) > now:
                return
            queue.seen[key] = now + DEDUPLICATED_FOR
        delay = timedelta(seconds=entry.get("DelaySeconds", 0))
        queue.messages.append(
            Message(
                message_id=f"m{next(self._ids)}",
                body=entry["MessageBody"],
                group=group,
                deduplication_id=deduplication_id,
                sent_at=now,
                visible_at=now + delay,
            )
        )

    def _hide(self, url: str, entry: dict[str, Any]) -> None:
        for message in self._queues[url].messages:
            if entry["ReceiptHandle"] == f"receipt-{message.message_id}-{message.receives}":
                wait = timedelta(seconds=entry["VisibilityTimeout"])
                message.visible_at = self._now() + wait
