"""Routes for work that other programs do: reports, and the sync app's own API."""

from dataclasses import replace
from typing import Any

from functions.api.calls import Action, Answer, Call, job_id_in
from functions.api.once import idempotency_of
from shared.bodies.answer_size import checked
from shared.bodies.requests import ShopQuery
from shared.bodies.work import (
    LogBody,
    PatchBody,
    SyncCreateBody,
    SyncExportQuery,
    SyncLogQuery,
    SyncQuery,
    SyncReportBody,
    edit_of,
    is_report,
    remark_of,
    report_of,
)
from shared.domain.errors import InvalidRequestError
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef
from shared.domain.job import WORKER, Job
from shared.domain.status import read_status
from shared.serializers.jobs import log_json
from shared.serializers.sync import LEVELS, export_row, log_line, sync_job
from shared.usecases.append_log import append_log
from shared.usecases.create_job import NewJob, create_job
from shared.usecases.issue_keys import active_agent
from shared.usecases.read_work import find_work, read_latest, read_work_page
from shared.usecases.report_progress import report_progress


def patch(call: Call, job_id: str, query: ShopQuery, body: PatchBody) -> Answer:
    """Take a worker's report, or an owner's edit."""
    edit = edit_of(body)
    if body.agent_id is not None and not call.caller.is_agent:
        active_agent(call.app.keys, call.caller.require_shop(), body.agent_id)
    report = report_of(body) if is_report(body) else None
    if report is not None and body.log is not None:
        report = replace(report, remark=remark_of(body.log))
    app, ref = call.app, _ref(call, job_id)
    job = report_progress(app.tracker, app.files, call.caller, ref, report, edit=edit)
    return Answer(body={"success": True, "job": call.describe(job)})


def append(call: Call, job_id: str, query: ShopQuery, body: LogBody) -> Answer:
    """Add an entry to a job's timeline."""
    app, ref = call.app, _ref(call, job_id)
    remark = remark_of(body)
    entry = append_log(app.tracker, app.files, call.caller, ref, remark, idempotency=call.once)
    return Answer(status=201, body={"success": True, "log": log_json(entry)})


def sync_read(call: Call, query: SyncQuery) -> Answer:
    """Read jobs in the sync app's shape."""
    store, shop = call.app.tracker.store, call.caller.require_shop()
    if query.job_id is not None:
        return _data(_sync_job(call, store.get(call.ref(query.job_id))))
    if query.all == "true":
        now = call.app.clock.now()
        found = read_work_page(store, shop, now, page=query.page, limit=query.limit)
        return _data(
            {
                "jobs": [sync_job(job) for job in call.whole(found.jobs)],
                "totalCount": found.total,
                "runningCount": found.running,
                "currentPage": query.page,
                "totalPages": -(-found.total // query.limit),
                "stats": [
                    {"type": name, "_count": {"id": count}}
                    for name, count in sorted(found.by_type.items())
                ],
            }
        )
    if query.type is not None:
        latest, is_running = read_latest(store, shop, query.type)
        described = _sync_job(call, latest) if latest is not None else None
        return _data({"latestJob": described, "hasRunningJob": is_running})
    raise InvalidRequestError(
        "Say which jobs: all=true, jobId or type.",
        details=[{"field": "query", "message": "must name all, jobId or type"}],
    )


def sync_create(call: Call, query: ShopQuery, body: SyncCreateBody) -> Answer:
    """Create a job that begins now. Earlier ones of its type go on."""
    wish = NewJob(
        provider=WORKER,
        type=body.type,
        total=body.total,
        metadata=body.metadata or {},
        exclusive=bool(body.exclusive),
        starts_as="RUNNING",
    )
    job = create_job(
        call.app.tracker,
        call.app.shops,
        call.app.files,
        call.caller,
        wish,
        idempotency=idempotency_of(call, ["sync", body.model_dump(mode="json", exclude_none=True)]),
        is_allowed_http=call.app.is_allowed_http,
    )
    return _data(_sync_job(call, job))


def sync_report(call: Call, query: ShopQuery, body: SyncReportBody) -> Answer:
    """Take a worker's report."""
    app, ref = call.app, _ref(call, body.job_id)
    job = report_progress(app.tracker, app.files, call.caller, ref, report_of(body))
    return _data(_sync_job(call, job))


def export(call: Call, query: SyncExportQuery) -> Answer:
    """List jobs as rows."""
    shop, wanted = call.caller.require_shop(), query.filter
    status = read_status(wanted)
    job_type = wanted if status is None and wanted != "all" else None
    found = find_work(
        call.app.tracker.store,
        JobFilter(shop=shop, status=status, type=job_type),
        limit=query.limit,
    )
    now = call.app.clock.now()
    rows = [export_row(job, now) for job in found.jobs]
    return Answer(body=checked({"success": True, "data": rows, "total": found.total}))


def logs(call: Call, query: SyncLogQuery) -> Answer:
    """List jobs as log lines."""
    shop, level, search = call.caller.require_shop(), query.level, query.search
    statuses = {name: status for status, name in LEVELS.items()}
    wanted = JobFilter(shop=shop, status=statuses.get(level) if level else None, type=query.source)

    def is_meant(job: Job) -> bool:
        line = log_line(job)
        text = f"{line['message']} {line['error'] or ''}".casefold()
        return level in (None, line["level"]) and (search or "").casefold() in text

    is_indexed = search is None and (level is None or level in statuses)
    found = find_work(
        call.app.tracker.store,
        wanted,
        limit=query.limit,
        is_meant=None if is_indexed else is_meant,
    )
    lines = [log_line(job) for job in call.whole(found.jobs)]
    return _data({"logs": lines, "total": found.total})


def _sync_job(call: Call, job: Job) -> dict[str, Any]:
    (whole,) = call.whole([job])
    return sync_job(whole)


def _data(data: dict[str, Any]) -> Answer:
    return Answer(body=checked({"success": True, "data": data}))


def _ref(call: Call, job_id: str) -> JobRef:
    """Name a job; whether an agent may see it is found out by the one read of a report."""
    return JobRef(call.caller.require_shop(), job_id_in(job_id))


ACTIONS: dict[str, Action] = {
    "reportJob": patch,
    "appendLog": append,
    "readSyncJobs": sync_read,
    "createSyncJob": sync_create,
    "reportSyncJob": sync_report,
    "exportSyncJobs": export,
    "readSyncLogs": logs,
}
