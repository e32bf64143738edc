"""What the queues promise: nothing is dropped silently, nothing blocks for long."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template.stack import CONSUMERS, function, ids_of_type, properties

QUEUES = ("BulkQueue", "DeliverQueue", "DispatchQueue", "PushQueue")
DEAD_LETTER_QUEUES = (
    *(queue.replace("Queue", "DeadLetterQueue") for queue in QUEUES),
    "NotifyDeadLetterQueue",
)
FOURTEEN_DAYS_S = 14 * 24 * 60 * 60


def mapping(name: str) -> dict[str, Any]:
    events = function(name)["Events"].values()
    (found,) = (each["Properties"] for each in events if each["Type"] == "SQS")
    assert isinstance(found, dict)
    return found


def test_there_are_no_other_queues() -> None:
    assert sorted(ids_of_type("AWS::SQS::Queue")) == sorted(QUEUES + DEAD_LETTER_QUEUES)


@pytest.mark.parametrize("queue", QUEUES + DEAD_LETTER_QUEUES)
def test_a_queue_is_encrypted(queue: str) -> None:
    assert properties(queue)["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("queue", QUEUES)
def test_what_crashes_again_and_again_goes_to_the_queues_own_dead_letter_queue(queue: str) -> None:
    redrive = properties(queue)["RedrivePolicy"]
    dead_letters = queue.replace("Queue", "DeadLetterQueue")
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [dead_letters, "Arn"]}
    assert redrive["maxReceiveCount"] >= 5  # AWS's advice for Lambda consumers


@pytest.mark.parametrize("queue", DEAD_LETTER_QUEUES)
def test_dead_letters_are_kept_as_long_as_they_can_be(queue: str) -> None:
    assert properties(queue)["MessageRetentionPeriod"] == FOURTEEN_DAYS_S


@pytest.mark.parametrize("name", ["bulk", "deliver", "dispatch"])
def test_a_message_stays_invisible_for_six_timeouts(name: str) -> None:
    visibility_s = properties(f"{name.capitalize()}Queue")["VisibilityTimeout"]
    assert visibility_s >= 6 * function(name)["Timeout"]


def test_a_crashed_push_silences_its_shop_for_a_minute_and_a_half_only() -> None:
    assert properties("PushQueue")["VisibilityTimeout"] == 90
    assert function("push")["Timeout"] == 60


def test_dispatch_is_standard_and_push_is_fifo_with_a_limit_per_shop() -> None:
    assert "FifoQueue" not in properties("DispatchQueue")
    assert "FifoQueue" not in properties("DispatchDeadLetterQueue")
    push = properties("PushQueue")
    assert push["FifoQueue"] is True
    assert push["DeduplicationScope"] == "messageGroup"
    assert push["FifoThroughputLimit"] == "perMessageGroupId"
    assert push["ContentBasedDeduplication"] is False
    assert properties("PushDeadLetterQueue")["FifoQueue"] is True


@pytest.mark.parametrize("name", sorted(CONSUMERS))
def test_a_consumer_reports_single_failures_and_is_bounded(name: str) -> None:
    assert mapping(name)["Queue"] == {"Fn::GetAtt": [CONSUMERS[name], "Arn"]}
    assert mapping(name)["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 2 <= mapping(name)["ScalingConfig"]["MaximumConcurrency"] <= 50


def test_ten_pushes_of_a_shop_come_together_and_the_others_come_alone() -> None:
    assert mapping("push")["BatchSize"] == 10
    assert mapping("bulk")["BatchSize"] == 1
    assert mapping("deliver")["BatchSize"] == 1
    assert mapping("dispatch")["BatchSize"] == 1
