"""The self-audit and the dashboard on a running stack, with the template's policies enforced."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack import Stack, running_stack
from tests.local.test_image_jobs_over_http import Page

pytestmark = pytest.mark.slow

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One of its own: the audit looks at every shop's jobs, and here nobody breaks any."""
    with running_stack(auth=True) as stack:
        stack.set_schedule(enabled=False)
        yield stack
        refusals = [line for line in stack.function_logs("bulk") if "AccessDenied" in line]
        assert refusals == []


def age(stack: Stack) -> None:
    """Have every job look as if nobody had written it for an hour."""
    dynamodb, table = stack.client("dynamodb"), stack.info.table_name
    then = {"N": str(time.time_ns() // 1000 - HOUR_US)}
    for item in dynamodb.scan(TableName=table)["Items"]:
        if item["sk"]["S"].startswith("JOB#"):
            dynamodb.update_item(
                TableName=table,
                Key={name: item[name] for name in ("pk", "sk")},
                UpdateExpression="SET updated_at = :then",
                ExpressionAttributeValues={":then": then},
            )


def told(stack: Stack) -> list[dict[str, Any]]:
    """Return the lines about differences so far."""
    lines = [line for line in stack.function_logs("bulk") if '"audit difference"' in line]
    return [json.loads(line) for line in lines]


def test_bulk_may_do_what_the_audit_does_and_finds_what_is_missing(stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.info.admin_key}"}
    with httpx.Client(base_url=stack.info.api_url, headers=headers, timeout=30) as http:
        page = Page(stack, http, "audited.myshopify.com")
        product = page.product("An armchair")
        job = page.edit_photo(productId=product, autoPush=True, projectId="spring")
        page.until(job["id"], pushStatus="pushed")
    age(stack)
    # The login owed a bulk job too.
    assert stack.invoke("bulk") == {"jobs": 2, "shops": 1, "differences": 0}
    assert told(stack) == []
    bucket = stack.deployment.physical_ids["OutputBucket"]
    folder = f"shops/audited.myshopify.com/jobs/{job['id']}/"
    s3 = stack.client("s3")
    for found in s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=found["Key"])
    assert stack.invoke("bulk") == {"jobs": 2, "shops": 1, "differences": 1}
    (line,) = told(stack)
    assert (line["difference"], line["job_id"]) == ("output", job["id"])


def emitted(stack: Stack, service: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield namespace, metric, dimension and its value of what a function has counted so far,
    as CloudWatch reads it from its log."""
    for line in stack.function_logs(service):
        if '"CloudWatchMetrics"' in line:
            told = json.loads(line)
            for group in told["_aws"]["CloudWatchMetrics"]:
                for metric in group["Metrics"]:
                    for names in group["Dimensions"]:
                        by, value = ",".join(names), ",".join(told[name] for name in names)
                        yield group["Namespace"], metric["Name"], by, value


def test_what_the_dashboard_shows_of_a_photos_way_is_what_the_functions_counted(
    stack: Stack,
) -> None:
    """(Of what did not happen above nothing was counted: tests/template reads the code.)"""
    stack.invoke("sweep")
    name = stack.deployment.physical_ids["OperationsDashboard"]
    body = stack.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"]
    shown = {
        tuple(metric)
        for widget in json.loads(body)["widgets"]
        for metric in widget["properties"].get("metrics", ())
    }
    services = ("webhook", "dispatch", "push", "sweep", "bulk")
    counted = {each for service in services for each in emitted(stack, service)}
    assert {(metric, value) for _, metric, _, value in shown & counted} >= {
        ("WebhookApplied", "webhook"),
        ("CompletedByWebhook", "webhook"),
        ("JobCreatedAtProvider", "dispatch"),
        ("OutputKept", "dispatch"),
        ("Pushed", "push"),
        ("DueBacklogAge", "sweep"),
        ("Swept", "sweep"),
        ("SweepGivenUp", "sweep"),
        ("AuditedJobs", "bulk"),
        ("AuditDifferences", "bulk"),
    }
    # What SilentProviderAlarm asks for.
    assert (stack.deployment.physical_ids["OperationsDashboard"], "PollLead") in {
        (namespace, metric) for namespace, metric, by, _ in counted if by == "provider,service"
    }


def test_the_schedules_of_sweep_and_audit_reach_their_functions(stack: Stack) -> None:
    events = stack.client("events")
    targets = {
        rule["ScheduleExpression"]: [
            target["Arn"].rpartition(":")[2]
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        ]
        for rule in events.list_rules()["Rules"]
    }
    assert targets == {
        "rate(1 minute)": [stack.info.functions["sweep"]],
        "rate(1 hour)": [stack.info.functions["bulk"]],
    }


def test_the_dashboard_is_deployed_with_every_name_filled_in(stack: Stack) -> None:
    cloudwatch = stack.client("cloudwatch")
    name = stack.deployment.physical_ids["OperationsDashboard"]
    body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    assert "${" not in json.dumps(body)
    (alarms,) = (each for each in body["widgets"] if each["type"] == "alarm")
    known = {each["AlarmArn"] for each in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert set(alarms["properties"]["alarms"]) == known
