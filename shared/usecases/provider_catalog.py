"""What the providers offer and what is left of our account there, without ever calling them.

Only the dispatch lane may speak to providers. What they said last is in the table; whoever needs
it newer has the lane ask, and waits a moment. It is the provider's account, shared by all shops:
how much is left is for administrators only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import InsufficientCreditsError, QueueUnavailableError
from shared.domain.ids import iso
from shared.domain.job import Priority
from shared.domain.tools import (
    Account,
    Fact,
    FactKind,
    Tool,
    read_account_value,
    read_tools_value,
)
from shared.usecases.ports import Clock, FactStore, Outbox, RefreshRequest
from shared.usecases.waiting import look_again

# Whoever asks within this time waits for the same answer.
ASKED_FOR_S = 10
# What is shown is no older, where the provider answers. Source: the caches of its own client.
TOOLS_SHOWN_FOR = timedelta(minutes=5)
ACCOUNT_SHOWN_FOR = timedelta(seconds=30)
# A job is refused on nothing older: the account may have been filled since, a price lowered.
ACCOUNT_TRUSTED_FOR = timedelta(seconds=60)
TOOLS_TRUSTED_FOR = timedelta(hours=1)
# What is remembered of the table, so that a job's creation reads nothing most of the time.
REMEMBERED_FOR = timedelta(seconds=30)
# After a provider was asked for nothing, nobody waits for it before a job is created.
IN_VAIN_FOR = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a provider, and since when."""

    tools: Mapping[str, Tool]
    tools_at: datetime | None
    account: Account | None
    account_at: datetime | None

    def is_trusted(self, now: datetime) -> bool:
        """Whether a job may be refused because of it."""
        return (
            self.tools_at is not None
            and self.account_at is not None
            and now - self.tools_at <= TOOLS_TRUSTED_FOR
            and now - self.account_at <= ACCOUNT_TRUSTED_FOR
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A number of jobs of one tool that are about to be begun."""

    provider: str
    tool_id: str | None
    priority: Priority
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What is known of the providers.

    remembered: by provider, what was read and when. in_vain: when one was asked for nothing.
    promised: by provider, the credits that others of the same undertaking will take; None where
    each is judged alone.
    """

    store: FactStore
    outbox: Outbox
    clock: Clock
    remembered: dict[str, tuple[datetime, Known]] = field(default_factory=dict)
    in_vain: dict[str, datetime] = field(default_factory=dict)
    promised: dict[str, int] | None = None

    def planning(self) -> "Catalog":
        """Return a catalog for many jobs at once: what one of them takes, the next one lacks."""
        return Catalog(
            store=self.store,
            outbox=self.outbox,
            clock=self.clock,
            remembered=self.remembered,
            in_vain=self.in_vain,
            promised={},
        )

    def tool_name(self, provider: str, tool_id: str | None) -> str | None:
        """Return what the provider calls a tool, as far as it is known."""
        tool = self.known(provider).tools.get(tool_id or "")
        return tool.name if tool is not None else None

    def quote(self, plan: Plan) -> int | None:
        """Return the credits that jobs are quoted at, as far as it is known."""
        return _quote(self.known(plan.provider), plan)

    def known(self, provider: str) -> Known:
        """Return what is known, however old. One read in half a minute."""
        now = self.clock.now()
        found = self.remembered.get(provider)
        if found is not None and now - found[0] < REMEMBERED_FOR:
            return found[1]
        return self._remember(provider, self.store.facts(provider))

    def check_credits(self, plan: Plan) -> None:
        """Refuse jobs that the account at the provider cannot pay for.

        Raises InsufficientCreditsError: by a price list and a balance that the provider told a
        moment ago. Where one of them is missing or old, the provider is asked; if that comes to
        nothing, nothing is refused.
        """
        known = self.known(plan.provider)
        if self._lacking(known, plan) is not None and not known.is_trusted(self.clock.now()):
            known = self._confirmed(plan.provider, known)
        required = self._lacking(known, plan)
        if required is not None and known.is_trusted(self.clock.now()):
            raise _insufficient(required, known)

    def promise(self, plan: Plan) -> None:
        """Note that these jobs are begun: what they take, the next ones lack."""
        if self.promised is not None:
            taken = _quote(self.known(plan.provider), plan) or 0
            self.promised[plan.provider] = self.promised.get(plan.provider, 0) + taken

    def refreshed(
        self, provider: str, wanted: Mapping[FactKind, timedelta]
    ) -> Mapping[FactKind, Fact]:
        """Return what is known; what is older than wanted is asked for, and waited for.

        Waits until the answer is there, or the news that there will be none, for eight seconds
        at most. However many want it at once, the provider is asked once in ten seconds.
        """
        facts, now = self.store.facts(provider), self.clock.now()
        old = [k for k, age in wanted.items() if not is_fresh(facts.get(k), now, age)]
        before = {kind: facts.get(kind, Fact()) for kind in old}
        awaited = {k: fact for k, fact in before.items() if self._ask(provider, k, fact, now)}
        facts = look_again(
            self.clock,
            facts,
            lambda: self.store.facts(provider),
            until=lambda seen: all(_is_answered(fact, seen, k) for k, fact in awaited.items()),
        )
        self._remember(provider, facts)
        return facts

    def _ask(self, provider: str, kind: FactKind, before: Fact, now: datetime) -> bool:
        """Have the provider asked, unless it is being asked; tells whether an answer may come."""
        if not self.store.claim_fact(provider, kind, now, for_s=ASKED_FOR_S):
            has_failed = before.asked_at and before.failed_at and before.failed_at > before.asked_at
            return not has_failed
        message = RefreshRequest(provider=provider, kind=kind, age_s=ASKED_FOR_S)
        try:
            self.outbox.send_dispatch([message])
        except QueueUnavailableError:
            self.store.fail_fact(provider, kind, self.clock.now())
            return False
        return True

    def _confirmed(self, provider: str, known: Known) -> Known:
        now = self.clock.now()
        asked_at = self.in_vain.get(provider)
        if asked_at is not None and now - asked_at < IN_VAIN_FOR:
            return known
        wanted = {FactKind.TOOLS: TOOLS_TRUSTED_FOR, FactKind.ACCOUNT: ACCOUNT_TRUSTED_FOR}
        known = self._remember(provider, self.refreshed(provider, wanted))
        if not known.is_trusted(self.clock.now()):
            self.in_vain[provider] = self.clock.now()
        return known

    def _lacking(self, known: Known, plan: Plan) -> int | None:
        """Return the credits that are needed, if there are not so many; None if nobody knows."""
        required = _quote(known, plan)
        if not required or known.account is None:
            return None
        promised = (self.promised or {}).get(plan.provider, 0)
        return required if known.account.balance < required + promised else None

    def _remember(self, provider: str, facts: Mapping[FactKind, Fact]) -> Known:
        tools, account = facts.get(FactKind.TOOLS), facts.get(FactKind.ACCOUNT)
        known = Known(
            tools=read_tools_value(tools.value if tools else None),
            tools_at=tools.fetched_at if tools else None,
            account=read_account_value(account.value if account else None),
            account_at=account.fetched_at if account else None,
        )
        self.remembered[provider] = (self.clock.now(), known)
        return known


def is_fresh(fact: Fact | None, now: datetime, age: timedelta) -> bool:
    """Whether the provider said it no longer ago than that."""
    return fact is not None and fact.fetched_at is not None and now - fact.fetched_at <= age


def _is_answered(before: Fact, facts: Mapping[FactKind, Fact], kind: FactKind) -> bool:
    after = facts.get(kind, Fact())
    return (after.fetched_at, after.failed_at) != (before.fetched_at, before.failed_at)


def _quote(known: Known, plan: Plan) -> int | None:
    tool = known.tools.get(plan.tool_id or "")
    return tool.quote(plan.priority, plan.count) if tool is not None else None


def _insufficient(required: int, known: Known) -> InsufficientCreditsError:
    as_of = iso(known.account_at) if known.account_at else None
    told = {"required": required, "isQuote": True, "asOf": as_of}
    return InsufficientCreditsError(
        f"There are too few credits left at the provider: this takes {required} of them, "
        "by its price list.",
        details=[told],
    )
