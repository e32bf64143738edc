"""Making files at Shopify: bytes to its storage, then one create call for all of them."""

from collections.abc import Collection, Sequence
from datetime import datetime

from shared.domain.errors import (
    NotFoundError,
    ShopBusyError,
    ShopRefusedError,
    ShopUnknownOutcomeError,
)
from shared.domain.job import Job
from shared.domain.push_errors import (
    FILE_REFUSED,
    IMAGE_TYPE,
    OUTPUT_MISSING,
    UPLOAD_ADDRESS,
    UPLOAD_FAILED,
    Remedy,
    judge_file,
)
from shared.usecases import push_changes as changes
from shared.usecases.ports import FileRefusal, FileToCreate, FileToStage, MediaFile, StagedTarget
from shared.usecases.push_checking import ProductChecker
from shared.usecases.push_files import is_uploadable, plain
from shared.usecases.push_finding import CLASH, FileFinder
from shared.usecases.push_run import Key, PushRun

# What must be left of the run's time to begin an upload.
UPLOAD_RESERVE_S = 15.0


class FileMaker:
    """Makes a file of every output that has none."""

    def __init__(self, run: PushRun, finder: FileFinder, checker: ProductChecker) -> None:
        self._run = run
        self._finder = finder
        self._checker = checker

    def create_missing(self) -> bool:
        """Make a file of every output that has none; True if any was made."""
        keys = [
            (ref, output.index)
            for ref in self._run.open_refs()
            if not self._run.jobs[ref].push.undo
            for output in changes.pending(self._run.jobs[ref])
            if output.media_id is None and (ref, output.index) not in self._run.unknown
        ]
        for key in keys:
            if not is_uploadable(self._run.output(key)):
                self._run.fail_output(key, IMAGE_TYPE)
        keys = [key for key in keys if self._run.output(key).push_status.is_active]
        if not keys or not self._run.has_time(UPLOAD_RESERVE_S):
            return False
        keys = self._checker.admit(keys)
        if not keys:
            return False
        sources = self._upload(keys)
        claimed = [key for key in self._claim(sources) if self._run.is_open(key)]
        if claimed:
            self._create({key: sources[key] for key in claimed})
        return any(key in self._run.fresh for key in claimed)

    def _upload(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Bring the bytes to Shopify's storage; returns each file's address there."""
        targets = self._stage(keys)
        sources: dict[Key, str] = {}
        for key in keys:
            if key not in targets or not self._run.is_open(key):
                continue
            if not self._run.has_time(UPLOAD_RESERVE_S):
                break
            if self._send(key, targets[key]):
                sources[key] = targets[key].resource_url
        return sources

    def _stage(self, keys: Sequence[Key]) -> dict[Key, StagedTarget]:
        """Open one target per file, matched by name; what cannot be matched is asked alone."""
        targets, _ = self._open_targets(keys)
        for key in keys:
            if key in targets or not self._run.is_open(key):
                continue
            alone, is_refused = self._open_targets([key])
            if key in alone:
                targets[key] = alone[key]
            elif is_refused:
                self._run.fail_output(key, FILE_REFUSED)
            else:
                self._run.postpone(key[0], None, UPLOAD_FAILED)
        return targets

    def _open_targets(self, keys: Sequence[Key]) -> tuple[dict[Key, StagedTarget], bool]:
        """Return the targets that could be matched, and whether any file was refused."""
        wanted = [
            FileToStage(
                filename=self._run.name(key),
                content_type=self._run.output(key).content_type or "image/png",
            )
            for key in keys
        ]
        try:
            answer = self._run.ask(lambda: self._run.admin.stage(wanted))
        except ShopUnknownOutcomeError as error:
            # An open target that nobody uses does no harm.
            raise ShopBusyError(error.message) from error
        found = {target.filename: target for target in answer.targets}
        matched = {key: found[self._run.name(key)] for key in keys if self._run.name(key) in found}
        return matched, bool(answer.refusals)

    def _send(self, key: Key, target: StagedTarget) -> bool:
        """Send one file's bytes. Trouble with it is this job's alone."""
        output = self._run.output(key)
        try:
            body = self._run.lane.files.get(output.key or "")
        except NotFoundError:
            self._run.fail_output(key, OUTPUT_MISSING)
            return False
        content_type = output.content_type or "image/png"
        try:
            self._run.admin.upload(target, body, content_type)
        except (ShopBusyError, ShopRefusedError) as error:
            if error.code == UPLOAD_ADDRESS:
                # Nobody's waiting makes it another one, and nobody would see what is waited for.
                self._run.fail_output(key, UPLOAD_ADDRESS)
            else:
                self._run.postpone(key[0], None, UPLOAD_FAILED)
            return False
        return True

    def _claim(self, sources: Collection[Key]) -> list[Key]:
        """Write the intent of every job, before the call."""
        claimed: list[Key] = []
        for ref in dict.fromkeys(ref for ref, _ in sources):
            if ref in self._run.outcomes:
                continue
            indexes = {index for owner, index in sources if owner == ref}

            def change(
                job: Job, until: datetime, now: datetime, wanted: Collection[int] = indexes
            ) -> Job:
                return changes.claim(job, wanted, until, now)

            if self._run.take_lease(ref, change):
                claimed += [
                    (ref, output.index)
                    for output in changes.pending(self._run.jobs[ref])
                    if output.index in indexes and output.media_id is None
                ]
        return claimed

    def _create(self, sources: dict[Key, str]) -> None:
        """Make the files, all in one call; on a refusal without the refused one."""
        batches = [list(sources)]
        while batches:
            keys = [key for key in batches.pop(0) if self._run.is_open(key)]
            if keys:
                batches += self._create_batch(keys, sources)

    def _create_batch(self, keys: list[Key], sources: dict[Key, str]) -> list[list[Key]]:
        """Make one call; returns what must be sent again, and how it is grouped."""
        alts = self._distinct_alts(keys)
        wanted = [
            FileToCreate(filename=self._run.name(key), source=sources[key], alt=alts[key])
            for key in keys
        ]
        try:
            answer = self._run.ask(lambda: self._run.admin.create(wanted))
        except ShopUnknownOutcomeError:
            self._finder.lose(keys)
            return []
        made = _match(keys, alts, answer.files)
        self._finder.record_made(made)
        self._run.fresh |= made.keys()
        rest = [key for key in keys if key not in made]
        if not answer.refusals:
            # Told of no refusal and of no file: it may be there all the same.
            self._finder.lose(rest)
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
        self._finder.look_up(clashes, after_clash=True)
        refused = [key for key in rest if key in named and key not in clashes]
        others = [key for key in rest if key not in named]
        if len(keys) == 1:
            for key in refused:
                self._refuse_creation(key, named[key])
            return []
        if not nothing_made:
            self._finder.lose(others)
            others = []
        alone = [[key] for key in refused]
        if not named:
            return alone + [[key] for key in others]
        return alone + ([others] if others else [])

    def _refuse_creation(self, key: Key, code: str) -> None:
        verdict = judge_file(code)
        if verdict.remedy is Remedy.LATER:
            self._run.postpone(key[0], None, verdict.code)
        else:
            self._run.fail_output(key, verdict.code, code)

    def _distinct_alts(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Give each file of a call an alt text of its own: the answer tells nothing else apart.

        Where two would be equal the file's name stands in until the file goes onto the
        product, when the alt text is set in the same call.
        """
        texts = {key: self._run.alt(key) for key in keys}
        plains = [plain(text) for text in texts.values()]
        return {
            key: text
            if len(keys) == 1 or (plain(text) and plains.count(plain(text)) == 1)
            else self._run.name(key)
            for key, text in texts.items()
        }


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
