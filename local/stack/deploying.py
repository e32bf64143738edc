"""Deploy template.yaml to the emulator: upload our code, let CloudFormation work, then repair."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.stack.deployment import Deployment
from local.stack.emulator import aws_client
from local.stack.packages import Package, function_package, layer_package
from local.stack.processes import StackError, wait_until
from local.stack.repairs import adapted, repair
from local.stack.sam_template import SamTemplate, variable_name

STACK_NAME = "job-tracker"
_CODE_BUCKET = "job-tracker-code"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


def deploy(template: SamTemplate, *, endpoint: str, settings: Mapping[str, str]) -> Deployment:
    """Create the stack, or update the one that was kept, wait until it is complete, and repair it.

    A template parameter takes the setting of the same name: ``PublicUrl`` is ``PUBLIC_URL``.

    Raises StackError with CloudFormation's own reasons when the stack fails.
    """
    document = _with_uploaded_code(template, endpoint)
    cloudformation = aws_client(endpoint, "cloudformation")
    request = {
        "StackName": STACK_NAME,
        "TemplateURL": _upload(endpoint, "template.json", json.dumps(document).encode()),
        "Capabilities": _CAPABILITIES,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": settings[variable]}
            for name in template.parameters
            if (variable := variable_name(name)) in settings
        ],
    }
    try:
        _create_or_update(cloudformation, request)
    except ClientError as error:
        raise StackError(f"CloudFormation refuses the template: {error}") from error
    status = wait_until(
        lambda: _settled(_stack_status(cloudformation)), timeout_s=120, what="the deployment"
    )
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise StackError(f"The deployment ended as {status}:\n{_reasons(cloudformation)}")
    resources = cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    deployment = Deployment(
        endpoint,
        template,
        settings,
        {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources},
    )
    repair(deployment)
    return deployment


def _with_uploaded_code(template: SamTemplate, endpoint: str) -> dict[str, Any]:
    """Return the template's document with S3 addresses for CodeUri and ContentUri.

    The SAM translator refuses local folders: on AWS `sam package` replaces them, here we do.
    """
    s3 = aws_client(endpoint, "s3")
    _ensure_bucket(s3)
    document = adapted(template)
    apart = [layer.content_dir for layer in template.layers]
    for function in template.functions:
        address = _upload_package(s3, function_package(function, apart))
        document["Resources"][function.logical_id]["Properties"]["CodeUri"] = address
    for layer in template.layers:
        address = _upload_package(s3, layer_package(layer.content_dir))
        document["Resources"][layer.logical_id]["Properties"]["ContentUri"] = address
    return document


def _upload_package(s3: Any, package: Package) -> str:
    s3.put_object(Bucket=_CODE_BUCKET, Key=package.key, Body=package.content)
    return f"s3://{_CODE_BUCKET}/{package.key}"


def _upload(endpoint: str, key: str, content: bytes) -> str:
    # By address, not in the request: CreateStack takes at most 51,200 bytes of template inline.
    aws_client(endpoint, "s3").put_object(Bucket=_CODE_BUCKET, Key=key, Body=content)
    return f"{endpoint}/{_CODE_BUCKET}/{key}"


def _ensure_bucket(s3: Any) -> None:
    try:
        s3.create_bucket(Bucket=_CODE_BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise


def _create_or_update(cloudformation: Any, request: dict[str, Any]) -> None:
    if not _stack_status(cloudformation):
        cloudformation.create_stack(**request, DisableRollback=True)
        return
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise


def _stack_status(cloudformation: Any) -> str | None:
    try:
        (stack,) = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return str(stack["StackStatus"])


def _settled(status: str | None) -> str | None:
    return None if status is None or status.endswith("_IN_PROGRESS") else status


def _reasons(cloudformation: Any) -> str:
    events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    return "\n".join(
        f"  {event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")
    )
