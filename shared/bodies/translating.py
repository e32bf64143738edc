"""What was asked for, in the words of the rules: filters and wishes."""

from typing import Any

from shared.bodies.requests import JobConditions
from shared.domain.errors import InvalidRequestError
from shared.domain.filters import JobFilter
from shared.domain.job import PIKCEL, Priority
from shared.usecases.create_job import NewJob


def job_filter(shop: str, given: JobConditions, *, ascending: bool = False) -> JobFilter:
    """Return the filter that these conditions are, for a shop."""
    return JobFilter(
        shop=shop,
        status=given.status,
        push_status=given.push_status,
        type=given.type,
        tool_id=given.tool_id,
        product_id=given.product_id,
        batch_id=given.batch_id,
        project_id=given.project_id,
        agent_id=given.agent_id,
        created_from=given.from_,
        created_to=given.to,
        scheduled_before=given.scheduled_before,
        text=given.q,
        ascending=ascending,
    )


def wish(given: dict[str, Any]) -> NewJob:
    """Return what a body's fields ask for."""
    pikcel_job_id = given.pop("pikcel_job_id", None)
    if pikcel_job_id is not None:
        is_same = given.setdefault("provider_job_id", pikcel_job_id) == pikcel_job_id
        if not is_same or given.setdefault("provider", PIKCEL) != PIKCEL:
            raise InvalidRequestError(
                "pikcelJobId is the providerJobId of a job at pikcel; the two differ here.",
                details=[{"field": "pikcelJobId", "message": "contradicts another field"}],
            )
    if "priority" in given:
        given["priority"] = Priority(given["priority"])
    return NewJob(**given)
