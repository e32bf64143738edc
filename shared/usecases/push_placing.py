"""Putting files that are READY on their products, and taking them off again."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from shared.domain.errors import ShopBusyError, ShopUnknownOutcomeError
from shared.domain.ids import JobRef
from shared.domain.job import Job, Output
from shared.domain.push_errors import MEDIA_SLOW, PRODUCT_GONE, Remedy, judge_file, judge_media
from shared.domain.status import PushStatus
from shared.usecases import push_changes as changes
from shared.usecases.ports import (
    FileChange,
    FileRefusal,
    MediaFile,
    ProductMedia,
    ProductOutline,
    ShopLook,
)
from shared.usecases.push_files import better_alt
from shared.usecases.push_finding import FileFinder
from shared.usecases.push_lane import PushOutcome
from shared.usecases.push_run import Key, PushRun, note_of

MEDIA_GONE = "MEDIA_DOES_NOT_EXIST"


class FilePlacer:
    """Looks at files and products, and brings them together."""

    def __init__(self, run: PushRun, finder: FileFinder) -> None:
        self._run = run
        self._finder = finder
        # What the last look showed, and which changes went unanswered since.
        self._seen: Mapping[str, MediaFile] = {}
        self._unsure: set[Key] = set()

    def settle(self) -> None:
        """Look at every file and product of the run, and put on or take off what is to be."""
        for ref in self._run.open_refs():
            if self._run.jobs[ref].push.undo and not any(
                o.media_id for o in self._run.jobs[ref].outputs
            ):
                self._finish_removal(ref)
        refs = self._run.open_refs()
        media = [
            output.media_id
            for ref in refs
            for output in self._concerned(self._run.jobs[ref])
            if output.media_id is not None
        ]
        if not media:
            return
        products = list(dict.fromkeys(self._run.product(ref) for ref in refs))
        look = self._run.ask(lambda: self._run.admin.look(list(dict.fromkeys(media)), products))
        self._run.products |= {
            product: _outline(look.products.get(product)) for product in products
        }
        self._seen, self._unsure = look.media, set()
        wanted: dict[Key, FileChange] = {}
        for ref in refs:
            product = look.products.get(self._run.product(ref))
            if self._run.jobs[ref].push.undo:
                wanted |= self._plan_removal(ref, product, look)
            elif product is None:
                self._end(ref, PRODUCT_GONE)
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
        product_id = self._run.product(ref)
        wanted = {
            # Outputs of earlier attempts have indexes of their own here: only the id matters.
            (ref, -position): FileChange(media_id=output.media_id, remove_from=product_id)
            for position, output in enumerate(self._run.jobs[ref].outputs, start=1)
            if output.media_id in shown and output.media_id in look.media
        }
        if not wanted:
            self._finish_removal(ref)
        return wanted

    def _finish_removal(self, ref: JobRef) -> None:
        self._run.save(ref, changes.undone, note_of("The image was taken off the product."))
        self._run.outcomes.setdefault(ref, PushOutcome.UNDONE)

    def _plan_addition(
        self, ref: JobRef, product: ProductMedia, look: ShopLook
    ) -> dict[Key, FileChange]:
        wanted: dict[Key, FileChange] = {}
        there: set[int] = set()
        broken: list[tuple[Key, MediaFile | None]] = []
        for output in changes.pending(self._run.jobs[ref]):
            key = (ref, output.index)
            if output.media_id is None:
                continue
            file = look.media.get(output.media_id)
            if file is None and key not in self._run.fresh:
                broken.append((key, None))
            elif file is not None and file.has_failed:
                broken.append((key, file))
            elif file is not None and file.is_ready and file.media_id in product.media_ids:
                there.add(output.index)
            elif file is not None and file.is_ready:
                alt = better_alt(self._run.jobs[ref], output, file, product)
                wanted[key] = FileChange(media_id=file.media_id, add_to=product.product_id, alt=alt)
        self._record_attached(ref, there)
        for key, file in broken:
            self._mend(key, file)
        return {key: change for key, change in wanted.items() if self._run.is_open(key)}

    def _record_attached(self, ref: JobRef, indexes: Collection[int]) -> None:
        if indexes:
            note = note_of("The image is on the product.")
            self._run.save(ref, lambda job, now: changes.attached(job, indexes, now), note)
            self._run.close_if_ended(ref)

    def _mend(self, key: Key, file: MediaFile | None) -> None:
        """Replace a file that failed, or that somebody has deleted."""
        if file is None:
            self._finder.rename(key, MEDIA_GONE, MEDIA_SLOW)
            return
        # Once it is deleted, nobody could find out any more that it was there.
        self._run.write_down(key[0])
        verdict = judge_media(file.errors)
        word = file.errors[0] if file.errors else "UNKNOWN"
        # It is on no product; left alone it would keep its name and take up storage. If Shopify
        # will not delete it, the push goes on under another name all the same.
        self._delete(file.media_id)
        if verdict.remedy is Remedy.FAIL:
            self._run.fail_output(key, verdict.code, word)
        elif verdict.remedy is Remedy.LOOK_UP:
            self._adopt_namesake(key)
        else:
            self._finder.rename(key, word, verdict.code)

    def _delete(self, media_id: str) -> str | None:
        """Delete a file; returns Shopify's word for why it stays, None if it is gone."""
        try:
            return self._run.ask(lambda: self._run.admin.delete(media_id))
        except ShopUnknownOutcomeError as lost:
            # Deleted or not: the next look finds out, and deleting twice does no harm.
            raise ShopBusyError(lost.message, retry_after_s=lost.retry_after_s) from lost

    def _end(self, ref: JobRef, code: str) -> None:
        """End a push for good, and first delete the files it made: they are on no product.

        Files of earlier pushes stay: they were on a product, and the merchant may use them
        elsewhere since.
        """
        if ref not in self._run.leases and not self._run.take_lease(ref, _hold):
            return
        self._run.write_down(ref)
        deleted: set[str] = set()
        for output in changes.pending(self._run.jobs[ref]):
            media_id = output.media_id
            if media_id is None:
                continue
            is_own = output.push_status is PushStatus.PROCESSING
            if media_id not in self._seen and (ref, output.index) not in self._run.fresh:
                deleted.add(media_id)
            elif is_own and not self._run.has_time(0):
                return  # the next run deletes it
            elif is_own and not self._keeps(ref, media_id):
                deleted.add(media_id)
            if ref in self._run.outcomes:
                return
        self._run.end(ref, code, deleted)

    def _keeps(self, ref: JobRef, media_id: str) -> bool:
        """Delete a file; True if Shopify will not. While it may later, the job waits."""
        word = self._delete(media_id)
        if word is None:
            return False
        verdict = judge_file(word)
        if verdict.remedy is Remedy.LATER:
            self._run.postpone(ref, None, verdict.code)
        return True

    def _adopt_namesake(self, key: Key) -> None:
        """The name clashed after the call: take the file that has it, if it is ours."""
        ref, index = key

        def forget(job: Job, until: datetime, now: datetime) -> Job:
            return changes.forgotten(job, index, until, now)

        if self._run.take_lease(ref, forget):
            self._run.fresh.discard(key)
            self._finder.look_up([key], after_clash=True)

    def _change_files(self, wanted: dict[Key, FileChange]) -> None:
        """Put files on products and take them off, all in one call if nothing is refused."""
        leased = {
            ref
            for ref in dict.fromkeys(ref for ref, _ in wanted)
            if ref in self._run.leases or self._run.take_lease(ref, _hold)
        }
        batches = [[key for key in wanted if key[0] in leased]]
        while batches:
            keys = [key for key in batches.pop(0) if self._run.is_open(key)]
            if keys:
                batches += self._change_batch(keys, wanted)
        for ref in leased:
            self._finish_changes(ref, wanted)

    def _change_batch(self, keys: list[Key], wanted: dict[Key, FileChange]) -> list[list[Key]]:
        """Make one call; returns what must be sent again, and how it is grouped."""
        try:
            answer = self._run.ask(lambda: self._run.admin.update([wanted[key] for key in keys]))
        except ShopUnknownOutcomeError:
            self._unsure |= set(keys)
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
        elif verdict.remedy is Remedy.FAIL and is_removal:
            self._run.give_up(key[0], verdict.code)
        elif verdict.remedy is Remedy.FAIL and not any(ref == key[0] for ref, _ in self._unsure):
            self._end(key[0], verdict.code)  # else a file of it may be on the product: look first

    def _finish_changes(self, ref: JobRef, wanted: dict[Key, FileChange]) -> None:
        is_done = not any(owner == ref for owner, _ in wanted)
        if ref not in self._run.outcomes and self._run.jobs[ref].push.undo and is_done:
            self._finish_removal(ref)


def _outline(product: ProductMedia | None) -> ProductOutline | None:
    if product is None:
        return None
    count = len(product.media_ids)
    return ProductOutline(product_id=product.product_id, title=product.title, media_count=count)


def _hold(job: Job, until: datetime, _now: datetime) -> Job:
    return changes.lease(job, until)


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
