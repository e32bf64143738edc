"""Finding out what became of create calls that were not heard of, or whose name was taken."""

from collections.abc import Sequence
from datetime import datetime

from shared.domain.job import Job
from shared.domain.push_errors import MEDIA_SLOW, NAME_TAKEN
from shared.usecases import push_changes as changes
from shared.usecases.ports import MediaFile
from shared.usecases.push_files import is_ours
from shared.usecases.push_run import Key, PushRun

CLASH = "FILENAME_ALREADY_EXISTS"


class FileFinder:
    """Looks files up by their names, and gives outputs the next name where that is due."""

    def __init__(self, run: PushRun) -> None:
        self._run = run

    def lose(self, keys: Sequence[Key]) -> None:
        """Deal with a create call that may have been executed: look, and never send blindly."""
        self._run.unknown |= set(keys)
        self._run.lost |= set(keys)
        self.look_up(keys)

    def look_up(self, keys: Sequence[Key], *, after_clash: bool = False) -> None:
        """Find the files that an unheard call may have made, by name.

        An absence proves nothing until a minute after the call: the search lags behind.
        """
        for key in keys:
            if not self._run.is_open(key) or self._run.jobs[key[0]].push.undo:
                continue
            ref = key[0]
            found = self._run.ask(
                lambda key=key, ref=ref: self._run.admin.find(  # type: ignore[misc]
                    self._run.name(key), self._run.product(ref)
                )
            )
            self._judge_found(key, found, after_clash=after_clash)

    def _judge_found(self, key: Key, found: Sequence[MediaFile], *, after_clash: bool) -> None:
        ref, job, output = key[0], self._run.jobs[key[0]], self._run.output(key)
        title = self._run.title(ref)
        ours = [file for file in found if is_ours(job, output, file, title)]
        strangers = [file for file in found if file.filename and file not in ours]
        if ours:
            best = min(ours, key=lambda file: (file.has_failed, not file.is_ready))
            self.record_made({key: best})
            self.forget_unknown(key)
        elif strangers or (not after_clash and output.media_error == CLASH):
            # Somebody else's, or nobody's to be found a minute after the clash.
            self.rename(key, CLASH, NAME_TAKEN)
        elif after_clash:
            self._run.save(ref, lambda job, _: changes.clashed(job, key[1], CLASH))
            self._run.unknown.add(key)
            self._run.postpone(ref, changes.INDEX_LAG_S, NAME_TAKEN)
        elif key in self._run.lost:
            self._run.postpone(ref, changes.INDEX_LAG_S, MEDIA_SLOW)
        else:
            self.forget_unknown(key)

    def forget_unknown(self, key: Key) -> None:
        """Take an output as one whose create call is heard of."""
        self._run.unknown.discard(key)
        self._run.lost.discard(key)

    def rename(self, key: Key, word: str, code: str) -> None:
        """Go on under the next file name, at most three times per push."""
        ref, index = key
        output = self._run.output(key)
        if output.media_failures >= changes.MAX_MEDIA_FAILURES:
            self._run.fail_output(key, code, word)
            return

        def change(job: Job, until: datetime, now: datetime) -> Job:
            reason = None if word == CLASH else word
            return changes.renamed(job, index, output.suffix, reason, until, now)

        if self._run.take_lease(ref, change):
            self.forget_unknown(key)
            self._run.fresh.discard(key)

    def record_made(self, made: dict[Key, MediaFile]) -> None:
        """Remember the media ids, to be written with what comes of the files within a moment.

        If we die before, the intent is there, and they are found by their names.
        """
        for ref in dict.fromkeys(ref for ref, _ in made):
            ids = {index: file.media_id for (owner, index), file in made.items() if owner == ref}

            def change(job: Job, now: datetime, media: dict[int, str] = ids) -> Job:
                return changes.created(job, media, now)

            self._run.remember(ref, change)
