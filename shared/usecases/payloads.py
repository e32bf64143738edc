"""What actors got and gave, beside the entries of a timeline: small ones in the table, big ones
in the bucket, both as long as the job.

Shape, gzipped in the table, plain at `shops/{shop}/jobs/{job_id}/logs/{entry_id}.json`: one JSON
object of `request` and `response`, each only if there is one.
"""

import gzip
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.errors import NotFoundError, StoreUnavailableError
from shared.domain.events import LogEntry, Remark
from shared.domain.ids import JobRef
from shared.usecases.ports import Files, JobStore
from shared.usecases.tracker import Note

log = logging.getLogger(__name__)

# Gzipped. In the table each KB is two write units in the transaction of its entry ($2.50 a
# million); in the bucket it is a PUT ($5) however big, and a GET for whoever reads it.
INLINE_BYTES = 2 * 1024


@dataclass(frozen=True, slots=True)
class Payload:
    """What an entry's actor got and gave; None where there is nothing."""

    request: Any = None
    response: Any = None


def attach(files: Files, ref: JobRef, note: Note, remark: Remark) -> Note:
    """Return the note with the remark's payload and word; a big payload is in the bucket then.

    The note must have its entry's id: the same entry, tried again, has the same file.

    Raises StoreUnavailableError: nothing was stored.
    """
    note = replace(note, native_status=remark.native_status or note.native_status)
    said = {"request": remark.request, "response": remark.response}
    told = {name: value for name, value in said.items() if value is not None}
    if not told:
        return note
    payload = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    if len(gzip.compress(payload, mtime=0)) <= INLINE_BYTES:
        return replace(note, payload=payload)
    key = f"shops/{ref.shop}/jobs/{ref.job_id}/logs/{note.entry_id}.json"
    files.put(key, payload, "application/json")
    return replace(note, payload_key=key)


def take_back(files: Files, note: Note | None) -> None:
    """Remove the file of an entry that was not kept. A crash before that leaves it in the job's
    own folder, where nothing refers to it."""
    if note is not None and note.payload_key is not None:
        with suppress(StoreUnavailableError):
            files.delete([note.payload_key])


def read_payload(store: JobStore, files: Files, ref: JobRef, entry: LogEntry) -> Payload:
    """Return an entry's payload; an empty one when its file is lost (a deletion that broke off).

    Raises StoreUnavailableError.
    """
    if entry.payload_key is not None:
        try:
            raw: bytes | None = files.get(entry.payload_key)
        except NotFoundError:
            log.error("payload lost", extra={"key": entry.payload_key})
            raw = None
    else:
        raw = store.payload(ref, entry.entry_id) if entry.has_payload else None
    return Payload() if raw is None else Payload(**json.loads(raw))
