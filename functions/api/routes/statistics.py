"""Routes with sums."""

from typing import Any

from functions.api.calls import Action, Answer, Call
from shared.bodies.requests import ShopQuery, StatisticsQuery
from shared.domain.statistics import Tally
from shared.representation import safe
from shared.usecases.read_statistics import Group, read_statistics


def statistics(call: Call, query: StatisticsQuery) -> Answer:
    """Sum up the shop's jobs."""
    found = read_statistics(
        call.app.tracker.store,
        call.caller.require_shop(),
        call.app.clock.now(),
        days=query.days,
        group_by=query.group_by,
    )
    body: dict[str, Any] = {
        "success": True,
        "stats": {
            "pending": found.pending,
            "processing": found.processing,
            **_sums(found.tally, found.pending + found.processing),
            "timeSavedHours": found.saved_hours,
        },
    }
    if found.days is not None:
        body["days"] = [{"date": day.date, **_sums(day.tally, 0)} for day in found.days]
    if found.groups is not None:
        body["groups"] = [_group(group) for group in found.groups]
    return Answer(body=body)


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


def _group(group: Group) -> dict[str, Any]:
    active = {"pending": group.pending, "processing": group.processing}
    return {"key": group.key, **active, **_sums(group.tally, group.pending + group.processing)}


def _sums(tally: Tally, active: int) -> dict[str, Any]:
    return {
        "total": tally.ended + active,
        "completed": tally.completed,
        "failed": tally.failed,
        "cancelled": tally.cancelled,
        "successRate": tally.success_rate,
        "averageProcessingTime": tally.average_processing_ms,
        "totalCreditsUsed": safe(tally.credits),
        "totalCostMicros": safe(tally.cost_micros),
        "averageCostMicros": tally.average_cost_micros,
    }


ACTIONS: dict[str, Action] = {
    "readStatistics": statistics,
    "countPending": pending_count,
}
