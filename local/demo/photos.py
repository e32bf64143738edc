"""The pictures of the demo: the twelve that are here, or a folder of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from local.photos import PHOTOS

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# They suit any picture; the others want a plain background, or a small file.
TOOLS = ("image-enhancement", "color-correction", "photo-retouching")
# The provider's own limit on an input.
LARGEST_BYTES = 15_728_640


class PhotosError(Exception):
    """The photos cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One photo: its file's name, a product title, the tool that edits it, its bytes."""

    file_name: str
    title: str
    tool_id: str
    data: bytes = field(repr=False)

    @property
    def url_name(self) -> str:
        """Return the file's name as it stands in an address."""
        return quote(self.file_name, safe="")


def own_pictures() -> tuple[Picture, ...]:
    """Return the twelve photos of this project."""
    return tuple(Picture(each.path.name, each.title, each.tool_id, each.read()) for each in PHOTOS)


def pictures_in(folder: Path) -> tuple[Picture, ...]:
    """Return the JPEG, PNG and WebP files of a folder, by name; titles from the file names.

    Raises PhotosError: no such folder, none in it, or one too large.
    """
    if not folder.is_dir():
        raise PhotosError(f"PHOTOS={folder} is not a folder.")
    paths = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not paths:
        raise PhotosError(f"There is no JPEG, PNG or WebP file in {folder}.")
    _require_small(paths)
    return tuple(
        Picture(path.name, title_of(path.stem), TOOLS[position % len(TOOLS)], path.read_bytes())
        for position, path in enumerate(paths)
    )


def _require_small(paths: Sequence[Path]) -> None:
    large = [path.name for path in paths if path.stat().st_size > LARGEST_BYTES]
    if large:
        raise PhotosError(f"Larger than PikcelAI's 15 MiB: {', '.join(large)}.")


def title_of(stem: str) -> str:
    """Make a product title of a file's name.

    >>> title_of("red_wool-hat  02")
    'Red wool hat 02'
    """
    words = " ".join(stem.replace("_", " ").replace("-", " ").split())
    return (words[:1].upper() + words[1:]) or "Photo"
