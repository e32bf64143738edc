"""Queue the pushes again that failed for want of a token."""

from dataclasses import replace
from datetime import datetime

from shared.domain import lifecycle
from shared.domain.errors import NotFoundError, VersionConflictError
from shared.domain.events import Source
from shared.domain.job import RESUMABLE_PUSH_CODES, Job
from shared.domain.status import Outcome, PushStatus
from shared.usecases.ports import ResumePushesRequest, ShopStore
from shared.usecases.tracker import Note, Tracker

CHUNK = 100


def resume_pushes(tracker: Tracker, shops: ShopStore, request: ResumePushesRequest) -> int:
    """Queue one chunk of a shop's waiting pushes, and send the request for the next chunk.

    Returns how many were queued. Raises StoreUnavailableError, QueueUnavailableError: ask
    again with the same request; what was queued already is left as it is.
    """
    page = tracker.store.failed_pushes(request.shop, limit=CHUNK, position=request.position)
    queued = sum(_resume(tracker, job) for job in page.jobs if _is_waiting(job))
    if page.position is not None:
        following = ResumePushesRequest(shop=request.shop, position=page.position)
        tracker.outbox.send_dispatch([following])
    else:
        _settle(shops, request.shop)
    return queued


def _is_waiting(job: Job) -> bool:
    return (
        job.push.status is PushStatus.FAILED
        and job.push.error_code in RESUMABLE_PUSH_CODES
        and lifecycle.can_push(job)
    )


def _resume(tracker: Tracker, seen: Job) -> bool:
    is_queued = False

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal is_queued
        is_queued = _is_waiting(job)
        if not is_queued:
            return job, None
        message = "The shop's login works again: the push is queued again."
        note = Note(source=Source.PUSH, outcome=Outcome.NOTED, message=message)
        return lifecycle.request_push(job, now), note

    try:
        tracker.change(seen.ref, decide)
    except NotFoundError:
        return False
    return is_queued


def _settle(shops: ShopStore, name: str) -> None:
    """Note that the shop's waiting pushes have been queued."""
    shop = shops.get_shop(name)
    if shop is None or not shop.resume_owed:
        return
    try:
        shops.save_shop(shop, replace(shop, resume_owed=False))
    except VersionConflictError:
        # Somebody changed the shop meanwhile; the next valid call asks again, which is harmless.
        return
