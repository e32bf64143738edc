"""Routes about jobs as such: create, list, read, delete."""

from shared.bodies.requests import CreateBody, ListQuery, LogQuery, OutputQuery, ShopQuery
from shared.bodies.route import Route

ROUTES = (
    Route(
        method="POST",
        path="/api/jobs",
        name="createJob",
        summary="Create a job at its provider, or register one made elsewhere (providerJobId).",
        query=ShopQuery,
        body=CreateBody,
        answers={202: "JobAnswer"},
        errors=(402, 404, 409, 413, 422),
        headers=("Idempotency-Key",),
        for_agents=True,
    ),
    Route(
        method="GET",
        path="/api/jobs",
        name="listJobs",
        summary="List jobs. All filters combine; a page may be shorter than limit, even empty.",
        query=ListQuery,
        answers={200: "JobListAnswer"},
        errors=(413,),
        for_agents=True,
    ),
    Route(
        method="GET",
        path="/api/jobs/{jobId}",
        name="readJob",
        summary="Read one job.",
        query=ShopQuery,
        answers={200: "JobAnswer", 304: None},
        errors=(404,),
        headers=("If-None-Match",),
        for_agents=True,
    ),
    Route(
        method="DELETE",
        path="/api/jobs/{jobId}",
        name="deleteJob",
        summary="Delete an ended job, its images and its timeline.",
        query=ShopQuery,
        answers={200: "DoneAnswer"},
        errors=(404, 409),
    ),
    Route(
        method="GET",
        path="/api/jobs/{jobId}/logs",
        name="readLogs",
        summary="Read a job's timeline, newest first.",
        query=LogQuery,
        answers={200: "LogsAnswer"},
        errors=(404,),
        for_agents=True,
    ),
    Route(
        method="GET",
        path="/api/jobs/{jobId}/output",
        name="downloadOutput",
        summary="Download a result: our copy, or the provider's until ours is kept.",
        query=OutputQuery,
        answers={200: "LinkAnswer", 302: None},
        errors=(404,),
        for_agents=True,
    ),
)
