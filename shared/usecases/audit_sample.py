"""Derive again what a sample of jobs and counters should say, and tell what differs.

The rules hold by construction; this is for what construction cannot see: a bug of ours, a hand
in the table, a file that somebody removed. It changes nothing, and what it costs does not grow
with the number of jobs.

Others work on the same items meanwhile. So a job must have been left alone for ten minutes,
counters must be the same before and after their jobs are read, and only what a second look
finds again (of a job: in the same version) is a difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.audit import Difference, is_settled
from shared.domain.ids import JobRef
from shared.usecases.audit_job import AuditLane, judge_job, judge_place
from shared.usecases.audit_shop import look_at_shop
from shared.usecases.ports import Sighting

JOBS = 60  # a run, a quarter of them from each of four days
SHOPS = 2
BUDGET_S = 60.0
# Most of what goes wrong is young, and some of it shows only when it is old.
OLDEST_DAYS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A difference, and whose. job_id: None for what is about the whole shop."""

    shop: str
    job_id: str | None
    difference: Difference


@dataclass(slots=True)
class AuditReport:
    """What one run looked at, and what it found.

    jobs: judged; shops: recounted; in_motion: jobs and counters that others were at.
    is_complete: the time was enough for all that was drawn.
    """

    jobs: int = 0
    shops: int = 0
    in_motion: int = 0
    findings: list[Finding] = field(default_factory=list)
    is_complete: bool = True


type _Judge = Callable[[AuditLane, Sighting], list[Difference]]


def audit_sample(lane: AuditLane, *, budget_s: float = BUDGET_S) -> AuditReport:
    """Judge a sample of jobs, and the counters of two of their shops.

    Parameters
        budget_s: how long it may take; what was drawn and not reached is left out.

    Raises StoreUnavailableError. Reads a few thousand items (of two shops at most some 500 jobs
    each, and a batch), and writes none.
    """
    return _Audit(lane, budget_s).run()


def audit_jobs(lane: AuditLane, refs: Sequence[JobRef]) -> AuditReport:
    """Judge these jobs and nothing else. Raises StoreUnavailableError."""
    audit = _Audit(lane, BUDGET_S)
    audit.check_jobs(lane.samples.look(refs), judge_job)
    return audit.report


def audit_shop(lane: AuditLane, shop: str, drawn: JobRef | None = None) -> AuditReport:
    """Judge a shop's counters, and whether its jobs will be looked at.

    drawn: a job of it, from which on a large shop is recounted. Raises StoreUnavailableError.
    """
    audit = _Audit(lane, BUDGET_S)
    audit.check_shop(shop, drawn)
    return audit.report


class _Audit:
    def __init__(self, lane: AuditLane, budget_s: float) -> None:
        self._lane = lane
        self._tracker = lane.tracker
        self._ends_at = lane.tracker.now() + timedelta(seconds=budget_s)
        self._judged: set[JobRef] = set()
        self.report = AuditReport()

    def run(self) -> AuditReport:
        refs = self._draw()
        self.check_jobs(self._lane.samples.look(refs), judge_job)
        for ref in self._choose_shops(refs):
            if self._is_late():
                break
            self.check_shop(ref.shop, ref)
        return self.report

    def _is_late(self) -> bool:
        if self._tracker.now() >= self._ends_at:
            self.report.is_complete = False
        return not self.report.is_complete

    def _draw(self) -> list[JobRef]:
        today = self._tracker.now().replace(hour=0, minute=0, second=0, microsecond=0)
        older = [2 + int((OLDEST_DAYS - 2) * self._chance() ** 3) for _ in range(2)]
        days = [0, 1, *older]
        found: dict[JobRef, None] = {}
        for number, back in enumerate(days, start=1):
            room = JOBS * number // len(days) - len(found)
            day = today - timedelta(days=back)
            drawn = self._lane.samples.draw(day, self._chance(), limit=room)
            found |= dict.fromkeys(drawn)
        return list(found)

    def _choose_shops(self, refs: Sequence[JobRef]) -> list[JobRef]:
        """Choose by shop, not by job: a small one has the same chance as a busy one."""
        shops = {ref.shop: ref for ref in refs}
        chosen: list[JobRef] = []
        while shops and len(chosen) < SHOPS:
            name = sorted(shops)[int(self._chance() * len(shops))]
            chosen.append(shops.pop(name))
        return chosen

    def _chance(self) -> float:
        return self._tracker.random.fraction()

    def check_jobs(self, seen: Sequence[Sighting], judge: _Judge) -> None:
        for sighting in seen:
            if self._is_late():
                return
            self._check(sighting, judge)

    def _check(self, seen: Sighting, judge: _Judge) -> None:
        """Judge one job; twice, if there is something to tell."""
        if seen.ref in self._judged:
            # A job of a shop that is recounted may be in the sample too.
            return
        if seen.job is not None and not is_settled(seen.job, self._tracker.now()):
            self.report.in_motion += 1
            return
        self._judged.add(seen.ref)
        self.report.jobs += 1
        first = judge(self._lane, seen)
        if not first:
            return
        again = self._lane.samples.look([seen.ref])
        if not again or _version(again[0]) != _version(seen):
            self.report.in_motion += 1
            return
        second = judge(self._lane, again[0])
        self._tell(seen.ref.shop, seen.ref.job_id, [each for each in first if each in second])

    def check_shop(self, shop: str, drawn: JobRef | None) -> None:
        shops = self._tracker.shops
        known = shops.get_shop(shop) if shops is not None else None
        if known is not None and known.erasing is not None:
            return
        self.report.shops += 1
        look = look_at_shop(self._lane, shop, drawn)
        if look.differences:
            again = look_at_shop(self._lane, shop, drawn).differences or []
            self._tell(shop, None, [each for each in look.differences if each in again])
        self.report.in_motion += look.differences is None
        self.check_jobs(look.seen, judge_place)

    def _tell(self, shop: str, job_id: str | None, differences: Sequence[Difference]) -> None:
        for difference in differences:
            finding = Finding(shop=shop, job_id=job_id, difference=difference)
            self.report.findings.append(finding)


def _version(seen: Sighting) -> int | None:
    return None if seen.job is None else seen.job.version
