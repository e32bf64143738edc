"""The stage: our webhook function as it is deployed, its peers, one job, and one delivery for all.

Everyone gets what we give ourselves: unchecked-hash bytecode, no package metadata, the same
Python, the same endpoint, the same body. Only boto3 is whole with the peers, as it is stock.
"""

from __future__ import annotations

import compileall
import hashlib
import hmac
import json
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore import xform_name

from shared.domain.events import Link
from shared.domain.references import make_reference
from shared.gateways.dynamo_items import job_item, link_item
from tests.bench.aws_service import Answer, Aws, Call, aws_service, sent_messages
from tests.bench.lambda_service import Function, Run, run_function
from tests.builders import a_dispatched_job
from tests.template.stack import properties

ROOT: Final = Path(__file__).resolve().parents[2]
PEERS: Final = ("bare", "fastapi_mangum", "textbook")
# What Lambda itself has in /var/runtime besides boto3.
_RUNTIME: Final = ("awslambdaric", "simplejson", "snapshot_restore_py.py", "runtime_client*")
_KEY, _APP_KEY = "bench-secret", "bench-app-secret"
_SECRETS: Final = {
    "signing": {"PIKCEL_WEBHOOK_SECRET": _KEY},
    "app": {"APP_SECRET": _APP_KEY},
}

type Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """One completed job as PikcelAI tells it: with our reference, without it, and forged.

    The forged one is no JSON either: whoever parsed it would answer something else.
    """

    referenced: Event
    through_link: Event
    forged: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """ours: the webhook function. peers: by name. recorded: the calls that ours made.

    deliver: makes deliveries of this moment. What is signed over 300 s ago is refused a part of
    the work, so nothing is measured with an old one.
    """

    aws: Aws
    ours: Function
    peers: Mapping[str, Function]
    deliver: Callable[[], Deliveries]
    recorded: tuple[Call, ...]

    @property
    def everyone_by_name(self) -> dict[str, Function]:
        """The floor, ours, and the others: the order in which they take turns."""
        bare, *others = self.peers.values()
        return {function.name: function for function in (bare, self.ours, *others)}

    def calls_of(self, delivery: Event) -> tuple[list[Call], Event]:
        """Return what our function calls for one delivery when it is warm, and what it answers."""
        self.aws.calls.clear()
        run = run_function(self.ours, [self.deliver().referenced, delivery])
        return self.aws.calls[len(self.recorded) :], run.answers[-1]


@contextmanager
def scene(folder: Path, site: Path) -> Iterator[Scene]:
    """Build everything into `folder` and open the endpoint.

    Parameters: `site` holds the packages of the peers and Lambda's runtime client.
    """
    _build_ours(folder)
    job = a_dispatched_job(created_at=_now(), started_at=_now())
    answers = _answers(job)
    with aws_service(answers, folder) as aws:
        ours = _ours(folder, aws, _runtime(folder, site))
        deliver = partial(_deliveries, job)
        check(ours, run_function(ours, [deliver().referenced]))
        recorded = tuple(aws.calls)
        peers = {name: _peer(name, folder, site, aws, recorded) for name in PEERS}
        yield Scene(aws=aws, ours=ours, peers=peers, deliver=deliver, recorded=recorded)


def check(function: Function, run: Run) -> Run:
    """Return a run if it did the work that it is measured for. Raises AssertionError."""
    for answer in run.answers:
        outcome = json.loads(answer["body"]).get("outcome")
        if answer["statusCode"] != 200 or (function.name == "ours" and outcome != "applied"):
            raise AssertionError(f"{function.name} answered {answer}")
    return run


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _build_ours(folder: Path) -> None:
    """Build layer and function as `sam build` does, with the wheels of this machine."""
    build = [sys.executable, "-I", str(ROOT / "deploy" / "build.py")]
    layer = ["layer", str(folder / "layer"), "--architecture", "host"]
    subprocess.run([*build, *layer], check=True)
    function = ["function", str(folder / "webhook"), "--name", "webhook"]
    subprocess.run([*build, *function], check=True)


def _runtime(folder: Path, site: Path) -> Path:
    """Lay out what Lambda has in /var/runtime, boto3 apart: ours does not want it."""
    runtime = folder / "runtime"
    runtime.mkdir()
    for pattern in _RUNTIME:
        for path in site.glob(pattern):
            (runtime / path.name).symlink_to(path)
    return runtime


def _ours(folder: Path, aws: Aws, runtime: Path) -> Function:
    declared = properties("WebhookFunction")
    roots = (ROOT / "shared" / "gateways" / "amazon_roots.pem").read_bytes()
    # The roots that it has on AWS, and the endpoint's certificate.
    bundle = folder / "our-roots.pem"
    bundle.write_bytes(roots + (folder / "endpoint.pem").read_bytes())
    variables = dict.fromkeys(declared["Environment"]["Variables"], "") | {
        "POWERTOOLS_SERVICE_NAME": "webhook",
        "POWERTOOLS_METRICS_NAMESPACE": "JobTracker",
        "TABLE_NAME": "jobs",
        "OUTPUT_BUCKET": "outputs",
        "DISPATCH_QUEUE_URL": f"{aws.url}/123456789012/dispatch",
        "BULK_QUEUE_URL": f"{aws.url}/123456789012/bulk",
        "SIGNING_SECRET_ID": "signing",
        "APP_SECRET_ID": "app",
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_CA_BUNDLE": str(bundle),
    }
    return Function(
        name="ours",
        handler=declared["Handler"],
        path=(folder / "webhook", folder / "layer" / "python", runtime),
        variables=variables,
    )


def _peer(name: str, folder: Path, site: Path, aws: Aws, recorded: tuple[Call, ...]) -> Function:
    task = folder / name
    task.mkdir()
    shutil.copyfile(ROOT / "tests" / "bench" / "peers" / f"{name}.py", task / "handler.py")
    secret_ids = tuple(_SECRETS)
    content = f"CALLS = {list(_requests(recorded))!r}\nSECRET_IDS = {secret_ids!r}\n"
    (task / "recorded.py").write_text(content)
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(task, quiet=1, invalidation_mode=unchecked)
    variables = {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_CA_BUNDLE": str(aws.bundle),
        "POWERTOOLS_SERVICE_NAME": "webhook",
        "POWERTOOLS_METRICS_NAMESPACE": "Textbook",
        "JOBS_TABLE": "textbook-jobs",
        "IDEMPOTENCY_TABLE": "textbook-idempotency",
        "QUEUE_URL": f"{aws.url}/123456789012/dispatch",
        "SECRET_ID": "signing",
    }
    return Function(name=name, handler="handler.handler", path=(task, site), variables=variables)


def _requests(recorded: tuple[Call, ...]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield what the peers are to call: what ours did with the job, not what it did in init."""
    for call in recorded:
        service, _, operation = call.operation.partition(".")
        if service == "secretsmanager" or "LINK#none" in str(call.request):
            continue
        # botocore makes one for each call.
        request = {n: v for n, v in call.request.items() if n != "ClientRequestToken"}
        yield service, xform_name(operation), request


def _answers(job: Any) -> Mapping[str, Answer]:
    stored = job_item(job)
    link = link_item(Link(provider="pikcel", provider_job_id="pk_1", ref=job.ref, attempt=1))
    textbook = {"jobId": {"S": "pk_1"}, "status": {"S": "processing"}}

    def get_item(request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["TableName"] != "jobs":
            return {"Item": textbook}
        pk = request["Key"]["pk"]["S"]
        found = {stored["pk"]["S"]: stored, link["pk"]["S"]: link}
        return {"Item": found[pk]} if pk in found else {}

    return {
        "secretsmanager.GetSecretValue": lambda request: {
            "SecretString": json.dumps(_SECRETS[request["SecretId"]])
        },
        "dynamodb.GetItem": get_item,
        # The first place in the quarantine of an hour: a forged delivery is put there.
        "dynamodb.UpdateItem": lambda _: {"Attributes": {"kept": {"N": "1"}}},
        "sqs.SendMessageBatch": sent_messages,
        "sqs.SendMessage": lambda request: {
            "MessageId": "00000000-0000-4000-8000-000000000001",
            "MD5OfMessageBody": hashlib.md5(request["MessageBody"].encode()).hexdigest(),
        },
    }


def _deliveries(job: Any) -> Deliveries:
    """Return the sample delivery of events/, about this job and of this moment."""
    sample = json.loads((ROOT / "events" / "webhook_pikcel_completed.json").read_text())
    reference = make_reference("pikcel", job.ref, 1, _APP_KEY)
    body = json.loads(sample["body"]) | {"timestamp": _now().isoformat()}
    body["job"]["metadata"]["ref"] = reference
    referenced = _signed(sample, body) | {"queryStringParameters": {"ref": reference}}
    body["job"]["metadata"] = {}
    through_link = _signed(sample, body) | {"queryStringParameters": None, "rawQueryString": ""}
    forged = referenced | {"body": "{" * 2_000}
    return Deliveries(referenced=referenced, through_link=through_link, forged=forged)


def _signed(sample: Event, body: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(body)
    signature = hmac.new(_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {
        **sample,
        "body": text,
        "headers": sample["headers"] | {"x-pikcel-signature": signature},
    }
