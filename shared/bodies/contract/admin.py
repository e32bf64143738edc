"""Routes of administrators: jobs of all shops, agents, and what came without a job."""

from typing import Any

from shared.bodies.access import (
    AdminListQuery,
    AdoptBody,
    AgentBody,
    CompleteBody,
    NewAgentBody,
    ParkedQuery,
    QuarantineQuery,
    ReassignBody,
    ReverifyBody,
)
from shared.bodies.requests import ShopQuery
from shared.bodies.route import Route


def _route(
    method: str,
    path: str,
    name: str,
    summary: str,
    answer: str = "JobAnswer",
    **more: Any,
) -> Route:
    status = more.pop("status", 200)
    values: dict[str, Any] = {"query": ShopQuery, "once": method == "POST"} | more
    return Route(
        method=method,
        path=f"/api/admin/{path}",
        name=name,
        summary=summary,
        answers={status: answer},
        for_admins=True,
        **values,
    )


_CHANGE = (404, 409, 413)

ROUTES = (
    _route(
        "GET",
        "jobs",
        "listJobsAsAdmin",
        "List the named shop's jobs with all filters, or all shops' jobs of a UTC day.",
        "DayOfJobsAnswer",
        query=AdminListQuery,
        errors=(413,),
    ),
    _route("GET", "jobs/{jobId}", "readAnyJob", "Read a job of whichever shop.", errors=(404,)),
    _route(
        "POST",
        "jobs/{jobId}/resubmit",
        "resubmitJob",
        "Try a failed, cancelled, rejected or to-be-resubmitted job again.",
        errors=(402, 404, 409),
    ),
    _route(
        "POST",
        "jobs/{jobId}/complete",
        "completeJob",
        "End a job as completed, with this result.",
        body=CompleteBody,
        errors=_CHANGE,
    ),
    _route(
        "POST",
        "jobs/{jobId}/reassign",
        "reassignJob",
        "Give a worker's job to an agent, who finds it pending (`assigned`).",
        body=ReassignBody,
        errors=(402, *_CHANGE),
    ),
    _route(
        "GET",
        "parked",
        "listParked",
        "List deliveries of the last seven days whose job nobody here knows.",
        "ParkedAnswer",
        query=ParkedQuery,
    ),
    _route(
        "POST",
        "parked/adopt",
        "adoptParked",
        "Register a provider's job for a shop, and apply what was delivered for it.",
        body=AdoptBody,
        status=202,
        errors=(409, 413),
    ),
    _route(
        "GET",
        "quarantine",
        "listQuarantine",
        "List deliveries of the last day that failed their check.",
        "QuarantineAnswer",
        query=QuarantineQuery,
    ),
    _route(
        "POST",
        "quarantine/reverify",
        "reverifyQuarantine",
        "Check them again, by the instant of their reception, and apply those that fit the present "
        "secrets. Again has no second effect.",
        "ReverifiedAnswer",
        body=ReverifyBody,
        once=False,
        errors=(413,),
    ),
    _route(
        "GET",
        "secrets",
        "readSecrets",
        "Which secrets webhooks are verified with, which of two fitted, and when the older one may "
        "be removed.",
        "SecretsAnswer",
    ),
    _route(
        "GET",
        "erasures",
        "listErasures",
        "Read what was erased of the named shop, when, and what remains of it where.",
        "ErasuresAnswer",
    ),
    _route("GET", "agents", "listAgents", "List the named shop's agents.", "AgentsAnswer"),
    _route(
        "POST",
        "agents",
        "addAgent",
        "Make an agent of the named shop (at most 100 active ones); its key is shown once.",
        "NewAgentAnswer",
        body=NewAgentBody,
        status=201,
        errors=(409, 413),
    ),
    _route(
        "PATCH",
        "agents/{agentId}",
        "changeAgent",
        "Change an agent; an inactive one's key opens nothing within 30 seconds.",
        "AgentAnswer",
        body=AgentBody,
        errors=(404, 409, 413),
    ),
    _route(
        "DELETE",
        "agents/{agentId}",
        "deactivateAgent",
        "Deactivate an agent; its jobs stay.",
        "AgentAnswer",
        errors=(404,),
    ),
)
