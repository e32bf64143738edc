"""Jobs as the sync app's front end reads them: its words, its keys, its three shapes.

Numbers are numbers here (that app wrote speeds as text, "Infinity" among them), null where
unknown; what its jobs lacked (cancelRequested, speed, etaSeconds …) is there beside its own keys.
"""

from datetime import datetime, timedelta
from typing import Any

from shared.domain.job import Job
from shared.domain.reports import duration_ms, eta_s, speed
from shared.domain.status import JobStatus
from shared.serializers.values import instant, safe

WORDS = {
    JobStatus.PENDING: "PENDING",
    JobStatus.PROCESSING: "RUNNING",
    JobStatus.COMPLETED: "COMPLETED",
    JobStatus.FAILED: "FAILED",
    JobStatus.CANCELLED: "CANCELLED",
}
LEVELS = {JobStatus.FAILED: "error", JobStatus.COMPLETED: "info"}  # all others: debug


def sync_job(job: Job) -> dict[str, Any]:
    """Describe a job as that app's BackgroundJob."""
    counts = job.counts
    return {
        "id": job.job_id,
        "createdAt": instant(job.created_at),
        "updatedAt": instant(job.updated_at),
        "type": job.type,
        "status": WORDS[job.status],
        "total": safe(counts.total or 0),
        "processed": safe(counts.processed or 0),
        "successful": safe(counts.successful or 0),
        "failed": safe(counts.failed or 0),
        "startedAt": instant(job.started_at),
        "completedAt": instant(job.completed_at),
        "error": job.error_message,
        "metadata": safe(job.metadata),
        "storeId": job.shop,
        "created": safe(counts.created or 0),
        "updated": safe(counts.updated or 0),
        "skipped": safe(counts.skipped or 0),
        "progress": job.progress,
        "speed": speed(job),
        "etaSeconds": eta_s(job),
        "durationMs": duration_ms(job),
        "cancelRequested": job.cancel_requested,
    }


def export_row(job: Job, now: datetime) -> dict[str, Any]:
    """Describe a job as a row of that app's export, under its column titles."""
    lasted_ms = duration_ms(job, now)
    return {
        "Job ID": job.job_id,
        "Type": job.type.replace("_", " "),
        "Status": WORDS[job.status],
        "Total": safe(job.counts.total or 0),
        "Processed": safe(job.counts.processed or 0),
        "Successful": safe(job.counts.successful or 0),
        "Failed": safe(job.counts.failed or 0),
        "Progress %": job.progress,
        "Duration (seconds)": None
        if lasted_ms is None
        else round(timedelta(milliseconds=lasted_ms) / timedelta(seconds=1)),
        "Speed": speed(job),
        "Started At": instant(job.started_at),
        "Completed At": instant(job.completed_at),
        "Error": job.error_message,
    }


def log_line(job: Job) -> dict[str, Any]:
    """Describe a job as a line of that app's log."""
    counts = job.counts
    done = f"{counts.processed or 0}/{counts.total or 0}"
    return {
        "id": job.job_id,
        "timestamp": instant(job.created_at),
        "level": LEVELS.get(job.status, "debug"),
        "message": f"{job.type}: {WORDS[job.status]} ({done})",
        "source": job.type,
        "metadata": safe(job.metadata),
        "error": job.error_message,
    }
