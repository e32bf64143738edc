"""The queues as an outbox.

Messages, JSON:
    dispatch  {"shop", "jobId", "poll"?: true}  or  {"resumePushes": shop, "position"?}
              or  {"pollMany": provider, "jobs": [[shop, jobId], …]}
              or  {"refresh": provider, "kind", "ageS"}
              or  {"findOwner": provider, "providerJobId", "tries"}
    push      {"shop", "jobId", "n"}
    bulk      {"shop", "jobId"}
    deliver   {"shop", "endpointId", "deliveryId", "n"}
"""

import json
from collections.abc import Iterable, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import QueueUnavailableError
from shared.domain.ids import JobRef
from shared.domain.tools import FactKind
from shared.usecases.ports import (
    BulkRequest,
    DeliverRequest,
    DeliveryRef,
    DispatchMessage,
    DispatchRequest,
    FindOwnerRequest,
    PollManyRequest,
    PushRequest,
    RefreshRequest,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

BATCH_SIZE = 10  # SQS's own limit
MAX_DELAY_S = 900  # SQS's own limit


class MalformedMessageError(ValueError):
    """A message that none of our functions sends."""


class SqsOutbox:
    """Sends to the queues. A queue that a function may not send to is given as None."""

    def __init__(
        self,
        client: "SQSClient",
        dispatch_url: str | None,
        push_url: str | None,
        bulk_url: str | None = None,
        deliver_url: str | None = None,
    ) -> None:
        self._client = client
        self._dispatch_url = dispatch_url
        self._push_url = push_url
        self._bulk_url = bulk_url
        self._deliver_url = deliver_url

    def send_dispatch(self, requests: Sequence[DispatchMessage], *, delay_s: int = 0) -> None:
        """Send to the dispatch queue. The group names the shop, so that a busy one does not
        make the others wait (fair queue). Raises QueueUnavailableError."""
        grouped = [(_group_of(each), write_dispatch(each)) for each in requests]
        self._send_fairly(self._dispatch_url, grouped, delay_s)

    def send_push(self, requests: Sequence[PushRequest]) -> None:
        """Send to the push queue. Raises QueueUnavailableError.

        Equal deduplication ids are swallowed for five minutes: the number is raised by
        every transaction that queues a push.
        """
        self._send(
            self._push_url,
            [
                {
                    "Id": str(number),
                    "MessageBody": write_push(request),
                    "MessageGroupId": request.ref.shop,
                    "MessageDeduplicationId": f"{request.ref.job_id}:{request.number}",
                }
                for number, request in enumerate(requests)
            ],
        )

    def send_bulk(self, requests: Sequence[BulkRequest], *, delay_s: int = 0) -> None:
        """Send to the bulk queue (group = shop: fair). Raises QueueUnavailableError."""
        grouped = [(each.ref.shop, write_bulk(each)) for each in requests]
        self._send_fairly(self._bulk_url, grouped, delay_s)

    def send_deliver(self, requests: Sequence[DeliverRequest], *, delay_s: int = 0) -> None:
        """Send to the deliver queue (group = shop: fair). Raises QueueUnavailableError."""
        grouped = [(each.ref.shop, write_deliver(each)) for each in requests]
        self._send_fairly(self._deliver_url, grouped, delay_s)

    def _send_fairly(
        self, url: str | None, grouped: Iterable[tuple[str, str]], delay_s: int
    ) -> None:
        """Send to a fair queue. grouped: each message's group, and its body."""
        self._send(
            url,
            [
                {
                    "Id": str(number),
                    "MessageBody": body,
                    "MessageGroupId": group,
                    "DelaySeconds": min(max(delay_s, 0), MAX_DELAY_S),
                }
                for number, (group, body) in enumerate(grouped)
            ],
        )

    def _send(
        self, url: str | None, entries: Iterable["SendMessageBatchRequestEntryTypeDef"]
    ) -> None:
        if url is None:
            raise QueueUnavailableError("This function has no such queue.")
        for chunk in batched(entries, BATCH_SIZE, strict=False):
            try:
                reply = self._client.send_message_batch(QueueUrl=url, Entries=list(chunk))
            except (ClientError, BotoCoreError) as error:
                raise queue_unavailable(error) from error
            failed = reply.get("Failed", [])
            if failed:
                codes = ", ".join(sorted({item["Code"] for item in failed}))
                raise QueueUnavailableError(f"{len(failed)} messages were refused ({codes}).")


def check_queue(client: "SQSClient", url: str) -> None:
    """Ask the queue for its name. Raises QueueUnavailableError when it does not answer."""
    try:
        client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    except (ClientError, BotoCoreError) as error:
        raise queue_unavailable(error) from error


def queue_unavailable(error: ClientError | BotoCoreError) -> QueueUnavailableError:
    """Make the error for a queue that does not answer, with Amazon SQS's own word for why."""
    word = type(error).__name__
    if isinstance(error, ClientError):
        word = error.response.get("Error", {}).get("Code") or word
    return QueueUnavailableError(f"The queue does not answer ({word}).")


def _group_of(request: DispatchMessage) -> str:
    if isinstance(request, RefreshRequest | FindOwnerRequest):
        return f"provider-{request.provider}"  # all shops'
    if isinstance(request, PollManyRequest):
        return request.refs[0].shop
    return request.ref.shop


def write_dispatch(request: DispatchMessage) -> str:
    """Write a dispatch message."""
    body: dict[str, Any]
    if isinstance(request, RefreshRequest):
        body = {"refresh": request.provider, "kind": request.kind, "ageS": request.age_s}
    elif isinstance(request, FindOwnerRequest):
        names = {"findOwner": request.provider, "providerJobId": request.provider_job_id}
        body = {**names, "tries": request.tries}
    elif isinstance(request, PollManyRequest):
        jobs = [[ref.shop, ref.job_id] for ref in request.refs]
        body = {"pollMany": request.provider, "jobs": jobs}
    else:
        body = {"shop": request.ref.shop, "jobId": request.ref.job_id}
        if request.poll:
            body["poll"] = True
    return json.dumps(body)


def read_dispatch(text: str) -> DispatchMessage:
    """Read a dispatch message. Raises MalformedMessageError."""
    match _object(text):
        case {"pollMany": str(provider), "jobs": [*jobs]}:
            return PollManyRequest(provider=provider, refs=tuple(map(_ref, jobs)))
        case {"refresh": str(provider), "kind": "tools" | "account" as kind, "ageS": int(age_s)}:
            return RefreshRequest(provider=provider, kind=FactKind(kind), age_s=age_s)
        case {"findOwner": str(provider), "providerJobId": str(job_id), "tries": int(tries)}:
            return FindOwnerRequest(provider=provider, provider_job_id=job_id, tries=tries)
        case {"shop": str(shop), "jobId": str(job_id), **rest}:
            return DispatchRequest(ref=JobRef(shop, job_id), poll=rest.get("poll") is True)
    raise MalformedMessageError("not a dispatch message")


def _ref(pair: object) -> JobRef:
    match pair:
        case [str(shop), str(job_id)]:
            return JobRef(shop, job_id)
    raise MalformedMessageError("not a job's reference")


def write_push(request: PushRequest) -> str:
    """Write a push message."""
    ref = request.ref
    return json.dumps({"shop": ref.shop, "jobId": ref.job_id, "n": request.number})


def read_push(text: str) -> PushRequest:
    """Read a push message. Raises MalformedMessageError."""
    match _object(text):
        case {"shop": str(shop), "jobId": str(job_id), "n": int(number)}:
            return PushRequest(ref=JobRef(shop, job_id), number=number)
    raise MalformedMessageError("not a push message")


def write_bulk(request: BulkRequest) -> str:
    """Write a bulk message."""
    return json.dumps({"shop": request.ref.shop, "jobId": request.ref.job_id})


def read_bulk(text: str) -> BulkRequest:
    """Read a bulk message. Raises MalformedMessageError."""
    match _object(text):
        case {"shop": str(shop), "jobId": str(job_id)}:
            return BulkRequest(ref=JobRef(shop, job_id))
    raise MalformedMessageError("not a bulk message")


def write_deliver(request: DeliverRequest) -> str:
    """Write a deliver message."""
    ref = request.ref
    names = {"shop": ref.shop, "endpointId": ref.endpoint_id, "deliveryId": ref.delivery_id}
    return json.dumps({**names, "n": request.number})


def read_deliver(text: str) -> DeliverRequest:
    """Read a deliver message. Raises MalformedMessageError."""
    match _object(text):
        case {
            "shop": str(shop),
            "endpointId": str(endpoint_id),
            "deliveryId": str(delivery_id),
            "n": int(number),
        }:
            ref = DeliveryRef(shop=shop, endpoint_id=endpoint_id, delivery_id=delivery_id)
            return DeliverRequest(ref=ref, number=number)
    raise MalformedMessageError("not a deliver message")


def _object(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedMessageError("not JSON") from None
