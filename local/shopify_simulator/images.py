"""Judge bytes as Shopify's media processing would: an image it takes, or an error code.

Limits (shopify.dev, recorded answers): 20,971,520 bytes, 20 megapixels (the lower of two published
numbers), PNG, JPEG, GIF and WebP.
"""

import io
from dataclasses import dataclass

import imagesize
from PIL import Image, UnidentifiedImageError

MAX_BYTES = 20_971_520
MAX_PIXELS = 20_000_000

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True)
class Picture:
    """An acceptable image: its bytes, real type and size in pixels."""

    content: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True)
class MediaFailure:
    """Why processing fails: a value of MediaErrorCode (= FileErrorCode) and a sentence."""

    code: str
    message: str


def media_type_of(content: bytes) -> str | None:
    """Recognise the four image types by their first bytes."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), None)


def judge(content: bytes) -> Picture | MediaFailure:
    """Decide what becomes of uploaded bytes."""
    if not 1 <= len(content) <= MAX_BYTES:
        return MediaFailure("INVALID_IMAGE_FILE_SIZE", "The image must be between 1 B and 20 MB")
    media_type = media_type_of(content)
    if media_type is None:
        return MediaFailure("UNSUPPORTED_IMAGE_FILE_TYPE", "The file is not a supported image type")
    width, height = imagesize.get(io.BytesIO(content))
    if width <= 0 or height <= 0:
        return MediaFailure("IMAGE_PROCESSING_FAILURE", "The image could not be read")
    if width * height > MAX_PIXELS:
        return MediaFailure("INVALID_IMAGE_RESOLUTION", "The image exceeds 20 megapixels")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return MediaFailure("IMAGE_PROCESSING_FAILURE", "The image could not be processed")
    return Picture(content, media_type, int(width), int(height))
