"""The outbox speaks SQS, and its messages are read back as they were written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from shared.domain.errors import QueueUnavailableError
from shared.domain.tools import FactKind
from shared.gateways import queues
from shared.gateways.aws import AwsClients
from shared.gateways.queues import MalformedMessageError, SqsOutbox
from shared.usecases.ports import (
    DeliverRequest,
    DeliveryRef,
    DispatchMessage,
    DispatchRequest,
    FindOwnerRequest,
    PushRequest,
    RefreshRequest,
)
from tests.builders import SHOP, a_job

REF = a_job().ref


CLIENT = AwsClients().client("sqs")


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with Stubber(CLIENT) as stub:
        yield stub


def outbox() -> SqsOutbox:
    return SqsOutbox(CLIENT, "https://sqs/dispatch", "https://sqs/push.fifo")


def replies(count: int, failed: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "Successful": [
            {"Id": str(n), "MessageId": "m", "MD5OfMessageBody": "x"} for n in range(count)
        ],
        "Failed": [{"Id": "9", "Code": code, "SenderFault": False} for code in failed],
    }


def test_a_dispatch_names_its_shop_as_the_group_and_its_delay(stub: Stubber) -> None:
    entry = {
        "Id": "0",
        "MessageBody": json.dumps({"shop": SHOP, "jobId": REF.job_id}),
        "MessageGroupId": SHOP,
        "DelaySeconds": 900,
    }
    stub.add_response(
        "send_message_batch", replies(1), {"QueueUrl": "https://sqs/dispatch", "Entries": [entry]}
    )
    outbox().send_dispatch([DispatchRequest(ref=REF)], delay_s=5000)
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (
            RefreshRequest(provider="pikcel", kind=FactKind.TOOLS, age_s=10),
            {"refresh": "pikcel", "kind": "tools", "ageS": 10},
        ),
        (
            FindOwnerRequest(provider="pikcel", provider_job_id="pk_1", tries=2),
            {"findOwner": "pikcel", "providerJobId": "pk_1", "tries": 2},
        ),
    ],
)
def test_what_is_asked_of_a_provider_makes_no_shop_wait(
    stub: Stubber, request_: DispatchMessage, body: dict[str, Any]
) -> None:
    entry = {
        "Id": "0",
        "MessageBody": json.dumps(body),
        "MessageGroupId": "provider-pikcel",
        "DelaySeconds": 0,
    }
    stub.add_response(
        "send_message_batch", replies(1), {"QueueUrl": "https://sqs/dispatch", "Entries": [entry]}
    )
    outbox().send_dispatch([request_])
    stub.assert_no_pending_responses()


def test_a_push_is_deduplicated_by_job_and_number(stub: Stubber) -> None:
    entry = {
        "Id": "0",
        "MessageBody": json.dumps({"shop": SHOP, "jobId": REF.job_id, "n": 3}),
        "MessageGroupId": SHOP,
        "MessageDeduplicationId": f"{REF.job_id}:3",
    }
    stub.add_response(
        "send_message_batch", replies(1), {"QueueUrl": "https://sqs/push.fifo", "Entries": [entry]}
    )
    outbox().send_push([PushRequest(ref=REF, number=3)])
    stub.assert_no_pending_responses()


def test_more_than_ten_messages_go_in_chunks(stub: Stubber) -> None:
    for _ in range(3):
        stub.add_response("send_message_batch", replies(1), {"QueueUrl": ANY, "Entries": ANY})
    outbox().send_dispatch([DispatchRequest(ref=REF)] * 21)
    stub.assert_no_pending_responses()


def test_an_unread_partial_failure_would_lose_work_so_it_is_an_error(stub: Stubber) -> None:
    stub.add_response("send_message_batch", replies(1, failed=("InternalError",)))
    with pytest.raises(QueueUnavailableError):
        outbox().send_dispatch([DispatchRequest(ref=REF)])


def test_a_queue_that_is_out_or_not_ours_is_unavailable(stub: Stubber) -> None:
    stub.add_client_error("send_message_batch", "ServiceUnavailable")
    with pytest.raises(QueueUnavailableError):
        outbox().send_push([PushRequest(ref=REF, number=1)])
    with pytest.raises(QueueUnavailableError):
        SqsOutbox(CLIENT, None, None).send_dispatch([DispatchRequest(ref=REF)])


def test_a_queue_that_refuses_is_told_with_its_reason(stub: Stubber) -> None:
    """`ClientError` says nothing to whoever reads /health?deep=1 at night."""
    stub.add_client_error("get_queue_attributes", "AccessDenied", http_status_code=403)
    with pytest.raises(QueueUnavailableError, match=r"does not answer \(AccessDenied\)"):
        queues.check_queue(CLIENT, "https://sqs/queue")


@pytest.mark.parametrize(
    "request_",
    [
        DispatchRequest(ref=REF),
        DispatchRequest(ref=REF, poll=True),
        RefreshRequest(provider="pikcel", kind=FactKind.TOOLS, age_s=10),
        RefreshRequest(provider="pikcel", kind=FactKind.ACCOUNT, age_s=0),
        FindOwnerRequest(provider="openai", provider_job_id="resp_1"),
        FindOwnerRequest(provider="openai", provider_job_id="é\n\ud800", tries=7),
    ],
)
def test_a_dispatch_message_is_read_back(request_: DispatchMessage) -> None:
    assert queues.read_dispatch(queues.write_dispatch(request_)) == request_


def test_a_push_message_is_read_back() -> None:
    request = PushRequest(ref=REF, number=2)
    assert queues.read_push(queues.write_push(request)) == request


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"shop":1,"jobId":"x"}', "[" * 100_000])
def test_a_message_that_none_of_ours_sends_is_malformed(text: str) -> None:
    with pytest.raises(MalformedMessageError):
        queues.read_dispatch(text)
    with pytest.raises(MalformedMessageError):
        queues.read_push(text)


DELIVER = DeliverRequest(
    ref=DeliveryRef(shop=SHOP, endpoint_id=REF.job_id, delivery_id=a_job().job_id), number=3
)


def test_a_webhook_to_deliver_names_its_shop_as_the_group(stub: Stubber) -> None:
    entry = {
        "Id": "0",
        "MessageBody": queues.write_deliver(DELIVER),
        "MessageGroupId": SHOP,
        "DelaySeconds": 6,
    }
    expected = {"QueueUrl": "https://sqs/deliver", "Entries": [entry]}
    stub.add_response("send_message_batch", replies(1), expected)
    SqsOutbox(CLIENT, None, None, deliver_url="https://sqs/deliver").send_deliver(
        [DELIVER], delay_s=6
    )
    stub.assert_no_pending_responses()


def test_a_deliver_message_is_read_back_as_it_was_written() -> None:
    assert queues.read_deliver(queues.write_deliver(DELIVER)) == DELIVER


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shop": "s"}', "nonsense", '"x"'])
def test_a_deliver_message_that_nobody_sends_is_malformed(text: str) -> None:
    with pytest.raises(MalformedMessageError):
        queues.read_deliver(text)
