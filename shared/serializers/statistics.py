"""Sums over jobs as JSON."""

from typing import Any

from shared.domain.statistics import Tally
from shared.serializers.values import safe
from shared.usecases.read_statistics import Group, Statistics
from shared.usecases.start_bulk import Forecast


def statistics_json(found: Statistics) -> dict[str, Any]:
    """Describe a shop's sums, by day and by group where they were asked for."""
    body: dict[str, Any] = {
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
    return body


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


def forecast_json(found: Forecast) -> dict[str, Any]:
    """Describe what a bulk action would do."""
    refused = sorted(found.refused.items())
    return {
        "matched": found.matched,
        "eligible": found.eligible,
        "refused": [{"code": code, "count": count} for code, count in refused],
        "credits": safe(found.credits),
        "costMicros": safe(found.cost_micros),
        "complete": found.is_complete,
    }
