"""Change a job together with its documents, wherever those lie (see `documents`)."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.errors import DocumentsLostError, NotFoundError, StoreUnavailableError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.statistics import is_uncounted
from shared.usecases.conflicts import CONFLICT_TRIES, contended
from shared.usecases.documents import fetch, shelve, with_documents_of
from shared.usecases.ports import Files
from shared.usecases.tracker import Note, Tracker

log = logging.getLogger(__name__)

type Decide = Callable[[Job, datetime], tuple[Job, Note | None]]


def change_documents(tracker: Tracker, files: Files, ref: JobRef, decide: Decide) -> Job:
    """Read, decide and write like `Tracker.change`; returns the job with its documents.

    Parameters
        decide: gets the job with its documents, and may change those too.

    Raises what `Tracker.change` raises, StoreUnavailableError also when the bucket is out:
    nothing was written.
    Guarantees
        A job of small documents costs one read and one write, and nothing of the bucket.
        Documents that were replaced are removed after the write; a crash in between leaves
        them in the job's own folder, until the job is deleted. A job whose documents are
        lost (a deletion that broke off) is changed as one of empty ones, as it is shown.
    """
    change = _Change(files, decide)
    for _ in range(CONFLICT_TRIES):
        try:
            saved = tracker.change(ref, change.decide)
        except NotFoundError:
            if not tracker.store.get_many([ref]):
                # It was deleted while we put something into its folder.
                change.tidy(None)
            raise
        except DocumentsLostError as error:
            # Somebody faster may have replaced them between our read and our fetch.
            if tracker.store.get(ref).documents_key == change.asked:
                change.lost = change.asked
                log.error("documents lost", extra={"key": change.asked, "reason": error.message})
            continue
        change.tidy(saved.documents_key)
        return with_documents_of(saved, change.whole)
    raise contended("job")


@dataclass(slots=True)
class _Change:
    """One change as it is being tried.

    keys: of all documents that it met or put. asked: those of the job as last read; lost: those
    known not to be there. whole: the job as the last try made it, with its documents.
    """

    files: Files
    wanted: Decide
    keys: set[str] = field(default_factory=set)
    asked: str | None = None
    lost: str | None = None
    whole: Job = field(init=False)

    def decide(self, stored: Job, now: datetime) -> tuple[Job, Note | None]:
        """Decide on the whole job; return it as it is to be stored."""
        self._meet(stored)
        before = self._fetch(stored)
        self.whole, note = self.wanted(before, now)
        if self.whole is before:
            return stored, note
        after = self._to_store(stored, before, self.whole)
        self._meet(after)
        return after, note

    def tidy(self, kept: str | None) -> None:
        """Remove all but what the saved job names. Nobody else names it: keys hold the version."""
        left = sorted(self.keys - {kept})
        if left:
            with suppress(StoreUnavailableError):
                self.files.delete(left)

    def _fetch(self, stored: Job) -> Job:
        self.asked = stored.documents_key
        if self.asked is not None and self.asked == self.lost:
            return replace(stored, documents_key=None)
        return fetch(self.files, stored)

    def _to_store(self, stored: Job, before: Job, after: Job) -> Job:
        documents = (after.parameters, after.metadata, after.result)
        if documents == (before.parameters, before.metadata, before.result):
            shelved = with_documents_of(after, stored)
            return replace(shelved, documents_key=stored.documents_key)
        # A bulk job's result is what it has refused so far: it goes on counting there.
        return after if is_uncounted(after) else shelve(self.files, after)

    def _meet(self, job: Job) -> None:
        if job.documents_key is not None:
            self.keys.add(job.documents_key)
