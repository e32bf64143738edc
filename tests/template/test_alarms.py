"""Silence is not health: what is watched, and that somebody is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template.stack import FUNCTIONS, ROOT, ids_of_type, properties, resource

pytestmark = pytest.mark.promise("silence", "alarms of the template")

ALARMS = ids_of_type("AWS::CloudWatch::Alarm")


def watched(alarm: dict[str, Any]) -> tuple[str, str, Any]:
    (dimension,) = alarm["Dimensions"]
    return alarm["Namespace"], alarm["MetricName"], dimension["Value"]


@pytest.mark.parametrize("alarm", ALARMS)
def test_every_alarm_tells_the_topic_when_it_starts_and_when_it_ends(alarm: str) -> None:
    assert properties(alarm)["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    assert properties(alarm)["OKActions"] == [{"Ref": "AlarmTopic"}]


@pytest.mark.parametrize("alarm", ALARMS)
def test_every_alarm_says_what_is_wrong(alarm: str) -> None:
    assert len(properties(alarm)["AlarmDescription"].split()) >= 6


@pytest.mark.parametrize(
    "queue",
    [f"{name}DeadLetterQueue" for name in ("Bulk", "Deliver", "Dispatch", "Notify", "Push")],
)
def test_one_dead_letter_is_enough(queue: str) -> None:
    name = {"Fn::GetAtt": [queue, "QueueName"]}
    (alarm,) = (
        properties(each)
        for each in ALARMS
        if "Dimensions" in properties(each) and properties(each)["Dimensions"][0]["Value"] == name
    )
    assert (alarm["Namespace"], alarm["MetricName"]) == (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
    )
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


def test_a_silent_sweep_is_an_alarm_by_itself() -> None:
    alarm = properties("SweepSilenceAlarm")
    assert watched(alarm) == ("JobTracker", "DueBacklogAge", "sweep")
    assert alarm["Statistic"] == "SampleCount"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["Period"] * alarm["EvaluationPeriods"] <= 600


def test_a_sweep_that_falls_behind_is_an_alarm() -> None:
    alarm = properties("SweepBacklogAlarm")
    assert watched(alarm) == ("JobTracker", "DueBacklogAge", "sweep")
    assert alarm["Statistic"] == "Maximum"
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert alarm["Threshold"] == 600


def test_refused_webhooks_are_an_alarm() -> None:
    alarm = properties("WebhookRejectionsAlarm")
    assert watched(alarm) == ("JobTracker", "WebhookRejected", "webhook")
    assert alarm["Statistic"] == "Sum"


def test_webhooks_that_we_could_not_take_are_an_alarm() -> None:
    alarm = properties("WebhookUnavailableAlarm")
    assert watched(alarm) == ("JobTracker", "WebhookUnavailable", "webhook")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


def test_bulk_work_that_cannot_go_on_is_an_alarm() -> None:
    alarm = properties("BulkUnavailableAlarm")
    assert watched(alarm) == ("JobTracker", "BulkUnavailable", "bulk")
    assert alarm["Statistic"] == "Sum"


def test_completions_that_no_webhook_told_are_an_alarm() -> None:
    alarm = properties("PollShareAlarm")
    metrics = {each["Id"]: each for each in alarm["Metrics"]}
    named = {
        (stat["Metric"]["MetricName"], stat["Metric"]["Dimensions"][0]["Value"])
        for each in metrics.values()
        if (stat := each.get("MetricStat"))
    }
    assert named == {("CompletedByPoll", "dispatch"), ("CompletedByWebhook", "webhook")}
    assert [each["Id"] for each in alarm["Metrics"] if each["ReturnData"]] == ["share"]
    assert resource("PollShareAlarm")["Condition"] == "HasMetricMath"


@pytest.mark.parametrize("name", ["api", "deliver", "dispatch", "push", "webhook"])
def test_an_unreadable_secret_is_an_alarm_wherever_secrets_are_read(name: str) -> None:
    alarm = properties(f"{name.capitalize()}SecretUnavailableAlarm")
    assert watched(alarm) == ("JobTracker", "SecretUnavailable", name)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_of_every_function_are_an_alarm(name: str) -> None:
    alarm = properties(f"{name.capitalize()}ErrorsAlarm")
    assert watched(alarm) == ("AWS/Lambda", "Errors", {"Ref": f"{name.capitalize()}Function"})


def test_a_change_that_could_not_be_told_of_is_an_alarm() -> None:
    alarm = properties("NotifyFailuresAlarm")
    assert watched(alarm) == ("JobTracker", "NotifyFailed", "notify")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


def test_only_the_dead_mans_switch_takes_silence_for_trouble() -> None:
    breaching = [each for each in ALARMS if properties(each)["TreatMissingData"] == "breaching"]
    assert breaching == ["SweepSilenceAlarm"]


def test_somebody_can_be_told_by_mail() -> None:
    assert resource("AlarmSubscription")["Condition"] == "HasAlarmEmail"
    assert properties("AlarmSubscription") == {
        "TopicArn": {"Ref": "AlarmTopic"},
        "Protocol": "email",
        "Endpoint": {"Ref": "AlarmEmail"},
    }


@pytest.mark.parametrize(
    "metric",
    [
        "BulkUnavailable",
        "CompletedByPoll",
        "CompletedByWebhook",
        "DueBacklogAge",
        "NotifyFailed",
        "SecretUnavailable",
        "WebhookRejected",
        "WebhookUnavailable",
    ],
)
def test_every_metric_that_is_watched_is_counted_by_the_code(metric: str) -> None:
    sources = [path for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py")]
    assert any(f'"{metric}"' in path.read_text(encoding="utf-8") for path in sources)
