"""What the table's stream brings to notify, and what happens to what it cannot tell of."""

from __future__ import annotations

import json
from typing import Any

from shared.domain.endpoints import DisabledReason
from shared.domain.status import ENDED
from tests.template.stack import CONSUMERS, FUNCTIONS, function, properties


def stream() -> dict[str, Any]:
    ((kind, found),) = ((e["Type"], e["Properties"]) for e in function("notify")["Events"].values())
    assert kind == "DynamoDB"
    assert isinstance(found, dict)
    return found


def patterns() -> list[dict[str, Any]]:
    return [json.loads(each["Pattern"]) for each in stream()["FilterCriteria"]["Filters"]]


def test_only_notify_reads_the_stream_from_its_beginning() -> None:
    kinds = {
        name: {event["Type"] for event in function(name)["Events"].values()} for name in FUNCTIONS
    }
    assert [name for name in FUNCTIONS if "DynamoDB" in kinds[name]] == ["notify"]
    assert "notify" not in CONSUMERS
    assert stream()["Stream"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    assert stream()["StartingPosition"] == "TRIM_HORIZON"
    assert properties("Table")["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_it_is_called_for_ended_jobs_and_endpoints_that_we_disabled_only() -> None:
    # Lambda promises to filter on the key `dynamodb` alone: not on eventName.
    jobs, endpoints = patterns()
    assert jobs == {
        "dynamodb": {
            "Keys": {"sk": {"S": [{"prefix": "JOB#"}]}},
            "NewImage": {"status": {"S": [each.value for each in ENDED]}},
        }
    }
    assert endpoints == {
        "dynamodb": {
            "Keys": {"sk": {"S": [{"prefix": "HOOK#"}]}},
            "NewImage": {"disabled_reason": {"S": [each.value for each in DisabledReason]}},
        }
    }


def test_shops_are_told_of_side_by_side() -> None:
    assert stream()["ParallelizationFactor"] == 10


def test_a_record_that_cannot_be_told_of_stops_the_stream_for_a_while_only() -> None:
    assert stream()["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert stream()["BisectBatchOnFunctionError"] is True
    assert 0 < stream()["MaximumRetryAttempts"] <= 20
    assert stream()["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["NotifyDeadLetterQueue", "Arn"]},
    }


def test_events_go_to_a_bus_of_our_own() -> None:
    assert properties("NoticeBus")["Name"] == {"Ref": "AWS::StackName"}
    variables = function("notify")["Environment"]["Variables"]
    assert variables["EVENT_BUS_NAME"] == {"Ref": "NoticeBus"}
    assert (
        variables["NOTICE_TOPIC_PREFIX"]
        == (function("api")["Environment"]["Variables"]["NOTICE_TOPIC_PREFIX"])
    )
