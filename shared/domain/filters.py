"""Which jobs are asked for."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.events import LogEntry, Source
from shared.domain.job import Job
from shared.domain.statistics import BULK_TYPE_PREFIX
from shared.domain.status import JobStatus, PushStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """All conditions must hold; None means any.

    created_from is inclusive, created_to exclusive. scheduled_before: those that wait for no time,
    or for one before it. text: a substring of ids, titles, names, tool or error; case, blanks
    around it and the composition of letters do not matter. ascending: oldest first. Our own bulk
    jobs are listed only when their type is asked for.
    """

    shop: str
    status: JobStatus | None = None
    push_status: PushStatus | None = None
    type: str | None = None
    tool_id: str | None = None
    product_id: str | None = None
    batch_id: str | None = None
    project_id: str | None = None
    agent_id: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    scheduled_before: datetime | None = None
    text: str | None = None
    ascending: bool = False

    @property
    def is_unfiltered(self) -> bool:
        """Whether every job of the shop is asked for."""
        return self == JobFilter(shop=self.shop, ascending=self.ascending)

    def matches(self, job: Job) -> bool:
        """Tell whether the job is asked for."""
        return (
            job.shop == self.shop
            and self.status in (None, job.status)
            and self.push_status in (None, job.push.status)
            and (self.type == job.type if self.type is not None else not _is_bulk(job))
            and self.tool_id in (None, job.tool_id)
            and self.product_id in (None, job.product_id)
            and self.batch_id in (None, job.batch_id)
            and self.project_id in (None, job.project_id)
            and self.agent_id in (None, job.agent_id)
            and (self.created_from is None or job.created_at >= self.created_from)
            and (self.created_to is None or job.created_at < self.created_to)
            and self._is_scheduled_before(job)
            and (self.text is None or _contains(job, _folded(self.text.strip())))
        )

    def _is_scheduled_before(self, job: Job) -> bool:
        if self.scheduled_before is None or job.scheduled_at is None:
            return True
        return job.scheduled_at < self.scheduled_before


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which entries of a timeline; None means any.

    actor: as the entry has it (`agent:…`), or without what it says before the colon.
    """

    source: Source | None = None
    actor: str | None = None

    @property
    def is_unfiltered(self) -> bool:
        """Whether every entry is asked for."""
        return self == LogFilter()

    def matches(self, entry: LogEntry) -> bool:
        """Tell whether the entry is asked for.

        >>> from shared.domain.status import Outcome
        >>> entry = LogEntry(
        ...     entry_id="1",
        ...     at=datetime(2026, 1, 1),
        ...     source=Source.WORKER,
        ...     outcome=Outcome.NOTED,
        ...     message="",
        ...     actor="agent:a1",
        ... )
        >>> [LogFilter(actor=name).matches(entry) for name in ("a1", "agent:a1", "a", "agent")]
        [True, True, False, False]
        """
        if self.source not in (None, entry.source):
            return False
        names = (entry.actor, (entry.actor or "").partition(":")[2] or None)
        return self.actor is None or self.actor in names


def _is_bulk(job: Job) -> bool:
    return job.type.startswith(BULK_TYPE_PREFIX)


def _folded(text: str) -> str:
    """Return what two texts share that differ in case, or in how their letters are composed."""
    folded = text.casefold()
    if folded.isascii():
        return folded
    # A megabyte that the webhook, whose way leads through here, never needs.
    from unicodedata import normalize

    return normalize("NFC", folded)


def _contains(job: Job, text: str) -> bool:
    searched = (
        job.job_id,
        job.provider_job_id,
        job.product_id,
        job.product_title,
        job.variant_id,
        job.name,
        job.tool_id,
        job.tool_name,
        job.error_code,
        job.error_message,
    )
    return any(text in _folded(value) for value in searched if value)
