"""The same webhook with FastAPI and Mangum, as its documentation would have it written.

Like `bare` it makes our function's own calls; models, routing and answers are FastAPI's.
"""

import hashlib
import hmac
import json
import logging
from typing import Annotated, Any

import boto3
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from mangum import Mangum
from pydantic import BaseModel
from recorded import CALLS, SECRET_IDS

logger = logging.getLogger(__name__)
app = FastAPI(title="Webhooks")
secretsmanager = boto3.client("secretsmanager")
CLIENTS: dict[str, Any] = {"dynamodb": boto3.client("dynamodb"), "sqs": boto3.client("sqs")}

secrets: dict[str, str] = {}


class Job(BaseModel):
    """The provider's job."""

    id: str
    tool_id: str
    status: str
    priority: str
    input_image_url: str
    output_image_url: str | None = None
    parameters: dict[str, Any] = {}
    credits_used: int | None = None
    processing_time_ms: int | None = None
    created_at: str
    updated_at: str
    started_at: str | None = None
    completed_at: str | None = None
    metadata: dict[str, Any] = {}


class Delivery(BaseModel):
    """A webhook of the provider."""

    event: str
    job_id: str
    job: Job
    timestamp: str


class Answer(BaseModel):
    """What the provider is answered."""

    success: bool
    outcome: str


def read_secrets() -> None:
    """Read the secrets, once."""
    for secret_id in SECRET_IDS:
        reply = secretsmanager.get_secret_value(SecretId=secret_id)
        secrets.update(json.loads(reply["SecretString"]))


async def check_signature(
    request: Request, x_pikcel_signature: Annotated[str, Header()] = ""
) -> None:
    """Refuse what is not signed."""
    if not secrets:
        read_secrets()
    key = secrets["PIKCEL_WEBHOOK_SECRET"].encode()
    expected = hmac.new(key, await request.body(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, x_pikcel_signature):
        raise HTTPException(401)


@app.post("/webhooks/{provider}", dependencies=[Depends(check_signature)])
async def receive(provider: str, delivery: Delivery) -> Answer:
    """Take one delivery."""
    for service, operation, request in CALLS:
        getattr(CLIENTS[service], operation)(**request)
    logger.warning("webhook of %s: %s", provider, delivery.job_id)
    return Answer(success=True, outcome="applied")


handler = Mangum(app, lifespan="off")
