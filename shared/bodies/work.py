"""What people and programs may send about work that other programs do."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from shared.bodies.requests import (
    Id,
    Instant,
    Object,
    Prose,
    ShopQuery,
    Title,
    one_line,
    soon,
    whole_number,
)
from shared.domain.events import Remark
from shared.domain.job import Counts, Priority
from shared.domain.reports import Edit, Report
from shared.domain.status import read_status

MAX_MESSAGE = 1_000
MAX_ERROR = 5_000
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _cut(limit: int) -> AfterValidator:
    """Shorten what is only for people: a stack trace must not keep a job from ending."""

    def cut(text: str) -> str:
        clean = _CONTROL_BUT_LINES.sub("", text).strip()
        return clean if len(clean) <= limit else clean[: limit - 1] + "…"

    return AfterValidator(cut)


def _known_status(word: str) -> str:
    if read_status(word) is None:
        raise ValueError("must be pending, processing, completed, failed or cancelled")
    return word.strip()


Word = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=60),
    AfterValidator(one_line),
]
"""One word, or a few."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""Items, as far as JavaScript counts exactly."""


class ReportFields(BaseModel):
    """What a worker says of its job. Counts are absolute; nothing at all is a heartbeat."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
    )

    status: (
        Annotated[str, StringConstraints(max_length=60), AfterValidator(_known_status)] | None
    ) = Field(None, description="Any accepted spelling.")
    attempt: Annotated[int, Field(ge=1, le=10**6)] | None = Field(
        None,
        description="Which attempt this is about; about an earlier one it has no effect.",
    )
    total: Count | None = None
    processed: Count | None = None
    successful: Count | None = None
    failed: Count | None = None
    created: Count | None = None
    updated: Count | None = None
    skipped: Count | None = None
    progress: Annotated[float, Field(ge=-(10**9), le=10**9)] | None = Field(
        None, description="Percent, where there is no total; clamped, and never falls."
    )
    message: Annotated[str, _cut(MAX_MESSAGE)] | None = None
    metadata: Object | None = Field(None, description="Added to what there is, by key.")
    result: Object | None = None
    error: Annotated[str, _cut(MAX_ERROR)] | None = None


_COUNTS = ("total", "processed", "successful", "failed", "created", "updated", "skipped")


def report_of(body: ReportFields) -> Report:
    """Return what a body's fields say."""
    return Report(
        status=read_status(body.status) if body.status is not None else None,
        native=body.status,
        attempt=body.attempt,
        counts=Counts(**{name: getattr(body, name) for name in _COUNTS}),
        progress=body.progress,
        message=body.message,
        metadata=body.metadata or {},
        result=body.result,
        error=body.error or None,
    )


class LogBody(BaseModel):
    """What is to be on the timeline: at least one of these."""

    model_config = ReportFields.model_config

    message: Annotated[str, _cut(MAX_MESSAGE)] | None = None
    native_status: Word | None = Field(
        None, description="A word of your own for what happened, e.g. MATCHING_FAILED."
    )
    request_payload: Any = Field(None, description="What you got: any JSON.")
    response_payload: Any = Field(None, description="What you gave: any JSON.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = (self.message, self.native_status, self.request_payload, self.response_payload)
        if all(value is None or value == "" for value in said):
            raise ValueError("must say something: a message, a nativeStatus or a payload")
        return self


class PatchBody(ReportFields):
    """A worker's report, or (while the job is pending) its owner's edit."""

    log: LogBody | None = Field(
        None, description="Put on the timeline with this report; again if the report is sent again."
    )

    name: Title | None = None
    description: Prose | None = None
    acceptance_criteria: Prose | None = None
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    scheduled_at: Annotated[Instant, AfterValidator(soon)] | None = Field(
        None, description="null, or the past: now. Until the job has been sent to its provider."
    )
    agent_id: Id | None = Field(
        None, description="The agent that is to do a worker's job: `assigned`; null: nobody."
    )


_EDITABLE = (
    *("name", "description", "acceptance_criteria", "priority", "scheduled_at", "agent_id"),
)


def is_report(body: PatchBody) -> bool:
    """Tell whether a body says anything of the work itself.

    Nothing at all is a heartbeat; an edit alone is none, even one that changes nothing.
    """
    said = body.model_fields_set
    return not said or bool(said - set(_EDITABLE))


def edit_of(body: PatchBody) -> Edit | None:
    """Return what a body changes of a pending job; None if nothing."""
    changes = {name: getattr(body, name) for name in _EDITABLE if name in body.model_fields_set}
    if "priority" in changes:
        word = changes.pop("priority")
        changes |= {"priority": Priority(word)} if word is not None else {}
    return Edit(changes=changes) if changes else None


def remark_of(body: LogBody) -> Remark:
    """Return what is to be on the timeline."""
    return Remark(
        message=body.message,
        native_status=body.native_status,
        request=body.request_payload,
        response=body.response_payload,
    )


class SyncReportBody(ReportFields):
    """A worker's report, in the sync app's shape."""

    job_id: Id


class SyncCreateBody(BaseModel):
    """A job that begins now, in the sync app's shape."""

    model_config = ReportFields.model_config

    type: Id
    total: Count
    metadata: Object | None = Field(None, description="At most 64 KB of JSON.")
    exclusive: bool | None = Field(
        None, description="409 already_running if a job of the type is active in the shop."
    )


class SyncQuery(ShopQuery):
    """Which jobs: `all=true`, or one by `jobId`, or the latest of a `type`."""

    all: Literal["true", "false"] | None = None
    job_id: Id | None = None
    type: Id | None = None
    limit: Annotated[int, BeforeValidator(whole_number), Field(ge=1, le=1000)] = 50
    page: Annotated[int, BeforeValidator(whole_number), Field(ge=1, le=1000)] = Field(
        1, description="With all=true; page × limit is at most 1,000."
    )


class SyncExportQuery(ShopQuery):
    """Which rows."""

    filter: Id = Field(
        "all", description="all, pending, running, completed, failed, cancelled, or a type."
    )
    limit: Annotated[int, BeforeValidator(whole_number), Field(ge=1, le=1000)] = 1000


class SyncLogQuery(ShopQuery):
    """Which lines. Every filter is applied before the limit."""

    limit: Annotated[int, BeforeValidator(whole_number), Field(ge=1, le=1000)] = 100
    level: Literal["error", "warn", "info", "debug"] | None = None
    source: Id | None = None
    search: Annotated[str, StringConstraints(max_length=200)] | None = None
