"""The self-audit: every hour, on a schedule of its own. Sample: events/audit.json.

It reads what bulk work reads, and nothing hangs on it: a run that fails is not repeated, the next
hour's looks at other jobs. That none has finished for hours is an alarm of its own.
"""

from shared.domain.errors import RetryableError
from shared.observability import count, logger
from shared.usecases.audit_job import AuditLane
from shared.usecases.audit_sample import AuditReport, audit_sample


def audit(lane: AuditLane) -> dict[str, int]:
    """Audit once; answer how much was looked at and how much differs."""
    try:
        report = audit_sample(lane)
    except RetryableError as error:
        logger.warning("audit broke off", extra={"code": error.code, "reason": error.message})
        count("AuditUnavailable")
        return {}
    _tell(report)
    return {"jobs": report.jobs, "shops": report.shops, "differences": len(report.findings)}


def _tell(report: AuditReport) -> None:
    for finding in report.findings:
        logger.error(
            "audit difference",
            extra={
                "difference": finding.difference.wrong.value,
                "what": finding.difference.what,
                "shop": finding.shop,
                "job_id": finding.job_id,
            },
        )
    logger.info(
        "audit",
        extra={
            "jobs": report.jobs,
            "shops": report.shops,
            "differences": len(report.findings),
            "in_motion": report.in_motion,
            "complete": report.is_complete,
        },
    )
    # Told by every run, also when all is well: that it is missing is an alarm too.
    count("AuditDifferences", len(report.findings))
    count("AuditedJobs", report.jobs)
