"""PikcelAI in memory: it takes jobs, lists them, and fails as it is told to."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import RetryableError
from shared.providers.base import Reply, Request


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call instead of, or after, its execution.

    reply: answered with this. error: nothing is answered. is_executed: the provider has
    done the work all the same (its answer is lost).
    """

    reply: Reply | None = None
    error: RetryableError | None = None
    is_executed: bool = False


def a_reply(status: int, body: object = None, *, retry_after_s: float | None = None) -> Reply:
    """Return an answer with a JSON body (or with the given text)."""
    text = body if isinstance(body, str) else json.dumps(body if body is not None else {})
    return Reply(status=status, body=text.encode(), retry_after_s=retry_after_s)


def a_refusal(status: int, code: str, message: str) -> Reply:
    """Return PikcelAI's own error body."""
    return a_reply(status, {"success": False, "error": {"code": code, "message": message}})


class FakeProviderApi:
    """Implements ProviderApi, answering in vocabulary A.

    jobs: what it has, by id. calls: every request, in order. faults: what befalls the next
    calls, in order (None: nothing). during: called once, in the middle of the next call.
    page: how many jobs a page of the listing has. models: its tools. balance: credits left.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.calls: list[Request] = []
        self.faults: deque[Fault | None] = deque()
        self.during: Callable[[], object] | None = None
        self.page = 100
        self.models: list[dict[str, Any]] = [
            {"id": "background-removal", "name": "Background Removal", "credits_required": 1}
        ]
        self.balance: float = 100

    @property
    def created(self) -> list[Request]:
        """The create calls."""
        return [call for call in self.calls if call.method == "POST"]

    @property
    def listed(self) -> list[Request]:
        """The listing calls."""
        return [call for call in self.calls if call.path == "/api/jobs"]

    def has(self, job_id: str, status: str = "processing", **more: Any) -> None:
        """Let it know a job."""
        self.jobs[job_id] = {"id": job_id, "status": status, **more}

    def call(self, request: Request) -> Reply:
        """Answer one call."""
        self.calls.append(request)
        during, self.during = self.during, None
        if during is not None:
            during()
        fault = self.faults.popleft() if self.faults else None
        if fault is None:
            return self._execute(request)
        if fault.is_executed:
            self._execute(request)
        if fault.error is not None:
            raise fault.error
        assert fault.reply is not None
        return fault.reply

    def _execute(self, request: Request) -> Reply:
        if request.method == "POST":
            return self._create(request)
        if request.path == "/api/ai-models":
            return a_reply(200, {"success": True, "data": self.models, "count": len(self.models)})
        if request.path == "/api/profiles/me":
            return a_reply(200, {"success": True, "data": {"credits_balance": self.balance}})
        if request.path == "/api/jobs":
            return self._list(int(request.query["offset"]))
        job = self.jobs.get(request.path.rpartition("/")[2])
        if job is None:
            return a_refusal(404, "NOT_FOUND", "No such job")
        return a_reply(200, {"success": True, "data": job})

    def _create(self, request: Request) -> Reply:
        assert request.body is not None
        job_id = f"pk_{len(self.jobs) + 1}"
        self.has(job_id, "pending", metadata=dict(request.body["metadata"]))
        return a_reply(201, {"success": True, "data": self.jobs[job_id]})

    def _list(self, offset: int) -> Reply:
        newest_first = list(self.jobs.values())[::-1]
        data = newest_first[offset : offset + self.page]
        has_more = offset + self.page < len(newest_first)
        return a_reply(200, {"success": True, "data": data, "has_more": has_more})
