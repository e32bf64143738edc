"""Which jobs: the names of a list's query as the store's filter."""

from shared.bodies.requests import JobConditions
from shared.domain.filters import JobFilter


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
