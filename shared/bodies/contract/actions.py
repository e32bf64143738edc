"""Routes that do something with one job, or with many: sync, retry, cancel, push, undo, delete."""

from shared.bodies.bulk import ActionBody
from shared.bodies.requests import ShopQuery
from shared.bodies.route import Route

_ERRORS = (404, 409, 413)
_MANY = " With jobIds or filter: a bulk job (202), or with dryRun what it would do."


def _route(
    path: str,
    name: str,
    summary: str,
    answer: str = "ActionAnswer",
    *,
    errors: tuple[int, ...] = _ERRORS,
    once: bool = True,
) -> Route:
    return Route(
        method="POST",
        path=path,
        name=name,
        summary=summary + _MANY,
        query=ShopQuery,
        body=ActionBody,
        takes_forms=True,
        answers={200: answer, 202: "JobAnswer"},
        errors=errors,
        once=once,
    )


ROUTES = (
    _route(
        "/api/jobs/sync",
        "syncJob",
        "Ask the provider now, at most once per job in ten seconds; waits up to 8 s.",
        once=False,
    ),
    _route(
        "/api/jobs/retry",
        "retryJob",
        "Try a failed or cancelled job again.",
        errors=(402, *_ERRORS),
    ),
    _route(
        "/api/jobs/cancel",
        "cancelJob",
        "End a job. The notice says if it may still be charged.",
        "CancelActionAnswer",
        once=False,
    ),
    _route(
        "/api/jobs/push-to-shopify",
        "pushJob",
        "Put the kept result on the product; waits up to 8 s and answers the job as it then is.",
    ),
    _route(
        "/api/jobs/undo-push",
        "undoPush",
        "Take the image off the product; waits up to 8 s and answers the job as it then is.",
    ),
    _route(
        "/api/jobs/delete",
        "deleteJobs",
        "Delete an ended job, its images and its timeline.",
        "DeleteActionAnswer",
    ),
)
