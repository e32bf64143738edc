"""The dashboard shows what exists: metrics that we emit or AWS publishes, and every alarm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.template.emitted import emitted_by
from tests.template.stack import FUNCTIONS, ids_of_type, properties, resource

BODY, GIVEN = properties("OperationsDashboard")["DashboardBody"]["Fn::Sub"]
# Some alarms are there only where CloudWatch can compute with metrics, as it can on AWS.
CONDITION, QUERY_ALARMS, NOTHING = GIVEN["QueryAlarms"]["Fn::If"]
DOCUMENT: dict[str, Any] = json.loads(BODY.replace("${QueryAlarms}", QUERY_ALARMS["Fn::Sub"]))
WIDGETS: list[dict[str, Any]] = DOCUMENT["widgets"]

# What AWS publishes by itself, by namespace: the dimension, the type of the resource that it
# names, and the metrics. Source: API Gateway developer guide, "Working with metrics for HTTP
# APIs"; Lambda, "Types of metrics"; SQS and DynamoDB, "Available CloudWatch metrics"; read
# 2026-11-26.
PUBLISHED: dict[str, tuple[str, str, set[str]]] = {
    "AWS/ApiGateway": (
        "ApiId",
        "AWS::Serverless::HttpApi",
        {"4xx", "5xx", "Count", "DataProcessed", "IntegrationLatency", "Latency"},
    ),
    "AWS/Lambda": (
        "FunctionName",
        "AWS::Serverless::Function",
        {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "IteratorAge", "Throttles"},
    ),
    "AWS/SQS": (
        "QueueName",
        "AWS::SQS::Queue",
        {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    ),
    "AWS/DynamoDB": (
        "TableName",
        "AWS::DynamoDB::Table",
        {
            *("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"),
            *("ReadThrottleEvents", "WriteThrottleEvents"),
        },
    ),
}


def metrics() -> Iterator[tuple[str, str, str, str]]:
    """Yield namespace, name, dimension and its value of every metric that is shown."""
    for widget in WIDGETS:
        for metric in widget["properties"].get("metrics", ()):
            namespace, name, dimension, value = metric
            yield namespace, name, dimension, value


@pytest.mark.parametrize("metric", list(metrics()), ids=str)
def test_a_metric_that_is_shown_exists(metric: tuple[str, str, str, str]) -> None:
    namespace, name, dimension, value = metric
    if namespace == "${AWS::StackName}":
        assert dimension == "service"
        assert value in FUNCTIONS
        assert name in emitted_by(value)
    else:
        by, kind, names = PUBLISHED[namespace]
        assert (dimension, name in names) == (by, True)
        (logical_id,) = re.findall(r"^\$\{(\w+)(?:\.QueueName)?\}$", value)
        assert logical_id in ids_of_type(kind)


def test_no_metric_is_shown_twice_and_all_fit_into_a_free_dashboard() -> None:
    shown = list(metrics())
    assert len(set(shown)) == len(shown) <= 50


def test_every_alarm_is_on_it() -> None:
    (widget,) = (each for each in WIDGETS if each["type"] == "alarm")
    wanted = [f"${{{alarm}.Arn}}" for alarm in ids_of_type("AWS::CloudWatch::Alarm")]
    assert sorted(widget["properties"]["alarms"]) == sorted(wanted)


def test_an_alarm_that_is_not_there_is_not_named() -> None:
    named = re.findall(r"\$\{(\w+)\.Arn\}", BODY.replace("${QueryAlarms}", NOTHING))
    conditional = [
        alarm for alarm in ids_of_type("AWS::CloudWatch::Alarm") if "Condition" in resource(alarm)
    ]
    assert {resource(alarm)["Condition"] for alarm in conditional} == {CONDITION}
    assert set(named).isdisjoint(conditional)
    json.loads(BODY.replace("${QueryAlarms}", NOTHING))


def test_every_queue_and_function_is_on_it() -> None:
    named = {value for _, _, _, value in metrics()}
    queues = {f"${{{queue}.QueueName}}" for queue in ids_of_type("AWS::SQS::Queue")}
    functions = {f"${{{function}}}" for function in ids_of_type("AWS::Serverless::Function")}
    assert (queues | functions) - named == set()


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda each: each["properties"]["title"])
def test_a_widget_has_a_title_a_place_and_a_region(widget: dict[str, Any]) -> None:
    assert 0 <= widget["x"] <= 24 - widget["width"]
    if widget["type"] == "metric":
        told = widget["properties"]
        assert told["region"] == "${AWS::Region}"
        assert told["period"] % 60 == 0
        assert told["stat"] in ("Sum", "Maximum", "p99")


def test_widgets_do_not_cover_each_other() -> None:
    places = [
        (widget["x"] + column, widget["y"] + row)
        for widget in WIDGETS
        for column in range(widget["width"])
        for row in range(widget["height"])
    ]
    assert len(set(places)) == len(places)


def test_it_has_the_stacks_name_and_its_address_is_told() -> None:
    assert properties("OperationsDashboard")["DashboardName"] == {"Ref": "AWS::StackName"}
