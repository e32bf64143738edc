"""A file that a bulk job writes over many messages, as it stands between two of them.

The bucket takes a file part by part, each of 5 MiB at least. What does not make a part yet, and
what must be remembered of the parts, lies in an object of its own: the draft. Its name is a
digest of it and is booked together with the bulk job's cursor. So a draft is never overwritten,
a chunk that is done again begins where the booked one ended, and of two that are done at once
one is booked. What the other one may have put over a part is found out at the end: the bucket
makes no file of parts that are not those of the draft.

Shape of the object, at `exports/{shop}/{job_id}/draft-{sha256[:16]}`: a line of JSON
(`upload`, `parts`: pairs of etag and sha256, `bytes` of those, `memo`), then the rest as it is.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.domain.errors import NotFoundError, UploadLostError
from shared.usecases.ports import Files, Part, Uploads

MIB = 1024 * 1024
MIN_PART_BYTES = 5 * MIB
# The first so many parts have the least size, the next so many twice that, and so on: all
# 10,000 of them hold 431 GiB (1,000 jobs with 20 results of 20 MiB are 391), and one is never
# more than 85 MiB of memory.
PARTS_OF_A_SIZE = 600


def part_bytes(number: int) -> int:
    """Return the least size of part `number` (from 1).

    >>> [part_bytes(n) // MIB for n in (1, 600, 601, 10_000)]
    [5, 5, 10, 85]
    """
    return MIN_PART_BYTES * (1 + (number - 1) // PARTS_OF_A_SIZE)


@dataclass(slots=True)
class Draft:
    """What is written so far.

    parts: what the bucket has, `part_sum` bytes in all. rest: what it does not have yet.
    memo: what the kind of file remembers, as JSON.
    """

    upload_id: str
    parts: list[Part] = field(default_factory=list)
    part_sum: int = 0
    rest: bytearray = field(default_factory=bytearray)
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """How much was written in all."""
        return self.part_sum + len(self.rest)


class DraftWriter:
    """Writes on at a draft.

    Parameters
        key: of the file. folder: what the draft's own key begins with.
    """

    def __init__(self, uploads: Uploads, files: Files, key: str, folder: str, draft: Draft) -> None:
        self._uploads = uploads
        self._files = files
        self.key = key
        self._folder = folder
        self.draft = draft

    def write(self, data: bytes) -> None:
        """Write on. Raises UploadLostError, StoreUnavailableError."""
        self.draft.rest += data
        if len(self.draft.rest) >= part_bytes(len(self.draft.parts) + 1):
            self._put_rest()

    def keep(self) -> str:
        """Store the draft; returns its name. Raises StoreUnavailableError."""
        draft = self.draft
        head = {
            "upload": draft.upload_id,
            "parts": [[part.etag, part.sha256] for part in draft.parts],
            "bytes": draft.part_sum,
            "memo": draft.memo,
        }
        body = json.dumps(head, ensure_ascii=False).encode() + b"\n" + draft.rest
        name = f"draft-{hashlib.sha256(body).hexdigest()[:16]}"
        self._files.put(self._folder + name, body, "application/octet-stream")
        return name

    def close(self) -> None:
        """Put the rest, of whatever size: nothing follows. Raises as `write`."""
        if self.draft.rest:
            self._put_rest()

    def _put_rest(self) -> None:
        draft = self.draft
        body, number = bytes(draft.rest), len(draft.parts) + 1
        draft.parts.append(self._uploads.put_part(self.key, draft.upload_id, number, body))
        draft.part_sum += len(body)
        draft.rest = bytearray()


def read_draft(files: Files, key: str) -> Draft:
    """Read what `DraftWriter.keep` stored.

    Raises UploadLostError when it is gone (files of a bulk job live for seven days),
    StoreUnavailableError.
    """
    try:
        body = files.get(key)
    except NotFoundError:
        raise UploadLostError("The draft of the file is no longer there.") from None
    head, _, rest = body.partition(b"\n")
    told: Mapping[str, Any] = json.loads(head)
    parts: Sequence[Sequence[str]] = told["parts"]
    return Draft(
        upload_id=told["upload"],
        parts=[Part(etag=etag, sha256=sha256) for etag, sha256 in parts],
        part_sum=told["bytes"],
        rest=bytearray(rest),
        memo=told["memo"],
    )
