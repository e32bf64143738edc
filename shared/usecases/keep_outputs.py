"""Bring results into our bucket before their links die, and queue their push."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain import lifecycle
from shared.domain.errors import (
    NotFoundError,
    OutputExpiredError,
    PermanentError,
    RetryableError,
    SecretUnavailableError,
    StoreUnavailableError,
)
from shared.domain.events import Source
from shared.domain.job import NO_OUTPUT, OUTPUT_EXPIRED, Job, Output
from shared.domain.status import JobEvent, JobState, Outcome, PushStatus
from shared.domain.storage import job_folder
from shared.providers.base import ProviderAdapter, provider_job
from shared.usecases.apply_event import apply_event
from shared.usecases.dispatch_lane import Advance, Advanced, DispatchLane
from shared.usecases.learn_pace import learn_pace
from shared.usecases.ports import Download
from shared.usecases.tracker import Note

# After this long, trouble that always looks transient is taken for the end of the link.
PATIENCE = timedelta(hours=24)
# One message begins nothing later than this (a fetch takes up to 20 s, a question to the
# provider 30 s; the function has 60), but hands the rest to the next one.
BUDGET = timedelta(seconds=20)
BASE_S, CAP_S = 5.0, 120.0
# So many looks in a row follow each other by delayed messages; then the sweep's growing
# waits take over. (Every look that the sweep sends would otherwise begin a chain of its own.)
MAX_REMINDERS = 5

# How a link begins that holds the image itself: there is nothing to wait for.
INLINE = "data:"

EXPIRED = "The result's link had died before the image could be fetched."
NOTHING_TOLD = "The provider says that the job is completed, but gives no result."


class _OutOfTimeError(Exception):
    """The rest is another message's. output: with what was found out so far."""

    def __init__(self, output: Output) -> None:
        super().__init__("out of time")
        self.output = output


@dataclass(slots=True)
class _Harvest:
    """What one message brought in. links: what the provider was asked for, by attempt."""

    links: dict[int, tuple[str, ...]] = field(default_factory=dict)
    found: list[Output] = field(default_factory=list)
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)  # (attempt, index) → why
    trouble: RetryableError | None = None
    is_cut_short: bool = False


def keep_outputs(
    lane: DispatchLane,
    job: Job,
    adapter: ProviderAdapter | None,
    links: Mapping[int, tuple[str, ...]] | None = None,
) -> Advanced:
    """Keep every result that the job owes, of earlier attempts too.

    Parameters
        links: what the provider has just been asked for, by attempt.

    Returns kept, kept_part (the rest has its own message), not_kept (a result can never be
    kept: the job says why), postponed (transient trouble: due later), or nothing.
    Raises SecretUnavailableError, StoreUnavailableError.
    Guarantees
        The same result has the same key: two workers at once store the same bytes twice.
        The last kept result and the queued push are one write. Of a job that was deleted
        meanwhile nothing stays in the bucket.
    """
    if not any(output.is_owed for output in job.outputs):
        return _ask_for_links(lane, job, adapter)
    harvest = _Harvest(links=dict(links or {}))
    _gather(lane, job, adapter, harvest)
    return _record(lane, job, harvest)


def _gather(
    lane: DispatchLane, job: Job, adapter: ProviderAdapter | None, harvest: _Harvest
) -> None:
    began_at = lane.tracker.now()
    for output in job.outputs:
        if not output.is_owed:
            continue
        if lane.tracker.now() - began_at > BUDGET:
            harvest.is_cut_short = True
            break
        try:
            download = _fetch(lane, job, output, adapter, harvest, began_at)
            harvest.found.append(_store(lane, job, output, download))
        except _OutOfTimeError as error:
            harvest.found.append(error.output)
            harvest.is_cut_short = True
            break
        except PermanentError as error:
            harvest.found.append(replace(output, error_code=error.code))
            harvest.reasons[output.attempt, output.index] = error.message
        except (SecretUnavailableError, StoreUnavailableError):
            raise
        except RetryableError as error:
            if lane.tracker.now() - _told_at(job, output) > PATIENCE:
                harvest.found.append(replace(output, error_code=OUTPUT_EXPIRED))
                harvest.reasons[output.attempt, output.index] = (
                    f"The image could not be fetched for a day: {error.message}"
                )
            else:
                harvest.trouble = error


def _fetch(
    lane: DispatchLane,
    job: Job,
    output: Output,
    adapter: ProviderAdapter | None,
    harvest: _Harvest,
    began_at: datetime,
) -> Download:
    """Fetch a result; when its link is dead, or it has none, ask the provider once for one."""
    hosts = adapter.result_hosts if adapter else ()
    if output.url is not None:
        try:
            return lane.downloads.fetch(output.url, hosts)
        except OutputExpiredError:
            pass
    _check_time(lane, began_at, output)
    fresh = _fresh_link(lane, job, output, adapter, harvest)
    if fresh is None:
        raise OutputExpiredError(EXPIRED)
    if not fresh.startswith(INLINE):
        _check_time(lane, began_at, replace(output, url=fresh))
    try:
        return lane.downloads.fetch(fresh, hosts)
    except OutputExpiredError:
        raise OutputExpiredError(EXPIRED) from None


def _check_time(lane: DispatchLane, began_at: datetime, output: Output) -> None:
    if lane.tracker.now() - began_at > BUDGET:
        raise _OutOfTimeError(output)


def _fresh_link(
    lane: DispatchLane,
    job: Job,
    output: Output,
    adapter: ProviderAdapter | None,
    harvest: _Harvest,
) -> str | None:
    """Return a link that the provider gives now: one answer serves all outputs of an attempt."""
    if output.attempt not in harvest.links:
        asked = provider_job(job, job.attempts[output.attempt - 1])
        if adapter is None or asked is None:
            return None
        event = lane.ask(adapter, asked)
        is_foreign = lane.tracker.belongs(event, job.ref) is False
        harvest.links[output.attempt] = () if is_foreign else event.output_urls
    links = harvest.links[output.attempt]
    return links[output.index] if output.index < len(links) else None


def _store(lane: DispatchLane, job: Job, output: Output, download: Download) -> Output:
    key = f"{job_folder(job.ref)}{output.attempt}-{output.index}.{download.extension}"
    lane.files.put(key, download.body, download.content_type)
    return replace(
        output,
        url=None,  # of no use any more, and dead soon
        key=key,
        content_type=download.content_type,
        sha256=hashlib.sha256(download.body).hexdigest(),
        size_bytes=len(download.body),
        width=download.width,
        height=download.height,
    )


def _told_at(job: Job, output: Output) -> datetime:
    """Return when we learnt of a result, or a little later."""
    if output.attempt < job.attempt.number:
        return job.attempts[output.attempt].created_at
    return _ended_at(job)


def _record(lane: DispatchLane, seen: Job, harvest: _Harvest) -> Advanced:
    """Write what was brought in, and what follows from it, in one go."""
    after = seen

    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        nonlocal after
        after = _bring_in(job, harvest, now)
        if harvest.trouble is not None:
            after = replace(after, due_tries=job.due_tries + 1)
        elif after is not job:
            after = replace(after, due_tries=0)
        return after, _note(job, after, harvest)

    try:
        lane.tracker.change(seen.ref, decide, seen=seen)
    except NotFoundError:
        # Deleted meanwhile, and its images before: these would be referred to by nothing.
        keys = [found.key for found in harvest.found if found.key is not None]
        if keys:
            lane.files.delete(keys)
        return Advanced(advance=Advance.GONE)
    if harvest.trouble is not None:
        wait_s = lane.wait_s(harvest.trouble, after.due_tries, base_s=BASE_S, cap_s=CAP_S)
        if after.due_tries <= MAX_REMINDERS:
            lane.remind(seen.ref, wait_s)
        return Advanced(advance=Advance.POSTPONED, reason=harvest.trouble.message)
    if harvest.is_cut_short:
        lane.remind(seen.ref, 0)
        return Advanced(advance=Advance.KEPT_PART)
    learn_pace(lane, after)
    if harvest.reasons:
        return Advanced(advance=Advance.NOT_KEPT, reason=next(iter(harvest.reasons.values())))
    return Advanced(advance=Advance.KEPT)


def _bring_in(job: Job, harvest: _Harvest, now: datetime) -> Job:
    after = job
    for found in harvest.found:
        for output in job.outputs:
            if (output.attempt, output.index) == (found.attempt, found.index) and output.is_owed:
                after = after.with_output(found)
    if after is job:
        return job
    return _settle(replace(after, updated_at=now), harvest.reasons, now)


def give_up_outputs(job: Job, now: datetime) -> Job:
    """Give up what is owed, when a day of looks brought nothing and said nothing either."""
    after = replace(job, updated_at=now, due_tries=0)
    for output in job.outputs:
        if output.is_owed:
            after = after.with_output(replace(output, error_code=OUTPUT_EXPIRED))
    if not any(output.is_owed for output in job.outputs):
        after = replace(after, error_code=NO_OUTPUT, error_message=NOTHING_TOLD)
    return _settle(after, {}, now)


def is_overdue(job: Job, now: datetime) -> bool:
    """Whether everything that is owed is older than we wait for it."""
    owed = [_told_at(job, output) for output in job.outputs if output.is_owed]
    return now - max(owed, default=_ended_at(job)) > PATIENCE


def _settle(job: Job, reasons: Mapping[tuple[int, int], str], now: datetime) -> Job:
    return _push_if_wanted(_say_what_is_lost(job, reasons), now)


def _say_what_is_lost(job: Job, reasons: Mapping[tuple[int, int], str]) -> Job:
    """Put the reason on the job itself; its status stays completed, as the provider said."""
    lost = [output for output in job.current_outputs if output.error_code is not None]
    if not lost or job.state is not JobState.COMPLETED or job.error_code is not None:
        return job
    sentence = reasons.get((lost[0].attempt, lost[0].index), EXPIRED)
    return replace(job, error_code=lost[0].error_code, error_message=sentence)


def _push_if_wanted(job: Job, now: datetime) -> Job:
    """Queue the push once nothing of what is for the product is owed any more."""
    outputs = job.chosen_outputs
    is_wanted = job.auto_push and job.product_id is not None and not job.push.undo
    is_settled = job.state is JobState.COMPLETED and not any(out.is_owed for out in outputs)
    if not is_wanted or not is_settled or job.push.status is not PushStatus.NONE:
        return job
    if lifecycle.can_push(job):
        return lifecycle.request_push(job, now)
    why = lifecycle.NOT_CHOSEN if job.current_outputs else NOTHING_TOLD
    return lifecycle.fail_push(job, job.error_code or NO_OUTPUT, job.error_message or why, now)


def _note(before: Job, after: Job, harvest: _Harvest) -> Note | None:
    if after.outputs == before.outputs:
        return None
    kept = sum(output.is_kept for output in harvest.found)
    lost = list(harvest.reasons.values())
    if not kept and not lost:
        return None  # a fresh link only
    words = [f"{kept} {'result is' if kept == 1 else 'results are'} kept."] if kept else []
    return Note(
        source=Source.DISPATCH, outcome=Outcome.NOTED, message=" ".join([*words, *lost[:1]])
    )


def _ask_for_links(lane: DispatchLane, job: Job, adapter: ProviderAdapter | None) -> Advanced:
    """Ask once for the links of a completed job that came without; without them it has none."""
    asked = provider_job(job, job.attempt)
    if adapter is None or asked is None:
        return _no_output(lane, job)
    try:
        event = lane.ask(adapter, asked)
    except SecretUnavailableError:
        raise
    except RetryableError as error:
        if is_overdue(job, lane.tracker.now()):
            return _no_output(lane, job)
        return _record(lane, job, _Harvest(trouble=error))
    if event.event is JobEvent.COMPLETED and event.output_urls:
        event = replace(event, attempt=job.attempt.number, source=Source.POLL)
        apply_event(lane.tracker, job.ref, event, polled=True)
        fresh = lane.tracker.store.get(job.ref)
        if any(output.is_owed for output in fresh.outputs):
            links = {job.attempt.number: event.output_urls}
            return keep_outputs(lane, fresh, adapter, links)
        return Advanced(advance=Advance.NOTHING)
    if event.event in _NOT_YET and not is_overdue(job, lane.tracker.now()):
        # Its API is behind its own webhook.
        trouble = RetryableError("The provider's API does not know yet that the job is completed.")
        return _record(lane, job, _Harvest(trouble=trouble))
    return _no_output(lane, job)


_NOT_YET = frozenset({JobEvent.QUEUED, JobEvent.STARTED, JobEvent.UNKNOWN})


def _ended_at(job: Job) -> datetime:
    return job.completed_at or job.updated_at


def _no_output(lane: DispatchLane, seen: Job) -> Advanced:
    def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
        is_moved = job.state is not JobState.COMPLETED or bool(job.current_outputs)
        if is_moved or job.error_code is not None or job.attempt.number != seen.attempt.number:
            return job, None
        lost = replace(job, error_code=NO_OUTPUT, error_message=NOTHING_TOLD, updated_at=now)
        note = Note(source=Source.DISPATCH, outcome=Outcome.NOTED, message=NOTHING_TOLD)
        return _push_if_wanted(lost, now), note

    try:
        lane.tracker.change(seen.ref, decide)
    except NotFoundError:
        return Advanced(advance=Advance.GONE)
    return Advanced(advance=Advance.NOT_KEPT, reason=NO_OUTPUT)
