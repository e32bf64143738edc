"""The image work: bytes in, bytes out, visibly different for every tool.

Plain Pillow; nothing here pretends to be a model. Source of the tool names:
the service's public client (mock ids and export). What a tool does to the picture
is an assumption made from its name.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps, ImageStat

MAX_PIXELS = 40_000_000
MAX_SIDE = 2_400
_MASK_SIDE = 360
_LIGHT = (247, 247, 245)
_WHITE = (255, 255, 255)

type Picture = Image.Image


class EditError(Exception):
    """The bytes are not a picture this service can work on; the message says why."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A finished picture: encoded bytes, media type, file extension, size in pixels."""

    data: bytes
    media_type: str
    extension: str
    width: int
    height: int


def edit(tool_id: str, data: bytes) -> Edited:
    """Return the picture as the tool leaves it.

    Raises: EditError when `data` is no picture, or one of more than 40 megapixels;
        KeyError when there is no such tool.
    """
    work, form = _TOOLS[tool_id]
    picture = work(_open(data))
    buffer = io.BytesIO()
    if form == "PNG":
        picture.save(buffer, "PNG", compress_level=6)
        return Edited(buffer.getvalue(), "image/png", "png", *picture.size)
    picture.save(buffer, "JPEG", quality=88, optimize=True)
    return Edited(buffer.getvalue(), "image/jpeg", "jpg", *picture.size)


def _open(data: bytes) -> Picture:
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_PIXELS:
            raise EditError("The input image has too many pixels")
        return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise EditError("The input is not an image that can be read") from error


def _remove_background(picture: Picture) -> Picture:
    return _on_flat(picture, _LIGHT)


def _replace_background(picture: Picture) -> Picture:
    """Put the subject before a studio backdrop that darkens towards the floor."""
    fade = Image.linear_gradient("L").resize(picture.size)
    backdrop = ImageOps.colorize(fade, black="#e9eef2", white="#9fb0bd")
    return Image.composite(picture, backdrop, _subject_mask(picture))


def _ghost_mannequin(picture: Picture) -> Picture:
    """Cut the subject out, centre it on a white square and give it a soft shadow."""
    mask = _subject_mask(picture)
    box = mask.point(lambda level: 255 if level > 96 else 0).getbbox() or (0, 0, *picture.size)
    subject, cut = picture.crop(box), mask.crop(box)
    side = round(max(subject.size) * 1.18)
    at = ((side - subject.width) // 2, (side - subject.height) // 2)
    shadow = Image.new("L", (side, side), 0)
    shadow.paste(cut, (at[0], at[1] + side // 40))
    shadow = shadow.filter(ImageFilter.GaussianBlur(side / 50)).point(lambda level: level * 0.3)
    canvas = Image.new("RGB", (side, side), _WHITE)
    canvas.paste((60, 60, 66), (0, 0), shadow)
    canvas.paste(subject, at, cut)
    return canvas


def _enhance(picture: Picture) -> Picture:
    # All channels stretched alike: each by itself would change the product's colour.
    picture = ImageOps.autocontrast(picture, cutoff=1, preserve_tone=True)
    picture = ImageEnhance.Color(picture).enhance(1.2)
    return picture.filter(ImageFilter.UnsharpMask(radius=2.4, percent=130, threshold=2))


def _correct_colour(picture: Picture) -> Picture:
    """Balance the channels to a neutral mean (grey world), then stretch them alike."""
    means = ImageStat.Stat(picture).mean
    grey = sum(means) / len(means)
    # Only part of the way: a picture of one colour has a reason to be of that colour.
    gains = [1 + (grey / max(mean, 1.0) - 1) * 0.35 for mean in means]
    bands = [
        band.point([min(255, round(level * gain)) for level in range(256)])
        for band, gain in zip(picture.split(), gains, strict=True)
    ]
    return ImageOps.autocontrast(Image.merge("RGB", bands), cutoff=0.5, preserve_tone=True)


def _retouch(picture: Picture) -> Picture:
    """Smooth surfaces, keep edges, lift the light a little."""
    smooth = picture.filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.SMOOTH_MORE)
    edges = picture.convert("L").filter(ImageFilter.FIND_EDGES)
    keep = edges.filter(ImageFilter.GaussianBlur(2)).point(lambda level: min(255, level * 4))
    return ImageEnhance.Brightness(Image.composite(picture, smooth, keep)).enhance(1.08)


def _upscale(picture: Picture) -> Picture:
    factor = min(4.0, MAX_SIDE / max(picture.size))
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    bigger = picture.resize(size, Image.Resampling.LANCZOS)
    return bigger.filter(ImageFilter.UnsharpMask(radius=2, percent=80, threshold=3))


def _on_flat(picture: Picture, colour: tuple[int, int, int]) -> Picture:
    return Image.composite(picture, Image.new("RGB", picture.size, colour), _subject_mask(picture))


def _subject_mask(picture: Picture) -> Picture:
    """Return the subject as white on black, soft at its edge.

    The background is what resembles the colours of the rim (carried across the picture, so
    that a lit wall still counts as one) and hangs together with it.
    """
    small = picture.copy()
    small.thumbnail((_MASK_SIDE, _MASK_SIDE))
    small = small.filter(ImageFilter.GaussianBlur(1))
    red, green, blue = ImageChops.difference(small, _carried_rim(small)).split()
    distance = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    mask = distance.point(lambda level: 255 if level > 30 else 0)
    mask = mask.filter(ImageFilter.MaxFilter(3))
    for seed in _rim_points(mask.size):
        if mask.getpixel(seed) == 0:
            ImageDraw.floodfill(mask, seed, 128)
    # What the flood did not reach is subject, holes within it included.
    mask = mask.point(lambda level: 0 if level == 128 else 255)
    mask = mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MedianFilter(5))
    mask = mask.filter(ImageFilter.GaussianBlur(0.8))
    return mask.resize(picture.size, Image.Resampling.BICUBIC)


def _carried_rim(picture: Picture) -> Picture:
    """Return a picture of this size that runs smoothly between the rim's colours."""
    width, height = picture.size
    patch = max(1, min(width, height) // 12)
    grid = Image.new("RGB", (2, 2))
    for column, left in enumerate((0, width - patch)):
        for row, top in enumerate((0, height - patch)):
            corner = picture.crop((left, top, left + patch, top + patch))
            median = ImageStat.Stat(corner).median
            grid.putpixel((column, row), (int(median[0]), int(median[1]), int(median[2])))
    return grid.resize(picture.size, Image.Resampling.BILINEAR)


def _rim_points(size: tuple[int, int]) -> list[tuple[int, int]]:
    width, height = size
    across = [(x, y) for x in range(0, width, 4) for y in (0, height - 1)]
    down = [(x, y) for y in range(0, height, 4) for x in (0, width - 1)]
    return across + down


_TOOLS: dict[str, tuple[Callable[[Picture], Picture], str]] = {
    "background-removal": (_remove_background, "PNG"),
    "background-replacement": (_replace_background, "JPEG"),
    "color-correction": (_correct_colour, "JPEG"),
    "gemini-background-removal": (_remove_background, "PNG"),
    "gemini-background-replacement": (_replace_background, "JPEG"),
    "gemini-batch-enhancement": (_enhance, "JPEG"),
    "ghost-mannequin": (_ghost_mannequin, "JPEG"),
    "image-enhancement": (_enhance, "JPEG"),
    "photo-retouching": (_retouch, "JPEG"),
    "upscale-4x": (_upscale, "JPEG"),
}
TOOL_IDS = frozenset(_TOOLS)
