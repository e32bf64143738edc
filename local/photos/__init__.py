"""Twelve real product photographs for the demo and the tests.

Where each comes from and under which licence: SOURCES.md beside this file.
"""

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph: its file's stem, its path (JPEG, at most 120 KB) and a product title."""

    name: str
    path: Path
    title: str

    def read(self) -> bytes:
        """Return the JPEG's bytes."""
        return self.path.read_bytes()


_TITLES = {
    "blue-armchair": "Upholstered Armchair, Denim Blue",
    "cactus-terracotta-pot": "Cactus in a Terracotta Pot",
    "cafe-chairs": "Café Chair, Pair",
    "camera-lens": "Camera Lens, 70-200 mm",
    "cruiser-skateboard": "Cruiser Skateboard, Red",
    "hanging-ivy": "Hanging Ivy Basket",
    "leather-sofa": "Three-Seat Leather Sofa, Tan",
    "orchid-pot": "Potted Orchid, Two Stems",
    "painted-stool": "Painted Wooden Stool",
    "pendant-lamp": "Pendant Lamp, White",
    "road-bicycle": "Road Bicycle, Matt Black",
    "skipping-rope": "Skipping Rope, Orange Handles",
}

PHOTOS: tuple[Photo, ...] = tuple(
    Photo(name, _FOLDER / f"{name}.jpg", title) for name, title in _TITLES.items()
)


def photo(name: str) -> Photo:
    """Return the photograph called `name`; KeyError when there is none."""
    for candidate in PHOTOS:
        if candidate.name == name:
            return candidate
    raise KeyError(name)
