"""Notices to the shops' own webhook endpoints: one call per message.

Trigger: the deliver queue (SQS standard; group = shop), one message at a time.
Samples: events/deliver_notice.json, events/deliver_malformed.json.

| a message | when |
| --- | --- |
| is done | whatever the endpoint did: its next try is a message of its own |
| comes again | our table or secret is out |
| goes to the dead-letter queue | none of our functions sends such a message, or we crash on it |

Delivery: at least once, each time under the same `webhook-id`. A message is only a hint: the
delivery in the table says whether it is owed.
"""

from typing import Any

from shared import wiring
from shared.domain.errors import RetryableError
from shared.observability import count, logger, metrics
from shared.usecases.deliver_notice import Outcome, Report, deliver_notice

type Failures = dict[str, list[dict[str, str]]]


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> Failures:
    """See to each message; answer which of them must come again."""
    app = wiring.deliver_app()
    failed = [
        {"itemIdentifier": record["messageId"]}
        for record in event["Records"]
        if not _see_to(app, record)
    ]
    return {"batchItemFailures": failed}


def _see_to(app: wiring.DeliverApp, record: dict[str, Any]) -> bool:
    try:
        request = app.read(record["body"])
    except ValueError:
        logger.error("malformed message", extra={"message_id": record["messageId"]})
        count("DeliverMalformed")
        return False
    try:
        report = deliver_notice(app.lane, request)
    except RetryableError as error:
        logger.warning("not delivered", extra={"code": error.code, "reason": error.message})
        is_secret = error.code == "secret_unavailable"
        count("SecretUnavailable" if is_secret else "DeliverUnavailable")
        return False
    _report(report, repr(request))
    return True


def _report(report: Report, request: str) -> None:
    answer = report.answer
    told = (
        {"status": answer.status, "code": answer.code, "ms": answer.duration_ms} if answer else {}
    )
    logger.info("deliver", extra={"outcome": report.outcome, "request": request, **told})
    count(_METRICS[report.outcome])


_METRICS = {
    Outcome.DELIVERED: "WebhookDelivered",
    Outcome.RETRIED: "WebhookRetried",
    Outcome.GIVEN_UP: "WebhookGivenUp",
    Outcome.DISABLED: "EndpointDisabled",
    Outcome.DROPPED: "WebhookDropped",
    Outcome.EARLY: "DeliverNothing",
    Outcome.STALE: "DeliverNothing",
    Outcome.GONE: "DeliverNothing",
}
