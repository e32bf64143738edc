"""Send the messages of deliveries whose time has come, or whose message was lost."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.endpoints import Delivery, looked_at
from shared.domain.errors import QueueUnavailableError, RetryableError, VersionConflictError
from shared.usecases.deliver_notice import request_of
from shared.usecases.notice_ports import EndpointStore
from shared.usecases.ports import Clock, DeliveryRef, Outbox

log = logging.getLogger(__name__)

PAGE = 100
BUDGET_S = 10.0
# The table is out, it is not one delivery's trouble.
FAILURES_IN_A_ROW = 5


@dataclass(slots=True)
class DeliverySweep:
    """What one run did. failed: writes that did not succeed. is_complete: nothing was left."""

    sent: int = 0
    given_up: int = 0
    overtaken: int = 0
    failed: int = 0
    unsent: int = 0
    is_complete: bool = True


def sweep_due_deliveries(
    endpoints: EndpointStore, outbox: Outbox, clock: Clock, *, budget_s: float = BUDGET_S
) -> DeliverySweep:
    """Claim every due delivery by a conditional write that moves its `due_at`, then send.

    Raises StoreUnavailableError when what is due cannot be read.
    Guarantees
        A delivery is sent only by the run that claimed it. Nothing is spent on those that are
        not due.
    """
    report = DeliverySweep()
    ends_at = clock.now() + timedelta(seconds=budget_s)
    seen: set[DeliveryRef] = set()
    failures_in_a_row = 0
    while True:
        # The index lags: what was just claimed may be told again.
        due = endpoints.due_deliveries(clock.now(), limit=PAGE)
        refs = [ref for ref in due if ref not in seen]
        if not refs:
            return report
        seen.update(refs)
        claimed: list[Delivery] = []
        for ref in refs:
            if clock.now() >= ends_at or failures_in_a_row >= FAILURES_IN_A_ROW:
                report.is_complete = False
                break
            try:
                found = _claim(endpoints, clock, ref, report)
            except RetryableError:
                report.failed += 1
                failures_in_a_row += 1
                continue
            failures_in_a_row = 0
            claimed += [found] if found is not None else []
        _send(outbox, claimed, report)
        if not report.is_complete:
            return report


def _claim(
    endpoints: EndpointStore, clock: Clock, ref: DeliveryRef, report: DeliverySweep
) -> Delivery | None:
    """Move one delivery's `due_at` on; returns it when its message is to be sent."""
    delivery = endpoints.get_delivery(ref)
    now = clock.now()
    if delivery is None or delivery.due_at is None or delivery.due_at > now:
        return None
    after = looked_at(delivery, now)
    try:
        saved = endpoints.save_delivery(delivery, after)
    except VersionConflictError:
        report.overtaken += 1
        return None
    if not saved.is_pending:
        report.given_up += 1
        return None
    return saved


def _send(outbox: Outbox, claimed: list[Delivery], report: DeliverySweep) -> None:
    if not claimed:
        return
    try:
        outbox.send_deliver([request_of(delivery) for delivery in claimed])
    except QueueUnavailableError as error:
        log.warning("messages not sent, the next sweep will", extra={"reason": str(error)})
        report.unsent += len(claimed)
    else:
        report.sent += len(claimed)
