"""Bring kept results to their Shopify products, exactly once, ten jobs of a shop at a time.

The order of things, each step written down before the next one begins:

    staged upload → lease and intent (`staging`) → fileCreate under a name of the job's own
    → media id (`processing`) → READY → read product.media → fileUpdate → `pushed`

A crash or a lost answer anywhere leaves a state from which the next run goes on: what was
begun and never heard of is looked up by its name first, and Shopify refuses a second file
of that name. A job that is being worked on has a lease (`push.not_before`), so that two
runs never act on it at once.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from shared.domain.errors import (
    NotFoundError,
    RetryableError,
    ShopBusyError,
    ShopRefusedError,
    ShopUnknownOutcomeError,
    VersionConflictError,
)
from shared.domain.events import Source
from shared.domain.ids import JobRef
from shared.domain.job import TOKEN_DEAD, Job, Output
from shared.domain.plan import Step
from shared.domain.push_errors import (
    FILE_REFUSED,
    IMAGE_TYPE,
    MEDIA_SLOW,
    NAME_TAKEN,
    OUTPUT_MISSING,
    PRODUCT_GONE,
    PUSH_SENTENCES,
    SHOP_SENTENCES,
    UPLOAD_FAILED,
    Remedy,
    judge_file,
    judge_media,
)
from shared.domain.status import Outcome, PushStatus
from shared.usecases import push_changes as changes
from shared.usecases.ports import (
    FileChange,
    FileRefusal,
    FileToCreate,
    FileToStage,
    MediaFile,
    ProductMedia,
    PushRequest,
    ShopAdmin,
    ShopLook,
    StagedTarget,
)
from shared.usecases.push_files import (
    alt_text,
    better_alt,
    filename,
    is_ours,
    is_uploadable,
    plain,
    product_gid,
)
from shared.usecases.push_lane import PushLane, PushOutcome, PushReport
from shared.usecases.tracker import Note

# One run works this long, then stops beginning things; a last call may take 15 s more.
BUDGET_S = 40.0
# What must be left of it to begin an upload, or another look.
UPLOAD_RESERVE_S = 15.0
LOOK_RESERVE_S = 5.0
# Waits before the looks at new files: most are READY within three seconds.
POLL_WAITS_S = (1.0, 2.0, 4.0)
SHORTEST_WAIT_S = 0.25

CLASH = "FILENAME_ALREADY_EXISTS"
MEDIA_GONE = "MEDIA_DOES_NOT_EXIST"

type Key = tuple[JobRef, int]  # one output of a job's current attempt, by index
type Change = Callable[[Job, datetime], Job]


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
    run = _Run(lane, shop, [request.ref for request in requests], ends_at)
    try:
        if not run.has_time(LOOK_RESERVE_S):
            raise ShopBusyError("The time was up before this shop's turn.", retry_after_s=1.0)
        run.load()
        run.work()
    except RetryableError as error:
        run.hand_back(error)
    return run.report()


class _TakenOverError(Exception):
    """Somebody else has the lease, or the job wants nothing any more."""


class _Run:
    """One run for one shop."""

    def __init__(
        self, lane: PushLane, shop: str, refs: Sequence[JobRef], ends_at: datetime
    ) -> None:
        self._lane = lane
        self._shop = shop
        self._refs = list(dict.fromkeys(refs))
        self._clock = lane.tracker.clock
        self._ends_at = ends_at
        self._jobs: dict[JobRef, Job] = {}
        self._outcomes: dict[JobRef, PushOutcome] = {}
        self._failures: list[str] = []
        self._trouble: RetryableError | None = None
        self._admin: ShopAdmin | None = None
        # Leases that this run holds, as written.
        self._leases: dict[JobRef, datetime] = {}
        # Outputs whose create call was begun and not heard of, in an earlier run or in this.
        self._unknown: set[Key] = set()
        self._lost: set[Key] = set()
        # Outputs whose file was made in this run: Shopify may not show it for a moment.
        self._fresh: set[Key] = set()
        self._products: dict[str, ProductMedia] = {}

    # --- the run as a whole ------------------------------------------------------------

    def load(self) -> None:
        """Read the jobs consistently; those that need nothing are done."""
        for ref in self._refs:
            try:
                job = self._lane.tracker.store.get(ref)
            except NotFoundError:
                self._outcomes[ref] = PushOutcome.GONE
                continue
            if self._lane.tracker.step(job, self._clock.now()) is not Step.PUSH:
                self._outcomes[ref] = PushOutcome.NOTHING
                continue
            self._jobs[ref] = job
            self._unknown |= {
                (ref, output.index)
                for output in changes.pending(job)
                if output.push_status is PushStatus.STAGING and output.media_id is None
            }

    def work(self) -> None:
        """Do everything that can be done now."""
        for ref, job in list(self._jobs.items()):
            if product_gid(job.product_id) is None:
                self._give_up(ref, PRODUCT_GONE)
        if not self._open_refs():
            return
        access = None
        try:
            access = self._lane.access.token(self._shop)
            self._admin = self._lane.admins.open(self._shop, access.token)
            self._advance()
        except ShopRefusedError as error:
            if error.code not in SHOP_SENTENCES:
                raise
            if error.code == TOKEN_DEAD and access is not None:
                self._lane.access.refuse(self._shop, access)
            for ref in self._open_refs():
                self._give_up(ref, error.code)

    def hand_back(self, trouble: RetryableError) -> None:
        """Let go of what is not done: the shop must wait."""
        self._trouble = trouble
        for ref in self._open_refs():
            lost = {index for owner, index in self._lost if owner == ref}
            if ref in self._leases and not lost:
                try:
                    unknown = {index for owner, index in self._unknown if owner == ref}
                    self._let_go(ref, unknown)
                except RetryableError:
                    pass  # the lease ends by itself
            self._outcomes.setdefault(ref, PushOutcome.RETURNED)
        for ref in self._refs:
            self._outcomes.setdefault(ref, PushOutcome.RETURNED)

    def report(self) -> PushReport:
        """Say what became of each job."""
        return PushReport(
            outcomes={ref: self._outcomes[ref] for ref in self._refs},
            trouble=self._trouble,
            calls=self._admin.calls if self._admin else 0,
            points=self._admin.points if self._admin else 0.0,
            failures=tuple(self._failures),
        )

    def _advance(self) -> None:
        self._look_up(sorted(self._unknown, key=_order))
        waits = list(POLL_WAITS_S)
        has_made = self._create_missing()
        if has_made:
            self._clock.sleep(waits.pop(0))
        self._settle()
        while self._open_refs() and waits and self.has_time(waits[0] + LOOK_RESERVE_S):
            self._clock.sleep(waits.pop(0))
            self._create_missing()
            self._settle()
        for ref in self._open_refs():
            self._leave(ref)

    def _leave(self, ref: JobRef) -> None:
        """Have a job that is not done looked at again, at once if only the time was up."""
        is_unbegun = any(
            output.media_id is None and (ref, output.index) not in self._unknown
            for output in changes.pending(self._jobs[ref])
        )
        if is_unbegun and not self._jobs[ref].push.undo:
            self._save(ref, changes.continued)
            self._outcomes[ref] = PushOutcome.CONTINUED
        else:
            self._postpone(ref, None, MEDIA_SLOW)

    # --- small steps -------------------------------------------------------------------

    @property
    def _shop_admin(self) -> ShopAdmin:
        if self._admin is None:
            raise AssertionError("the run has not begun")
        return self._admin

    def _open_refs(self) -> list[JobRef]:
        return [ref for ref in self._jobs if ref not in self._outcomes]

    def has_time(self, seconds: float) -> bool:
        """Tell whether something that takes so long may still be begun."""
        return self._clock.now() + timedelta(seconds=seconds) < self._ends_at

    def _ask[T](self, call: Callable[[], T]) -> T:
        """Make a call; where Shopify says how long to wait, and there is time, wait for it."""
        while True:
            try:
                return call()
            except ShopBusyError as busy:
                wait_s = busy.retry_after_s
                if wait_s is None or not self.has_time(wait_s):
                    raise
                self._clock.sleep(max(wait_s, SHORTEST_WAIT_S))

    def _save(self, ref: JobRef, change: Change, note: Note | None = None) -> None:
        """Write a change of a job, over whatever happened to it meanwhile."""

        def decide(job: Job, now: datetime) -> tuple[Job, Note | None]:
            after = change(job, now)
            if after == job:
                return job, None
            return after, note if not after.push.status.is_active else None

        before = self._jobs[ref]
        after, told = decide(before, self._clock.now())
        try:
            if after is not before:
                after = self._lane.tracker.write(before, after, told)
            self._jobs[ref] = after
        except VersionConflictError:
            try:
                self._jobs[ref] = self._lane.tracker.change(ref, decide)
            except NotFoundError:
                self._outcomes[ref] = PushOutcome.GONE

    def _take_lease(self, ref: JobRef, change: Callable[[Job, datetime, datetime], Job]) -> bool:
        """Write a change that only the holder of the lease may make; False if that is not us."""

        def decide(job: Job, now: datetime) -> Job:
            is_ours = job.push.not_before is not None and (
                job.push.not_before == self._leases.get(ref)
            )
            if not is_ours and self._lane.tracker.step(job, now) is not Step.PUSH:
                raise _TakenOverError
            return change(job, until, now)

        until = self._clock.now() + timedelta(seconds=changes.LEASE_S)
        try:
            self._save(ref, decide)
        except _TakenOverError:
            self._outcomes[ref] = PushOutcome.NOTHING
        if ref in self._outcomes:
            return False
        self._leases[ref] = until
        return True

    def _let_go(self, ref: JobRef, unknown: Collection[int] = ()) -> None:
        self._save(ref, lambda job, now: changes.unclaim(job, unknown, now))
        self._leases.pop(ref, None)

    def _postpone(self, ref: JobRef, wait_s: float | None, code: str) -> None:
        """Look at one job again later; after too many looks in vain it fails with `code`."""
        if self._jobs[ref].push.tries >= changes.MAX_LOOKS:
            self._give_up(ref, code)
            return
        self._save(ref, lambda job, now: changes.postponed(job, wait_s, now))
        self._outcomes.setdefault(ref, PushOutcome.POSTPONED)

    def _give_up(self, ref: JobRef, code: str) -> None:
        note = _note(PUSH_SENTENCES[code])
        self._save(ref, lambda job, now: changes.given_up(job, code, now), note)
        self._failures.append(code)
        self._outcomes.setdefault(ref, PushOutcome.FAILED)

    def _fail_output(self, key: Key, code: str, word: str | None = None) -> None:
        """End one output; the job goes on with the others."""
        ref, index = key
        failures = {index: (code, word)}
        note = _note(PUSH_SENTENCES[code])
        self._save(ref, lambda job, now: changes.failed(job, failures, now), note)
        self._failures.append(code)
        self._close_if_ended(ref)

    def _close_if_ended(self, ref: JobRef) -> None:
        status = self._jobs[ref].push.status
        if not status.is_active:
            is_pushed = status is PushStatus.PUSHED
            outcome = PushOutcome.PUSHED if is_pushed else PushOutcome.FAILED
            self._outcomes.setdefault(ref, outcome)

    def _output(self, key: Key) -> Output:
        output = changes.output_of(self._jobs[key[0]], key[1])
        if output is None:
            raise AssertionError("an output of this run has gone")
        return output

    def _product(self, ref: JobRef) -> str:
        return product_gid(self._jobs[ref].product_id) or ""

    def _name(self, key: Key) -> str:
        return filename(self._jobs[key[0]], self._output(key))

    def _alt(self, key: Key) -> str:
        known = self._products.get(self._product(key[0]))
        return alt_text(self._jobs[key[0]], known.title if known else None)

    def _is_open(self, key: Key) -> bool:
        return key[0] in self._jobs and key[0] not in self._outcomes

    # --- making files --------------------------------------------------------------------

    def _create_missing(self) -> bool:
        """Make a file of every output that has none; True if any was made."""
        keys = [
            (ref, output.index)
            for ref in self._open_refs()
            if not self._jobs[ref].push.undo
            for output in changes.pending(self._jobs[ref])
            if output.media_id is None and (ref, output.index) not in self._unknown
        ]
        for key in keys:
            if not is_uploadable(self._output(key)):
                self._fail_output(key, IMAGE_TYPE)
        keys = [key for key in keys if self._output(key).push_status.is_active]
        if not keys or not self.has_time(UPLOAD_RESERVE_S):
            return False
        sources = self._upload(keys)
        claimed = [key for key in self._claim(sources) if self._is_open(key)]
        if claimed:
            self._create({key: sources[key] for key in claimed})
        return any(key in self._fresh for key in claimed)

    def _upload(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Bring the bytes to Shopify's storage; returns each file's address there."""
        targets = self._stage(keys)
        sources: dict[Key, str] = {}
        for key in keys:
            if key not in targets or not self._is_open(key):
                continue
            if not self.has_time(UPLOAD_RESERVE_S):
                break
            if self._send(key, targets[key]):
                sources[key] = targets[key].resource_url
        return sources

    def _stage(self, keys: Sequence[Key]) -> dict[Key, StagedTarget]:
        """Open one target per file, matched by name; what cannot be matched is asked alone."""
        targets, _ = self._open_targets(keys)
        for key in keys:
            if key in targets or not self._is_open(key):
                continue
            alone, is_refused = self._open_targets([key])
            if key in alone:
                targets[key] = alone[key]
            elif is_refused:
                self._fail_output(key, FILE_REFUSED)
            else:
                self._postpone(key[0], None, UPLOAD_FAILED)
        return targets

    def _open_targets(self, keys: Sequence[Key]) -> tuple[dict[Key, StagedTarget], bool]:
        """Return the targets that could be matched, and whether any file was refused."""
        wanted = [
            FileToStage(
                filename=self._name(key),
                content_type=self._output(key).content_type or "image/png",
            )
            for key in keys
        ]
        try:
            answer = self._ask(lambda: self._shop_admin.stage(wanted))
        except ShopUnknownOutcomeError as error:
            # An open target that nobody uses does no harm.
            raise ShopBusyError(error.message) from error
        found = {target.filename: target for target in answer.targets}
        matched = {key: found[self._name(key)] for key in keys if self._name(key) in found}
        return matched, bool(answer.refusals)

    def _send(self, key: Key, target: StagedTarget) -> bool:
        """Send one file's bytes. Trouble with it is this job's alone."""
        output = self._output(key)
        try:
            body = self._lane.files.get(output.key or "")
        except NotFoundError:
            self._fail_output(key, OUTPUT_MISSING)
            return False
        content_type = output.content_type or "image/png"
        try:
            self._shop_admin.upload(target, body, content_type)
        except (ShopBusyError, ShopRefusedError):
            self._postpone(key[0], None, UPLOAD_FAILED)
            return False
        return True

    def _claim(self, sources: Collection[Key]) -> list[Key]:
        """Write the intent of every job, before the call."""
        claimed: list[Key] = []
        for ref in dict.fromkeys(ref for ref, _ in sources):
            if ref in self._outcomes:
                continue
            indexes = {index for owner, index in sources if owner == ref}

            def change(
                job: Job, until: datetime, now: datetime, wanted: Collection[int] = indexes
            ) -> Job:
                return changes.claim(job, wanted, until, now)

            if self._take_lease(ref, change):
                claimed += [
                    (ref, output.index)
                    for output in changes.pending(self._jobs[ref])
                    if output.index in indexes and output.media_id is None
                ]
        return claimed

    def _create(self, sources: dict[Key, str]) -> None:
        """Make the files, all in one call; on a refusal without the refused one."""
        batches = [list(sources)]
        while batches:
            keys = [key for key in batches.pop(0) if self._is_open(key)]
            if keys:
                batches += self._create_batch(keys, sources)

    def _create_batch(self, keys: list[Key], sources: dict[Key, str]) -> list[list[Key]]:
        """Make one call; returns what must be sent again, and how it is grouped."""
        alts = self._distinct_alts(keys)
        wanted = [
            FileToCreate(filename=self._name(key), source=sources[key], alt=alts[key])
            for key in keys
        ]
        try:
            answer = self._ask(lambda: self._shop_admin.create(wanted))
        except ShopUnknownOutcomeError:
            self._lose(keys)
            return []
        made = _match(keys, alts, answer.files)
        self._record_made(made)
        self._fresh |= made.keys()
        rest = [key for key in keys if key not in made]
        if not answer.refusals:
            # Told of no refusal and of no file: it may be there all the same.
            self._lose(rest)
            return []
        return self._sort_refused(keys, rest, answer.refusals, nothing_made=not answer.files)

    def _sort_refused(
        self,
        keys: list[Key],
        rest: list[Key],
        refusals: Sequence[FileRefusal],
        *,
        nothing_made: bool,
    ) -> list[list[Key]]:
        """Decide about files that a call did not make.

        A refusal counts for a file only when it was alone in its call (an index could be
        meant otherwise) or when looking it up verifies it; the others are sent again, which
        is safe when the answer says that nothing was made.
        """
        named = {
            keys[refusal.index]: refusal.code
            for refusal in refusals
            if refusal.index is not None and refusal.index < len(keys)
        }
        if len(keys) == 1:
            named = {keys[0]: refusals[0].code}
        clashes = [key for key in rest if named.get(key) == CLASH]
        self._look_up(clashes, after_clash=True)
        refused = [key for key in rest if key in named and key not in clashes]
        others = [key for key in rest if key not in named]
        if len(keys) == 1:
            for key in refused:
                self._refuse_creation(key, named[key])
            return []
        if not nothing_made:
            self._lose(others)
            others = []
        alone = [[key] for key in refused]
        if not named:
            return alone + [[key] for key in others]
        return alone + ([others] if others else [])

    def _refuse_creation(self, key: Key, code: str) -> None:
        verdict = judge_file(code)
        if verdict.remedy is Remedy.LATER:
            self._postpone(key[0], None, verdict.code)
        else:
            self._fail_output(key, verdict.code, code)

    def _distinct_alts(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Give each file of a call an alt text of its own: the answer tells nothing else apart.

        Where two would be equal the file's name stands in until the file goes onto the
        product, when the alt text is set in the same call.
        """
        texts = {key: self._alt(key) for key in keys}
        plains = [plain(text) for text in texts.values()]
        return {
            key: text
            if len(keys) == 1 or (plain(text) and plains.count(plain(text)) == 1)
            else self._name(key)
            for key, text in texts.items()
        }

    def _record_made(self, made: dict[Key, MediaFile]) -> None:
        """Write the media ids, right after the call that told them."""
        for ref in dict.fromkeys(ref for ref, _ in made):
            ids = {index: file.media_id for (owner, index), file in made.items() if owner == ref}

            def change(job: Job, now: datetime, media: dict[int, str] = ids) -> Job:
                return changes.created(job, media, now)

            self._save(ref, change)

    # --- finding files -------------------------------------------------------------------

    def _lose(self, keys: Sequence[Key]) -> None:
        """Deal with a create call that may have been executed: look, and never send blindly."""
        self._unknown |= set(keys)
        self._lost |= set(keys)
        self._look_up(keys)

    def _look_up(self, keys: Sequence[Key], *, after_clash: bool = False) -> None:
        """Find the files that an unheard call may have made, by name.

        An absence proves nothing until a minute after the call: the search lags behind.
        """
        for key in keys:
            if not self._is_open(key) or self._jobs[key[0]].push.undo:
                continue
            ref = key[0]
            found = self._ask(
                lambda key=key, ref=ref: self._shop_admin.find(  # type: ignore[misc]
                    self._name(key), self._product(ref)
                )
            )
            self._judge_found(key, found, after_clash=after_clash)

    def _judge_found(self, key: Key, found: Sequence[MediaFile], *, after_clash: bool) -> None:
        ref, job, output = key[0], self._jobs[key[0]], self._output(key)
        ours = [file for file in found if is_ours(job, output, file)]
        strangers = [file for file in found if file.filename and file not in ours]
        if ours:
            best = min(ours, key=lambda file: (file.has_failed, not file.is_ready))
            self._record_made({key: best})
            self._forget_unknown(key)
        elif strangers or (not after_clash and output.media_error == CLASH):
            # Somebody else's, or nobody's to be found a minute after the clash.
            self._rename(key, CLASH, NAME_TAKEN)
        elif after_clash:
            self._save(ref, lambda job, _: changes.clashed(job, key[1], CLASH))
            self._unknown.add(key)
            self._postpone(ref, changes.INDEX_LAG_S, NAME_TAKEN)
        elif key in self._lost:
            self._postpone(ref, changes.INDEX_LAG_S, MEDIA_SLOW)
        else:
            self._forget_unknown(key)

    def _forget_unknown(self, key: Key) -> None:
        self._unknown.discard(key)
        self._lost.discard(key)

    def _rename(self, key: Key, word: str, code: str) -> None:
        """Go on under the next file name, at most three times per push."""
        ref, index = key
        output = self._output(key)
        if output.media_failures >= changes.MAX_MEDIA_FAILURES:
            self._fail_output(key, code, word)
            return

        def change(job: Job, until: datetime, now: datetime) -> Job:
            reason = None if word == CLASH else word
            return changes.renamed(job, index, output.suffix, reason, until, now)

        if self._take_lease(ref, change):
            self._forget_unknown(key)
            self._fresh.discard(key)

    # --- putting them on the product --------------------------------------------------------

    def _settle(self) -> None:
        """Look at every file and product of the run, and put on or take off what is to be."""
        for ref in self._open_refs():
            if self._jobs[ref].push.undo and not any(o.media_id for o in self._jobs[ref].outputs):
                self._finish_removal(ref)
        refs = self._open_refs()
        media = [
            output.media_id
            for ref in refs
            for output in self._concerned(self._jobs[ref])
            if output.media_id is not None
        ]
        if not media:
            return
        products = list(dict.fromkeys(self._product(ref) for ref in refs))
        look = self._ask(lambda: self._shop_admin.look(list(dict.fromkeys(media)), products))
        self._products.update(look.products)
        wanted: dict[Key, FileChange] = {}
        for ref in refs:
            product = look.products.get(self._product(ref))
            if self._jobs[ref].push.undo:
                wanted |= self._plan_removal(ref, product, look)
            elif product is None:
                self._give_up(ref, PRODUCT_GONE)
            else:
                wanted |= self._plan_addition(ref, product, look)
        self._change_files(wanted)

    def _concerned(self, job: Job) -> Sequence[Output]:
        """Return the outputs to look at: all of the job when they are to be taken off."""
        return job.outputs if job.push.undo else changes.pending(job)

    def _plan_removal(
        self, ref: JobRef, product: ProductMedia | None, look: ShopLook
    ) -> dict[Key, FileChange]:
        shown = product.media_ids if product else frozenset()
        wanted = {
            # Outputs of earlier attempts have indexes of their own here: only the id matters.
            (ref, -position): FileChange(media_id=output.media_id, remove_from=self._product(ref))
            for position, output in enumerate(self._jobs[ref].outputs, start=1)
            if output.media_id in shown and output.media_id in look.media
        }
        if not wanted:
            self._finish_removal(ref)
        return wanted

    def _finish_removal(self, ref: JobRef) -> None:
        self._save(ref, changes.undone, _note("The image was taken off the product."))
        self._outcomes.setdefault(ref, PushOutcome.UNDONE)

    def _plan_addition(
        self, ref: JobRef, product: ProductMedia, look: ShopLook
    ) -> dict[Key, FileChange]:
        wanted: dict[Key, FileChange] = {}
        there: set[int] = set()
        broken: list[tuple[Key, MediaFile | None]] = []
        for output in changes.pending(self._jobs[ref]):
            key = (ref, output.index)
            if output.media_id is None:
                continue
            file = look.media.get(output.media_id)
            if file is None and key not in self._fresh:
                broken.append((key, None))
            elif file is not None and file.has_failed:
                broken.append((key, file))
            elif file is not None and file.is_ready and file.media_id in product.media_ids:
                there.add(output.index)
            elif file is not None and file.is_ready:
                alt = better_alt(self._jobs[ref], output, file, product)
                wanted[key] = FileChange(media_id=file.media_id, add_to=product.product_id, alt=alt)
        self._record_attached(ref, there)
        for key, file in broken:
            self._mend(key, file)
        return {key: change for key, change in wanted.items() if self._is_open(key)}

    def _record_attached(self, ref: JobRef, indexes: Collection[int]) -> None:
        if indexes:
            note = _note("The image is on the product.")
            self._save(ref, lambda job, now: changes.attached(job, indexes, now), note)
            self._close_if_ended(ref)

    def _mend(self, key: Key, file: MediaFile | None) -> None:
        """Replace a file that failed, or that somebody has deleted."""
        if file is None:
            self._rename(key, MEDIA_GONE, MEDIA_SLOW)
            return
        verdict = judge_media(file.errors)
        word = file.errors[0] if file.errors else "UNKNOWN"
        # It is on no product; left alone it would keep its name and take up storage.
        with suppress(ShopUnknownOutcomeError):
            self._ask(lambda: self._shop_admin.delete([file.media_id]))
        if verdict.remedy is Remedy.FAIL:
            self._fail_output(key, verdict.code, word)
        elif verdict.remedy is Remedy.LOOK_UP:
            self._adopt_namesake(key)
        else:
            self._rename(key, word, verdict.code)

    def _adopt_namesake(self, key: Key) -> None:
        """The name clashed after the call: take the file that has it, if it is ours."""
        ref, index = key

        def forget(job: Job, until: datetime, now: datetime) -> Job:
            return changes.forgotten(job, index, until, now)

        if self._take_lease(ref, forget):
            self._fresh.discard(key)
            self._look_up([key], after_clash=True)

    def _change_files(self, wanted: dict[Key, FileChange]) -> None:
        """Put files on products and take them off, all in one call if nothing is refused."""
        leased = {
            ref
            for ref in dict.fromkeys(ref for ref, _ in wanted)
            if ref in self._leases or self._take_lease(ref, _hold)
        }
        batches = [[key for key in wanted if key[0] in leased]]
        while batches:
            keys = [key for key in batches.pop(0) if self._is_open(key)]
            if keys:
                batches += self._change_batch(keys, wanted)
        for ref in leased:
            self._finish_changes(ref, wanted)

    def _change_batch(self, keys: list[Key], wanted: dict[Key, FileChange]) -> list[list[Key]]:
        """Make one call; returns what must be sent again, and how it is grouped."""
        try:
            answer = self._ask(lambda: self._shop_admin.update([wanted[key] for key in keys]))
        except ShopUnknownOutcomeError:
            return []  # the next look at the products tells
        changed = {file.media_id for file in answer.files}
        done = [key for key in keys if wanted[key].media_id in changed]
        for key in done:
            wanted.pop(key)
        for ref in dict.fromkeys(ref for ref, _ in done):
            added = {index for owner, index in done if owner == ref and index >= 0}
            self._record_attached(ref, added)
        rest = [key for key in keys if key in wanted]
        if not answer.refusals or not rest:
            return []
        if len(keys) == 1:
            self._refuse_change(keys[0], answer.refusals[0].code, wanted)
            return []
        if answer.files:
            return []  # part of it was done: look again before sending the rest
        return _regroup(keys, answer.refusals)

    def _refuse_change(self, key: Key, code: str, wanted: dict[Key, FileChange]) -> None:
        verdict = judge_file(code)
        is_removal = wanted[key].remove_from is not None
        if verdict.remedy in (Remedy.LATER, Remedy.MAKE_AGAIN) and not is_removal:
            return  # looked at again, in this run or the next
        if is_removal and (verdict.remedy is Remedy.MAKE_AGAIN or verdict.code == PRODUCT_GONE):
            wanted.pop(key)  # gone is taken off, too
        elif verdict.remedy is Remedy.FAIL:
            self._give_up(key[0], verdict.code)

    def _finish_changes(self, ref: JobRef, wanted: dict[Key, FileChange]) -> None:
        is_done = not any(owner == ref for owner, _ in wanted)
        if ref not in self._outcomes and self._jobs[ref].push.undo and is_done:
            self._finish_removal(ref)


def _hold(job: Job, until: datetime, _now: datetime) -> Job:
    return changes.lease(job, until)


def _order(key: Key) -> tuple[str, int]:
    return key[0].job_id, key[1]


def _match(
    keys: Sequence[Key], alts: dict[Key, str], files: Sequence[MediaFile]
) -> dict[Key, MediaFile]:
    """Tell which answered file is which, by the alt text that is each one's own."""
    by_alt: dict[str, list[MediaFile]] = {}
    for file in files:
        by_alt.setdefault(plain(file.alt), []).append(file)
    matched = {
        key: by_alt[plain(alts[key])][0]
        for key in keys
        if len(by_alt.get(plain(alts[key]), ())) == 1
    }
    missing = [key for key in keys if key not in matched]
    left = [file for file in files if file not in matched.values()]
    if len(missing) == len(left) == 1 and len(files) == len(keys):
        matched[missing[0]] = left[0]  # there is no other that it could be
    return matched


def _regroup(keys: list[Key], refusals: Sequence[FileRefusal]) -> list[list[Key]]:
    """Split a refused call: the refused alone, the others together; by job if none is named."""
    named = {
        keys[refusal.index]
        for refusal in refusals
        if refusal.index is not None and refusal.index < len(keys)
    }
    if named:
        others = [key for key in keys if key not in named]
        return [[key] for key in keys if key in named] + ([others] if others else [])
    refs = list(dict.fromkeys(ref for ref, _ in keys))
    if len(refs) == 1:
        return [[key] for key in keys]
    return [[key for key in keys if key[0] == ref] for ref in refs]


def _note(message: str) -> Note:
    return Note(source=Source.PUSH, outcome=Outcome.APPLIED, message=message)
