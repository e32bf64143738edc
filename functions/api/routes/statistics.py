"""Routes with sums."""

from functions.api.calls import Action, Answer, Call
from shared.bodies.requests import ShopQuery, StatisticsQuery
from shared.serializers.statistics import statistics_json
from shared.usecases.read_statistics import read_statistics


def statistics(call: Call, query: StatisticsQuery) -> Answer:
    """Sum up the shop's jobs."""
    found = read_statistics(
        call.app.tracker.store,
        call.caller.require_shop(),
        call.app.clock.now(),
        days=query.days,
        group_by=query.group_by,
    )
    return Answer(body={"success": True, **statistics_json(found)})


def pending_count(call: Call, query: ShopQuery) -> Answer:
    """Count the shop's active jobs."""
    pending, processing = call.app.tracker.store.count_active(call.caller.require_shop())
    return Answer(
        body={
            "success": True,
            "pending": pending,
            "processing": processing,
            "total": pending + processing,
        }
    )


ACTIONS: dict[str, Action] = {
    "readStatistics": statistics,
    "countPending": pending_count,
}
