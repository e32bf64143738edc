"""One call as the routes see it, and what they answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.bodies.route import Answer
from shared.domain.errors import NotFoundError, SecretUnavailableError
from shared.domain.ids import JobRef, is_job_id
from shared.domain.job import Job
from shared.serializers.jobs import job_json
from shared.usecases.documents import fetch_to_show
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency
from shared.wiring import ApiApp

__all__ = ["Action", "Answer", "Call", "OpenCall", "job_id_in"]

# People open a page and come back after lunch; roles' credentials allow no more for sure.
LINK_VALID_S = 2 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who calls, with which headers (names in lower case), and what there is to work with.

    documents: what was read of the bucket for this answer, by key. once: of a call with an
    Idempotency-Key: with it what the call makes is made once, also when we die before the
    answer is kept.
    """

    app: ApiApp
    caller: Caller
    headers: Mapping[str, str] = field(repr=False)
    documents: dict[str, bytes] = field(default_factory=dict, repr=False)
    once: Idempotency | None = None

    def ref(self, job_id: str) -> JobRef:
        """Name a job of the caller's shop.

        Raises NotFoundError for what cannot be one, and for an agent that it is not
        assigned to (which costs agents a read; everybody else none).
        """
        ref = JobRef(self.caller.require_shop(), job_id_in(job_id))
        if self.caller.is_agent and not self.caller.may_see(self.app.tracker.store.get(ref)):
            raise NotFoundError("There is no such job.")
        return ref

    def link(self, key: str) -> str:
        """Make a presigned link to a kept output."""
        return self.app.files.link(key, valid_s=LINK_VALID_S)

    def whole(self, jobs: Sequence[Job]) -> list[Job]:
        """Return jobs with their big documents too. Raises StoreUnavailableError."""
        return fetch_to_show(self.app.files, jobs, self.documents, self.app.tracker.store.get_many)

    def describe(self, job: Job) -> dict[str, Any]:
        """Describe a job as JSON, with links that work."""
        return self.describe_all([job])[0]

    def describe_all(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Describe a page of jobs. Raises StoreUnavailableError."""
        now = self.app.clock.now()
        return [job_json(job, self.link, now) for job in self.whole(jobs)]

    def cursor_secrets(self) -> Sequence[str]:
        """Return what cursors are made with. Raises SecretUnavailableError."""
        secrets = self.app.secrets.get("app", "APP_SECRET")
        if not secrets:
            raise SecretUnavailableError("APP_SECRET is not set.")
        return secrets


def job_id_in(text: str) -> str:
    """Read a job's id. Raises NotFoundError for what cannot be one."""
    name = text.strip().lower()
    if not is_job_id(name):
        raise NotFoundError("There is no such job.")
    return name


# For routes that anybody may call: identifies the caller only when it is called.
OpenCall = Callable[[], Call]

# What a route does: gets the Call (an OpenCall where anybody may call), and by keyword `query`,
# `body` and the path's parameters (`job_id`) where the route declares them.
Action = Callable[..., Answer]
