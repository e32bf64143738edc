"""A bucket in memory."""

from collections.abc import Sequence

from shared.domain.errors import NotFoundError, StoreUnavailableError


class FakeFiles:
    """Implements Files.

    stored: key → (bytes, content type). uploads: id → key of what is written part by part.
    links: counts presigned links, so that no two are equal. broken: nothing works but making
    links, which asks nobody.
    """

    def __init__(self) -> None:
        self.stored: dict[str, tuple[bytes, str]] = {}
        self.uploads: dict[str, str] = {}
        self.links = 0
        self.broken = False

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store bytes under a key."""
        self._check()
        self.stored[key] = (body, content_type)

    def get(self, key: str) -> bytes:
        """Read bytes."""
        self._check()
        if key not in self.stored:
            raise NotFoundError("There is no such file.")
        return self.stored[key][0]

    def delete(self, keys: Sequence[str]) -> None:
        """Delete; keys that do not exist are no error."""
        self._check()
        for key in keys:
            self.stored.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of all files under a prefix."""
        self._check()
        return [key for key in sorted(self.stored) if key.startswith(prefix)]

    def find(self, prefix: str, *, limit: int) -> list[str]:
        """Name some of the files under a prefix."""
        self._check()
        found = [f"null/{key}" for key in sorted(self.stored) if key.startswith(prefix)]
        begun = [f"upload-{name}/{k}" for name, k in self.uploads.items() if k.startswith(prefix)]
        return (found or begun)[:limit]

    def remove(self, names: Sequence[str]) -> None:
        """Delete what was found."""
        pairs = [name.split("/", 1) for name in names]
        self.delete([key for version, key in pairs if version == "null"])
        for version, _key in pairs:
            self.uploads.pop(version.removeprefix("upload-"), None)

    def link(self, key: str, *, valid_s: int, download_name: str | None = None) -> str:
        """Return a link that differs from every other."""
        self.links += 1
        name = f"&name={download_name}" if download_name else ""
        return f"https://bucket.example/{key}?expires={valid_s}&n={self.links}{name}"

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailableError("The bucket does not answer.")
