"""What each function may do: a table of actions and resources that the roles must equal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template.stack import FUNCTIONS, function, ids_of_type, properties, statements

TABLE = {"Fn::GetAtt": ["Table", "Arn"]}
ANY_INDEX = {"Fn::Sub": "${Table.Arn}/index/*"}
BATCH_INDEX = {"Fn::Sub": "${Table.Arn}/index/by_batch"}
STATUS_INDEX = {"Fn::Sub": "${Table.Arn}/index/by_status"}
DAY_INDEX = {"Fn::Sub": "${Table.Arn}/index/by_day"}
DUE_INDEX = {"Fn::Sub": "${Table.Arn}/index/by_due"}
FAILURES = {"Fn::GetAtt": ["NotifyDeadLetterQueue", "Arn"]}
BULK = {"Fn::GetAtt": ["BulkQueue", "Arn"]}
DISPATCH = {"Fn::GetAtt": ["DispatchQueue", "Arn"]}
PUSH = {"Fn::GetAtt": ["PushQueue", "Arn"]}
DELIVER = {"Fn::GetAtt": ["DeliverQueue", "Arn"]}
STREAM = {"Fn::GetAtt": ["Table", "StreamArn"]}
TOPICS = {
    "Fn::Sub": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}-shop-*"
}
OBJECTS = {"Fn::Sub": "${OutputBucket.Arn}/*"}
BUCKET = {"Fn::GetAtt": ["OutputBucket", "Arn"]}

CONSUME = {
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
}

SUBSCRIBE = {
    "sns:CreateTopic",
    "sns:DeleteTopic",
    "sns:ListSubscriptionsByTopic",
    "sns:SetSubscriptionAttributes",
    "sns:Subscribe",
    "sns:Unsubscribe",
}


def secret(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [f"{name}Secret", "Id"]}


def items(*verbs: str) -> set[str]:
    return {f"dynamodb:{verb}" for verb in verbs}


WRITE = ("ConditionCheckItem", "GetItem", "PutItem", "UpdateItem")

# function → [(actions, resources)]: what it needs and no more.
ALLOWED: dict[str, list[tuple[set[str], list[Any]]]] = {
    "webhook": [
        (items("DeleteItem", "Query", *WRITE), [TABLE]),
        ({"dynamodb:Query"}, [DAY_INDEX]),
        ({"sqs:SendMessage"}, [DISPATCH, BULK]),
        ({"s3:DeleteObject", "s3:GetObject", "s3:PutObject"}, [OBJECTS]),
        ({"s3:ListBucket"}, [BUCKET]),  # else S3 answers 403 for a missing file
        ({"secretsmanager:GetSecretValue"}, [secret("Signing"), secret("App")]),
    ],
    "dispatch": [
        (items("BatchGetItem", "DeleteItem", "Query", *WRITE), [TABLE]),
        (CONSUME, [DISPATCH]),
        ({"sqs:SendMessage"}, [DISPATCH, PUSH]),
        ({"s3:DeleteObject", "s3:GetObject", "s3:PutObject"}, [OBJECTS]),
        ({"s3:ListBucket"}, [BUCKET]),
        ({"secretsmanager:GetSecretValue"}, [secret("Providers"), secret("App")]),
    ],
    "push": [
        (items("BatchGetItem", *WRITE), [TABLE]),
        (CONSUME, [PUSH]),
        ({"sqs:SendMessage"}, [PUSH]),
        ({"s3:GetObject"}, [OBJECTS]),
        ({"s3:ListBucket"}, [BUCKET]),  # else S3 answers 403 for a missing file
        ({"secretsmanager:GetSecretValue"}, [secret("Shopify"), secret("App")]),
    ],
    "sweep": [
        (items("BatchGetItem", *WRITE), [TABLE]),
        ({"dynamodb:Query"}, [DUE_INDEX]),
        ({"sqs:SendMessage"}, [DISPATCH, PUSH, BULK, DELIVER]),
    ],
    "bulk": [
        (items("BatchGetItem", "BatchWriteItem", "DeleteItem", "Query", *WRITE), [TABLE]),
        ({"dynamodb:Query"}, [ANY_INDEX]),
        (CONSUME, [BULK]),
        ({"sqs:SendMessage"}, [BULK, DISPATCH, PUSH]),
        ({"sns:DeleteTopic"}, [TOPICS]),  # of an erased shop
        (
            {
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:GetObject",
                "s3:PutObject",
            },
            [OBJECTS],
        ),
        (
            {
                "s3:ListBucket",  # else S3 answers 403 for a missing file
                "s3:ListBucketMultipartUploads",
                "s3:ListBucketVersions",
            },
            [BUCKET],
        ),
    ],
    "notify": [
        (items("DescribeStream", "GetRecords", "GetShardIterator"), [STREAM]),
        (items("ListStreams"), [{"Fn::Sub": "${Table.Arn}/stream/*"}]),
        (items("BatchGetItem", "GetItem", "PutItem", "Query", "UpdateItem"), [TABLE]),
        ({"dynamodb:Query"}, [BATCH_INDEX, STATUS_INDEX]),
        ({"sqs:SendMessage"}, [DELIVER]),
        ({"sqs:SendMessage"}, [FAILURES]),  # Lambda itself, when it gives records up
        ({"events:PutEvents"}, [{"Fn::GetAtt": ["NoticeBus", "Arn"]}]),
        ({"sns:Publish"}, [TOPICS]),
    ],
    "deliver": [
        (items("GetItem", "PutItem"), [TABLE]),
        (CONSUME, [DELIVER]),
        ({"sqs:SendMessage"}, [DELIVER]),
        ({"secretsmanager:GetSecretValue"}, [secret("App")]),
    ],
    "api": [
        (items("BatchGetItem", "BatchWriteItem", "DeleteItem", "Query", *WRITE), [TABLE]),
        ({"dynamodb:Query"}, [ANY_INDEX]),
        ({"sqs:GetQueueAttributes", "sqs:SendMessage"}, [DISPATCH, PUSH, BULK, DELIVER]),
        (SUBSCRIBE, [TOPICS]),
        ({"s3:DeleteObject", "s3:GetObject", "s3:PutObject"}, [OBJECTS]),
        ({"s3:ListBucket"}, [BUCKET]),  # else S3 answers 403 for a missing file
        (
            {"secretsmanager:GetSecretValue"},
            [secret("Admin"), secret("App"), secret("Shopify")],
        ),
        ({"lambda:InvokeFunction"}, [{"Ref": "WebhookFunction.Alias"}]),
    ],
    "dashboard": [],
}

TRACES = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_role_allows_what_its_function_needs_and_nothing_else(name: str) -> None:
    logs = {"Fn::GetAtt": [f"{name.capitalize()}Logs", "Arn"]}
    wanted = [
        ({"logs:CreateLogStream", "logs:PutLogEvents"}, [logs]),
        (TRACES, ["*"]),
        *ALLOWED[name],
    ]
    found = [(set(each["Action"]), each["Resource"]) for each in statements(name)]
    assert found == wanted


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_role_of_its_own_without_managed_policies(name: str) -> None:
    role = f"{name.capitalize()}Role"
    assert function(name)["Role"] == {"Fn::GetAtt": [role, "Arn"]}
    assert "Policies" not in function(name)
    assert "ManagedPolicyArns" not in properties(role)


def test_there_is_no_other_role() -> None:
    assert len(ids_of_type("AWS::IAM::Role")) == len(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_statement_has_a_wildcard_where_a_name_is_possible(name: str) -> None:
    for each in statements(name):
        assert each["Effect"] == "Allow"
        assert not any("*" in action for action in each["Action"])
        if set(each["Action"]) != TRACES:  # X-Ray knows no resources
            assert "*" not in each["Resource"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nobody_may_scan(name: str) -> None:
    assert not any("dynamodb:Scan" in each["Action"] for each in statements(name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_reads_exactly_the_secrets_that_it_is_told_of(name: str) -> None:
    told = {
        value["Ref"]
        for key, value in function(name)["Environment"]["Variables"].items()
        if key.endswith("_SECRET_ID")
    }
    allowed = {
        resource["Fn::GetAtt"][0]
        for each in statements(name)
        if "secretsmanager:GetSecretValue" in each["Action"]
        for resource in each["Resource"]
    }
    assert told == allowed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_asks_exactly_the_function_that_it_is_told_of(name: str) -> None:
    variables = function(name)["Environment"]["Variables"]
    told = [value for key, value in variables.items() if key.endswith("_FUNCTION_ARN")]
    allowed = [
        resource
        for each in statements(name)
        if "lambda:InvokeFunction" in each["Action"]
        for resource in each["Resource"]
    ]
    assert told == allowed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_sends_to_exactly_the_queues_that_it_is_told_of(name: str) -> None:
    told = {
        value["Ref"]
        for key, value in function(name)["Environment"]["Variables"].items()
        if key.endswith("_QUEUE_URL")
    }
    allowed = {
        resource["Fn::GetAtt"][0]
        for each in statements(name)
        if "sqs:SendMessage" in each["Action"]
        for resource in each["Resource"]
        if resource != FAILURES  # the stream's mapping is told of it, not the function
    }
    assert told == allowed
