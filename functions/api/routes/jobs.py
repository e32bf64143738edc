"""Routes about jobs as such: create, list, read, delete."""

from dataclasses import replace
from typing import Any

from functions.api.calls import Action, Answer, Call
from functions.api.once import idempotency_of
from shared.bodies.answer_size import checked, fitting
from shared.bodies.requests import CreateBody, ListQuery, LogQuery, OutputQuery, ShopQuery
from shared.bodies.translating import job_filter, wish
from shared.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
)
from shared.domain.filters import JobFilter, LogFilter
from shared.domain.job import WORKER, Job
from shared.serializers.jobs import etag, job_json, log_json, raw_json
from shared.serializers.values import safe
from shared.usecases.create_job import create_job, provider_of
from shared.usecases.delete_job import delete_job
from shared.usecases.issue_keys import active_agent
from shared.usecases.keep_templates import with_template
from shared.usecases.list_jobs import (
    JobList,
    list_job_by_provider_id,
    list_jobs,
    list_jobs_by_id,
)
from shared.usecases.ports import JobStore
from shared.usecases.read_log import read_log, read_log_entry


def create(call: Call, query: ShopQuery, body: CreateBody) -> Answer:
    """Create or register a job."""
    app, shop = call.app, call.caller.require_shop()
    given = body.model_dump(exclude_none=True)
    idempotency = idempotency_of(call, body.model_dump(mode="json", exclude_none=True))
    try:
        wanted = wish(with_template(app.templates, shop, given))
        if wanted.agent_id and provider_of(wanted) == WORKER and not call.caller.is_agent:
            active_agent(app.keys, shop, wanted.agent_id)
    except (NotFoundError, ConflictError):
        # Template or agent may have gone since this very call was answered.
        made = app.tracker.store.made_before(shop, idempotency) if idempotency else None
        if made is None:
            raise
        return _created(call, made)
    job = create_job(
        app.tracker,
        app.shops,
        app.files,
        call.caller,
        wanted,
        idempotency=idempotency,
        is_allowed_http=app.is_allowed_http,
    )
    return _created(call, job)


def _created(call: Call, job: Job) -> Answer:
    location = {"location": f"/api/jobs/{job.job_id}"}
    return Answer(status=202, body={"success": True, "job": call.describe(job)}, headers=location)


def list_(call: Call, query: ListQuery) -> Answer:
    """List jobs."""
    wanted = job_filter(call.caller.require_shop(), query, ascending=query.sort == "createdAt")
    if call.caller.is_agent:
        if wanted.agent_id not in (None, call.caller.agent_id):
            raise ForbiddenError("An agent lists its own jobs only.")
        wanted = replace(wanted, agent_id=call.caller.agent_id)
    store = call.app.tracker.store
    if query.ids is not None or query.provider_job_id is not None:
        found = _named(store, wanted, query)
        return Answer(body=checked(_list_body(call, found)))

    def page(limit: int) -> dict[str, Any]:
        secrets = call.cursor_secrets()
        found = list_jobs(store, wanted, limit=limit, cursor=query.cursor, cursor_secrets=secrets)
        return _list_body(call, found)

    return Answer(body=fitting(query.limit, page))


def read(call: Call, job_id: str, query: ShopQuery) -> Answer:
    """Read one job; 304 if the caller has it as it is."""
    (job,) = call.whole([call.app.tracker.store.get(call.ref(job_id))])
    tag = etag(job_json(job, str, call.app.clock.now()), job.version)
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if _has_tag(call.headers.get("if-none-match", ""), tag):
        return Answer(status=304, body=None, headers=headers)
    return Answer(body={"success": True, "job": call.describe(job)}, headers=headers)


def delete(call: Call, job_id: str, query: ShopQuery) -> Answer:
    """Delete a job and its images."""
    delete_job(call.app.tracker, call.app.files, call.ref(job_id))
    return Answer(body={"success": True})


def logs(call: Call, job_id: str, query: LogQuery) -> Answer:
    """Read a job's timeline."""
    timeline = read_log(
        call.app.tracker.store,
        call.caller,
        call.ref(job_id),
        LogFilter(source=query.source, actor=query.actor),
        limit=query.limit,
        cursor=query.cursor,
        cursor_secrets=call.cursor_secrets(),
    )
    return Answer(
        body={
            "success": True,
            "logs": [log_json(entry) for entry in timeline.entries],
            "nextCursor": timeline.next_cursor,
            "dropped": timeline.dropped,
        }
    )


def log(call: Call, job_id: str, log_id: str, query: ShopQuery) -> Answer:
    """Read one entry of a timeline, with what lies beside it."""
    app, ref = call.app, call.ref(job_id)
    found = read_log_entry(app.tracker.store, app.files, call.caller, ref, log_id.lower())
    payload = {"request": safe(found.payload.request), "response": safe(found.payload.response)}
    body = {"success": True, "log": log_json(found.entry), **raw_json(found.body), **payload}
    return Answer(body=body)


def output(call: Call, job_id: str, query: OutputQuery) -> Answer:
    """Send the caller to a result: our copy, or the provider's until we have ours."""
    job = call.app.tracker.store.get(call.ref(job_id))
    outputs = {output.index: output for output in job.current_outputs}
    found = outputs.get(query.index)
    if found is not None and found.key is not None:
        name = f"{job.job_id}-{found.index}.{found.key.rpartition('.')[2]}"
        url: str | None = call.app.files.link(found.key, valid_s=3600, download_name=name)
    else:
        url = found.url if found is not None and found.is_owed else None
    if url is None:
        raise NotFoundError(_no_output(job))
    if query.link == "1":
        return Answer(body={"success": True, "url": url})
    return Answer(status=302, body=None, headers={"location": url, "cache-control": "no-store"})


def _named(store: JobStore, wanted: JobFilter, query: ListQuery) -> JobList:
    ways = {"ids": query.ids, "providerJobId": query.provider_job_id, "cursor": query.cursor}
    first, *others = [name for name, value in ways.items() if value is not None]
    if others:
        raise InvalidRequestError(
            "Jobs are named in one way, and come all at once, without a cursor.",
            details=[{"field": others[0], "message": f"cannot be given with {first}"}],
        )
    if query.provider_job_id is not None:
        return list_job_by_provider_id(store, wanted, query.provider, query.provider_job_id)
    return list_jobs_by_id(store, wanted, query.ids or ())


def _list_body(call: Call, found: JobList) -> dict[str, Any]:
    return {
        "success": True,
        "jobs": call.describe_all(found.jobs),
        "nextCursor": found.next_cursor,
        "total": found.total,
        "runningCount": found.running,
    }


def _has_tag(header: str, tag: str) -> bool:
    """Compare weakly, as If-None-Match wants it (RFC 9110 section 13.1.2)."""
    tags = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in tags or tag in tags


def _no_output(job: Job) -> str:
    if job.status.is_active:
        return f"This job is still {job.status}; it has no result yet."
    if job.error_message:
        return f"This job has no result to download: {job.error_message}"
    return "This job has no such result."


ACTIONS: dict[str, Action] = {
    "createJob": create,
    "listJobs": list_,
    "readJob": read,
    "deleteJob": delete,
    "readLogs": logs,
    "readLog": log,
    "downloadOutput": output,
}
