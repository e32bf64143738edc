"""Take a worker's report that comes as a signed webhook."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.errors import InvalidRequestError, NotFoundError, TooLargeError
from shared.domain.ids import JobRef, is_job_id
from shared.domain.job import WORKER
from shared.domain.reports import Report
from shared.providers.base import Delivery, Receiver
from shared.usecases.identify_caller import Caller, CallerKind
from shared.usecases.ports import Files, JobStore
from shared.usecases.receive_webhook import MAX_BODY_BYTES, Receipt, Seals, verify_delivery
from shared.usecases.report_progress import take_report
from shared.usecases.tracker import Tracker

# On the timeline; which of the operator's programs it was, nobody knows.
ACTOR = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """A report, and the job it is about: by our id, or by the one it was registered with."""

    job_id: str
    report: Report


class Desk(Protocol):
    """What reports of workers need; made no sooner than it is asked for."""

    @property
    def receiver(self) -> Receiver:
        """How their deliveries are checked."""
        ...

    @property
    def files(self) -> Files:
        """Where big documents of jobs are."""
        ...

    def read(self, body: bytes) -> WorkerReport:
        """Read a body that was found genuine. Raises InvalidRequestError."""
        ...


def receive_report(tracker: Tracker, seals: Seals, desk: Desk, delivery: Delivery) -> Receipt:
    """Verify a worker's delivery and apply its report, as `PATCH /api/jobs/{id}` would.

    Returns what it amounted to; late and repeated reports are normal.
    Raises
        SignatureError: not genuine; nothing was parsed. InvalidRequestError: genuine, but not
            readable, or signed more than 300 s from now (there is nobody to ask instead: the
            sender must sign it anew). TooLargeError. NotFoundError: no such job.
        ConflictError `not_a_worker_job`. SecretUnavailableError, StoreUnavailableError.
    """
    verdict = verify_delivery(desk.receiver, seals, delivery)
    if not verdict.is_accepted:
        raise InvalidRequestError("This was signed more than five minutes from now.")
    if len(delivery.body) > MAX_BODY_BYTES:
        raise TooLargeError("The body is larger than 1 MiB.")
    told = desk.read(delivery.body)
    ref = _find(tracker.store, told.job_id)
    caller = Caller(kind=CallerKind.WORKER, shop=ref.shop, actor=ACTOR)
    reported = take_report(
        tracker,
        desk.files,
        caller,
        ref,
        told.report,
        proof=verdict.proof,
        received_at=delivery.held_since,
    )
    return Receipt(reported.outcome, cancel_requested=reported.job.cancel_requested)


def _find(store: JobStore, job_id: str) -> JobRef:
    ref = store.find_job(job_id) if is_job_id(job_id) else None
    if ref is not None:
        return ref
    link = store.find_link(WORKER, job_id)
    if link is None or link.is_tombstone:
        raise NotFoundError("There is no such job.")
    return link.ref
