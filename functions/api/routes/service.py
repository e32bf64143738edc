"""Routes about the service itself."""

import sys

from functions.api.calls import Action, Answer, OpenCall
from functions.api.version import VERSION
from shared.bodies.contract import ROUTES
from shared.bodies.requests import HealthQuery, NoQuery
from shared.domain.errors import ForbiddenError
from shared.usecases.check_health import check_health

VERSIONS = {"version": VERSION, "python": ".".join(map(str, sys.version_info[:3]))}


def health(opened: OpenCall, query: HealthQuery) -> Answer:
    """Tell that the API answers; to administrators, also whether what it needs does."""
    if query.deep == "0":
        return Answer(body={"success": True, "status": "ok", **VERSIONS, "checks": None})
    call = opened()
    if not call.caller.is_admin:
        raise ForbiddenError("Only administrators may look this deep.")
    app = call.app
    found = check_health(app.tracker.store, app.secrets, app.needed_secrets, app.queue_checks)
    checks = [
        {"name": check.name, "ok": check.reason is None, "reason": check.reason} for check in found
    ]
    failed = [check.name for check in found if check.reason is not None]
    if failed:
        error = f"These do not answer: {', '.join(failed)}."
        body = {"success": False, "error": error, "code": "unavailable", "details": checks}
        return Answer(status=503, body=body)
    return Answer(body={"success": True, "status": "ok", **VERSIONS, "checks": checks})


def openapi(opened: OpenCall, query: NoQuery) -> Answer:
    """Describe the whole API."""
    # Models of the answers are needed for nothing else: callers do not wait for them.
    from shared.bodies.openapi import document

    body = document(ROUTES, VERSION)
    return Answer(body=body, headers={"cache-control": "public, max-age=300"})


ACTIONS: dict[str, Action] = {
    "readHealth": health,
    "readOpenApi": openapi,
}
