"""What the API answers, as models: half of the OpenAPI document.

Imported for that document only. The functional tests check every answer against it, so the
models are what is really sent.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, WithJsonSchema
from pydantic.alias_generators import to_camel

from shared.domain.batch import BatchStatus
from shared.domain.events import Proof, Source
from shared.domain.job import Priority
from shared.domain.status import JobStatus, Outcome, PushStatus

Instant = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        }
    ),
]
BigInteger = Annotated[
    int | str,
    WithJsonSchema(
        {
            "oneOf": [{"type": "integer"}, {"type": "string", "pattern": r"^-?\d{16,}$"}],
            "description": "A string beyond 2^53, which JavaScript could not hold.",
        }
    ),
]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class OutputJson(_Answer):
    """One result of the current attempt. kept: the bytes are in our bucket."""

    index: int
    url: str | None
    kept: bool
    content_type: str | None
    sha256: str | None
    bytes: int | None
    width: int | None
    height: int | None
    error_code: str | None
    media_id: str | None
    push_status: PushStatus


class JobJson(_Answer):
    """A job. Every field is always there."""

    id: str
    shop: str
    provider: str
    provider_job_id: str | None
    pikcel_job_id: str | None = Field(description="providerJobId where the provider is pikcel.")
    type: str
    tool_id: str | None
    tool_name: str | None
    template_id: str | None
    priority: Priority
    input_image_url: str | None
    parameters: dict[str, Any]
    metadata: dict[str, Any]
    result: dict[str, Any] | None = Field(
        description="Of an export or an archive: fileName, bytes, rows or files, expiresAt, and "
        "url (signed, for two hours), null once the file is gone."
    )
    name: str | None
    description: str | None
    acceptance_criteria: str | None
    mode: str | None
    input_asset_id: str | None
    exclusive: bool
    scheduled_at: Instant | None
    product_id: str | None
    product_title: str | None
    variant_id: str | None
    image_id: str | None
    alt_text: str | None
    auto_push: bool
    push_outputs: Literal["first", "all"] | list[int]
    project_id: str | None
    batch_id: str | None
    agent_id: str | None
    status: JobStatus
    native_status: str | None = Field(description="The provider's own word.")
    attempt: int
    retry_count: int
    progress: Annotated[int, Field(ge=0, le=100)]
    total: BigInteger | None
    processed: BigInteger | None
    successful: BigInteger | None
    failed: BigInteger | None
    created: BigInteger | None
    updated: BigInteger | None
    skipped: BigInteger | None
    message: str | None = Field(description="What the worker said last.")
    speed: float | None = Field(description="Items a second, over the last reports.")
    eta_seconds: int | None
    cancel_requested: bool
    error_code: str | None
    error_message: str | None
    processing_time_ms: BigInteger | None = Field(description="As the provider says.")
    duration_ms: int | None = Field(description="From start to end, as we saw it.")
    started_at: Instant | None
    completed_at: Instant | None
    output_image_url: str | None = Field(
        description="Ours (signed, for two hours) once kept, before that the provider's."
    )
    thumbnail_url: str | None
    outputs: list[OutputJson]
    credits_used: BigInteger = Field(description="Over all attempts.")
    cost_micros: BigInteger = Field(description="Over all attempts, in millionths.")
    push_status: PushStatus
    push_error_code: str | None
    push_error: str | None
    pushed_to_shopify: bool
    pushed_at: Instant | None
    shopify_media_id: str | None
    created_at: Instant
    updated_at: Instant


class LogJson(_Answer):
    """One line of a timeline. proof: what a delivery's signature proves. hasPayload, hasBody: what
    can be read beside it."""

    id: str
    at: Instant
    source: Source
    actor: str | None
    attempt: int | None
    from_: JobStatus | None = Field(alias="from")
    to: JobStatus | None
    outcome: Outcome
    proof: Proof | None
    message: str
    native_status: str | None = Field(description="The actor's own word for what happened.")
    received_at: Instant | None = Field(
        description="When a delivery came in that was applied only later, as `at` says: before its "
        "job was known, or before our secret was right. null for all others."
    )
    has_payload: bool
    has_body: bool = Field(description="The raw delivery is kept (30 days); false for agents.")


class _Sums(_Answer):
    total: int
    completed: int
    failed: int
    cancelled: int
    success_rate: Annotated[float, Field(ge=0, le=100)] = Field(
        description="Completed of completed and failed, in percent."
    )
    average_processing_time: float = Field(description="In ms, over completed jobs.")
    total_credits_used: BigInteger
    total_cost_micros: BigInteger
    average_cost_micros: float = Field(description="Over jobs that ended.")


class _LiveSums(_Sums):
    pending: int
    processing: int


class StatisticsJson(_LiveSums):
    """Sums over the shop's jobs."""

    time_saved_hours: float = Field(description="Five minutes a completed job.")


class DayJson(_Sums):
    """Sums over the jobs that ended on a UTC day."""

    date: str


class GroupJson(_LiveSums):
    """Sums over the jobs of one project, tool, type or status."""

    key: str


class _Success(_Answer):
    success: Literal[True]


class DoneAnswer(_Success):
    """It is done."""


class JobAnswer(_Success):
    """The job as it now is."""

    job: JobJson


class CancelAnswer(JobAnswer):
    """The job as it now is. notice: what the user should know, e.g. that it is still charged."""

    notice: str | None


class RefusedJson(_Answer):
    """How many jobs are refused for one reason."""

    code: str
    count: int


class ForecastJson(_Success):
    """What a bulk job would do now. complete: false if only the first 1,000 jobs were read."""

    matched: int
    eligible: int
    refused: list[RefusedJson]
    credits: BigInteger = Field(
        description="What retries are expected to cost: each as the newest attempt of its job "
        "that was charged, else by the provider's price list, else as its tool cost the shop "
        "last; 0 where nobody knows."
    )
    cost_micros: BigInteger = Field(
        description="Likewise, in millionths; else the job's costMicros."
    )
    complete: bool


class ActionAnswer(RootModel[JobAnswer | ForecastJson]):
    """The job as it now is; with dryRun, what would be done."""


class CancelActionAnswer(RootModel[CancelAnswer | ForecastJson]):
    """The job as it now is, and what the user should know; with dryRun, what would be done."""


class DeleteActionAnswer(RootModel[ForecastJson | DoneAnswer]):
    """It is done; with dryRun, what would be done."""


class BatchJson(_Answer):
    """A batch, counted over the jobs that there are."""

    id: str
    shop: str
    name: str | None
    tool_id: str
    tool_name: str | None
    total_jobs: int
    completed_jobs: int
    failed_jobs: int = Field(description="Those included that could not be made.")
    cancelled_jobs: int
    active_jobs: int
    progress: Annotated[int, Field(ge=0, le=100)]
    status: BatchStatus = Field(description="partial: some completed, some failed.")
    parameters: dict[str, Any]
    success_rate: Annotated[float, Field(ge=0, le=100)] = Field(
        description="Completed of completed and failed, in percent."
    )
    total_credits_used: BigInteger
    total_cost_micros: BigInteger
    started_at: Instant | None
    completed_at: Instant | None
    created_at: Instant
    updated_at: Instant


class BatchAnswer(_Success):
    """The batch as it now is."""

    batch: BatchJson


class BatchListAnswer(_Success):
    """A page of batches, newest first."""

    batches: list[BatchJson]
    next_cursor: str | None = Field(description="null at the end.")


class JobListAnswer(_Success):
    """A page of jobs."""

    jobs: list[JobJson]
    next_cursor: str | None = Field(description="null at the end.")
    total: int | None = Field(description="Exact, or null where it would have to be counted.")
    running_count: int | None


class SyncJobJson(_Answer):
    """A job as the sync app knows it, and what its jobs lacked."""

    id: str
    created_at: Instant
    updated_at: Instant
    type: str
    status: Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]
    total: BigInteger
    processed: BigInteger
    successful: BigInteger
    failed: BigInteger
    started_at: Instant | None
    completed_at: Instant | None
    error: str | None
    metadata: dict[str, Any]
    store_id: str
    created: BigInteger
    updated: BigInteger
    skipped: BigInteger
    progress: Annotated[int, Field(ge=0, le=100)]
    speed: float | None
    eta_seconds: int | None
    duration_ms: int | None
    cancel_requested: bool


class _TypeCount(_Answer):
    type: str
    count: dict[Literal["id"], int] = Field(alias="_count")


class _SyncPage(_Answer):
    jobs: list[SyncJobJson]
    total_count: int
    running_count: int
    current_page: int
    total_pages: int
    stats: list[_TypeCount] = Field(description="Jobs created in the last 24 hours.")


class _SyncLatest(_Answer):
    latest_job: SyncJobJson | None
    has_running_job: bool


class SyncJobAnswer(_Success):
    """The job as it now is. After a cancel, cancelRequested tells the worker to stop."""

    data: SyncJobJson


class SyncAnswer(_Success):
    """A page (all=true), one job (jobId), or the latest of a type."""

    data: _SyncPage | SyncJobJson | _SyncLatest


class SyncExportAnswer(_Success):
    """Rows under their column titles. total: exact, or null where nobody counted."""

    data: list[dict[str, Any]]
    total: int | None


class _SyncLog(_Answer):
    id: str
    timestamp: Instant
    level: Literal["error", "info", "debug"]
    message: str
    source: str
    metadata: dict[str, Any]
    error: str | None


class _SyncLogs(_Answer):
    logs: list[_SyncLog]
    total: int | None


class SyncLogsAnswer(_Success):
    """One line for each job. total: exact, or null where nobody counted."""

    data: _SyncLogs


class LogsAnswer(_Success):
    """A page of a timeline. dropped: lines beyond those that are kept."""

    logs: list[LogJson]
    next_cursor: str | None
    dropped: int


class NewLogAnswer(_Success):
    """The entry as it is on the timeline."""

    log: LogJson


class LogAnswer(NewLogAnswer):
    """One entry. request, response: its payloads. body: the raw delivery, as data."""

    body: str | None
    body_encoding: Literal["text", "base64"] | None
    request: Any
    response: Any


class StatisticsAnswer(_Success):
    """Sums; days and groups where they were asked for."""

    stats: StatisticsJson
    days: list[DayJson] = Field(default=[])
    groups: list[GroupJson] = Field(default=[])


class PendingCountAnswer(_Success):
    """Active jobs."""

    pending: int
    processing: int
    total: int


class HealthCheckJson(_Answer):
    """One thing that must answer. reason: why it does not."""

    name: str
    ok: bool
    reason: str | None


class HealthAnswer(_Success):
    """The API answers. checks: null unless asked for."""

    status: Literal["ok"]
    version: str
    python: str
    checks: list[HealthCheckJson] | None


class LinkAnswer(_Success):
    """Where the result is to be had, for an hour at most."""

    url: str


class OpenApiAnswer(BaseModel):
    """This document."""

    openapi: str


class ErrorAnswer(_Answer):
    """Every error. code is stable; error is a sentence for people."""

    success: Literal[False]
    error: str
    code: str
    request_id: str
    details: list[Any] = Field(default=[], description="What exactly is wrong, where known.")
    running_job_id: str = Field(default="", description="With `already_running`: which job.")
