"""Uploads into a bucket in memory, as strict as S3 is."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.domain.errors import StoreUnavailableError, UploadLostError
from shared.usecases.ports import Part
from tests.fakes.files import FakeFiles

SMALLEST_PART = 5 * 1024 * 1024


@dataclass
class _Upload:
    key: str
    content_type: str
    parts: dict[int, bytes] = field(default_factory=dict)


class FakeUploads:
    """Implements Uploads.

    open: ids of what was begun and neither finished nor aborted. names: key → download name.
    smallest: the least size of a part that is not the last (tests make it smaller).
    """

    def __init__(self, files: FakeFiles) -> None:
        self._files = files
        self._uploads: dict[str, _Upload] = {}
        self.names: dict[str, str] = {}
        self.smallest = SMALLEST_PART
        self.begun = 0

    @property
    def open(self) -> dict[str, str]:
        """Return what is not finished, by its id: the key."""
        return self._files.uploads

    def begin(self, key: str, content_type: str, *, download_name: str) -> str:
        """Begin a file."""
        self._check()
        self.begun += 1
        upload_id = f"id-{self.begun}"
        self._uploads[upload_id] = _Upload(key, content_type)
        self._files.uploads[upload_id] = key
        self.names[key] = download_name
        return upload_id

    def put_part(self, key: str, upload_id: str, number: int, body: bytes) -> Part:
        """Store a part."""
        assert 1 <= number <= 10_000
        assert body
        self._of(key, upload_id).parts[number] = body
        return _part(body)

    def finish(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the file of its parts."""
        if upload_id not in self.open and key in self._files.stored:
            return
        upload = self._of(key, upload_id)
        bodies = []
        for number, part in enumerate(parts, 1):
            body = upload.parts.get(number)
            if body is None or _part(body) != part:
                raise UploadLostError("A part is not what was recorded.")
            bodies.append(body)
        assert bodies, "S3 makes no file of no parts"
        assert all(len(body) >= self.smallest for body in bodies[:-1]), "EntityTooSmall"
        self._files.put(key, b"".join(bodies), upload.content_type)
        del self.open[upload_id]

    def abort(self, key: str, upload_id: str) -> None:
        """Clear away what was uploaded."""
        self._check()
        self.open.pop(upload_id, None)

    def _of(self, key: str, upload_id: str) -> _Upload:
        self._check()
        if self.open.get(upload_id) != key:
            raise UploadLostError("There is no such upload.")
        return self._uploads[upload_id]

    def _check(self) -> None:
        if self._files.broken:
            raise StoreUnavailableError("The bucket does not answer.")


def _part(body: bytes) -> Part:
    digest = hashlib.sha256(body).digest()
    return Part(etag=f'"{hashlib.md5(body).hexdigest()}"', sha256=base64.b64encode(digest).decode())
