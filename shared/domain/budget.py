"""What a shop spends in a month, in credits and in cost: reserved, then corrected.

An attempt begun while its shop has a budget sets aside what it is expected to cost. Once the
provider has said what it really charges, that takes its place; if it ends without a charge,
nothing is left of it (a charge told later still counts). All of it is derived from the job, so
a write of the job knows by how much the month changes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.job import Attempt, Job


@dataclass(frozen=True, slots=True)
class Spending:
    """Credits, and millionths of the currency unit."""

    credits: int = 0
    cost_micros: int = 0

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(self.credits + other.credits, self.cost_micros + other.cost_micros)

    def __sub__(self, other: "Spending") -> "Spending":
        return Spending(self.credits - other.credits, self.cost_micros - other.cost_micros)


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent in a UTC month; None: no limit."""

    credits: int | None = None
    cost_micros: int | None = None

    def allows(self, used: Spending, more: Spending) -> bool:
        """Tell whether `more` fits. What costs nothing always does.

        >>> Budget(10).allows(Spending(8), Spending(2)), Budget(10).allows(Spending(8), Spending(3))
        (True, False)
        """
        pairs = (
            (self.credits, used.credits, more.credits),
            (self.cost_micros, used.cost_micros, more.cost_micros),
        )
        return all(
            limit is None or price <= 0 or spent + price <= limit for limit, spent, price in pairs
        )


def month_of(at: datetime) -> str:
    """Return the UTC month of an instant, `yyyy-mm`."""
    return f"{at.astimezone(UTC):%Y-%m}"


def spending(job: Job) -> dict[str, Spending]:
    """Return what the job's attempts take of each month (of their beginning)."""
    found: dict[str, Spending] = {}
    for attempt in job.attempts:
        if attempt.reserved_credits is not None:
            month = month_of(attempt.created_at)
            found[month] = found.get(month, Spending()) + _taken(job, attempt)
    return found


def spending_changes(before: Job | None, after: Job) -> dict[str, Spending]:
    """Return by how much a write changes each month; months that stay are left out."""
    old, new = spending(before) if before else {}, spending(after)
    months = sorted({*old, *new})
    changes = {m: new.get(m, Spending()) - old.get(m, Spending()) for m in months}
    return {month: change for month, change in changes.items() if change != Spending()}


def learnt_price(before: Job | None, after: Job) -> int | None:
    """Return the credits that an attempt turned out to cost, if not what was expected of it."""
    known = {a.number: a.credits for a in before.attempts} if before else {}
    for attempt in reversed(after.attempts):
        is_news = attempt.credits is not None and known.get(attempt.number) is None
        if is_news and attempt.reserved_credits not in (None, attempt.credits):
            return attempt.credits
    return None


def _taken(job: Job, attempt: Attempt) -> Spending:
    is_open = job.status.is_active and attempt.number == job.attempt.number
    expected = Spending(attempt.reserved_credits or 0, attempt.reserved_cost_micros or 0)
    rest = expected if is_open else Spending()
    return Spending(
        rest.credits if attempt.credits is None else attempt.credits,
        rest.cost_micros if attempt.cost_micros is None else attempt.cost_micros,
    )
