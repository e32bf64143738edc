"""What is told of jobs, with everything around it in memory: the store's writes are its stream."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from shared.domain.endpoints import Delivery, Endpoint
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.notice_types import CHOICES, NoticeType
from shared.domain.notices import Notice
from shared.domain.shop import Notifications, Shop
from shared.usecases.announce import Announcer, NoticeLane, Told
from shared.usecases.batches import NewBatch, create_batch
from shared.usecases.deliver_notice import DeliverLane, Report, deliver_notice
from shared.usecases.notice_ports import Change, EndpointChange, JobChange
from shared.usecases.sweep_due_deliveries import DeliverySweep, sweep_due_deliveries
from tests.builders import SHOP, a_job_id, later
from tests.fakes.memory_endpoints import InMemoryEndpointStore
from tests.fakes.notices import FakeBus, FakeLetters, FakePosts
from tests.fakes.tokens import FakeBox
from tests.unit.domain.test_endpoints import an_endpoint
from tests.unit.usecases.test_run_bulk import CALLER, World

KEY_1 = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class NoticeWorld(World):
    """One announcer, one deliver lane, and the shops' endpoints.

    stream: the writes of jobs and endpoints that nobody was told of yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stream: list[Change] = []
        self.endpoints = InMemoryEndpointStore(self.clock)
        self.bus = FakeBus()
        self.letters = FakeLetters()
        self.posts = FakePosts()
        self._watch()
        self.notices = NoticeLane(
            store=self.store,
            works=self.works,
            shops=self.shops,
            endpoints=self.endpoints,
            outbox=self.outbox,
            bus=self.bus,
            letters=self.letters,
            clock=self.clock,
        )
        self.deliver_lane = DeliverLane(
            endpoints=self.endpoints,
            outbox=self.outbox,
            box=FakeBox(),
            posts=self.posts,
            clock=self.clock,
            random=self.random,
        )
        self.random.chance = 0.0

    def _watch(self) -> None:
        create, save, save_endpoint = (
            self.store.create,
            self.store.save,
            self.endpoints.save_endpoint,
        )

        def created(job: Job, **more: Any) -> Job:
            made = create(job, **more)
            self.stream.append(JobChange(before=None, after=made))
            return made

        def saved(before: Job, after: Job, **more: Any) -> Job:
            made = save(before, after, **more)
            self.stream.append(JobChange(before=before, after=made))
            return made

        def endpoint_saved(before: Endpoint, after: Endpoint) -> Endpoint:
            made = save_endpoint(before, after)
            self.stream.append(EndpointChange(before=before, after=made))
            return made

        self.store.create = created  # type: ignore[method-assign]
        self.store.save = saved  # type: ignore[method-assign]
        self.endpoints.save_endpoint = endpoint_saved  # type: ignore[method-assign]

    # --- what there is ---------------------------------------------------------------

    def endpoint(self, number: int = 1, shop: str = SHOP, **changes: Any) -> Endpoint:
        """Store an endpoint that wants to know everything, unless changed."""
        values: dict[str, Any] = {
            "shop": shop,
            "endpoint_id": a_job_id(later(number)),
            "types": CHOICES,
            "secret": f"sealed({KEY_1})",
            "url": f"https://shop.example/{number}",
        }
        made = an_endpoint(**(values | changes))
        self.endpoints.add_endpoint(made)
        return made

    def people(self, *types: NoticeType, shop: str = SHOP) -> None:
        """Have somebody of the shop written to."""
        wanted = Notifications(emails=("anna@example.com",), types=types or CHOICES)
        before = self.shops.get_shop(shop)
        self.shops.save_shop(before, replace(before or Shop(shop=shop), notifications=wanted))
        self.letters.subscribe(shop, wanted)

    def batch(self, images: int) -> JobRef:
        """Take a batch; its jobs are not made yet."""
        wish = NewBatch(
            name="Chairs",
            common={"tool_id": "t"},
            images=[{"input_image_url": f"https://shop.example/{n}.jpg"} for n in range(images)],
        )
        view = create_batch(
            self.tracker, self.works, CALLER, wish, is_allowed_http=lambda _host: False
        )
        return JobRef(SHOP, view.batch.batch_id)

    def now(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint as it is."""
        found = self.endpoints.get_endpoint(endpoint.shop, endpoint.endpoint_id)
        assert found is not None
        return found

    def deliveries(self, endpoint: Endpoint) -> Sequence[Delivery]:
        """Return an endpoint's deliveries, the oldest first."""
        page = self.endpoints.deliveries(endpoint.shop, endpoint.endpoint_id, limit=100)
        return page.deliveries[::-1]

    # --- what happens ----------------------------------------------------------------

    def announce(self) -> list[Told]:
        """Tell of everything that was written since the last time."""
        changes, self.stream = self.stream, []
        return self.announce_again(changes)

    def announce_again(self, changes: Sequence[Change]) -> list[Told]:
        """Tell of changes (again)."""
        announcer = Announcer(self.notices)
        return [announcer.announce(change) for change in changes]

    def deliver(self) -> list[Report]:
        """Deliver the messages that are in the queue now."""
        sent = [request for request, _ in self.outbox.delivers]
        self.outbox.delivers.clear()
        return [deliver_notice(self.deliver_lane, request) for request in sent]

    def sweep_deliveries(self) -> DeliverySweep:
        """Sweep once."""
        return sweep_due_deliveries(self.endpoints, self.outbox, self.clock)

    def told(self) -> list[str]:
        """Return the ids of what is on the bus, in order."""
        return [notice.notice_id for notice in self.bus.notices]

    def kinds(self) -> list[str]:
        """Return the types of what is on the bus, in order."""
        return [notice.type.value for notice in self.bus.notices]

    def write(self, ref: JobRef, make: Callable[[Job], Job]) -> Job:
        """Change a job as it is, without any planning."""
        before = self.store.get(ref)
        after = replace(make(before), updated_at=self.clock.now())
        return self.store.save(before, after)


def finished(bus: FakeBus) -> list[Notice]:
    """Return the ends of batches that were told of."""
    return [notice for notice in bus.notices if notice.type is NoticeType.BATCH_FINISHED]
