"""Do a call with an Idempotency-Key once, and answer its repetitions the same."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from functions.api.calls import Action, Answer, Call
from shared.bodies.route import Route
from shared.domain.errors import (
    ConflictError,
    InvalidRequestError,
    JobTrackerError,
    PermanentError,
)
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency

MAX_KEY = 255
# A stored answer is sealed (a third larger), beside little else in an item of 400 KB. A job with
# all it may have fits.
MAX_ANSWER_BYTES = 300_000
# Whose calls without a shop are kept: an administrator's.
NO_SHOP = "administrators"


def idempotency_of(call: Call, said: object) -> Idempotency | None:
    """Read the caller's Idempotency-Key, None if there is none.

    Parameters
        said: JSON data that is the same for the same call.

    Agents have keys of their own: the key of one means nothing in the hands of another.
    """
    key = call.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable() or not key.isascii():
        raise InvalidRequestError(
            f"An Idempotency-Key is 1 to {MAX_KEY} printable ASCII characters.",
            details=[{"field": "Idempotency-Key", "message": "is not valid"}],
        )
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return Idempotency(key=_owned(call.caller, key), body_sha256=digest)


def answer_once(route: Route, action: Action, call: Call, arguments: Mapping[str, Any]) -> Answer:
    """Answer a call: with a key that came before, as then.

    A call that was refused, or that we could not answer, is forgotten: it may be made again with
    the same key. Whatever it made already is found again then (`Call.once`).
    Answers are kept sealed: links and new keys are in them.
    """
    said = {name: _plain(value) for name, value in arguments.items()}
    idempotency = idempotency_of(call, [route.method, route.path, said])
    if idempotency is None:
        return action(call, **arguments)
    receipts, shop = call.app.receipts, call.caller.shop or NO_SHOP
    earlier = receipts.begin(shop, idempotency)
    if earlier is not None:
        return _opened(call, earlier)
    # No caller's own key looks like this one.
    made = replace(idempotency, key=f"{route.name}\n{idempotency.key}")
    try:
        answer = action(replace(call, once=made), **arguments)
    except JobTrackerError:
        receipts.forget(shop, idempotency)
        raise
    kept = json.dumps([answer.status, answer.body, dict(answer.headers)], ensure_ascii=False)
    if len(kept.encode()) <= MAX_ANSWER_BYTES:
        receipts.finish(shop, idempotency, call.app.box.seal(kept))
    return answer


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _owned(caller: Caller, key: str) -> str:
    return f"{caller.agent_id}:{key}" if caller.agent_id is not None else key


def _opened(call: Call, kept: str) -> Answer:
    try:
        status, body, headers = json.loads(call.app.box.open(kept))
    except PermanentError:
        raise ConflictError("This was done, but its answer cannot be read any more.") from None
    return Answer(status=status, body=body, headers=headers)
