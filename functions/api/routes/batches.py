"""Routes about batches, and the list of jobs as a file."""

from typing import Any

from functions.api.calls import Action, Answer, Call
from functions.api.routes.actions import accepted, fault, selection
from shared.bodies.answer_size import fitting
from shared.bodies.bulk import BatchBody, BatchesQuery, ExportBody, ExportQuery
from shared.bodies.requests import ShopQuery
from shared.bodies.translating import job_filter
from shared.domain.bulk import BulkAction
from shared.serializers.jobs import batch_json
from shared.usecases.batches import (
    NewBatch,
    archive_batch,
    cancel_batch,
    create_batch,
    list_batches,
    read_batch,
    retry_batch,
)
from shared.usecases.export_jobs import export_jobs
from shared.usecases.keep_templates import with_template
from shared.usecases.start_bulk import start_bulk


def create(call: Call, query: ShopQuery, body: BatchBody) -> Answer:
    """Take a batch."""
    app = call.app
    images = [image.model_dump(exclude_none=True) for image in body.images]
    common = with_template(app.templates, call.caller.require_shop(), body.common())
    if "tool_id" not in common:
        raise fault("toolId", "is required, here or in the template")
    wish = NewBatch(name=body.name, common=common, images=images)
    view = create_batch(
        app.tracker,
        app.works,
        call.caller,
        wish,
        is_allowed_http=app.is_allowed_http,
        idempotency=call.once,
    )
    location = {"location": f"/api/batches/{view.batch.batch_id}"}
    return Answer(status=202, body={"success": True, "batch": batch_json(view)}, headers=location)


def list_(call: Call, query: BatchesQuery) -> Answer:
    """List batches."""

    def page(limit: int) -> dict[str, Any]:
        found = list_batches(
            call.app.tracker,
            call.app.works,
            call.caller.require_shop(),
            limit=limit,
            cursor=query.cursor,
            cursor_secrets=call.cursor_secrets(),
            status=query.status,
        )
        batches = [batch_json(view) for view in found.batches]
        return {"success": True, "batches": batches, "nextCursor": found.next_cursor}

    return Answer(body=fitting(query.limit, page))


def read(call: Call, batch_id: str, query: ShopQuery) -> Answer:
    """Read one batch."""
    view = read_batch(call.app.tracker, call.app.works, call.caller.require_shop(), batch_id)
    return Answer(body={"success": True, "batch": batch_json(view)})


def cancel(call: Call, batch_id: str, query: ShopQuery) -> Answer:
    """Cancel what is left of a batch."""
    return accepted(call, cancel_batch(call.app.tracker, call.app.works, call.caller, batch_id))


def retry(call: Call, batch_id: str, query: ShopQuery) -> Answer:
    """Retry what failed."""
    app = call.app
    made = retry_batch(app.tracker, app.works, call.caller, batch_id, idempotency=call.once)
    return accepted(call, made)


def archive(call: Call, batch_id: str, query: ShopQuery) -> Answer:
    """Put the results of a batch into one file."""
    app = call.app
    archived = archive_batch(app.tracker, app.works, call.caller, batch_id, idempotency=call.once)
    return accepted(call, archived)


def start_export(call: Call, query: ShopQuery, body: ExportBody) -> Answer:
    """Write jobs into one file."""
    if body.job_ids is not None and body.filter is not None:
        raise fault("filter", "cannot be given with jobIds")
    wanted = selection(call, body.job_ids, body.filter)
    app, action = call.app, BulkAction.EXPORT
    job = start_bulk(app.tracker, app.works, call.caller, action, wanted, idempotency=call.once)
    return accepted(call, job)


def export(call: Call, query: ExportQuery) -> Answer:
    """Answer with jobs as CSV."""
    found = export_jobs(
        call.app.tracker.store,
        job_filter(call.caller.require_shop(), query),
        cursor=query.cursor,
        cursor_secrets=call.cursor_secrets(),
    )
    headers = {"content-disposition": 'attachment; filename="jobs.csv"'}
    if found.next_cursor is not None:
        headers["x-next-cursor"] = found.next_cursor
    return Answer(body=None, csv=found.text, headers=headers)


ACTIONS: dict[str, Action] = {
    "exportJobs": export,
    "createBatch": create,
    "listBatches": list_,
    "readBatch": read,
    "cancelBatch": cancel,
    "retryBatch": retry,
    "archiveBatch": archive,
    "startExport": start_export,
}
