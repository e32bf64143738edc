"""Routes with sums."""

from shared.bodies.requests import ShopQuery, StatisticsQuery
from shared.bodies.route import Route

ROUTES = (
    Route(
        method="GET",
        path="/api/jobs/stats",
        name="readStatistics",
        summary="Exact sums over the jobs that exist.",
        query=StatisticsQuery,
        answers={200: "StatisticsAnswer"},
    ),
    Route(
        method="GET",
        path="/api/jobs/pending-count",
        name="countPending",
        summary="How many jobs are pending and processing.",
        query=ShopQuery,
        answers={200: "PendingCountAnswer"},
    ),
)
