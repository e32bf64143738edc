"""Bring kept results to their Shopify products, exactly once, ten jobs of a shop at a time.

The order of things:

    look at the product → staged upload → lease and intent (`staging`) → fileCreate under a name
    of the job's own → media id → READY → read product.media → fileUpdate → `pushed`

The intent is written down before the call. The media id could be found out again by the name: it
is written with what comes of the file, or as `processing` when that is not known at the first look.

A crash or a lost answer anywhere leaves a state from which the next run goes on: what was
begun and never heard of is looked up by its name first, and Shopify refuses a second file
of that name. A push that fails for good leaves no file of its own behind: it is deleted
first and then forgotten, so that a crash between leaves a job that looks at it once more.
A job that is being worked on has a lease (`push.not_before`), so that two
runs never act on it at once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.domain.errors import RetryableError, ShopBusyError, ShopRefusedError
from shared.domain.ids import JobRef
from shared.domain.job import TOKEN_DEAD
from shared.domain.push_errors import MEDIA_SLOW, PRODUCT_GONE, SHOP_SENTENCES
from shared.usecases import push_changes as changes
from shared.usecases.ports import PushRequest
from shared.usecases.push_checking import ProductChecker
from shared.usecases.push_files import product_gid
from shared.usecases.push_finding import FileFinder
from shared.usecases.push_lane import PushLane, PushOutcome, PushReport
from shared.usecases.push_making import FileMaker
from shared.usecases.push_placing import FilePlacer
from shared.usecases.push_run import Key, PushRun

# All runs of an invocation together work this long, then begin nothing new; what is under
# way then may take 15 s more.
BUDGET_S = 40.0
# What must be left of it for another look.
LOOK_RESERVE_S = 5.0
# Waits before the looks at new files: most are READY within three seconds.
POLL_WAITS_S = (1.0, 2.0, 4.0)


def push_batch(lane: PushLane, requests: Sequence[PushRequest]) -> dict[str, PushReport]:
    """Do what jobs need at Shopify, shop by shop, all within 40 s. See `push_outputs`."""
    ends_at = lane.tracker.now() + timedelta(seconds=BUDGET_S)
    shops = dict.fromkeys(request.ref.shop for request in requests)
    return {
        shop: push_outputs(lane, shop, [r for r in requests if r.ref.shop == shop], ends_at)
        for shop in shops
    }


def push_outputs(
    lane: PushLane, shop: str, requests: Sequence[PushRequest], ends_at: datetime
) -> PushReport:
    """Do what the jobs of one shop need at Shopify; a request is only a hint to look.

    Parameters: `ends_at` is when nothing new may be begun.

    Returns what became of each job. `returned` ones wait for the shop as a whole
    (`trouble`): throttled, out, its token being refreshed, our table or secrets away.
    Raises InvariantError: a promise of our own code is broken.
    Guarantees
        One media per output, also after crashes, lost answers and concurrent runs; equal or
        older requests are harmless.
    """
    run = PushRun(lane, shop, [request.ref for request in requests], ends_at)
    try:
        if not run.has_time(LOOK_RESERVE_S):
            raise ShopBusyError("The time was up before this shop's turn.", retry_after_s=1.0)
        run.load()
        _work(run)
    except RetryableError as error:
        run.hand_back(error)
    return run.report()


def _work(run: PushRun) -> None:
    """Do everything that can be done now."""
    for ref, job in list(run.jobs.items()):
        if product_gid(job.product_id) is None:
            run.give_up(ref, PRODUCT_GONE)
    if not run.open_refs():
        return
    access = None
    try:
        access = run.lane.access.token(run.shop)
        run.open(run.lane.admins.open(run.shop, access.token))
        _advance(run)
    except ShopRefusedError as error:
        if error.code not in SHOP_SENTENCES:
            raise
        if error.code == TOKEN_DEAD and access is not None:
            run.lane.access.refuse(run.shop, access)
        for ref in run.open_refs():
            run.give_up(ref, error.code)


def _advance(run: PushRun) -> None:
    finder, checker = FileFinder(run), ProductChecker(run)
    maker, placer = FileMaker(run, finder, checker), FilePlacer(run, finder)
    checker.look()  # its titles also tell which files are ours
    finder.look_up(sorted(run.unknown, key=_order))
    waits = list(POLL_WAITS_S)
    has_made = maker.create_missing()
    if has_made:
        run.clock.sleep(waits.pop(0))
    placer.settle()
    for ref in run.open_refs():
        run.write_down(ref)  # it takes longer than a moment
    while run.open_refs() and waits and run.has_time(waits[0] + LOOK_RESERVE_S):
        run.clock.sleep(waits.pop(0))
        maker.create_missing()
        placer.settle()
    for ref in run.open_refs():
        _leave(run, ref)


def _leave(run: PushRun, ref: JobRef) -> None:
    """Have a job that is not done looked at again, at once if only the time was up."""
    is_unbegun = any(
        output.media_id is None and (ref, output.index) not in run.unknown
        for output in changes.pending(run.jobs[ref])
    )
    if is_unbegun and not run.jobs[ref].push.undo:
        run.save(ref, changes.continued)
        run.outcomes[ref] = PushOutcome.CONTINUED
    else:
        run.postpone(ref, None, MEDIA_SLOW)


def _order(key: Key) -> tuple[str, int]:
    return key[0].job_id, key[1]
