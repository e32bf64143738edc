"""Where a job's own image goes among the parameters that its provider's model wants."""

from collections.abc import Mapping
from typing import Any

# A parameter whose value is this text gets the job's `inputImageUrl`.
IMAGE_PLACE = "{inputImageUrl}"


def with_image(parameters: Mapping[str, Any], image_url: str | None, name: str) -> dict[str, Any]:
    """Return a model's input: the parameters, with the job's image in its place.

    Models call their images by many names. A parameter that says `{inputImageUrl}` has the image
    put there, at any depth; if there is none, it goes to `name`, unless that is given.

    >>> with_image({"prompt": "x"}, "https://s/1.jpg", "image")
    {'image': 'https://s/1.jpg', 'prompt': 'x'}
    >>> with_image({"layers": ["{inputImageUrl}"]}, "https://s/1.jpg", "image")
    {'layers': ['https://s/1.jpg']}
    """
    if image_url is None:
        return dict(parameters)
    placed: dict[str, Any] = _placed(parameters, image_url)
    if placed != parameters or name in placed:
        return placed
    return {name: image_url, **placed}


def _placed(value: Any, image_url: str) -> Any:
    if value == IMAGE_PLACE:
        return image_url
    if isinstance(value, Mapping):
        return {key: _placed(inner, image_url) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placed(inner, image_url) for inner in value]
    return value
