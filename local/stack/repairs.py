"""Make up for what ministack 1.5.33 ignores or refuses in the template.

`adapted` changes the template in memory before the deploy, `repair` the deployed stack after it.
Each repair says why it is there and can be run again without effect. When a newer ministack
makes one unnecessary, delete it. What differs in the API's answers is repaired in
`local.gateway`, which is between the API and its callers.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from botocore.exceptions import ClientError

from local.stack.deployment import Deployment
from local.stack.emulator import REGION
from local.stack.sam_template import (
    BUCKET_POLICY,
    FUNCTION,
    HTTP_API,
    LAYER,
    ROLE,
    SECRET,
    TABLE,
    SamTemplate,
)

_FUNCTION_ARN = f"arn:aws:lambda:{REGION}:000000000000:function:{{}}"
METRIC_MATH = "MetricMath"  # the parameter that tells whether CloudWatch can compute
_BATCHED_ACTIONS = ("sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
_CORS_PROPERTIES = (
    "AllowCredentials",
    "AllowHeaders",
    "AllowMethods",
    "AllowOrigins",
    "ExposeHeaders",
    "MaxAge",
)


def adapted(template: SamTemplate) -> dict[str, Any]:
    """Return a copy of the template's document that ministack can deploy."""
    return _with_batch_actions(_without_aliases(_without_metric_math(template.document)))


def repair(deployment: Deployment) -> None:
    """Run every repair."""
    _create_routes(deployment)
    _allow_origins(deployment)
    _reserve_concurrency(deployment)
    _expire_items(deployment)
    _fill_generated_secrets(deployment)
    _allow_plain_http(deployment)


def _without_metric_math(document: dict[str, Any]) -> dict[str, Any]:
    """An alarm on an expression or query fails the deploy; no alarm rings on a laptop anyway."""
    parameters = document.get("Parameters", {})
    if METRIC_MATH not in parameters:
        return document
    never = parameters[METRIC_MATH] | {"Default": "false"}
    return document | {"Parameters": parameters | {METRIC_MATH: never}}


def _without_aliases(document: dict[str, Any]) -> dict[str, Any]:
    """A published version has no concurrency limit in ministack, so events go to the function.

    Otherwise two sweeps could run at once, and a test could not throttle a function.
    """
    document = copy.deepcopy(document)
    shared = document.get("Globals", {}).get("Function", {})
    functions = [each["Properties"] for each in _of_type(document, FUNCTION)]
    for properties in [shared, *functions]:
        properties.pop("AutoPublishAlias", None)
        properties.pop("AutoPublishAliasAllProperties", None)
    for layer in _of_type(document, LAYER):
        layer["Properties"].pop("PublishLambdaVersion", None)
    resources: dict[str, Any] = _naming_functions(document["Resources"])
    return document | {"Resources": resources}


def _naming_functions(value: Any) -> Any:
    """Return a value of the template in which what names an alias names its function."""
    if isinstance(value, list):
        return [_naming_functions(each) for each in value]
    if not isinstance(value, dict):
        return value
    name = value.get("Ref")
    if isinstance(name, str) and name.endswith(".Alias"):
        return {"Fn::GetAtt": [name.removesuffix(".Alias"), "Arn"]}
    return {key: _naming_functions(each) for key, each in value.items()}


def _with_batch_actions(document: dict[str, Any]) -> dict[str, Any]:
    """On AWS sqs:SendMessage permits SendMessageBatch as well; ministack asks for an action
    of that name, which IAM does not know (AUTH=1).

    Source: Amazon SQS developer guide, "Amazon SQS API permissions: actions and resource
    reference", read 2026-11-22.
    """
    for role in _of_type(document, ROLE):
        for policy in role["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                held = [actions] if isinstance(actions, str) else actions
                batches = [f"{action}Batch" for action in held if action in _BATCHED_ACTIONS]
                statement["Action"] = [*held, *batches]
    return document


def _of_type(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in document["Resources"].values() if each["Type"] == kind]


def _create_routes(deployment: Deployment) -> None:
    """SAM gives routes as the API's OpenAPI ``Body``, which ministack does not read."""
    gateway = deployment.client("apigatewayv2")
    api_id = deployment.physical_ids[deployment.template.only(HTTP_API)]
    existing = {route["RouteKey"] for route in gateway.get_routes(ApiId=api_id)["Items"]}
    for function in deployment.template.functions:
        missing = [route for route in function.routes if route not in existing]
        if not missing:
            continue
        integration = gateway.create_integration(
            ApiId=api_id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=_FUNCTION_ARN.format(deployment.physical_ids[function.logical_id]),
            PayloadFormatVersion="2.0",
        )
        target = f"integrations/{integration['IntegrationId']}"
        for route in missing:
            gateway.create_route(ApiId=api_id, RouteKey=route, Target=target)


def _allow_origins(deployment: Deployment) -> None:
    """SAM gives CORS as part of the same ``Body``."""
    ((logical_id, properties),) = deployment.template.resources(HTTP_API)
    cors = properties.get("CorsConfiguration", {})
    configuration: dict[str, Any] = {
        name: deployment.value_of(cors[name]) for name in _CORS_PROPERTIES if name in cors
    }
    if configuration:
        deployment.client("apigatewayv2").update_api(
            ApiId=deployment.physical_ids[logical_id], CorsConfiguration=configuration
        )


def _reserve_concurrency(deployment: Deployment) -> None:
    """The function's provisioner drops ``ReservedConcurrentExecutions``."""
    functions = deployment.client("lambda")
    for function in deployment.template.functions:
        if function.reserved_concurrency is not None:
            functions.put_function_concurrency(
                FunctionName=deployment.physical_ids[function.logical_id],
                ReservedConcurrentExecutions=function.reserved_concurrency,
            )


def _expire_items(deployment: Deployment) -> None:
    """The table's provisioner drops ``TimeToLiveSpecification``: nothing would ever expire."""
    dynamodb = deployment.client("dynamodb")
    for logical_id, properties in deployment.template.resources(TABLE):
        table = deployment.physical_ids[logical_id]
        status = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if "TimeToLiveSpecification" in properties and status["TimeToLiveStatus"] == "DISABLED":
            dynamodb.update_time_to_live(
                TableName=table, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
            )


def _fill_generated_secrets(deployment: Deployment) -> None:
    """``GenerateSecretString`` ignores ExcludePunctuation: a comma would make two secrets of one.

    The value comes from the settings, so that a kept stack keeps it as well.
    """
    manager = deployment.client("secretsmanager")
    for logical_id, properties in deployment.template.resources(SECRET):
        if "GenerateSecretString" in properties:
            name = properties["GenerateSecretString"]["GenerateStringKey"]
            manager.put_secret_value(
                SecretId=deployment.physical_ids[logical_id],
                SecretString=json.dumps({name: deployment.settings[name]}),
            )


def _allow_plain_http(deployment: Deployment) -> None:
    """The bucket's policy denies what comes without TLS, and the loopback has none.

    Enforced with AUTH=1. Only statements on ``aws:SecureTransport`` go.
    """
    s3 = deployment.client("s3")
    for logical_id, properties in deployment.template.resources(BUCKET_POLICY):
        statements = properties["PolicyDocument"]["Statement"]
        if not all("aws:SecureTransport" in json.dumps(each) for each in statements):
            raise NotImplementedError(f"{logical_id} has statements that a laptop should keep")
        bucket = deployment.physical_ids[properties["Bucket"]["Ref"]]
        try:
            s3.delete_bucket_policy(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
