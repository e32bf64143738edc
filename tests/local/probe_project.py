"""A project with our own template.yaml whose functions only look around.

What the stack must give every function (event, packages, credentials, concurrency) is then
tested without the product, and stays true whatever the product does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from local.stack.processes import PROJECT_ROOT
from local.stack.sam_template import SamTemplate

PROBE = '''
"""Answer with what is seen; do what the event (or its body) asks for under "probe"."""

import base64
import json
import os
import time
from pathlib import Path

import boto3


def handler(event, context):
    print(json.dumps({"received": event}))
    body = event.get("body") or "{}"
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode("latin-1")
    try:
        wanted = event.get("probe") or json.loads(body).get("probe") or {}
    except (ValueError, AttributeError):
        wanted = {}
    seen = {
        "event": event,
        "invokedArn": context.invoked_function_arn,
        "probe": __file__,
        "cached": Path(__cached__).exists(),
        "environment": dict(os.environ),
        "calls": [outcome(*call) for call in wanted.get("calls", [])],
    }
    if "raise" in wanted:
        raise ValueError(wanted["raise"])
    time.sleep(wanted.get("seconds", 0))
    if "rawPath" in event:
        return {"statusCode": 200, "body": json.dumps(seen)}
    if "Records" in event:
        return {"batchItemFailures": []}
    return seen


def outcome(service, operation, arguments):
    try:
        getattr(boto3.client(service), operation)(**arguments)
    except Exception as error:
        return error.response["Error"]["Code"] if hasattr(error, "response") else repr(error)
    return "done"
'''


def make_probe_project(folder: Path) -> Path:
    """Write the project into ``folder`` and return it."""
    shutil.copy(PROJECT_ROOT / "template.yaml", folder / "template.yaml")
    _package(folder / "shared").joinpath("probe.py").write_text(PROBE)
    _package(folder / "functions")
    template = SamTemplate.load(folder / "template.yaml")
    for function in template.functions:
        room = _package(folder / "functions" / function.name)
        room.joinpath("app.py").write_text("from shared.probe import handler\n")
    for layer in template.layers:
        layer.content_dir.mkdir(exist_ok=True)
    return folder


def _package(folder: Path) -> Path:
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    return folder
