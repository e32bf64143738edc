"""The common design: Powertools' idempotency around get, change, put; a scan for the statistics.

It is what tutorials of this kind of service add up to: an item a job with two full indexes (by
shop and by status), the last webhook kept on it as it came, everything through `boto3.resource`.
It promises less than ours: whoever writes last wins, and a message that is not sent is lost.

Source: the Powertools guide, "Idempotency" and "REST API", read 2026-11.
"""

import hashlib
import hmac
import json
import os
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
app = APIGatewayHttpResolver()
jobs = boto3.resource("dynamodb").Table(os.environ["JOBS_TABLE"])
queue = boto3.resource("sqs").Queue(os.environ["QUEUE_URL"])
secretsmanager = boto3.client("secretsmanager")
config = IdempotencyConfig(event_key_jmespath="[event, job_id]", expires_after_seconds=86_400)
persistence = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"])

secrets: dict[str, str] = {}


def now() -> str:
    """Return the present instant as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_secrets() -> None:
    """Read the secrets, once."""
    reply = secretsmanager.get_secret_value(SecretId=os.environ["SECRET_ID"])
    secrets.update(json.loads(reply["SecretString"]))


@app.post("/jobs")
def create() -> dict[str, Any]:
    """Store a job that was created at the provider."""
    job = app.current_event.json_body
    jobs.put_item(Item={**job, "status": "pending", "createdAt": now(), "updatedAt": now()})
    metrics.add_metric(name="Created", unit=MetricUnit.Count, value=1)
    return {"success": True}


@app.post("/webhooks/<provider>")
def receive(provider: str) -> Response[str]:
    """Take one delivery."""
    if not secrets:
        read_secrets()
    event = app.current_event
    key = secrets["PIKCEL_WEBHOOK_SECRET"].encode()
    expected = hmac.new(key, (event.body or "").encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, event.headers.get("x-pikcel-signature", "")):
        return Response(status_code=401, body="{}")
    answer = record(delivery=event.json_body)
    return Response(status_code=200, content_type="application/json", body=json.dumps(answer))


@idempotent_function(data_keyword_argument="delivery", config=config, persistence_store=persistence)
def record(delivery: dict[str, Any]) -> dict[str, Any]:
    """Bring a delivery to its job."""
    told = delivery["job"]
    job = jobs.get_item(Key={"jobId": delivery["job_id"]})["Item"]
    job |= {"status": told["status"], "updatedAt": now(), "webhook": delivery}
    if told["status"] == "completed":
        job |= {"outputImageUrl": told["output_image_url"], "creditsUsed": told["credits_used"]}
    jobs.put_item(Item=job)
    if told["status"] == "completed":
        queue.send_message(MessageBody=json.dumps({"jobId": delivery["job_id"]}))
    metrics.add_metric(name="Webhook", unit=MetricUnit.Count, value=1)
    logger.info("webhook", extra={"job": delivery["job_id"], "status": told["status"]})
    return {"success": True}


def pushed(job_id: str, media_id: str) -> None:
    """Note that the result is on its product (what the queue's consumer does)."""
    job = jobs.get_item(Key={"jobId": job_id})["Item"]
    jobs.put_item(Item=job | {"pushStatus": "pushed", "mediaId": media_id, "updatedAt": now()})


@app.get("/stats")
def statistics() -> dict[str, Any]:
    """Count all jobs by status: reads every one of them."""
    counts: dict[str, int] = {}
    start: dict[str, Any] = {}
    while True:
        page = jobs.scan(**start)
        for job in page["Items"]:
            status = str(job["status"])
            counts[status] = counts.get(status, 0) + 1
        if "LastEvaluatedKey" not in page:
            return counts
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Route one request."""
    config.register_lambda_context(context)
    return app.resolve(event, context)
