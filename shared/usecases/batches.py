"""Batches: take them, look at them, cancel them, retry what failed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.batch import Batch, BatchStatus, BatchView
from shared.domain.bulk import BulkAction, filter_json
from shared.domain.cursors import make_cursor, read_cursor
from shared.domain.errors import (
    BudgetExceededError,
    ConflictError,
    InsufficientCreditsError,
    InvalidRequestError,
    NotFoundError,
)
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef, iso
from shared.domain.job import PIKCEL, Job, Priority
from shared.domain.status import JobStatus
from shared.usecases.cancel_job import cancel_job
from shared.usecases.check_credits import tool_name
from shared.usecases.create_job import NewJob, check_wish, is_fetchable
from shared.usecases.do_once import was_done
from shared.usecases.expand_batch import keep_batch
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency, WorkStore
from shared.usecases.provider_catalog import Plan
from shared.usecases.reserve_budget import check_budget
from shared.usecases.retry_job import retry_job
from shared.usecases.start_bulk import Selection, create_bulk_job, start_bulk
from shared.usecases.tracker import Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """What is asked for.

    common: fields of NewJob that all jobs share (`tool_id`, `parameters`, …); images: those
    that each has of its own (`input_image_url`, `product_id`, …), as JSON.
    """

    name: str | None
    common: Mapping[str, Any]
    images: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchList:
    """A page of batches, newest first."""

    batches: tuple[BatchView, ...]
    next_cursor: str | None


_NONE_MADE = (
    "No job that was made has failed; the others could not be made, and the bulk job with this "
    "batch's id says why. Send their images in a new batch."
)


def create_batch(
    tracker: Tracker,
    works: WorkStore,
    caller: Caller,
    wish: NewBatch,
    *,
    is_allowed_http: Callable[[str], bool],
    idempotency: Idempotency | None = None,
) -> BatchView:
    """Take a batch; its jobs are made by a bulk job of the same id.

    Parameters
        idempotency: the same key with the same body gives the batch taken then.

    Raises InvalidRequestError naming every image, or the field, at fault; and
    InsufficientCreditsError or BudgetExceededError when the account at the provider, or what is
    left of the shop's budget, cannot pay for all of them.
    """
    faults = [
        {"field": f"images.{index}.inputImageUrl", "message": "must be an https address"}
        for index, image in enumerate(wish.images)
        if not is_fetchable(image["input_image_url"], is_allowed_http)
    ]
    if faults:
        raise InvalidRequestError(
            f"{len(faults)} of these images have no https address.", details=faults[:20]
        )
    check_wish(tracker, NewJob(**{**wish.common, **wish.images[0]}), is_allowed_http)
    work = {
        "common": _as_data(wish.common),
        "images": [dict(image) for image in wish.images],
        "tool_name": tool_name(tracker, _provider(wish), wish.common["tool_id"]),
    }
    job = _made_before(tracker, caller, wish, idempotency) or create_bulk_job(
        tracker,
        works,
        caller,
        BulkAction.EXPAND,
        work,
        total=len(wish.images),
        name=wish.name,
        idempotency=idempotency,
    )
    # If we die here, the bulk job keeps it.
    keep_batch(works, job, work)
    return read_batch(tracker, works, job.shop, job.job_id)


def _made_before(
    tracker: Tracker, caller: Caller, wish: NewBatch, idempotency: Idempotency | None
) -> Job | None:
    """Check that all images can be paid for. Returns what an earlier try made, if now they can
    not: what is lacking may be what it took."""
    shop = caller.require_shop()
    try:
        _check_credits(tracker, wish)
        check_budget(tracker, shop, _provider(wish), wish.common["tool_id"], len(wish.images))
    except (InsufficientCreditsError, BudgetExceededError):
        made = tracker.store.made_before(shop, idempotency) if idempotency else None
        if made is None:
            raise
        return made
    return None


def _check_credits(tracker: Tracker, wish: NewBatch) -> None:
    if tracker.catalog is None or _provider(wish) not in tracker.adapters:
        return
    tracker.catalog.check_credits(
        Plan(
            provider=_provider(wish),
            tool_id=wish.common["tool_id"],
            priority=Priority(wish.common.get("priority", Priority.NORMAL)),
            count=len(wish.images),
        )
    )


def _as_data(common: Mapping[str, Any]) -> dict[str, Any]:
    at: datetime | None = common.get("scheduled_at")
    return dict(common) if at is None else {**common, "scheduled_at": iso(at)}


def _provider(wish: NewBatch) -> str:
    name: str = wish.common.get("provider", PIKCEL)
    return name


def read_batch(tracker: Tracker, works: WorkStore, shop: str, batch_id: str) -> BatchView:
    """Return a batch as it now is. Raises NotFoundError."""
    batch = works.get_batch(shop, batch_id)
    if batch is None:
        raise NotFoundError("There is no such batch.")
    return _views(tracker, [batch])[0]


def list_batches(
    tracker: Tracker,
    works: WorkStore,
    shop: str,
    *,
    limit: int,
    cursor: str | None,
    cursor_secrets: Sequence[str],
    status: BatchStatus | None = None,
) -> BatchList:
    """Return a page of the shop's batches. Raises InvalidRequestError for another's cursor.

    Parameters
        status: only those that are so now; a page may be shorter than `limit` then, even empty.
    """
    scope = f"batches\n{shop}" + (f"\n{status}" if status else "")
    position = read_cursor(scope, cursor, cursor_secrets) if cursor is not None else None
    found, last = works.list_batches(shop, limit=limit, position=position)
    more = make_cursor(scope, last, cursor_secrets) if last is not None else None
    views = (view for view in _views(tracker, found) if status in (None, view.status))
    return BatchList(batches=tuple(views), next_cursor=more)


def _views(tracker: Tracker, batches: Sequence[Batch]) -> list[BatchView]:
    refs = [JobRef(batch.shop, batch.batch_id) for batch in batches]
    expansions = {job.job_id: job for job in tracker.store.get_many(refs)} if refs else {}
    return [
        BatchView(
            batch=batch,
            sums=tracker.store.batch_sums(batch.shop, batch.batch_id),
            expansion=expansions.get(batch.batch_id),
        )
        for batch in batches
    ]


def cancel_batch(tracker: Tracker, works: WorkStore, caller: Caller, batch_id: str) -> Job:
    """Stop making jobs, and cancel those that are there, by the bulk job that is returned.

    Raises NotFoundError; ConflictError `wrong_status` when everything has ended.
    """
    shop = caller.require_shop()
    if read_batch(tracker, works, shop, batch_id).is_over:
        raise ConflictError("This batch has ended already and cannot be cancelled.")
    with suppress(ConflictError, NotFoundError):  # all jobs were made
        cancel_job(tracker, caller, JobRef(shop, batch_id))
    wanted = Selection(wanted=JobFilter(shop=shop, batch_id=batch_id))
    return start_bulk(tracker, works, caller, BulkAction.CANCEL, wanted)


def retry_batch(
    tracker: Tracker,
    works: WorkStore,
    caller: Caller,
    batch_id: str,
    *,
    idempotency: Idempotency | None = None,
) -> Job:
    """Retry the failed jobs of a batch, by the bulk job that is returned; where making them has
    broken off, by the one that made them: it goes on.

    Parameters
        idempotency: the same key with the same body gives the bulk job of then, also when nothing
            is failed any more.

    Raises NotFoundError; ConflictError `wrong_status` when none failed.
    """
    shop = caller.require_shop()
    view = read_batch(tracker, works, shop, batch_id)
    begun = _begun_before(tracker, view, idempotency)
    if begun is not None:
        return begun
    if view.expansion is not None and view.expansion.status is JobStatus.FAILED:
        return retry_job(tracker, caller, view.expansion.ref, idempotency=idempotency)
    if not view.sums.tally.failed:
        raise ConflictError(_NONE_MADE if view.failed else "No job of this batch has failed.")
    failed = JobFilter(shop=shop, batch_id=batch_id, status=JobStatus.FAILED)
    selection = Selection(wanted=failed)
    return start_bulk(tracker, works, caller, BulkAction.RETRY, selection, idempotency=idempotency)


def _begun_before(tracker: Tracker, view: BatchView, idempotency: Idempotency | None) -> Job | None:
    """Return the bulk job that an earlier call with this key had retry the batch."""
    if idempotency is None:
        return None
    making = view.expansion
    if making is not None and was_done(making, idempotency):
        return making
    return tracker.store.made_before(view.batch.shop, idempotency)


def archive_batch(
    tracker: Tracker,
    works: WorkStore,
    caller: Caller,
    batch_id: str,
    *,
    idempotency: Idempotency | None = None,
) -> Job:
    """Put the kept results of a batch into one file, by the bulk job that is returned.

    Raises NotFoundError; ConflictError `wrong_status` when no job of it is completed (yet).
    """
    shop = caller.require_shop()
    view = read_batch(tracker, works, shop, batch_id)
    if not view.completed:
        raise ConflictError("No job of this batch is completed, so there are no results.")
    work = {"filter": filter_json(JobFilter(shop=shop, batch_id=batch_id))}
    return create_bulk_job(
        tracker,
        works,
        caller,
        BulkAction.ARCHIVE,
        work,
        total=view.sums.jobs,
        name=view.batch.name,
        idempotency=idempotency,
    )
