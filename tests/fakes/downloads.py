"""Result links that a test makes work or fail."""

import base64
from collections.abc import Callable, Iterable

from shared.domain.errors import JobTrackerError, OutputExpiredError
from shared.usecases.ports import Download

PICTURE = b"\x89PNG\r\n\x1a\n-a-picture"


class FakeDownloads:
    """Implements Downloads.

    at: url → the bytes found there, or the error. fetched: (url, hosts), in order. during:
    called at each fetch. Any url that `at` does not name is dead, unless it holds the image.
    """

    def __init__(self) -> None:
        self.at: dict[str, bytes | JobTrackerError] = {}
        self.fetched: list[tuple[str, tuple[str, ...]]] = []
        self.during: Callable[[], object] | None = None

    @property
    def urls(self) -> list[str]:
        """What was fetched, in order."""
        return [url for url, _ in self.fetched]

    def fetch(self, url: str, hosts: Iterable[str]) -> Download:
        """Return what is there."""
        self.fetched.append((url, tuple(hosts)))
        if self.during is not None:
            self.during()
        if url.startswith("data:"):
            self.at.setdefault(url, base64.b64decode(url.partition(",")[2]))
        found = self.at.get(url, OutputExpiredError("The result's link is dead (404)."))
        if isinstance(found, JobTrackerError):
            raise found
        return Download(
            body=found, content_type="image/png", extension="png", width=640, height=480
        )
