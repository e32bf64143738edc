"""Routes about batches, and the list of jobs as a file."""

from shared.bodies.bulk import BatchBody, BatchesQuery, ExportBody, ExportQuery
from shared.bodies.requests import ShopQuery
from shared.bodies.route import Route

ROUTES = (
    Route(
        method="GET",
        path="/api/jobs/export.csv",
        name="exportJobs",
        summary="Up to 5,000 jobs as CSV; the rest by ?cursor= from X-Next-Cursor.",
        query=ExportQuery,
        answers={200: "text/csv"},
    ),
    Route(
        method="POST",
        path="/api/jobs/export",
        name="startExport",
        summary="All of these jobs as one CSV file, written by a bulk job: its result.url "
        "links to it, anew at every read, for as long as the file is kept: seven days.",
        query=ShopQuery,
        body=ExportBody,
        answers={202: "JobAnswer"},
        errors=(413,),
        once=True,
    ),
    Route(
        method="POST",
        path="/api/batches",
        name="createBatch",
        summary="One tool for up to 1,000 images: a job for each, made in the background.",
        query=ShopQuery,
        body=BatchBody,
        # A thousand images with a signed link each. AWS's own limit is 6 MB.
        max_body_bytes=2 * 1024 * 1024,
        answers={202: "BatchAnswer"},
        errors=(402, 404, 413),
        once=True,
    ),
    Route(
        method="GET",
        path="/api/batches",
        name="listBatches",
        summary="List batches, newest first.",
        query=BatchesQuery,
        answers={200: "BatchListAnswer"},
    ),
    Route(
        method="GET",
        path="/api/batches/{batchId}",
        name="readBatch",
        summary="Read one batch, counted over the jobs that there are.",
        query=ShopQuery,
        answers={200: "BatchAnswer"},
        errors=(404,),
    ),
    Route(
        method="POST",
        path="/api/batches/{batchId}/cancel",
        name="cancelBatch",
        summary="Make no more jobs of a batch and cancel those that are there, by a bulk job.",
        query=ShopQuery,
        answers={202: "JobAnswer"},
        errors=(404, 409),
    ),
    Route(
        method="POST",
        path="/api/batches/{batchId}/retry",
        name="retryBatch",
        summary="Retry the failed jobs of a batch, by a bulk job.",
        query=ShopQuery,
        answers={202: "JobAnswer"},
        errors=(404, 409),
        once=True,
    ),
    Route(
        method="POST",
        path="/api/batches/{batchId}/archive",
        name="archiveBatch",
        summary="All kept results of a batch as one ZIP file, written by a bulk job: its "
        "result.url links to it, anew at every read, for as long as the file is kept: seven days.",
        query=ShopQuery,
        answers={202: "JobAnswer"},
        errors=(404, 409),
        once=True,
    ),
)
