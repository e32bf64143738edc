"""Silence is not health: what is watched, and that somebody is told."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from typing import Any

import pytest

from shared import observability
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
    "queue", [queue for queue in ids_of_type("AWS::SQS::Queue") if "DeadLetter" in queue]
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


def test_a_full_quarantine_is_an_alarm() -> None:
    alarm = properties("QuarantineFullAlarm")
    assert watched(alarm) == ("JobTracker", "QuarantineFull", "webhook")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


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


def test_each_provider_whose_webhooks_do_not_arrive_is_an_alarm_by_itself() -> None:
    """By a query that names no provider, so that a new one needs no alarm of its own."""
    alarm = properties("SilentProviderAlarm")
    [query] = alarm["Metrics"]
    found = re.fullmatch(
        r"SELECT SUM\((\w+)\) FROM SCHEMA\((\w+), (\w+), (\w+)\) "
        r"GROUP BY (\w+) ORDER BY SUM\(\) DESC",
        query["Expression"],
    )
    assert found is not None
    metric, namespace, *dimensions, grouped_by = found.groups()
    assert grouped_by == "provider"
    line = a_completion_as_it_is_told()
    [group] = line["_aws"]["CloudWatchMetrics"]
    assert group["Namespace"] == namespace
    assert group["Dimensions"] == [dimensions]
    assert line[metric] == [1]
    assert resource("SilentProviderAlarm")["Condition"] == "HasMetricMath"


@pytest.mark.parametrize(
    ("polled", "told", "rings"),
    [
        (9, 0, False),
        (10, 0, True),
        (6, 4, False),
        (20, 10, True),
        (500, 501, False),
        (0, 99, False),
    ],
)
def test_a_provider_is_silent_when_most_and_not_few_of_its_completions_were_polled(
    polled: int, told: int, rings: bool
) -> None:
    alarm = properties("SilentProviderAlarm")
    assert (alarm["Metrics"][0]["Period"], alarm["EvaluationPeriods"]) == (3600, 1)
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    leads = [
        lead
        for by_poll, number in ((True, polled), (False, told))
        for lead in a_completion_as_it_is_told(by_poll=by_poll)["PollLead"] * number
    ]
    assert (sum(leads) >= alarm["Threshold"]) is rings


def a_completion_as_it_is_told(*, by_poll: bool = True) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        observability.completion("replicate", by_poll=by_poll)
    told: dict[str, Any] = json.loads(said.getvalue())
    return told


def test_the_average_of_what_is_told_is_the_share_in_percent() -> None:
    shares = [
        share
        for by_poll in (True, False, False, False)
        for share in a_completion_as_it_is_told(by_poll=by_poll)["LearntByPoll"]
    ]
    assert sum(shares) / len(shares) == 25


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


def test_what_the_audit_finds_is_an_alarm_and_its_silence_too() -> None:
    found, silent = properties("AuditDifferencesAlarm"), properties("AuditSilenceAlarm")
    assert watched(found) == watched(silent) == ("JobTracker", "AuditDifferences", "bulk")
    assert (found["Statistic"], found["Threshold"]) == ("Sum", 0)
    assert (silent["Statistic"], silent["Threshold"]) == ("SampleCount", 1)
    assert silent["ComparisonOperator"] == "LessThanThreshold"
    # One run an hour: two may fail before anybody is called.
    assert silent["Period"] * silent["EvaluationPeriods"] == 3 * 3600


def test_only_the_dead_mans_switches_take_silence_for_trouble() -> None:
    breaching = [each for each in ALARMS if properties(each)["TreatMissingData"] == "breaching"]
    assert breaching == ["SweepSilenceAlarm", "AuditSilenceAlarm"]


def test_somebody_can_be_told_by_mail() -> None:
    assert resource("AlarmSubscription")["Condition"] == "HasAlarmEmail"
    assert properties("AlarmSubscription") == {
        "TopicArn": {"Ref": "AlarmTopic"},
        "Protocol": "email",
        "Endpoint": {"Ref": "AlarmEmail"},
    }


# What reads a metric where tests do not name it.
READ_BY = {"PollLead": "completions_of"}


def metrics_that_are_watched() -> set[tuple[str, str]]:
    """Return each metric of ours that an alarm watches, and the function that tells it."""
    found = set()
    for alarm in map(properties, ALARMS):
        stats = [
            each["MetricStat"]["Metric"]
            for each in alarm.get("Metrics", ())
            if "MetricStat" in each
        ]
        found |= {
            (metric["MetricName"], metric["Dimensions"][0]["Value"])
            for metric in (stats if "Metrics" in alarm else [alarm])
            if metric["Namespace"] == "JobTracker"
        }
        for each in alarm.get("Metrics", ()):
            named = re.search(r"SUM\((\w+)\)", each.get("Expression", ""))
            # The query asks for both.
            found |= {(named[1], name) for name in ("dispatch", "webhook")} if named else set()
    return found


def shown_of(function: str) -> str:
    """Return the source of the tests of a function that are marked as showing no silence."""
    shown = []
    for path in sorted((ROOT / "tests" / "functional").glob(f"test_{function}*.py")):
        source = path.read_text(encoding="utf-8")
        for test in ast.parse(source).body:
            marks = [ast.unparse(each) for each in getattr(test, "decorator_list", ())]
            if any(mark.startswith("pytest.mark.promise('silence'") for mark in marks):
                shown += [*marks, ast.unparse(test)]
    return "\n".join(shown)


@pytest.mark.parametrize(("metric", "function"), sorted(metrics_that_are_watched()))
def test_every_metric_that_is_watched_is_told_when_it_must_be(metric: str, function: str) -> None:
    """By the function itself, in a test that shows it: an alarm on what nobody tells is silent."""
    assert READ_BY.get(metric, metric) in shown_of(function)


def test_metrics_that_are_watched_are_found() -> None:
    found = metrics_that_are_watched()
    assert len(found) >= 15
    assert {("PollLead", "webhook"), ("SecretUnavailable", "push")} <= found
