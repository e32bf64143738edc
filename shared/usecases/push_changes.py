"""How a job changes on its way to the product. Pure: every change is tried again on the job
as it then is, when somebody else was faster."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import lifecycle
from shared.domain.job import Job, Output
from shared.domain.push_errors import PUSH_SENTENCES
from shared.domain.status import PushEvent, PushStatus

# Nobody else touches the job at Shopify for this long: longer than a run can take (60 s), and
# than an answer that was lost with us may stay hidden from the search. Equal to the outbox's
# patience, so that taking the lease moves no due date (which would cost two index writes).
LEASE_S = 120.0
# Absence in the search proves nothing sooner than this after the call.
INDEX_LAG_S = 60.0
MAX_MEDIA_FAILURES = 3
# Looks that found nothing new before the push is given up: more than an hour and a half.
MAX_LOOKS = 24


def pending(job: Job) -> list[Output]:
    """Return the outputs that are still on their way to the product."""
    return [o for o in job.current_outputs if o.is_kept and o.push_status.is_active]


def output_of(job: Job, index: int) -> Output | None:
    """Return the current attempt's output of that index."""
    return next((output for output in job.current_outputs if output.index == index), None)


def lease(job: Job, until: datetime) -> Job:
    """Keep others off the job while it is worked on."""
    return replace(job, push=replace(job.push, not_before=until))


def claim(job: Job, indexes: Collection[int], until: datetime, now: datetime) -> Job:
    """Record the intent to create files of these outputs, before the call."""
    for output in pending(job):
        if output.index in indexes and output.media_id is None:
            job = job.with_output(lifecycle.move_output(output, PushEvent.STAGE))
    return lifecycle.settle_push(lease(job, until), now)


def unclaim(job: Job, lost: Collection[int], now: datetime) -> Job:
    """Take the intent back: the call was provably not executed (`lost`: those where it is not
    known keep theirs). The next look may come at once."""
    for output in pending(job):
        is_begun = output.push_status is PushStatus.STAGING and output.media_id is None
        if is_begun and output.index not in lost:
            job = job.with_output(lifecycle.move_output(output, PushEvent.REQUEST))
    return lifecycle.settle_push(replace(job, push=replace(job.push, not_before=None)), now)


def created(job: Job, media: Mapping[int, str], now: datetime) -> Job:
    """Record the files that Shopify made (or was found to have made) of these outputs."""
    for index, media_id in media.items():
        output = output_of(job, index)
        if output is None or output.media_id is not None:
            continue
        moved = lifecycle.move_output(output, PushEvent.CREATE)
        job = job.with_output(replace(moved, media_id=media_id, media_error=None))
    return lifecycle.settle_push(job, now)


def forgotten(job: Job, index: int, until: datetime, now: datetime) -> Job:
    """Drop a file that came to nothing because another one has its name."""
    output = output_of(job, index)
    if output is None:
        return job
    moved = lifecycle.move_output(output, PushEvent.RESTART)
    job = job.with_output(replace(moved, media_id=None))
    return lifecycle.settle_push(lease(job, until), now)


def renamed(
    job: Job, index: int, old_suffix: int, error: str | None, until: datetime, now: datetime
) -> Job:
    """Go on to the next file name, stored before the call that uses it.

    Parameters: `error` is Shopify's word for why, None when the old name was taken (which is
    remembered of the present name only).
    """
    output = output_of(job, index)
    if output is None or output.suffix != old_suffix:
        return job
    moved = lifecycle.move_output(output, PushEvent.RESTART)
    job = job.with_output(
        replace(
            moved,
            suffix=old_suffix + 1,
            media_id=None,
            media_error=error,
            media_failures=output.media_failures + 1,
        )
    )
    return lifecycle.settle_push(lease(job, until), now)


def clashed(job: Job, index: int, error: str) -> Job:
    """Remember that a name was taken by a file that cannot be found (yet)."""
    output = output_of(job, index)
    return job if output is None else job.with_output(replace(output, media_error=error))


def attached(job: Job, indexes: Collection[int], now: datetime) -> Job:
    """Record the outputs that are on the product."""
    for output in pending(job):
        if output.index in indexes:
            moved = lifecycle.move_output(output, PushEvent.ATTACH)
            job = job.with_output(replace(moved, media_error=None))
    job = lifecycle.settle_push(job, now)
    return job if job.push.status.is_active else _rested(job, now)


def failed(job: Job, failures: Mapping[int, tuple[str, str | None]], now: datetime) -> Job:
    """Record outputs that will never get there, nor have a file at Shopify (any more).

    Parameters: `failures` holds by index our code, and Shopify's word.
    """
    for index, (code, word) in failures.items():
        output = output_of(job, index)
        if output is None or not output.push_status.is_active:
            continue
        moved = lifecycle.move_output(output, PushEvent.FAIL)
        job = job.with_output(replace(moved, media_id=None, media_error=word))
        job = replace(job, push=replace(job.push, error_code=code, error=PUSH_SENTENCES[code]))
    job = lifecycle.settle_push(job, now)
    return job if job.push.status.is_active else _rested(job, now)


def given_up(job: Job, code: str, now: datetime) -> Job:
    """End the push (or the undoing) with a reason. An image that is to be taken off stays
    pushed: it is on the product, and must not be pushed again by itself."""
    sentence = PUSH_SENTENCES[code]
    if not job.push.undo:
        return lifecycle.fail_push(job, code, sentence, now)
    push = replace(job.push, undo=False, not_before=None, error_code=code, error=sentence)
    return replace(job, push=push, updated_at=now, due_tries=0)


def without_files(job: Job, media_ids: Collection[str]) -> Job:
    """Forget files that no longer exist."""
    for output in job.current_outputs:
        if output.media_id in media_ids:
            job = job.with_output(replace(output, media_id=None))
    return job


def undone(job: Job, now: datetime) -> Job:
    """Record that nothing of the job is on the product any more."""
    for output in job.current_outputs:
        job = job.with_output(lifecycle.move_output(output, PushEvent.UNDO))
    job = replace(job, push=replace(job.push, undo=False))
    return _rested(lifecycle.settle_push(job, now), now)


def postponed(job: Job, wait_s: float | None, now: datetime) -> Job:
    """Look again later; without a given wait ever later."""
    tries = job.push.tries
    seconds = min(10.0 * 2.0 ** min(tries, 10), 300.0) if wait_s is None else wait_s
    push = replace(job.push, tries=tries + 1, not_before=now + timedelta(seconds=seconds))
    # It was looked at in earnest: the sweep counts only looks that came to nothing at all.
    return replace(job, push=push, updated_at=now, due_tries=0)


def continued(job: Job, now: datetime) -> Job:
    """Hand the rest of the job to a message of its own."""
    push = replace(job.push, number=job.push.number + 1, not_before=None)
    return replace(job, push=push, updated_at=now)


def _rested(job: Job, now: datetime) -> Job:
    push = replace(job.push, not_before=None, tries=0)
    return job if push == job.push else replace(job, push=push, updated_at=now, due_tries=0)
