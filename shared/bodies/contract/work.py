"""Routes for work that other programs do: reports, and the sync app's own API."""

from shared.bodies.requests import ShopQuery
from shared.bodies.route import Route
from shared.bodies.work import (
    PatchBody,
    SyncCreateBody,
    SyncExportQuery,
    SyncLogQuery,
    SyncQuery,
    SyncReportBody,
)

ROUTES = (
    Route(
        method="PATCH",
        path="/api/jobs/{jobId}",
        name="reportJob",
        summary="A worker's report on its job (an empty one is a heartbeat), or an owner's edit.",
        query=ShopQuery,
        body=PatchBody,
        answers={200: "JobAnswer"},
        errors=(404, 409, 413),
        for_agents=True,
    ),
    Route(
        method="GET",
        path="/api/sync/job-progress",
        name="readSyncJobs",
        summary="The sync app's API: a page, one job, or the latest of a type.",
        query=SyncQuery,
        answers={200: "SyncAnswer"},
        errors=(404, 413),
    ),
    Route(
        method="POST",
        path="/api/sync/job-progress",
        name="createSyncJob",
        summary="The sync app's API: create a job that begins now; cancels no other.",
        query=ShopQuery,
        body=SyncCreateBody,
        answers={200: "SyncJobAnswer"},
        errors=(402, 409, 413, 422),
        headers=("Idempotency-Key",),
        for_agents=True,
    ),
    Route(
        method="PATCH",
        path="/api/sync/job-progress",
        name="reportSyncJob",
        summary="The sync app's API: a worker's report. metadata is merged, counts are absolute.",
        query=ShopQuery,
        body=SyncReportBody,
        answers={200: "SyncJobAnswer"},
        errors=(404, 409, 413),
        for_agents=True,
    ),
    Route(
        method="GET",
        path="/api/export/jobs",
        name="exportSyncJobs",
        summary="The sync app's API: jobs as rows under column titles.",
        query=SyncExportQuery,
        answers={200: "SyncExportAnswer"},
        errors=(413,),
    ),
    Route(
        method="GET",
        path="/api/logs",
        name="readSyncLogs",
        summary="The sync app's API: one line for each job; filters come before the limit.",
        query=SyncLogQuery,
        answers={200: "SyncLogsAnswer"},
        errors=(413,),
    ),
)
