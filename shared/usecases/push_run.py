"""One run of the push lane for one shop: what it knows, and the steps that all parts share."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.errors import (
    NotFoundError,
    RetryableError,
    ShopBusyError,
    VersionConflictError,
)
from shared.domain.events import Source
from shared.domain.ids import JobRef
from shared.domain.job import Job, Output
from shared.domain.plan import Step
from shared.domain.push_errors import PUSH_SENTENCES
from shared.domain.status import Outcome, PushStatus
from shared.usecases import push_changes as changes
from shared.usecases.ports import ProductOutline, ShopAdmin
from shared.usecases.push_files import alt_text, filename, product_gid
from shared.usecases.push_lane import PushLane, PushOutcome, PushReport
from shared.usecases.tracker import Note

SHORTEST_WAIT_S = 0.25

type Key = tuple[JobRef, int]  # one output of a job's current attempt, by index
type Change = Callable[[Job, datetime], Job]
type LeasedChange = Callable[[Job, datetime, datetime], Job]  # the job, the lease's end, now


class _TakenOverError(Exception):
    """Somebody else has the lease, or the job wants nothing any more."""


class PushRun:
    """One run for one shop: its jobs as last written, their leases, and the small steps."""

    def __init__(
        self, lane: PushLane, shop: str, refs: Sequence[JobRef], ends_at: datetime
    ) -> None:
        self.lane = lane
        self.shop = shop
        self._refs = list(dict.fromkeys(refs))
        self.clock = lane.tracker.clock
        self._ends_at = ends_at
        self.jobs: dict[JobRef, Job] = {}
        self.outcomes: dict[JobRef, PushOutcome] = {}
        self._failures: list[str] = []
        self._trouble: RetryableError | None = None
        self._admin: ShopAdmin | None = None
        # Leases that this run holds, as written.
        self.leases: dict[JobRef, datetime] = {}
        # Outputs whose create call was begun and not heard of, in an earlier run or in this.
        self.unknown: set[Key] = set()
        self.lost: set[Key] = set()
        # Outputs whose file was made in this run: Shopify may not show it for a moment.
        self.fresh: set[Key] = set()
        # What is known of a job and not written yet, and the job as it was last written.
        self._remembered: dict[JobRef, list[Change]] = {}
        self._written: dict[JobRef, Job] = {}
        # Products as last seen in this run, None if they are gone.
        self.products: dict[str, ProductOutline | None] = {}

    # --- the run as a whole ------------------------------------------------------------

    def load(self) -> None:
        """Read the jobs consistently; those that need nothing are done."""
        for ref in self._refs:
            try:
                job = self.lane.tracker.store.get(ref)
            except NotFoundError:
                self.outcomes[ref] = PushOutcome.GONE
                continue
            if self.lane.tracker.step(job, self.clock.now()) is not Step.PUSH:
                self.outcomes[ref] = PushOutcome.NOTHING
                continue
            self.jobs[ref] = job
            self.unknown |= {
                (ref, output.index)
                for output in changes.pending(job)
                if output.push_status is PushStatus.STAGING and output.media_id is None
            }

    def hand_back(self, trouble: RetryableError) -> None:
        """Let go of what is not done: the shop must wait."""
        self._trouble = trouble
        for ref in self.open_refs():
            lost = {index for owner, index in self.lost if owner == ref}
            # If the table is away: the lease ends by itself, and what was made is looked up.
            with suppress(RetryableError):
                if ref in self.leases and not lost:
                    unknown = {index for owner, index in self.unknown if owner == ref}
                    self._let_go(ref, unknown)
                else:
                    self.write_down(ref)
            self.outcomes.setdefault(ref, PushOutcome.RETURNED)
        for ref in self._refs:
            self.outcomes.setdefault(ref, PushOutcome.RETURNED)

    def report(self) -> PushReport:
        """Say what became of each job."""
        return PushReport(
            outcomes={ref: self.outcomes[ref] for ref in self._refs},
            trouble=self._trouble,
            calls=self._admin.calls if self._admin else 0,
            points=self._admin.points if self._admin else 0.0,
            failures=tuple(self._failures),
        )

    # --- small steps -------------------------------------------------------------------

    def open(self, admin: ShopAdmin) -> None:
        """Take over the shop's API."""
        self._admin = admin

    @property
    def admin(self) -> ShopAdmin:
        """The shop's API."""
        if self._admin is None:
            raise AssertionError("the run has not begun")
        return self._admin

    def open_refs(self) -> list[JobRef]:
        """Return the jobs that nothing has become of yet."""
        return [ref for ref in self.jobs if ref not in self.outcomes]

    def has_time(self, seconds: float) -> bool:
        """Tell whether something that takes so long may still be begun."""
        return self.clock.now() + timedelta(seconds=seconds) < self._ends_at

    def ask[T](self, call: Callable[[], T]) -> T:
        """Make a call; where Shopify says how long to wait, and there is time, wait for it."""
        while True:
            try:
                return call()
            except ShopBusyError as busy:
                wait_s = busy.retry_after_s
                if wait_s is None or not self.has_time(wait_s):
                    raise
                self.clock.sleep(max(wait_s, SHORTEST_WAIT_S))

    def remember(self, ref: JobRef, change: Change) -> None:
        """Have a change written with the next one: of what could be found out again."""
        self._written.setdefault(ref, self.jobs[ref])
        self._remembered.setdefault(ref, []).append(change)
        self.jobs[ref] = change(self.jobs[ref], self.clock.now())

    def write_down(self, ref: JobRef) -> None:
        """Write what was only remembered."""
        if ref in self._remembered:
            self.save(ref, lambda job, _: job)

    def save(self, ref: JobRef, change: Change, note: Note | None = None) -> None:
        """Write a change of a job, over whatever happened to it meanwhile."""
        remembered = self._remembered.pop(ref, [])

        def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
            after = job
            for each in [*remembered, change]:
                after = each(after, now)
            if after == job:
                return job, None
            # It was seen to in earnest: the sweep's looks in vain begin anew.
            after = replace(after, due_tries=0)
            return after, note if not after.push.status.is_active else None

        before = self._written.pop(ref, self.jobs[ref])
        after, told = decide(before, self.clock.now())
        try:
            if after is not before:
                after = self.lane.tracker.write(before, after, told)
            self.jobs[ref] = after
        except VersionConflictError:
            try:
                self.jobs[ref] = self.lane.tracker.change(ref, decide)
            except NotFoundError:
                self.outcomes[ref] = PushOutcome.GONE

    def take_lease(self, ref: JobRef, change: LeasedChange, note: Note | None = None) -> bool:
        """Write a change that only the holder of the lease may make; False if that is not us."""

        def decide(job: Job, now: datetime) -> Job:
            is_ours = job.push.not_before is not None and (
                job.push.not_before == self.leases.get(ref)
            )
            if not is_ours and self.lane.tracker.step(job, now) is not Step.PUSH:
                raise _TakenOverError
            return change(job, until, now)

        until = self.clock.now() + timedelta(seconds=changes.LEASE_S)
        try:
            self.save(ref, decide, note)
        except _TakenOverError:
            self.outcomes[ref] = PushOutcome.NOTHING
        if ref in self.outcomes:
            return False
        self.leases[ref] = until
        return True

    def _let_go(self, ref: JobRef, unknown: Collection[int] = ()) -> None:
        self.save(ref, lambda job, now: changes.unclaim(job, unknown, now))
        self.leases.pop(ref, None)

    def postpone(self, ref: JobRef, wait_s: float | None, code: str) -> None:
        """Look at one job again later; after too many looks in vain it fails with `code`."""
        if self.jobs[ref].push.tries >= changes.MAX_LOOKS:
            self.give_up(ref, code)
            return
        self.save(ref, lambda job, now: changes.postponed(job, wait_s, now))
        self.outcomes.setdefault(ref, PushOutcome.POSTPONED)

    def give_up(self, ref: JobRef, code: str) -> None:
        """End a job's push (or its undoing) with a reason."""
        note = note_of(PUSH_SENTENCES[code])
        self.save(ref, lambda job, now: changes.given_up(job, code, now), note)
        self._failures.append(code)
        self.outcomes.setdefault(ref, PushOutcome.FAILED)

    def end(self, ref: JobRef, code: str, deleted: Collection[str] = ()) -> None:
        """End a job's push for good, unless another run is working on it.

        Parameters: `deleted` are ids of files that no longer exist.
        """

        def change(job: Job, _until: datetime, now: datetime) -> Job:
            return changes.given_up(changes.without_files(job, deleted), code, now)

        if self.take_lease(ref, change, note_of(PUSH_SENTENCES[code])):
            self._failures.append(code)
            self.outcomes.setdefault(ref, PushOutcome.FAILED)

    def fail_output(self, key: Key, code: str, word: str | None = None) -> None:
        """End one output that has no file (any more); the job goes on with the others."""
        ref, index = key
        failures = {index: (code, word)}
        note = note_of(PUSH_SENTENCES[code])
        self.save(ref, lambda job, now: changes.failed(job, failures, now), note)
        self._failures.append(code)
        self.close_if_ended(ref)

    def refuse_outputs(self, ref: JobRef, indexes: Collection[int], code: str) -> None:
        """End outputs that nothing was made for, unless another run is working on the job."""

        def change(job: Job, until: datetime, now: datetime) -> Job:
            failures = dict.fromkeys(indexes, (code, None))
            return changes.failed(changes.lease(job, until), failures, now)

        if self.take_lease(ref, change, note_of(PUSH_SENTENCES[code])):
            self._failures.append(code)
            self.close_if_ended(ref)

    def close_if_ended(self, ref: JobRef) -> None:
        """Note what became of a job whose outputs have all ended."""
        status = self.jobs[ref].push.status
        if not status.is_active:
            is_pushed = status is PushStatus.PUSHED
            outcome = PushOutcome.PUSHED if is_pushed else PushOutcome.FAILED
            self.outcomes.setdefault(ref, outcome)

    def output(self, key: Key) -> Output:
        """Return the output as last written."""
        output = changes.output_of(self.jobs[key[0]], key[1])
        if output is None:
            raise AssertionError("an output of this run has gone")
        return output

    def product(self, ref: JobRef) -> str:
        """Return Shopify's id of the job's product."""
        return product_gid(self.jobs[ref].product_id) or ""

    def name(self, key: Key) -> str:
        """Return the output's file name, as it is at present."""
        return filename(self.jobs[key[0]], self.output(key))

    def alt(self, key: Key) -> str:
        """Return the output's alt text, as far as it is known."""
        return alt_text(self.jobs[key[0]], self.title(key[0]))

    def title(self, ref: JobRef) -> str | None:
        """Return the title of the job's product, where Shopify told it."""
        known = self.products.get(self.product(ref))
        return known.title if known else None

    def is_open(self, key: Key) -> bool:
        """Tell whether the output's job is still being worked on."""
        return key[0] in self.jobs and key[0] not in self.outcomes


def note_of(message: str) -> Note:
    """Make what the timeline says of a push."""
    return Note(source=Source.PUSH, outcome=Outcome.APPLIED, message=message)
