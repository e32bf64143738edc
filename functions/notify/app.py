"""What a write of a job means to others: webhooks, event bus, letters.

Trigger: the table's stream (old and new images), filtered to jobs that have ended and to
endpoints that we disabled. Sample: events/stream_changes.json.

| a record | when |
| --- | --- |
| is done | it was told of, or means nothing to others |
| is left out, counted, with an alarm | we cannot read it, or a bug of ours meets it |
| comes again, and all after it | table, event bus or SNS are out; after ten tries it is left to the failure queue |

Delivery: at least once. A notice has the same id each time, a webhook is handed over once.
Nothing critical hangs on it.
"""  # noqa: E501 - a table row is a line

from typing import Any

from shared import wiring
from shared.domain.errors import JobTrackerError, RetryableError
from shared.observability import count, logger, metrics
from shared.usecases.announce import Announcer, Told

type Failures = dict[str, list[dict[str, str]]]


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> Failures:
    """Tell of each record in order; answer where the stream must begin again."""
    app = wiring.notify_app()
    announcer = Announcer(app.lane)
    for record in event["Records"]:
        number = record["dynamodb"]["SequenceNumber"]
        try:
            told = _tell(app, announcer, record)
        except RetryableError as error:
            extra = {"code": error.code, "reason": error.message, "sequence_number": number}
            logger.warning("record not told", extra=extra)
            count("NotifyUnavailable")
            return {"batchItemFailures": [{"itemIdentifier": number}]}
        except JobTrackerError as error:
            extra = {"code": error.code, "sequence_number": number, "item": _item(record)}
            logger.error("record left out", extra=extra, exc_info=error.__cause__ or error)
            count("NotifyFailed")
            continue
        _report(told)
    return {"batchItemFailures": []}


def _item(record: dict[str, Any]) -> str:
    """Say whose change it is: the keys are all that can surely be read of it."""
    keys = record["dynamodb"]["Keys"]
    return f"{keys['pk']['S']} {keys['sk']['S']}"


def _tell(app: wiring.NotifyApp, announcer: Announcer, record: dict[str, Any]) -> Told:
    change = app.read(record)
    return announcer.announce(change) if change is not None else Told()


def _report(told: Told) -> None:
    extra = {"notices": dict(told.notices), "deliveries": told.deliveries, "letters": told.letters}
    logger.info("told", extra=extra)
    count("Notices", told.notices.total())
    count("LettersSent", told.letters)
