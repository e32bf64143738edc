"""Kept results onto their Shopify products.

Trigger: the push queue (SQS FIFO; group = shop), up to ten messages.
Samples: events/push_one.json, events/push_two_shops.json.

| a message | when |
| --- | --- |
| is done | whatever became of the job: trouble of one job sets its `due_at` |
| comes again, after the wait that Shopify asks for | the shop is throttled or out, its token is being refreshed, or our table, queue or secret is out |
| goes to the dead-letter queue | we crash on it, twenty times |

Delivery: at least once, in order per shop: after a message that comes again all later ones
of its shop come again too. A message is only a hint: the job says what to do.
"""  # noqa: E501 - a table row is a line

from collections import Counter
from typing import Any

from shared import wiring
from shared.domain.errors import QueueUnavailableError
from shared.observability import count, logger, metrics
from shared.usecases.ports import PushRequest
from shared.usecases.push_lane import PushOutcome, PushReport
from shared.usecases.push_outputs import push_batch

type Failures = dict[str, list[dict[str, str]]]
type Received = tuple[dict[str, Any], PushRequest]


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> Failures:
    """See to all messages, shop by shop; answer which of them must come again."""
    app = wiring.push_app()
    received = [(record, request) for record in event["Records"] if (request := _read(app, record))]
    reports = push_batch(app.lane, [request for _, request in received])
    failed: list[dict[str, str]] = []
    for shop, report in reports.items():
        _report(shop, report)
        returned = _returned(report, [one for one in received if one[1].ref.shop == shop])
        _hide(app, report, returned)
        failed += [{"itemIdentifier": record["messageId"]} for record in returned]
    return {"batchItemFailures": failed}


def _read(app: wiring.PushApp, record: dict[str, Any]) -> PushRequest | None:
    try:
        return app.read(record["body"])
    except ValueError:
        # Given back it would block its shop. What it stood for is in the table, and due.
        logger.error("malformed message", extra={"message_id": record["messageId"]})
        count("PushMalformed")
        return None


def _returned(report: PushReport, received: list[Received]) -> list[dict[str, Any]]:
    """Return the records from the first one that must come again on: their order is kept."""
    for position, (_, request) in enumerate(received):
        if report.outcomes[request.ref] is PushOutcome.RETURNED:
            return [record for record, _ in received[position:]]
    return []


def _hide(app: wiring.PushApp, report: PushReport, records: list[dict[str, Any]]) -> None:
    if not records:
        return
    receives = max(int(record["attributes"]["ApproximateReceiveCount"]) for record in records)
    wait_s = report.wait_s(receives)
    try:
        app.received.hide([record["receiptHandle"] for record in records], wait_s)
    except QueueUnavailableError as error:
        # They come again all the same, after the queue's own time.
        logger.warning("messages not hidden", extra={"reason": error.message})


def _report(shop: str, report: PushReport) -> None:
    outcomes = Counter(report.outcomes.values())
    extra: dict[str, object] = {"shop": shop, "outcomes": dict(outcomes)}
    extra |= {"calls": report.calls, "points": report.points, "failures": report.failures}
    if report.trouble is not None:
        extra |= {"code": report.trouble.code, "reason": report.trouble.message}
        count(_TROUBLES.get(report.trouble.code, "PushUnavailable"))
    logger.info("push", extra=extra)
    for outcome, number in outcomes.items():
        count(_METRICS[outcome], number)
    if report.calls:
        count("ShopifyCalls", report.calls)
        count("ShopifyPointsPerJob", report.points / len(report.outcomes))


_TROUBLES = {"secret_unavailable": "SecretUnavailable", "shop_busy": "ShopBusy"}
_METRICS = {
    PushOutcome.PUSHED: "Pushed",
    PushOutcome.UNDONE: "PushUndone",
    PushOutcome.FAILED: "PushFailed",
    PushOutcome.POSTPONED: "PushPostponed",
    PushOutcome.CONTINUED: "PushContinued",
    PushOutcome.NOTHING: "PushNothing",
    PushOutcome.GONE: "PushNothing",
    PushOutcome.RETURNED: "PushReturned",
}
