"""Routes that do something with one job, or with many: sync, retry, cancel, push, undo, delete."""

from collections.abc import Callable, Sequence

from functions.api.calls import Action, Answer, Call
from shared.bodies.bulk import ActionBody
from shared.bodies.requests import JobConditions, ShopQuery
from shared.bodies.translating import job_filter
from shared.domain.bulk import BulkAction
from shared.domain.errors import InvalidRequestError
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.serializers.statistics import forecast_json
from shared.usecases.cancel_job import cancel_job
from shared.usecases.delete_job import delete_job
from shared.usecases.request_push import request_push
from shared.usecases.retry_job import retry_job
from shared.usecases.start_bulk import Selection, forecast, start_bulk
from shared.usecases.sync_job import sync_job
from shared.usecases.undo_push import undo_push

type One = Callable[[Call, JobRef], Answer]


def _sync(call: Call, ref: JobRef) -> Answer:
    return _answer(call, sync_job(call.app.tracker, ref))


def _retry(call: Call, ref: JobRef) -> Answer:
    return _answer(call, retry_job(call.app.tracker, call.caller, ref, idempotency=call.once))


def _cancel(call: Call, ref: JobRef) -> Answer:
    cancelled = cancel_job(call.app.tracker, call.caller, ref)
    job = call.describe(cancelled.job)
    return Answer(body={"success": True, "job": job, "notice": cancelled.notice})


def _push(call: Call, ref: JobRef) -> Answer:
    return _answer(call, request_push(call.app.tracker, call.caller, ref, idempotency=call.once))


def _undo(call: Call, ref: JobRef) -> Answer:
    return _answer(call, undo_push(call.app.tracker, call.caller, ref, idempotency=call.once))


def _delete(call: Call, ref: JobRef) -> Answer:
    delete_job(call.app.tracker, call.app.files, ref)
    return Answer(body={"success": True})


def _answer(call: Call, job: Job) -> Answer:
    return Answer(body={"success": True, "job": call.describe(job)})


def _act(call: Call, body: ActionBody, action: BulkAction, one: One) -> Answer:
    """Do it to one job now, to many as a bulk job, or tell what that would do."""
    _check_exactly_one(body)
    if body.job_id is not None and not body.dry_run:
        return one(call, call.ref(body.job_id))
    job_ids = [call.ref(body.job_id).job_id] if body.job_id is not None else body.job_ids
    wanted = selection(call, job_ids, body.filter)
    if body.dry_run:
        found = forecast(call.app.tracker, call.caller, action, wanted)
        return Answer(body={"success": True, **forecast_json(found)})
    app = call.app
    job = start_bulk(app.tracker, app.works, call.caller, action, wanted, idempotency=call.once)
    return accepted(call, job)


def accepted(call: Call, job: Job) -> Answer:
    """Answer with a bulk job that was created."""
    location = {"location": f"/api/jobs/{job.job_id}"}
    return Answer(status=202, body={"success": True, "job": call.describe(job)}, headers=location)


def _check_exactly_one(body: ActionBody) -> None:
    given = [
        name
        for name, value in (
            ("jobId", body.job_id),
            ("jobIds", body.job_ids),
            ("filter", body.filter),
        )
        if value is not None
    ]
    if not given:
        message = "is required, or jobIds, or filter"
        raise fault("jobId", message)
    if len(given) > 1:
        raise fault(given[1], f"cannot be given with {given[0]}")


def fault(name: str, message: str) -> InvalidRequestError:
    """Name what is wrong with a body."""
    return InvalidRequestError(
        f"This request is not valid: {name} {message}.",
        details=[{"field": name, "message": message}],
    )


def selection(
    call: Call, job_ids: Sequence[str] | None, conditions: JobConditions | None
) -> Selection:
    """Return which jobs are meant: named ones, those that fit, or all of the shop."""
    if job_ids is not None:
        return Selection(job_ids=tuple(name.strip().lower() for name in job_ids))
    shop = call.caller.require_shop()
    return Selection(wanted=job_filter(shop, conditions) if conditions else JobFilter(shop=shop))


def _action(action: BulkAction, one: One) -> Action:
    def act(call: Call, query: ShopQuery, body: ActionBody) -> Answer:
        return _act(call, body, action, one)

    return act


ACTIONS: dict[str, Action] = {
    "syncJob": _action(BulkAction.SYNC, _sync),
    "retryJob": _action(BulkAction.RETRY, _retry),
    "cancelJob": _action(BulkAction.CANCEL, _cancel),
    "pushJob": _action(BulkAction.PUSH, _push),
    "undoPush": _action(BulkAction.UNDO_PUSH, _undo),
    "deleteJobs": _action(BulkAction.DELETE, _delete),
}
