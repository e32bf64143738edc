"""Find out whether a create call with a lost answer was executed."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.errors import (
    NotFoundError,
    ProviderBusyError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
)
from shared.domain.events import ProviderEvent, Source
from shared.domain.job import Job
from shared.domain.references import Reference, read_reference
from shared.domain.status import Outcome
from shared.providers.base import Listing, ProviderAdapter
from shared.usecases.apply_event import apply_event
from shared.usecases.dispatch_lane import Advance, Advanced, DispatchLane, silent_provider
from shared.usecases.tracker import Note

# The provider's clock need not agree with ours.
CLOCKS_DIFFER_BY = timedelta(minutes=5)
# A listing that goes on longer than this is not complete, whatever it says.
MAX_PAGES = 50
# No page is begun later than this: the last one may take 30 s more, the function has 60.
LISTING_BUDGET = timedelta(seconds=20)


def look_up_job(lane: DispatchLane, job: Job, adapter: ProviderAdapter) -> Advanced:
    """Look in the provider's list for a job whose next step is LOOK_UP.

    Returns found (it is linked now), missed (the first complete listing lacks it), absent
    (the second one too: proof that nothing was executed; the same attempt is sent again),
    unproven (no listing, or one that broke off), or nothing when the job moved meanwhile.
    Raises SecretUnavailableError, StoreUnavailableError.
    Guarantees
        Two listings count only if the attempt did not change from the beginning of the one
        to the end of the other; the plan starts each after the call's time-out, the second
        `list_gap_s` after the end of the first.
    """
    secrets = lane.app_secrets()
    wanted = Reference(job.ref, job.attempt.number)
    try:
        event = _find(lane, job, adapter, wanted, secrets)
    except (ProviderBusyError, ProviderUnreachableError, ProviderUnknownOutcomeError) as error:
        return Advanced(advance=Advance.UNPROVEN, reason=error.message)
    if event is not None:
        event = replace(event, attempt=wanted.attempt, source=Source.POLL)
        outcome = apply_event(lane.tracker, job.ref, event)
        silent = silent_provider(adapter, job, event, outcome)
        return Advanced(advance=Advance.FOUND, silent=silent)
    if job.attempt.missed_at is None:
        return _note_miss(lane, job, adapter)
    return _send_again(lane, job)


def _find(
    lane: DispatchLane,
    job: Job,
    adapter: ProviderAdapter,
    wanted: Reference,
    secrets: tuple[str, ...],
) -> ProviderEvent | None:
    """Read the whole listing; None only if every page was read and none has the job."""
    since = (job.attempt.intent_at or job.attempt.created_at) - CLOCKS_DIFFER_BY
    offset = 0
    ends_at = lane.tracker.now() + LISTING_BUDGET
    for _ in range(MAX_PAGES):
        if lane.tracker.now() > ends_at:
            break
        listing = _page(lane, adapter, since, offset)
        for text, event in listing.found.items():
            if read_reference(adapter.name, text, secrets) == wanted:
                return event
        if listing.next_offset is None:
            return None
        if listing.next_offset <= offset:
            break
        offset = listing.next_offset
    raise ProviderUnknownOutcomeError("The provider's listing does not come to an end in time.")


def _page(lane: DispatchLane, adapter: ProviderAdapter, since: datetime, offset: int) -> Listing:
    request = adapter.list_request(since, offset)
    if request is None:
        raise ProviderUnknownOutcomeError("The provider cannot list its jobs.")
    return adapter.read_listed(lane.call(adapter, request, ceiling=adapter.poll_ceiling), offset)


def _note_miss(lane: DispatchLane, seen: Job, adapter: ProviderAdapter) -> Advanced:
    is_first = False

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal is_first
        is_first = _is_unmoved(job, seen)
        if not is_first:
            return job, None
        return job.with_attempt(replace(job.attempt, missed_at=now)), None

    try:
        lane.tracker.change(seen.ref, decide)
    except NotFoundError:
        return Advanced(advance=Advance.GONE)
    if not is_first:
        return Advanced(advance=Advance.NOTHING)
    lane.remind(seen.ref, (adapter.patience.list_gap_s or 0) + 1)
    return Advanced(advance=Advance.MISSED)


def _send_again(lane: DispatchLane, seen: Job) -> Advanced:
    is_proven = False

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal is_proven
        is_proven = _is_unmoved(job, seen)
        if not is_proven:
            return job, None
        attempt = replace(
            job.attempt,
            intent_at=None,
            missed_at=None,
            not_before=None,
            trouble="the provider's answer was lost, and two complete listings lack the job",
        )
        note = Note(
            source=Source.DISPATCH,
            outcome=Outcome.NOTED,
            message="Two complete listings of the provider lack the job: it is sent again.",
        )
        return job.with_attempt(attempt), note

    try:
        lane.tracker.change(seen.ref, decide)
    except NotFoundError:
        return Advanced(advance=Advance.GONE)
    return Advanced(advance=Advance.ABSENT if is_proven else Advance.NOTHING)


def _is_unmoved(job: Job, seen: Job) -> bool:
    return job.status.is_active and job.attempt == seen.attempt
