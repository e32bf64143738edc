"""What a worker's webhook says: the envelope of Standard Webhooks around a report."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.bodies.reading import fault, read_json, validate
from shared.bodies.requests import Id
from shared.bodies.work import ReportFields, report_of
from shared.domain.status import JobStatus
from shared.usecases.receive_report import WorkerReport

PROGRESS, COMPLETED, FAILED = "job.progress", "job.completed", "job.failed"
_STATUS_OF = {COMPLETED: JobStatus.COMPLETED, FAILED: JobStatus.FAILED}


class WorkerData(ReportFields):
    """Which job, and the fields of a report."""

    job_id: Id = Field(description="Our id, or the providerJobId it was registered with.")


class WorkerBody(BaseModel):
    """`{"type": "job.progress", "timestamp": "…", "data": {"jobId": "…", …}}`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["job.progress", "job.completed", "job.failed"]
    timestamp: Annotated[str, StringConstraints(max_length=60)] | None = None
    data: WorkerData


def read_worker_report(raw: bytes) -> WorkerReport:
    """Read a delivery of a worker by the rules of `PATCH /api/jobs/{id}`.

    Raises InvalidRequestError, also when the type and the status contradict each other.
    """
    body = validate(WorkerBody, read_json(raw))
    _check_timestamp(body.timestamp)
    report = report_of(body.data)
    status = _STATUS_OF.get(body.type)
    if status is None:
        if report.status is not None and not report.status.is_active:
            raise fault("data.status", f"ends the job; {PROGRESS} does not")
        return WorkerReport(job_id=body.data.job_id, report=report)
    if report.status not in (None, status):
        raise fault("data.status", f"contradicts {body.type}")
    native = report.native or status.value
    return WorkerReport(job_id=body.data.job_id, report=report.ended_as(status, native))


def _check_timestamp(text: str | None) -> None:
    """The signed header is what counts; this one is read only to say when it is junk."""
    if text is None:
        return
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise fault("timestamp", "must be an instant of ISO 8601") from None
