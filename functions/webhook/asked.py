"""What the API asks of the function that holds the signing secrets.

Trigger: a direct invocation, which only functions/api may make. API Gateway's own events have
other fields, whatever a sender puts into a request.
Samples: events/asked_reverify.json, events/asked_fingerprints.json.

| asked | answer |
| --- | --- |
| `reverify` (`providers`, `after`) | what became of some of the quarantine (see `reverify`) |
| `fingerprints` | of every secret that deliveries are verified with |
| either, while table or secrets do not answer | `{"unavailable": code}` |

Delivery: at least once; either changes nothing when it is done twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from shared import wiring
from shared.domain.errors import RetryableError
from shared.observability import count, logger
from shared.usecases.quarantine_ports import Mark
from shared.usecases.reverify_quarantine import reverify
from shared.usecases.tell_secrets import fingerprints


def answer(event: Mapping[str, Any]) -> dict[str, Any]:
    """Do what is asked, and say what came of it."""
    asked = event["asked"]
    try:
        return _ACTIONS[asked](event)
    except RetryableError as error:
        logger.error(
            "not done", extra={"asked": asked, "code": error.code, "reason": error.message}
        )
        count("WebhookUnavailable")
        return {"unavailable": error.code}


def _reverify(event: Mapping[str, Any]) -> dict[str, Any]:
    after = event["after"]
    desk = wiring.reverify_desk()
    done = reverify(desk, event["providers"], Mark(**after) if after else None)
    told = asdict(done)
    logger.info("quarantine checked again", extra={"result": told})
    count("QuarantineChecked", done.checked)
    count("QuarantineRecovered", done.accepted)
    return told


def _fingerprints(_event: Mapping[str, Any]) -> dict[str, Any]:
    found = fingerprints(wiring.webhook_app().secrets, wiring.secret_names())
    logger.info("fingerprints told")
    count("FingerprintsTold")
    return {"fingerprints": found.fingerprints, "placeholders": sorted(found.placeholders)}


_ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "reverify": _reverify,
    "fingerprints": _fingerprints,
}
