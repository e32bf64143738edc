"""Routes of administrators: jobs of all shops, agents, and what came without a job."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any

from functions.api.calls import Action, Answer, Call, job_id_in
from functions.api.routes.jobs import list_
from shared import wiring
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
from shared.bodies.answer_size import fitting
from shared.bodies.requests import ShopQuery
from shared.bodies.translating import wish
from shared.domain.errors import InvalidRequestError
from shared.domain.ids import JobRef, is_shop
from shared.domain.job import Job
from shared.serializers.access import (
    agent_json,
    erasure_json,
    held_json,
    parked_json,
    reverified_json,
    secret_json,
)
from shared.usecases.administer_jobs import (
    complete_job,
    find_job,
    list_jobs_of_day,
    list_parked,
    reassign_job,
)
from shared.usecases.create_job import create_job
from shared.usecases.issue_keys import add_agent, change_agent
from shared.usecases.list_quarantine import Question, ask_to_reverify, list_quarantine
from shared.usecases.retry_job import retry_job
from shared.usecases.tell_secrets import tell_secrets


def jobs(call: Call, query: AdminListQuery) -> Answer:
    """List a shop's jobs with all filters, or all shops' jobs of a day."""
    if call.caller.shop is not None:
        if query.day is not None:
            raise InvalidRequestError(
                "The list of a day is of all shops; for one shop use from and to.",
                details=[{"field": "day", "message": "cannot be given with a shop"}],
            )
        found = list_(call, query)
        names = ("success", "jobs", "nextCursor")
        return Answer(body={name: (found.body or {})[name] for name in names} | {"day": None})
    given = query.model_fields_set - {"day", "limit", "cursor", "shop"}
    if given:
        raise InvalidRequestError(
            "Filters need a shop; of all shops there is the list of a day.",
            details=[{"field": name, "message": "needs a shop"} for name in sorted(given)],
        )
    day = query.day or f"{call.app.clock.now().astimezone(UTC):%Y-%m-%d}"

    def page(limit: int) -> dict[str, Any]:
        found = list_jobs_of_day(
            call.app.tracker.store,
            day,
            limit=limit,
            cursor=query.cursor,
            cursor_secrets=call.cursor_secrets(),
        )
        jobs = call.describe_all(found.jobs)
        return {"success": True, "jobs": jobs, "nextCursor": found.next_cursor, "day": found.day}

    return Answer(body=fitting(query.limit, page))


def job(call: Call, job_id: str, query: ShopQuery) -> Answer:
    """Read a job of any shop."""
    return _job(call, call.app.tracker.store.get(_ref(call, job_id)))


def resubmit(call: Call, job_id: str, query: ShopQuery) -> Answer:
    """Open a new attempt."""
    ref = _ref(call, job_id)
    return _job(call, retry_job(call.app.tracker, call.caller, ref, idempotency=call.once))


def complete(call: Call, job_id: str, query: ShopQuery, body: CompleteBody) -> Answer:
    """End a job as completed."""
    app, ref = call.app, _ref(call, job_id)
    return _job(call, complete_job(app.tracker, app.files, call.caller, ref, body.result))


def reassign(call: Call, job_id: str, query: ShopQuery, body: ReassignBody) -> Answer:
    """Give a job to an agent."""
    app = call.app
    ref = _ref(call, job_id)
    return _job(call, reassign_job(app.tracker, app.keys, call.caller, ref, body.agent_id))


def parked(call: Call, query: ParkedQuery) -> Answer:
    """List deliveries without a job."""
    found = list_parked(call.app.tracker.store, call.app.clock.now(), limit=query.limit)
    shown = [parked_json(event) for event in found]
    return Answer(body={"success": True, "parked": shown})


def adopt(call: Call, query: ShopQuery, body: AdoptBody) -> Answer:
    """Register the job of a delivery for a shop."""
    if not is_shop(body.shop) or call.caller.shop not in (None, body.shop):
        raise InvalidRequestError(
            "This is not a shop, or another one than the request names.",
            details=[{"field": "shop", "message": "must look like name.myshopify.com"}],
        )
    made = create_job(
        call.app.tracker,
        call.app.shops,
        call.app.files,
        replace(call.caller, shop=body.shop),
        wish(body.model_dump(exclude_none=True, exclude={"shop"})),
        idempotency=call.once,
        is_allowed_http=call.app.is_allowed_http,
    )
    return Answer(status=202, body={"success": True, "job": call.describe(made)})


def quarantine(call: Call, query: QuarantineQuery) -> Answer:
    """List what failed its check."""
    app, asked = call.app, _asked(call, query)
    page = list_quarantine(app.quarantine, asked, app.clock.now(), limit=query.limit)
    return Answer(body={"success": True, **held_json(page)})


def reverify(call: Call, query: ShopQuery, body: ReverifyBody) -> Answer:
    """Check it again."""
    done, cursor = ask_to_reverify(call.app.verifier, _asked(call, body))
    return Answer(body={"success": True, **reverified_json(done, cursor)})


def _asked(call: Call, given: QuarantineQuery | ReverifyBody) -> Question:
    return Question(
        provider=given.provider,
        cursor=given.cursor,
        senders=wiring.SENDERS,
        secrets=call.cursor_secrets(),
    )


def secrets(call: Call, query: ShopQuery) -> Answer:
    """Tell of the secrets."""
    app = call.app
    found = tell_secrets(app.verifier, app.matches, wiring.secret_names(), app.clock.now())
    return Answer(body={"success": True, "secrets": [secret_json(each) for each in found]})


def erasures(call: Call, query: ShopQuery) -> Answer:
    """Tell what was erased of a shop."""
    found = call.app.erasures.reports(call.caller.require_shop())
    return Answer(body={"success": True, "erasures": [erasure_json(each) for each in found]})


def agents(call: Call, query: ShopQuery) -> Answer:
    """List a shop's agents."""
    found = call.app.keys.agents(call.caller.require_shop())
    return Answer(body={"success": True, "agents": [agent_json(agent) for agent in found]})


def new_agent(call: Call, query: ShopQuery, body: NewAgentBody) -> Answer:
    """Make an agent."""
    made = add_agent(
        call.app.tracker,
        call.app.keys,
        call.caller.require_shop(),
        body.name,
        body.description,
        idempotency=call.once,
    )
    answer = {"success": True, "agent": agent_json(made.record), "secret": made.key}
    return Answer(status=201, body=answer)


def edit_agent(call: Call, agent_id: str, query: ShopQuery, body: AgentBody) -> Answer:
    """Change an agent."""
    changes = body.model_dump(exclude_none=True)
    if "description" in body.model_fields_set:
        changes["description"] = body.description
    return _changed(call, agent_id, changes)


def remove_agent(call: Call, agent_id: str, query: ShopQuery) -> Answer:
    """Deactivate an agent."""
    return _changed(call, agent_id, {"is_active": False})


def _changed(call: Call, agent_id: str, changes: Mapping[str, Any]) -> Answer:
    app, shop = call.app, call.caller.require_shop()
    agent = change_agent(app.tracker, app.keys, shop, agent_id, changes)
    return Answer(body={"success": True, "agent": agent_json(agent)})


def _ref(call: Call, job_id: str) -> JobRef:
    return find_job(call.app.tracker.store, job_id_in(job_id), call.caller.shop)


def _job(call: Call, found: Job) -> Answer:
    return Answer(body={"success": True, "job": call.describe(found)})


ACTIONS: dict[str, Action] = {
    "listJobsAsAdmin": jobs,
    "readAnyJob": job,
    "resubmitJob": resubmit,
    "completeJob": complete,
    "reassignJob": reassign,
    "listParked": parked,
    "adoptParked": adopt,
    "listQuarantine": quarantine,
    "reverifyQuarantine": reverify,
    "readSecrets": secrets,
    "listErasures": erasures,
    "listAgents": agents,
    "addAgent": new_agent,
    "changeAgent": edit_agent,
    "deactivateAgent": remove_agent,
}
