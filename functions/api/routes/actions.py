"""Routes that do something with one job: sync, retry, cancel, push, undo."""

from functions.api.calls import Answer, Call, Route
from shared.bodies.requests import JobIdBody, ShopQuery
from shared.domain.job import Job
from shared.usecases.cancel_job import cancel_job
from shared.usecases.request_push import request_push
from shared.usecases.retry_job import retry_job
from shared.usecases.sync_job import sync_job
from shared.usecases.undo_push import undo_push


def sync(call: Call, query: ShopQuery, body: JobIdBody) -> Answer:
    """Ask the provider now."""
    return _answer(call, sync_job(call.app.tracker, call.ref(body.job_id)))


def retry(call: Call, query: ShopQuery, body: JobIdBody) -> Answer:
    """Open a new attempt."""
    return _answer(call, retry_job(call.app.tracker, call.caller, call.ref(body.job_id)))


def cancel(call: Call, query: ShopQuery, body: JobIdBody) -> Answer:
    """End the job here."""
    cancelled = cancel_job(call.app.tracker, call.caller, call.ref(body.job_id))
    return Answer(
        body={
            "success": True,
            "job": call.describe(cancelled.job),
            "notice": cancelled.notice,
        }
    )


def push(call: Call, query: ShopQuery, body: JobIdBody) -> Answer:
    """Put the result on the product."""
    return _answer(call, request_push(call.app.tracker, call.caller, call.ref(body.job_id)))


def undo(call: Call, query: ShopQuery, body: JobIdBody) -> Answer:
    """Take the result off the product."""
    return _answer(call, undo_push(call.app.tracker, call.caller, call.ref(body.job_id)))


def _answer(call: Call, job: Job) -> Answer:
    return Answer(body={"success": True, "job": call.describe(job)})


def _route(path: str, name: str, summary: str, action: object, answer: str = "JobAnswer") -> Route:
    return Route(
        method="POST",
        path=path,
        name=name,
        summary=summary,
        action=action,  # type: ignore[arg-type]  # each is one of the functions above
        query=ShopQuery,
        body=JobIdBody,
        takes_forms=True,
        answers={200: answer},
        errors=_errors(action),
        once=action in (retry, push, undo),
    )


def _errors(action: object) -> tuple[int, ...]:
    if action is sync:
        return (404, 413)
    return (402, 404, 409, 413) if action is retry else (404, 409, 413)


ROUTES = (
    _route(
        "/api/jobs/sync",
        "syncJob",
        "Ask the provider now, at most once per job in ten seconds; waits up to 8 s.",
        sync,
    ),
    _route("/api/jobs/retry", "retryJob", "Try a failed or cancelled job again.", retry),
    _route(
        "/api/jobs/cancel",
        "cancelJob",
        "End a job. The notice says if it may still be charged.",
        cancel,
        "CancelAnswer",
    ),
    _route(
        "/api/jobs/push-to-shopify",
        "pushJob",
        "Put the kept result on the product; waits up to 8 s and answers the job as it then is.",
        push,
    ),
    _route(
        "/api/jobs/undo-push",
        "undoPush",
        "Take the image off the product; waits up to 8 s and answers the job as it then is.",
        undo,
    ),
)
