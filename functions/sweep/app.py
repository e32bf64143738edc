"""Look at what is due: lost webhooks, lost messages, scheduled starts, the stuck; and the
shops' own webhooks whose next try has come.

Trigger: EventBridge, every minute; one run at a time. Sample: events/sweep.json.

Answer: none that anybody reads; the summary line and the metrics are the result.
Delivery: a run that fails is not repeated, the next minute's does its work. Jobs are
claimed by conditional writes, so two runs at once do no harm.
"""

from dataclasses import asdict
from typing import Any

from shared import wiring
from shared.observability import count, logger, metrics, seconds
from shared.usecases.sweep_due_deliveries import DeliverySweep, sweep_due_deliveries
from shared.usecases.sweep_due_jobs import SweepReport, sweep_due_jobs


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Sweep once; answer how many jobs were seen to, by their step."""
    app = wiring.sweep_app()
    report = sweep_due_jobs(app.tracker)
    steps = {step.value: number for step, number in sorted(report.steps.items())}
    _report(report, steps)
    _report_deliveries(sweep_due_deliveries(app.endpoints, app.tracker.outbox, app.tracker.clock))
    return steps


def _report(report: SweepReport, steps: dict[str, int]) -> None:
    trouble = report.failed or report.unsent or report.given_up or not report.is_complete
    log = logger.warning if trouble else logger.info
    log(
        "sweep",
        extra={
            "steps": steps,
            "overtaken": report.overtaken,
            "given_up": report.given_up,
            "failed": report.failed,
            "unsent": report.unsent,
            "backlog_age_s": round(report.backlog_age_s, 3),
            "complete": report.is_complete,
        },
    )
    # Told by every run, also when nothing is due: its absence is the dead man's switch.
    seconds("DueBacklogAge", report.backlog_age_s)
    count("Swept", sum(steps.values()))
    count("SweepGivenUp", report.given_up)
    count("SweepFailures", report.failed + report.unsent)


def _report_deliveries(report: DeliverySweep) -> None:
    if report != DeliverySweep():
        logger.info("swept deliveries", extra=asdict(report))
    count("DeliveriesSwept", report.sent)
    count("DeliverySweepFailures", report.failed + report.unsent)
