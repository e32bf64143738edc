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
from tests.template.emitted import PER_PROVIDER, emitted_by, tells_completions
from tests.template.stack import FUNCTIONS, ROOT, ids_of_type, properties, resource

pytestmark = pytest.mark.promise("silence", "alarms of the template")

ALARMS = ids_of_type("AWS::CloudWatch::Alarm")
OURS = {"Ref": "AWS::StackName"}


def watched(alarm: dict[str, Any]) -> tuple[Any, str, Any]:
    (dimension,) = alarm["Dimensions"]
    return alarm["Namespace"], alarm["MetricName"], dimension["Value"]


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every metric that an alarm watches by name (a query names none)."""
    if "Metrics" not in alarm:
        return [alarm]
    return [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]


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
    assert watched(alarm) == (OURS, "DueBacklogAge", "sweep")
    assert alarm["Statistic"] == "SampleCount"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["Period"] * alarm["EvaluationPeriods"] <= 600


def test_a_sweep_that_falls_behind_is_an_alarm() -> None:
    alarm = properties("SweepBacklogAlarm")
    assert watched(alarm) == (OURS, "DueBacklogAge", "sweep")
    assert alarm["Statistic"] == "Maximum"
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert alarm["Threshold"] == 600


def test_refused_webhooks_are_an_alarm() -> None:
    alarm = properties("WebhookRejectionsAlarm")
    assert watched(alarm) == (OURS, "WebhookRejected", "webhook")
    assert alarm["Statistic"] == "Sum"


def test_a_full_quarantine_is_an_alarm() -> None:
    alarm = properties("QuarantineFullAlarm")
    assert watched(alarm) == (OURS, "QuarantineFull", "webhook")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


def test_webhooks_that_we_could_not_take_are_an_alarm() -> None:
    alarm = properties("WebhookUnavailableAlarm")
    assert watched(alarm) == (OURS, "WebhookUnavailable", "webhook")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


def test_a_provider_that_refuses_our_key_is_an_alarm() -> None:
    """Its jobs fail one by one after a quarter of an hour, and nothing else would tell why."""
    alarm = properties("ProviderUnauthorizedAlarm")
    assert watched(alarm) == (OURS, "ProviderUnauthorized", "dispatch")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


def test_an_answer_of_ours_that_is_an_error_is_an_alarm() -> None:
    """A bug that is caught is no error of the function's for AWS Lambda."""
    failed, unavailable = properties("ApiFailuresAlarm"), properties("ApiUnavailableAlarm")
    assert watched(failed) == (OURS, "ApiFailed", "api")
    assert watched(unavailable) == (OURS, "ApiUnavailable", "api")
    assert (failed["Threshold"], unavailable["Threshold"]) == (0, 5)


def test_bulk_work_that_cannot_go_on_is_an_alarm() -> None:
    alarm = properties("BulkUnavailableAlarm")
    assert watched(alarm) == (OURS, "BulkUnavailable", "bulk")
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
    # A name that has a dash, as a stack's may, is put in quotes there.
    found = re.fullmatch(
        r"SELECT SUM\((\w+)\) FROM SCHEMA\(\"\$\{AWS::StackName\}\", (\w+), (\w+)\) "
        r"GROUP BY (\w+) ORDER BY SUM\(\) DESC",
        query["Expression"]["Fn::Sub"],
    )
    assert found is not None
    metric, *dimensions, grouped_by = found.groups()
    assert grouped_by == "provider"
    line = a_completion_as_it_is_told()
    [group] = line["_aws"]["CloudWatchMetrics"]
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
    assert watched(alarm) == (OURS, "SecretUnavailable", name)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_of_every_function_are_an_alarm(name: str) -> None:
    alarm = properties(f"{name.capitalize()}ErrorsAlarm")
    assert watched(alarm) == ("AWS/Lambda", "Errors", {"Ref": f"{name.capitalize()}Function"})


def test_a_change_that_could_not_be_told_of_is_an_alarm() -> None:
    alarm = properties("NotifyFailuresAlarm")
    assert watched(alarm) == (OURS, "NotifyFailed", "notify")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


def test_what_the_audit_finds_is_an_alarm() -> None:
    alarm = properties("AuditDifferencesAlarm")
    assert watched(alarm) == (OURS, "AuditDifferences", "bulk")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


Hour = tuple[int | None, int | None]
NOT_YET: Hour = (None, None)
WELL: Hour = (60, 1)
SILENT: Hour = (60, None)


@pytest.mark.parametrize(
    ("hours", "rings"),
    [
        pytest.param([NOT_YET] * 5, False, id="nothing was deployed yet"),
        pytest.param([NOT_YET] * 4 + [(7, None)], False, id="a new stack"),
        pytest.param([NOT_YET] * 3 + [SILENT, (9, None)], False, id="its first audit is late"),
        pytest.param([NOT_YET] * 2 + [SILENT] * 3, True, id="a stack that never was audited"),
        pytest.param([WELL] * 5, False, id="all is well"),
        pytest.param([WELL] * 2 + [(60, 3)] * 3, False, id="it was invoked by hand too"),
        pytest.param([WELL] * 3 + [SILENT] * 2, False, id="two audits failed"),
        pytest.param([WELL] * 2 + [SILENT] * 3, True, id="the audit is dead"),
        pytest.param([SILENT] * 4 + [WELL], False, id="it is back"),
        pytest.param(
            [WELL] * 2 + [NOT_YET] * 3, False, id="the sweep is dead, which is told apart"
        ),
    ],
)
def test_a_silent_audit_is_an_alarm_by_itself_but_not_in_a_new_stack(
    hours: list[Hour], rings: bool
) -> None:
    alarm = properties("AuditSilenceAlarm")
    assert resource("AuditSilenceAlarm")["Condition"] == "HasMetricMath"
    assert alarm["TreatMissingData"] == "notBreaching"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    metrics = {each["Id"]: each for each in alarm["Metrics"]}
    assert [each["Id"] for each in alarm["Metrics"] if each["ReturnData"]] == ["silent"]
    for name, watches in {"swept": "DueBacklogAge", "audited": "AuditDifferences"}.items():
        stat = metrics[name]["MetricStat"]
        assert (stat["Metric"]["Namespace"], stat["Metric"]["MetricName"]) == (OURS, watches)
        assert (stat["Stat"], stat["Period"]) == ("SampleCount", 3600)
    found = re.fullmatch(r"swept > (\d+) \* audited", metrics["silent"]["Expression"])
    assert found is not None
    # As CloudWatch computes it: where one of the two is missing it counts as 0, where both are,
    # there is no value; what is missing beside fewer than three values is not breaching.
    values = [
        int((swept or 0) > int(found[1]) * (audited or 0))
        for swept, audited in hours
        if (swept, audited) != NOT_YET
    ]
    latest = values[-alarm["EvaluationPeriods"] :]
    assert (len(latest) == alarm["EvaluationPeriods"] and all(latest)) is rings


def test_only_the_sweeps_silence_is_taken_for_trouble_without_a_witness() -> None:
    breaching = [each for each in ALARMS if properties(each)["TreatMissingData"] == "breaching"]
    assert breaching == ["SweepSilenceAlarm"]


def test_no_alarm_listens_to_another_stack_of_the_account() -> None:
    """Two stacks count under the same names: one's sweep would hide that the other's is dead."""
    namespaces = [each["Namespace"] for a in ALARMS for each in metrics_of(properties(a))]
    assert len(namespaces) > len(ALARMS) - 2
    assert all(each == OURS or str(each).startswith("AWS/") for each in namespaces)


def test_somebody_can_be_told_by_mail() -> None:
    assert resource("AlarmSubscription")["Condition"] == "HasAlarmEmail"
    assert properties("AlarmSubscription") == {
        "TopicArn": {"Ref": "AlarmTopic"},
        "Protocol": "email",
        "Endpoint": {"Ref": "AlarmEmail"},
    }


def our_metrics() -> list[tuple[str, str, str]]:
    """Return alarm, metric and service of every metric of ours that an alarm watches."""
    return [
        (alarm, metric["MetricName"], metric["Dimensions"][0]["Value"])
        for alarm in ALARMS
        for metric in metrics_of(properties(alarm))
        if metric["Namespace"] == OURS
    ]


@pytest.mark.parametrize(("alarm", "metric", "service"), our_metrics())
def test_every_metric_that_is_watched_is_emitted_by_that_function(
    alarm: str, metric: str, service: str
) -> None:
    assert metric in emitted_by(service)


def test_completions_are_told_by_the_functions_that_learn_of_them() -> None:
    assert a_completion_as_it_is_told().keys() >= PER_PROVIDER
    telling = [name for name in FUNCTIONS if tells_completions(name)]
    assert telling == ["dispatch", "webhook"]


# What reads a metric where tests do not name it.
READ_BY = {"PollLead": "completions_of"}
# What a query asks for has a dimension for the provider too, and comes from both of these.
WATCHED = sorted(
    {(metric, service) for _, metric, service in our_metrics()}
    | {("PollLead", service) for service in ("dispatch", "webhook")}
)


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


@pytest.mark.parametrize(("metric", "function"), WATCHED)
def test_every_metric_that_is_watched_is_told_when_it_must_be(metric: str, function: str) -> None:
    """By the function itself, in a test that shows it: an alarm on what nobody tells is silent."""
    assert READ_BY.get(metric, metric) in shown_of(function)
