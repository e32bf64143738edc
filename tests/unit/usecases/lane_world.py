"""The dispatch lane with everything around it in memory, for its tests."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.plan import Step
from shared.domain.references import make_reference
from shared.providers.pikcel import PikcelAdapter
from shared.usecases.advance_job import advance_job
from shared.usecases.dispatch_lane import Advanced, DispatchLane
from shared.usecases.ports import DispatchRequest
from shared.usecases.sweep_due_jobs import SweepReport, sweep_due_jobs
from shared.usecases.tracker import Tracker
from tests.builders import later
from tests.fakes.clock import FakeClock
from tests.fakes.downloads import PICTURE, FakeDownloads
from tests.fakes.files import FakeFiles
from tests.fakes.memory import InMemoryJobStore, InMemoryLimiter, InMemoryShopStore
from tests.fakes.memory_facts import InMemoryFactStore
from tests.fakes.outbox import FakeOutbox
from tests.fakes.provider_api import FakeProviderApi
from tests.fakes.randomness import FakeRandomness
from tests.fakes.secrets import FakeSecrets

PUBLIC_URL = "https://api.example"


class LaneWorld:
    """One lane, one sweep, one table. The clock starts a second after the jobs' creation."""

    def __init__(self) -> None:
        self.clock = FakeClock(later(1))
        self.store = InMemoryJobStore(self.clock)
        self.shops = InMemoryShopStore()
        self.facts = InMemoryFactStore()
        self.outbox = FakeOutbox()
        self.secrets = FakeSecrets()
        self.api = FakeProviderApi()
        self.limiter = InMemoryLimiter()
        self.downloads = FakeDownloads()
        self.files = FakeFiles()
        self.random = FakeRandomness()
        self.adapter = PikcelAdapter()
        self.tracker = Tracker(
            store=self.store,
            outbox=self.outbox,
            clock=self.clock,
            random=self.random,
            adapters={"pikcel": self.adapter},
            secrets=self.secrets,
        )
        self.lane = DispatchLane(
            tracker=self.tracker,
            apis={"pikcel": self.api},
            limiter=self.limiter,
            secrets=self.secrets,
            downloads=self.downloads,
            files=self.files,
            facts=self.facts,
            public_url=PUBLIC_URL,
        )

    def has(self, job: Job) -> JobRef:
        return self.store.create(job).ref

    def advance(self, ref: JobRef, *, poll: bool = False) -> Advanced:
        return advance_job(self.lane, DispatchRequest(ref=ref, poll=poll))

    def sweep(self) -> SweepReport:
        return sweep_due_jobs(self.tracker)

    def job(self, ref: JobRef) -> Job:
        return self.store.get(ref)

    def step(self, ref: JobRef) -> Step:
        return self.tracker.step(self.job(ref), self.clock.now())

    def due_in_s(self, ref: JobRef) -> float:
        due_at = self.job(ref).due_at
        assert due_at is not None
        return (due_at - self.clock.now()).total_seconds()

    def change(self, ref: JobRef, change: Callable[[Job], Job]) -> None:
        """Change a job behind everybody's back."""
        before = self.store.get(ref)
        self.store.save(before, change(before))

    def use_up_the_limit(self) -> None:
        self.use_up_the_creates()
        while self.limiter.take(
            "pikcel", "asking", self.clock.now(), ceiling=self.adapter.asking_floor
        ):
            pass

    def use_up_the_creates(self) -> None:
        now = self.clock.now()
        while self.limiter.take("pikcel", "account", now, ceiling=self.adapter.create_ceiling):
            pass

    def provider_has(self, ref: JobRef, provider_job_id: str, status: str, **more: Any) -> None:
        """Let the provider know a job by our own reference to it."""
        number = self.job(ref).attempt.number
        reference = make_reference("pikcel", ref, number, "test-app-secret")
        self.api.has(provider_job_id, status, metadata={"ref": reference}, **more)

    def link_works(self, url: str, body: bytes = PICTURE) -> None:
        self.downloads.at[url] = body

    def messages(self, ref: JobRef) -> list[DispatchRequest]:
        return [
            sent.request
            for sent in self.outbox.dispatches
            if isinstance(sent.request, DispatchRequest) and sent.request.ref == ref
        ]

    def sentences(self, ref: JobRef) -> list[str]:
        """The timeline, oldest first."""
        return [entry.message for entry in reversed(self.store.log(ref, limit=100).entries)]

    def at(self, seconds: float) -> datetime:
        """Go to that many seconds after START."""
        self.clock.set(later(seconds))
        return self.clock.now()
