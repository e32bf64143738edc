"""The dispatch lane with OpenAI behind it, and the webhook's side of the same table, in memory."""

import base64
import json
from dataclasses import replace
from typing import Any

from shared.domain.errors import ProviderUnknownOutcomeError
from shared.domain.ids import JobRef
from shared.domain.status import Outcome
from shared.providers.base import Delivery, Reply, Request
from shared.providers.registry import ADAPTERS
from shared.usecases.advance_job import advance
from shared.usecases.dispatch_lane import Advance, Advanced
from shared.usecases.ports import FindOwnerRequest
from shared.usecases.receive_webhook import Seals, receive_webhook
from tests.builders import a_job
from tests.fakes.provider_api import FakeProviderApi, Fault, a_reply
from tests.fakes.secrets import FakeSecrets
from tests.unit.providers.senders import SENDERS
from tests.unit.usecases.lane_world import LaneWorld

LOST = Fault(error=ProviderUnknownOutcomeError("The answer was lost."), is_executed=True)
IMAGE = base64.b64encode(b"an image").decode()
FIRST = FindOwnerRequest(provider="openai", provider_job_id="resp_1")


class OpenaiApi(FakeProviderApi):
    """OpenAI in memory: it takes responses, and repeats their metadata."""

    def end(self, job_id: str, status: str = "completed") -> None:
        """End a response."""
        output = [{"type": "image_generation_call", "result": IMAGE, "output_format": "png"}]
        self.jobs[job_id] |= {"status": status}
        self.jobs[job_id] |= {"output": output} if status == "completed" else {}

    def _execute(self, request: Request) -> Reply:
        if request.method == "POST":
            assert request.body is not None
            job_id = f"resp_{len(self.jobs) + 1}"
            self.has(job_id, "queued", metadata=dict(request.body["metadata"]))
            return a_reply(200, self.jobs[job_id])
        job = self.jobs.get(request.path.rpartition("/")[2])
        if job is None:
            return a_reply(404, {"error": {"message": "No such response"}})
        return a_reply(200, job)


class OpenaiWorld(LaneWorld):
    """One lane, one webhook, one table, and OpenAI."""

    api: OpenaiApi

    def __init__(self) -> None:
        super().__init__()
        self.api = OpenaiApi()
        self.secrets = FakeSecrets(signing__OPENAI_WEBHOOK_SECRET=SENDERS["openai"].key)
        self.tracker = replace(
            self.tracker, adapters={"openai": ADAPTERS["openai"]}, secrets=self.secrets
        )
        self.lane = replace(
            self.lane, tracker=self.tracker, apis={"openai": self.api}, secrets=self.secrets
        )

    def has_unanswered(self, **changes: Any) -> JobRef:
        """Have a job whose create call OpenAI executed, and whose answer is lost."""
        changes = {"provider": "openai", "tool_id": "gpt-5", **changes}
        ref = self.has(a_job(**changes))
        self.api.faults.append(LOST)
        assert self.advance(ref).advance is Advance.ANSWER_LOST
        return ref

    def deliver(self, job_id: str = "resp_1", word: str = "completed") -> Outcome:
        """Deliver a webhook as OpenAI does: it names the response alone."""
        said = {"id": "evt_1", "type": f"response.{word}", "data": {"id": job_id}}
        body = json.dumps(said).encode()
        letter = SENDERS["openai"].letter(body, f"wh_{job_id}", at=self.clock.now())
        seals = Seals(secrets=self.secrets, key_sets=NoKeySets())
        delivery = Delivery(
            provider="openai", body=body, headers=letter.headers, received_at=self.clock.now()
        )
        return receive_webhook(self.tracker, seals, delivery).outcome

    def find(self, request: FindOwnerRequest = FIRST) -> Advanced:
        """Have the message worked on."""
        [result] = advance(self.lane, request)
        return result

    @property
    def asks(self) -> list[tuple[FindOwnerRequest, int]]:
        """The messages that have a provider asked, with their delays."""
        sent = [(each.request, each.delay_s) for each in self.outbox.dispatches]
        return [(each, s) for each, s in sent if isinstance(each, FindOwnerRequest)]

    @property
    def polls(self) -> int:
        return len([call for call in self.api.calls if call.method == "GET"])


class NoKeySets:
    """OpenAI's secret is ours, no public key."""

    def get(self, provider: str) -> tuple[str, ...]:
        raise AssertionError(provider)

    def refresh(self, provider: str, *, older_than_s: float) -> bool:
        raise AssertionError(provider)
