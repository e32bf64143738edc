"""Keep a job's item small: big documents (parameters, metadata, result) lie in the bucket.

DynamoDB bills every write by the whole item, and a job is written a dozen times in its life;
its documents are written once. A job is either *whole* (`documents_key` None, the fields as
they are) or *shelved* (the key, and the fields empty). Only whoever needs the documents fetches
them: nobody decides anything by what they say.

Shape of the object, at `shops/{shop}/jobs/{job_id}/documents-{sha256[:16]}.json`: one JSON
object of `parameters`, `metadata` and `result`. It is never overwritten by other content: its
name is a digest of it and of the job's version, so changed documents have another name, even
when they are what they were before: what was replaced can be removed at any time.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import batched
from typing import Any

from shared.domain.errors import DocumentsLostError, NotFoundError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.storage import job_folder
from shared.usecases.ports import Files

log = logging.getLogger(__name__)

# Of the three documents as one JSON object. Each KB on the item is 15 write units in a plain
# job's life ($9 a million jobs); one in the bucket is a PUT ($5), and a GET ($0.40) and some 20 ms
# whenever the job is sent or shown: up to here that is not worth it.
INLINE_BYTES = 1024
# Below the number of connections that a client of AWS keeps open (10).
FETCHED_AT_ONCE = 8


def shelve(files: Files, job: Job) -> Job:
    """Put the documents into the bucket if they are big; returns the job as it is to be stored.

    A job that is shelved stays as it is: its documents are changed by `change_documents`.

    Raises StoreUnavailableError: nothing was stored.
    Guarantees
        The same documents of the same version of a job have the same key. It is written
        before the job, so that a stored job's documents are there; a crash in between leaves
        an object in the job's own folder that nothing refers to: it goes with the job, or, where
        the job came not to be made, when the shop is erased.
    """
    body = _written(job)
    if job.documents_key is not None or len(body) <= INLINE_BYTES:
        return job
    digest = hashlib.sha256(b"%d\n%b" % (job.version, body)).hexdigest()
    name = f"documents-{digest[:16]}.json"
    key = job_folder(job.ref) + name
    files.put(key, body, "application/json")
    # That there is a result must be seen on the item too: an empty one says so, None denies it.
    result: dict[str, Any] | None = None if job.result is None else {}
    return replace(job, documents_key=key, parameters={}, metadata={}, result=result)


def fetch(files: Files, job: Job) -> Job:
    """Return the job with its documents, from the bucket where they lie there.

    Raises DocumentsLostError, StoreUnavailableError (the bucket is out: try again).
    """
    if job.documents_key is None:
        return job
    return _with_documents(job, _read(files, job.documents_key))


def with_documents_of(job: Job, whole: Job) -> Job:
    """Return a job with the documents that it had before it was shelved."""
    return replace(
        job,
        documents_key=None,
        parameters=whole.parameters,
        metadata=whole.metadata,
        result=whole.result,
    )


def fetch_to_show(
    files: Files,
    jobs: Sequence[Job],
    read: dict[str, bytes],
    look_again: Callable[[Sequence[JobRef]], Sequence[Job]] | None = None,
) -> list[Job]:
    """Return jobs with their documents, several fetched at once.

    One whose documents are lost (a deletion that broke off) is shown with empty ones: a job
    that cannot be shown could not be deleted either, nor could the page that it is on be read.

    Parameters
        read: what was read so far, by key; grows. Objects never change, so a page that is made
            again shorter reads nothing twice.
        look_again: reads up to 100 jobs. Those whose documents are not there are looked at once
            more with it: a report may have replaced them a moment ago.

    Raises StoreUnavailableError.
    """
    _read_into(files, jobs, read)
    missing = [job.ref for job in jobs if _is_missing(job, read)]
    if missing and look_again is not None:
        found = [job for refs in batched(missing, 100, strict=False) for job in look_again(refs)]
        newer = {job.ref: job for job in found}
        jobs = [newer.get(job.ref, job) for job in jobs]
        _read_into(files, jobs, read)
    for job in jobs:
        if _is_missing(job, read):
            log.error("documents lost", extra={"key": job.documents_key})
    return [
        _with_documents(job, read[job.documents_key]) if job.documents_key in read else job
        for job in jobs
    ]


def _written(job: Job) -> bytes:
    documents = {"parameters": job.parameters, "metadata": job.metadata, "result": job.result}
    return json.dumps(documents, ensure_ascii=False, separators=(",", ":")).encode()


def _with_documents(job: Job, body: bytes) -> Job:
    documents: dict[str, Any] = json.loads(body)
    # A retried job has no result any more, whatever its first attempt brought.
    result = None if job.result is None else documents["result"]
    return replace(
        job,
        documents_key=None,
        parameters=documents["parameters"],
        metadata=documents["metadata"],
        result=result,
    )


def _read(files: Files, key: str) -> bytes:
    try:
        return files.get(key)
    except NotFoundError:
        raise DocumentsLostError("The job's parameters are no longer there.") from None


def _is_missing(job: Job, read: dict[str, bytes]) -> bool:
    return job.documents_key is not None and job.documents_key not in read


def _read_into(files: Files, jobs: Sequence[Job], read: dict[str, bytes]) -> None:
    keys = {job.documents_key for job in jobs if job.documents_key is not None} - read.keys()
    read.update(_read_many(files, sorted(keys)))


def _read_many(files: Files, keys: Sequence[str]) -> dict[str, bytes]:
    if len(keys) <= 1:
        found = [_read_or_none(files, key) for key in keys]
    else:
        with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
            found = list(pool.map(lambda key: _read_or_none(files, key), keys))
    return {key: body for key, body in zip(keys, found, strict=True) if body is not None}


def _read_or_none(files: Files, key: str) -> bytes | None:
    try:
        return _read(files, key)
    except DocumentsLostError:
        return None
