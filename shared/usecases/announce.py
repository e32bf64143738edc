"""Tell others what a write of a job (or of an endpoint) means: webhooks, event bus, letters.

Nothing critical hangs on it. A write may be looked at again at any time: a notice has the same
id each time, a delivery to an endpoint is made once, and a batch is told of once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.domain.batch import Batch, BatchSums, BatchView, batch_job_id
from shared.domain.endpoints import (
    Endpoint,
    disabled_notice,
    new_delivery,
    wanting,
)
from shared.domain.errors import InvariantError, JobTrackerError, NotFoundError
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.letters import FAILURES_TOLD, Failure, write_letter
from shared.domain.notice_types import NoticeType
from shared.domain.notices import (
    Notice,
    batch_notice,
    batch_to_look_at,
    job_notices,
)
from shared.domain.shop import Shop
from shared.domain.status import JobStatus
from shared.usecases.deliver_notice import send_owed
from shared.usecases.notice_ports import Change, EndpointChange, EndpointStore, Letters, NoticeBus
from shared.usecases.ports import Clock, JobStore, Outbox, ShopStore, WorkStore

# As many jobs as the store reads at once.
_READ_TOGETHER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeLane:
    """The collaborators of telling."""

    store: JobStore
    works: WorkStore
    shops: ShopStore
    endpoints: EndpointStore
    outbox: Outbox
    bus: NoticeBus
    letters: Letters
    clock: Clock


@dataclass(slots=True)
class Told:
    """What was told of a change. notices: by type."""

    notices: Counter[NoticeType] = field(default_factory=Counter)
    deliveries: int = 0
    letters: int = 0


class Announcer:
    """Tells of the changes of one invocation: what it read of a shop holds for all of them."""

    def __init__(self, lane: NoticeLane) -> None:
        self._lane = lane
        self._shops: dict[str, Shop | None] = {}
        self._endpoints: dict[str, list[Endpoint]] = {}
        self._batches: dict[tuple[str, str | None], bool] = {}

    def announce(self, change: Change) -> Told:
        """Tell of one change.

        Raises RetryableError: look at it again, nothing is told twice under another id;
        InvariantError for whatever else goes wrong.
        Guarantees
            Webhooks first, each handed over once however often this is called; then the bus;
            letters last.
        """
        try:
            return self._announce(change)
        except JobTrackerError:
            raise
        except Exception as error:
            # A bug that meets one record must not stop the stream of all the others.
            raise InvariantError("unexpected") from error

    def _announce(self, change: Change) -> Told:
        told = Told()
        notices = self._notices(change)
        if not notices:
            return told
        told.notices.update(notice.type for notice in notices)
        told.deliveries = self._hand_over(notices)
        self._lane.bus.put(notices)
        told.letters = sum(self._write(notice) for notice in notices)
        return told

    def _notices(self, change: Change) -> list[Notice]:
        if isinstance(change, EndpointChange):
            notice = disabled_notice(change.before, change.after)
            return [notice] if notice is not None else []
        found = list(job_notices(change.before, change.after))
        batch_id = batch_to_look_at(change.before, change.after)
        if batch_id is not None:
            found += self._end_of_batch(batch_id, change.after)
        return found

    # --- batches ---------------------------------------------------------------------

    def _end_of_batch(self, batch_id: str, job: Job) -> list[Notice]:
        """Return the notice of a batch that is over by this write (or was seen to be, by it)."""
        writer = f"{job.job_id}:{job.version}"
        batch = self._lane.works.get_batch(job.shop, batch_id)
        # Jobs may name a batch that is none of ours.
        if batch is None:
            return []
        view = BatchView(batch=batch, sums=BatchSums(), expansion=self._making(batch))
        is_told = batch.finished_round >= view.round
        if is_told and batch.finished_by != writer:
            return []
        view = replace(view, sums=self._lane.store.batch_sums(batch.shop, batch.batch_id))
        if not self._is_over(view):
            return []
        is_ours = self._lane.works.finish_batch(job.shop, batch_id, writer, view.round)
        return [batch_notice(view, job.updated_at)] if is_ours else []

    def _making(self, batch: Batch) -> Job | None:
        try:
            return self._lane.store.get(JobRef(batch.shop, batch.batch_id))
        except NotFoundError:
            return None

    def _is_over(self, view: BatchView) -> bool:
        """Tell exactly. The index on which a batch's jobs are counted lags: jobs that were just
        made may be missing there. If fewer ended than were made, the jobs themselves are asked
        (else some of them were deleted after their end)."""
        if not view.is_over:
            return False
        expansion = view.expansion
        if expansion is None or view.sums.tally.ended >= (expansion.counts.successful or 0):
            return True
        refs = [
            JobRef(view.batch.shop, batch_job_id(expansion.job_id, expansion.created_at, index))
            for index in range(view.batch.total)
        ]
        return not any(
            job.status.is_active
            for start in range(0, len(refs), _READ_TOGETHER)
            for job in self._lane.store.get_many(refs[start : start + _READ_TOGETHER])
        )

    # --- webhooks --------------------------------------------------------------------

    def _hand_over(self, notices: Sequence[Notice]) -> int:
        """Make a delivery for each endpoint that wants to know, and send their messages.

        One that was made by an earlier look may have lost its message: it is sent once more.
        A message that cannot be sent is no error: the delivery is due, and the sweep sends it.
        """
        now = self._lane.clock.now()
        deliveries = [
            new_delivery(endpoint, notice, now)
            for notice in notices
            for endpoint in wanting(self._endpoints_of(notice.shop), notice.type)
        ]
        made = sum(self._lane.endpoints.add_delivery(delivery) for delivery in deliveries)
        send_owed(self._lane.outbox, deliveries)
        return made

    def _endpoints_of(self, shop: str) -> list[Endpoint]:
        if shop not in self._endpoints:
            self._endpoints[shop] = self._lane.endpoints.endpoints(shop)
        return self._endpoints[shop]

    # --- letters ---------------------------------------------------------------------

    def _write(self, notice: Notice) -> bool:
        if notice.shop not in self._shops:
            self._shops[notice.shop] = self._lane.shops.get_shop(notice.shop)
        shop = self._shops[notice.shop]
        wanted = shop.notifications if shop is not None else None
        if wanted is None or not wanted.covers(notice.type):
            return False
        if notice.is_of_one_in_many and self._has_digest(notice.shop, notice.batch_id):
            return False
        return self._lane.letters.send(notice, write_letter(notice, self._failures(notice)))

    def _has_digest(self, shop: str, batch_id: str | None) -> bool:
        """Whether people hear of the whole batch in one letter: if it is one of ours."""
        if (shop, batch_id) not in self._batches:
            batch = self._lane.works.get_batch(shop, batch_id) if batch_id is not None else None
            self._batches[shop, batch_id] = batch is not None
        return self._batches[shop, batch_id]

    def _failures(self, notice: Notice) -> list[Failure]:
        if notice.type is not NoticeType.BATCH_FINISHED or not notice.data["failedJobs"]:
            return []
        wanted = JobFilter(shop=notice.shop, batch_id=notice.batch_id, status=JobStatus.FAILED)
        page = self._lane.store.list_jobs(wanted, limit=FAILURES_TOLD)
        return [
            Failure(job_id=job.job_id, name=job.name or job.product_title, error=job.error_message)
            for job in page.jobs
        ]
