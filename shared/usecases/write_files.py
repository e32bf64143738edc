"""Write files for people to download, a chunk of at most a hundred jobs at a time.

Nothing is held but one part of the file and one image, however many jobs there are.
"""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.domain.bulk import BulkAction, ChunkResult, file_key, read_filter
from shared.domain.errors import InvariantError, NotFoundError, StoreUnavailableError
from shared.domain.ids import JobRef, is_job_id, iso
from shared.domain.job import NO_OUTPUT, Job, Output
from shared.domain.storage import EXPORTS_KEPT_FOR, export_folder, slug
from shared.domain.zips import Entry, ending, header
from shared.usecases import export_jobs
from shared.usecases.export_jobs import row
from shared.usecases.file_drafts import Draft, DraftWriter, read_draft
from shared.usecases.ports import Files, Uploads
from shared.usecases.start_bulk import until
from shared.usecases.tracker import Tracker

CHUNK = 100
BUDGET_S = 40.0
NOT_FOUND = "not_found"
OUTPUT_MISSING = "output_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a file is: what is in the bulk job's cursor.

    draft: the name of the draft; None: nothing is written yet. position: where the next chunk
    begins. is_written: only the file itself must still be made of its parts. restarts: how
    often it had to be begun anew.
    """

    draft: str | None = None
    position: str | None = None
    is_written: bool = False
    restarts: int = 0

    def write(self) -> str:
        """Write it as a cursor.

        >>> Place.read(Place(position="x").write()) == Place(position="x")
        True
        """
        return json.dumps([self.draft, self.position, self.is_written, self.restarts])

    @classmethod
    def read(cls, cursor: str | None) -> "Place":
        """Read a cursor; None is the beginning."""
        if cursor is None:
            return cls()
        draft, position, is_written, restarts = json.loads(cursor)
        return cls(draft=draft, position=position, is_written=is_written, restarts=restarts)


class _Form(Protocol):
    """A kind of file. page: of how many jobs it is asked whether there is time for more."""

    content_type: str
    page: int

    def name(self, job: Job) -> str:
        """Return under which name a browser saves it."""
        ...

    def begin(self, out: DraftWriter) -> None:
        """Write what comes before the first job."""
        ...

    def add(self, out: DraftWriter, files: Files, job: Job) -> str | None:
        """Write a job; returns a code when there is nothing of it in the file."""
        ...

    def end(self, out: DraftWriter, bulk: Job) -> None:
        """Write what comes after the last job, for a bulk job."""
        ...

    def told(self, draft: Draft) -> Mapping[str, Any]:
        """Return what the bulk job's result says of it."""
        ...


def write_chunk(
    tracker: Tracker,
    files: Files,
    uploads: Uploads,
    job: Job,
    action: BulkAction,
    work: Mapping[str, Any],
) -> ChunkResult:
    """Do the next chunk of a bulk job that writes a file.

    Raises UploadLostError (the file must be begun anew), RetryableError (again: what was not
    booked is written over).
    """
    form, place = _FORMS[action], Place.read(job.bulk_cursor)
    out = _open(files, uploads, job, form, place)
    if place.is_written:
        return _finish(tracker, uploads, job, form, out)
    if place.draft is None:
        form.begin(out)
    successful, refused, position = _write_some(tracker, files, job, work, form, out)
    if position is None:
        form.end(out, job)
        out.close()
    place = replace(place, draft=out.keep(), position=position, is_written=position is None)
    return ChunkResult(successful=successful, refused=refused, position=place.write())


def _open(files: Files, uploads: Uploads, job: Job, form: _Form, place: Place) -> DraftWriter:
    key, folder = file_key(job), export_folder(job.ref)
    if key is None:
        raise InvariantError("This bulk job writes no file.")
    if place.draft is not None:
        return DraftWriter(uploads, files, key, folder, read_draft(files, folder + place.draft))
    name = form.name(job)
    draft = Draft(upload_id=uploads.begin(key, form.content_type, download_name=name))
    draft.memo["fileName"] = name
    return DraftWriter(uploads, files, key, folder, draft)


def _write_some(
    tracker: Tracker,
    files: Files,
    job: Job,
    work: Mapping[str, Any],
    form: _Form,
    out: DraftWriter,
) -> tuple[int, Counter[str], str | None]:
    """Write the next jobs; returns how many, why others not, and where it goes on."""
    position = Place.read(job.bulk_cursor).position
    done, refused = 0, Counter[str]()
    ends_at = tracker.now() + timedelta(seconds=BUDGET_S)
    for jobs, missing, after in _pages(tracker, job, work, position, form.page):
        codes = [form.add(out, files, each) for each in jobs]
        refused.update(code for code in codes if code is not None)
        refused.update({NOT_FOUND: missing} if missing else {})
        done, position = done + len(jobs) + missing, after
        if after is None or done >= CHUNK or tracker.now() >= ends_at:
            break
    return done - refused.total(), refused, position


def forget_draft(files: Files, job: Job) -> None:
    """Remove the draft that a bulk job had before its last chunk; else it is gone in a week."""
    name = Place.read(job.bulk_cursor).draft
    if name is not None:
        with suppress(StoreUnavailableError):
            files.delete([export_folder(job.ref) + name])


def _finish(
    tracker: Tracker, uploads: Uploads, job: Job, form: _Form, out: DraftWriter
) -> ChunkResult:
    if job.counts.processed and not job.counts.successful:
        # There is nothing in it, and the bulk job will say so.
        uploads.abort(out.key, out.draft.upload_id)
        return ChunkResult(successful=0, refused={}, position=None)
    uploads.finish(out.key, out.draft.upload_id, out.draft.parts)
    told = {
        "fileName": out.draft.memo["fileName"],
        "bytes": out.draft.size_bytes,
        "expiresAt": iso(tracker.now() + EXPORTS_KEPT_FOR),
    }
    result = told | dict(form.told(out.draft))
    return ChunkResult(successful=0, refused={}, position=None, result=result)


def _pages(
    tracker: Tracker, job: Job, work: Mapping[str, Any], position: str | None, size: int
) -> Iterator[tuple[Sequence[Job], int, str | None]]:
    """Yield some jobs, how many of those asked for there are not, and where it goes on."""
    if "ids" in work:
        yield from _named(tracker, job.shop, work["ids"], int(position or 0), size)
        return
    wanted = until(job.created_at, read_filter(job.shop, work["filter"]))
    while True:
        page = tracker.store.list_jobs(wanted, limit=size, position=position)
        yield page.jobs, 0, page.position
        position = page.position


def _named(
    tracker: Tracker, shop: str, names: Sequence[str], start: int, size: int
) -> Iterator[tuple[Sequence[Job], int, str | None]]:
    for first in range(start, max(len(names), 1), size):
        some = names[first : first + size]
        jobs = tracker.store.get_many([JobRef(shop, name) for name in some if is_job_id(name)])
        after = first + size
        yield jobs, len(some) - len(jobs), str(after) if after < len(names) else None


class _Table:
    """All jobs as CSV, as `GET /api/jobs/export.csv` has them."""

    content_type = "text/csv; charset=utf-8"
    page = CHUNK

    def name(self, job: Job) -> str:
        """Return under which name a browser saves it."""
        return f"jobs-{job.created_at:%Y-%m-%d}.csv"

    def begin(self, out: DraftWriter) -> None:
        """Write the titles."""
        out.write(export_jobs.head().encode())
        out.draft.memo["rows"] = 0

    def add(self, out: DraftWriter, files: Files, job: Job) -> None:
        """Write a line."""
        out.write(export_jobs.line(job).encode())
        out.draft.memo["rows"] += 1

    def end(self, out: DraftWriter, bulk: Job) -> None:
        """Write nothing: a table has no end."""

    def told(self, draft: Draft) -> Mapping[str, Any]:
        """Tell how many lines there are."""
        return {"rows": draft.memo["rows"]}


_MANIFEST = "manifest.csv"
_OF_RESULT: tuple[tuple[str, Callable[[Output], export_jobs.Cell]], ...] = (
    ("index", lambda output: output.index),
    ("contentType", lambda output: output.content_type),
    ("bytes", lambda output: output.size_bytes),
    ("width", lambda output: output.width),
    ("height", lambda output: output.height),
    ("sha256", lambda output: output.sha256),
)
_OF_JOB: tuple[tuple[str, Callable[[Job], export_jobs.Cell]], ...] = (
    ("jobId", lambda job: job.job_id),
    ("status", lambda job: job.status.value),
    ("name", lambda job: job.name),
    ("productId", lambda job: job.product_id),
    ("productTitle", lambda job: job.product_title),
    ("variantId", lambda job: job.variant_id),
    ("imageId", lambda job: job.image_id),
    ("toolId", lambda job: job.tool_id),
    ("inputImageUrl", lambda job: job.input_image_url),
    ("errorCode", lambda job: job.error_code),
    ("errorMessage", lambda job: job.error_message),
    ("completedAt", lambda job: job.completed_at),
)


class _Archive:
    """All kept results of jobs in a ZIP, and a table that says which is which.

    memo: `entries` (see `Entry`), `rows`, the table's lines so far, and how many `files`.
    """

    content_type = "application/zip"
    # The results of one job may be 400 MB, which takes its time.
    page = 1

    def name(self, job: Job) -> str:
        """Return under which name a browser saves it."""
        return f"{slug(job.name, 'results')}-{job.created_at:%Y-%m-%d}.zip"

    def begin(self, out: DraftWriter) -> None:
        """Begin the table."""
        titles = ("file", *(title for title, _ in (*_OF_JOB, *_OF_RESULT)))
        out.draft.memo |= {"entries": [], "rows": [export_jobs.BOM + row(titles)], "files": 0}

    def add(self, out: DraftWriter, files: Files, job: Job) -> str | None:
        """Write a job's results; a job without any is in the table all the same."""
        kept = [output for output in job.current_outputs if output.key is not None]
        if not kept:
            self._tell(out, None, job, None)
            return NO_OUTPUT
        written = [self._add_result(out, files, job, output) for output in kept]
        return None if any(written) else OUTPUT_MISSING

    def end(self, out: DraftWriter, bulk: Job) -> None:
        """Write the table, and the directory."""
        memo = out.draft.memo
        self._add_file(out, _MANIFEST, "".join(memo.pop("rows")).encode(), bulk.created_at)
        entries = [
            Entry(name, crc, size, offset, datetime.fromisoformat(at))
            for name, crc, size, offset, at in memo.pop("entries")
        ]
        out.write(ending(entries, out.draft.size_bytes))

    def told(self, draft: Draft) -> Mapping[str, Any]:
        """Tell how many results there are."""
        return {"files": draft.memo["files"]}

    def _add_result(self, out: DraftWriter, files: Files, job: Job, output: Output) -> bool:
        key = output.key or ""
        try:
            body = files.get(key)
        except NotFoundError:  # the job was deleted a moment ago
            self._tell(out, None, job, output)
            return False
        title = slug(job.product_title or job.name, "image")
        name = f"{title}-{job.job_id}-{output.index}.{key.rpartition('.')[2]}"
        self._add_file(out, name, body, job.completed_at or job.created_at)
        self._tell(out, name, job, output)
        out.draft.memo["files"] += 1
        return True

    def _add_file(self, out: DraftWriter, name: str, body: bytes, at: datetime) -> None:
        entry = Entry(name, zlib.crc32(body), len(body), out.draft.size_bytes, at)
        out.write(header(entry))
        out.write(body)
        told = [name, entry.crc, entry.size_bytes, entry.offset, at.isoformat()]
        out.draft.memo["entries"].append(told)

    def _tell(self, out: DraftWriter, name: str | None, job: Job, output: Output | None) -> None:
        of_job = [cell(job) for _, cell in _OF_JOB]
        of_result = [cell(output) if output is not None else None for _, cell in _OF_RESULT]
        out.draft.memo["rows"].append(row((name, *of_job, *of_result)))


_FORMS: Mapping[BulkAction, _Form] = {
    BulkAction.EXPORT: _Table(),
    BulkAction.ARCHIVE: _Archive(),
}
