"""Twelve real product photographs for the demo and the tests.

Where each comes from and under which licence: SOURCES.md beside this file.
"""

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph: its file's stem, its path (JPEG, at most 120 KB) and a product title.

    tool_id: the PikcelAI tool that suits it (the simulator's background removal wants a
        plain background).
    """

    name: str
    path: Path
    title: str
    tool_id: str

    def read(self) -> bytes:
        """Return the JPEG's bytes."""
        return self.path.read_bytes()


_PRODUCTS = {
    "blue-armchair": ("Upholstered Armchair, Denim Blue", "photo-retouching"),
    "cactus-terracotta-pot": ("Cactus in a Terracotta Pot", "background-removal"),
    "cafe-chairs": ("Café Chair, Pair", "image-enhancement"),
    "camera-lens": ("Camera Lens, 70-200 mm", "upscale-4x"),
    "cruiser-skateboard": ("Cruiser Skateboard, Red", "color-correction"),
    "hanging-ivy": ("Hanging Ivy Basket", "background-replacement"),
    "leather-sofa": ("Three-Seat Leather Sofa, Tan", "color-correction"),
    "orchid-pot": ("Potted Orchid, Two Stems", "photo-retouching"),
    "painted-stool": ("Painted Wooden Stool", "background-removal"),
    "pendant-lamp": ("Pendant Lamp, White", "upscale-4x"),
    "road-bicycle": ("Road Bicycle, Matt Black", "image-enhancement"),
    "skipping-rope": ("Skipping Rope, Orange Handles", "ghost-mannequin"),
}

PHOTOS: tuple[Photo, ...] = tuple(
    Photo(name, _FOLDER / f"{name}.jpg", title, tool_id)
    for name, (title, tool_id) in _PRODUCTS.items()
)


def photo(name: str) -> Photo:
    """Return the photograph called `name`; KeyError when there is none."""
    for candidate in PHOTOS:
        if candidate.name == name:
            return candidate
    raise KeyError(name)
