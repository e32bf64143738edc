"""Bulk jobs: one chunk of at most a hundred jobs per message. And, every hour, the self-audit.

Trigger: the bulk queue (SQS standard; group = shop), one message at a time.
Samples: events/bulk_chunk.json, events/bulk_malformed.json.
Or a schedule of EventBridge's (see audit.py). Sample: events/audit.json.

| a message | when |
| --- | --- |
| is done | the chunk is done (its end sends the message for the next), or there is nothing to do |
| comes again | our table or bucket is out (visibility 12 min; the sweep is faster) |
| goes to the dead-letter queue | none of our functions sends such a message, or we crash on it |

Delivery: at least once. A message is only a hint: the bulk job's cursor says where it is, and
its mark on each job what was done.
"""

from typing import Any

from functions.bulk.audit import audit
from shared import wiring
from shared.domain.errors import RetryableError
from shared.observability import count, logger, metrics
from shared.usecases.run_bulk import Bulk, run_bulk

type Failures = dict[str, list[dict[str, str]]]
SCHEDULED = "Scheduled Event"


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> Failures | dict[str, int]:
    """See to each message; answer which of them must come again. On schedule, audit instead."""
    app = wiring.bulk_app()
    if event.get("detail-type") == SCHEDULED:
        return audit(app.audit)
    failed = [
        {"itemIdentifier": record["messageId"]}
        for record in event["Records"]
        if not _see_to(app, record)
    ]
    return {"batchItemFailures": failed}


def _see_to(app: wiring.BulkApp, record: dict[str, Any]) -> bool:
    try:
        request = app.read(record["body"])
    except ValueError:
        logger.error("malformed message", extra={"message_id": record["messageId"]})
        count("BulkMalformed")
        return False
    try:
        outcome = run_bulk(app.lane, request)
    except RetryableError as error:
        logger.warning("bulk failed", extra={"code": error.code, "reason": error.message})
        count("BulkUnavailable")
        return False
    logger.info("bulk", extra={"outcome": outcome, "request": repr(request)})
    count(_METRICS[outcome])
    return True


_METRICS = {
    Bulk.GOES_ON: "BulkChunk",
    Bulk.DONE: "BulkDone",
    Bulk.NOTHING: "BulkNothing",
    Bulk.GONE: "BulkNothing",
}
