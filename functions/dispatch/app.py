"""Everything towards the providers: create, look up, poll, keep results, ask whose a job is.

Trigger: the dispatch queue (SQS standard; group = shop), one message at a time.
Samples: events/dispatch_job.json, events/dispatch_poll_many.json,
events/dispatch_refresh.json, events/dispatch_find_owner.json, events/dispatch_malformed.json.

| a message | when |
| --- | --- |
| is done | whatever became of the job: limits and "not yet" set its `due_at` |
| comes again | our table, bucket, queue or secret is out (visibility 6 min; the sweep is faster) |
| goes to the dead-letter queue | none of our functions sends such a message, or we crash on it |

Delivery: at least once, in any order. A message is only a hint: the job says what to do.
"""

from typing import Any

from shared import wiring
from shared.domain.errors import RetryableError
from shared.domain.status import Outcome
from shared.observability import completion, count, logger, metrics
from shared.usecases.advance_job import advance
from shared.usecases.dispatch_lane import Advance, Advanced

type Failures = dict[str, list[dict[str, str]]]


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> Failures:
    """See to each message; answer which of them must come again."""
    app = wiring.dispatch_app()
    failed = [
        {"itemIdentifier": record["messageId"]}
        for record in event["Records"]
        if not _see_to(app, record)
    ]
    return {"batchItemFailures": failed}


def _see_to(app: wiring.DispatchApp, record: dict[str, Any]) -> bool:
    try:
        message = app.read(record["body"])
    except ValueError:
        logger.error("malformed message", extra={"message_id": record["messageId"]})
        count("DispatchMalformed")
        return False
    try:
        results = advance(app.lane, message)
    except RetryableError as error:
        logger.warning("dispatch failed", extra={"code": error.code, "reason": error.message})
        count(_FAILURES.get(error.code, "DispatchUnavailable"))
        return False
    for result in results:
        _report(result, message)
    return True


def _report(result: Advanced, message: object) -> None:
    log = logger.error if result.advance in _OUR_FAULT else logger.info
    log(
        "dispatch",
        extra={"advance": result.advance, "reason": result.reason, "request": repr(message)},
    )
    count(_METRICS[result.advance])
    if result.silent is not None:
        count("CompletedByPoll")
        completion(result.silent, by_poll=True)
    if result.reason == Outcome.UNKNOWN_STATUS:
        count("UnknownStatus")


_OUR_FAULT = frozenset({Advance.UNAUTHORIZED, Advance.UNSENDABLE})
_FAILURES = {"secret_unavailable": "SecretUnavailable"}
_METRICS = {
    Advance.NOTHING: "DispatchNothing",
    Advance.GONE: "DispatchNothing",
    Advance.CREATED: "JobCreatedAtProvider",
    Advance.REFUSED: "JobRefusedByProvider",
    Advance.UNSENDABLE: "DocumentsLost",
    Advance.POSTPONED: "DispatchPostponed",
    Advance.UNAUTHORIZED: "ProviderUnauthorized",
    Advance.ANSWER_LOST: "AnswerLost",
    Advance.FOUND: "AnswerFound",
    Advance.FOREIGN: "DispatchNothing",
    Advance.MISSED: "AnswerMissed",
    Advance.ABSENT: "AnswerAbsent",
    Advance.UNPROVEN: "AnswerUnproven",
    Advance.POLLED: "Polled",
    Advance.KEPT: "OutputKept",
    Advance.KEPT_PART: "OutputKept",
    Advance.NOT_KEPT: "OutputLost",
    Advance.STOPPED: "JobStoppedAtProvider",
    Advance.REFRESHED: "ProviderRefreshed",
}
