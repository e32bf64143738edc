"""One route as the contract has it, and what the routes answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from shared.bodies.reading import MAX_BODY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a route answers: JSON (None: no body), or a CSV file."""

    status: int = 200
    body: Mapping[str, Any] | None
    csv: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route: what it takes and answers, and all that the OpenAPI document says of it.

    path: as in the template, `{jobId}` for a parameter. name: the document's operationId; what
    the route does is found by it. takes_forms: form data too. is_open: anybody may call it.
    for_agents: agents may call it; what they see is up to the action (`Call.ref` checks it).
    for_admins: nobody but administrators may.
    once: with an Idempotency-Key it is done once in 24 hours, and answered the same again.
    answers: status → name of the model in shared/bodies/answers.py (None: no body).
    errors: the statuses of refusals that are particular to it.
    """

    method: str
    path: str
    name: str
    summary: str
    answers: Mapping[int, str | None]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    takes_forms: bool = False
    max_body_bytes: int = MAX_BODY_BYTES
    is_open: bool = False
    for_agents: bool = False
    for_admins: bool = False
    once: bool = False
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the path's parameters."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def rule(self) -> str:
        """The path as Powertools writes it."""
        return self.path.replace("{", "<").replace("}", ">")
