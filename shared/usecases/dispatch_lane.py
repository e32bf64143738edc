"""What the dispatch lane works with, and how it speaks to providers within their limits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.errors import (
    ProviderBusyError,
    ProviderUnknownOutcomeError,
    QueueUnavailableError,
    RetryableError,
    SecretUnavailableError,
)
from shared.domain.events import ProviderEvent
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.retry import backoff_s
from shared.domain.status import JobEvent, Outcome
from shared.providers.base import ProviderAdapter, ProviderJob, Reply, Request
from shared.usecases.ports import (
    DispatchRequest,
    Downloads,
    FactStore,
    Files,
    Limiter,
    Paces,
    ProviderApi,
    Secrets,
)
from shared.usecases.tracker import Tracker

# One limit for all our calls to a provider: we have one key there.
LIMIT_KEY = "account"
# Calls of a minute that are not creates and may be made though creates use up the rest: what
# is waited for must be asked about, else results and proofs come too late.
ASKING_KEY = "asking"
# What is due within this time gets a delayed message; for the rest the sweep is soon enough.
MESSAGE_WITHIN_S = 120
# The longest delay that a queue gives a message.
LONGEST_DELAY_S = 900
# A call that is reserved for a minute is made in it, or a little later (the sweep's minute).
SLOT_LASTS = timedelta(seconds=120)
# So far ahead calls are reserved: with 90 a minute, that is the place of 32,400 jobs.
RESERVED_MINUTES = 360
# An answer may name the call that has the rest of it, so often.
MAX_CALLS_OF_A_QUESTION = 3
# Of the next minute, so that those who wait for it do not all call in its first second.
SPREAD_S = 10


class Advance(StrEnum):
    """What became of a look at a job: a closed set, all of it normal life."""

    NOTHING = "nothing"  # nothing to do (any more): another worker, or too early
    GONE = "gone"  # the job was deleted
    CREATED = "created"  # the provider has it
    REFUSED = "refused"  # the provider will not do it: the job failed
    UNSENDABLE = "unsendable"  # what was to be sent is lost: the job failed
    POSTPONED = "postponed"  # not executed for now (limit, no connection): due later
    UNAUTHORIZED = "unauthorized"  # not executed: the provider does not accept our key
    ANSWER_LOST = "answer_lost"  # it may have been executed: to be looked up
    FOUND = "found"  # a lost create call was executed
    FOREIGN = "foreign"  # what was parked is about no job of ours
    MISSED = "missed"  # the first complete listing lacks it
    ABSENT = "absent"  # the second one too: it was not executed, and is sent again
    UNPROVEN = "unproven"  # a listing that broke off proves nothing
    POLLED = "polled"  # the provider was asked
    KEPT = "kept"  # everything owed is in the bucket
    KEPT_PART = "kept_part"  # some of it is, the rest has its own message
    NOT_KEPT = "not_kept"  # a result can never be kept
    STOPPED = "stopped"  # the provider was asked to stop what was cancelled here
    REFRESHED = "refreshed"  # the provider said what it offers, or what is left of our account


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """What a look amounted to.

    silent: the provider that completed the job and did not tell: only our poll brought it to light.
    reason: for the log, when something did not go as wanted.
    """

    advance: Advance
    silent: str | None = None
    reason: str | None = None


def silent_provider(
    adapter: ProviderAdapter, asked: Job, event: ProviderEvent, outcome: Outcome
) -> str | None:
    """Return the provider's name if a poll learnt a completion that the provider should have told.

    asked: the job as it was when we asked. What somebody had us ask about was not found by
    polling, and a job that was made elsewhere may call elsewhere.
    """
    is_learnt = outcome is Outcome.APPLIED and event.event is JobEvent.COMPLETED
    is_expected = adapter.calls_back and asked.attempt.intent_at is not None
    return adapter.name if is_learnt and is_expected and not asked.poll_wanted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchLane:
    """The collaborators of everything that is done towards providers.

    apis: by provider name. public_url: base of the callback URLs, without a final slash.
    paces: how long tools take; None learns nothing.
    asked_at: by provider, when this process last had it asked for our account.
    """

    tracker: Tracker
    apis: Mapping[str, ProviderApi]
    limiter: Limiter
    secrets: Secrets
    downloads: Downloads
    files: Files
    facts: FactStore
    public_url: str
    paces: Paces | None = None
    asked_at: dict[str, datetime] = field(default_factory=dict)

    def has_share(self, adapter: ProviderAdapter, ceiling: int) -> bool:
        """Take one call of our share of the provider's limit, if there is one left."""
        return self.limiter.take(adapter.name, LIMIT_KEY, self.tracker.now(), ceiling=ceiling)

    def reserve(self, adapter: ProviderAdapter) -> tuple[datetime | None, datetime]:
        """Take a call of our share of a later minute.

        Returns the minute (None: all were taken) and when to look again. Everybody who waits
        looks twice, however many wait: now, and when it is his turn.
        """
        now = self.tracker.now()
        slot_at = self.limiter.reserve(
            adapter.name,
            LIMIT_KEY,
            now,
            ceiling=adapter.create_ceiling,
            minutes=RESERVED_MINUTES,
        )
        if slot_at is None:
            spread = timedelta(minutes=RESERVED_MINUTES * self.tracker.random.fraction())
            return None, now + timedelta(minutes=RESERVED_MINUTES) + spread
        return slot_at, slot_at + timedelta(seconds=SPREAD_S * self.tracker.random.fraction())

    def call(self, adapter: ProviderAdapter, request: Request, *, ceiling: int) -> Reply:
        """Make one call, within our share of the provider's limit.

        Raises ProviderBusyError (our share of this minute is used up: nothing was sent), and
        what ProviderApi raises.
        """
        if not self.has_share(adapter, ceiling) and not self._may_ask(adapter):
            raise ProviderBusyError(
                "Our share of the provider's rate limit is used up for this minute.",
                retry_after_s=self.next_minute_s(self.tracker.now()),
            )
        return self.apis[adapter.name].call(request)

    def ask(self, adapter: ProviderAdapter, asked: ProviderJob) -> ProviderEvent:
        """Ask the provider about one job.

        Raises ProviderBusyError, ProviderUnreachableError, ProviderUnknownOutcomeError,
        SecretUnavailableError.
        """
        request = adapter.poll_request(asked)
        for _ in range(MAX_CALLS_OF_A_QUESTION):
            reply = self.call(adapter, request, ceiling=adapter.poll_ceiling)
            answer = adapter.read_polled(asked, request, reply)
            if isinstance(answer, ProviderEvent):
                return answer
            request = answer
        raise ProviderUnknownOutcomeError("The provider sends us from one address to the next.")

    def _may_ask(self, adapter: ProviderAdapter) -> bool:
        now, ceiling = self.tracker.now(), adapter.asking_floor
        return self.limiter.take(adapter.name, ASKING_KEY, now, ceiling=ceiling)

    def next_minute_s(self, now: datetime) -> float:
        """Return the wait until some seconds into the next minute, when we have a share again."""
        passed = now.second + now.microsecond / 1_000_000
        return 60 - passed + SPREAD_S * self.tracker.random.fraction()

    def wait_s(self, error: RetryableError, tries: int, *, base_s: float, cap_s: float) -> float:
        """Return the wait before the next try, in seconds: at least what we were asked for."""
        jitter = backoff_s(tries, base_s=base_s, cap_s=cap_s, random=self.tracker.random.fraction())
        if error.retry_after_s is None:
            return max(jitter, 1.0)
        return error.retry_after_s + min(jitter, SPREAD_S)

    def remind(self, ref: JobRef, wait_s: float, *, within_s: float = MESSAGE_WITHIN_S) -> None:
        """Have the job looked at after a wait, where the sweep's minute would be too slow.

        Its `due_at` is set already, so a message that cannot be sent is no loss.
        """
        if math.ceil(wait_s) > within_s:
            return
        try:
            self.tracker.outbox.send_dispatch(
                [DispatchRequest(ref=ref)], delay_s=max(math.ceil(wait_s), 0)
            )
        except QueueUnavailableError:
            return

    def app_secrets(self) -> tuple[str, ...]:
        """Return the secrets of our references, the newest first.

        Raises SecretUnavailableError.
        """
        found = self.secrets.get("app", "APP_SECRET")
        if not found:
            raise SecretUnavailableError("APP_SECRET is not set.")
        return found
