"""Which of our image work a provider's model does.

The last part of a model's name is what it does (`acme/upscale-4x`), so that every tool of the
simulators can be had at every provider; some real models' names are known besides.
"""

from local.provider_simulator.editing import TOOL_IDS

REAL_MODELS = {
    "851-labs/background-remover": "background-removal",
    "lucataco/remove-bg": "background-removal",
    "nightmareai/real-esrgan": "upscale-4x",
    "fal-ai/birefnet": "background-removal",
    "fal-ai/bria/background/replace": "background-replacement",
    "fal-ai/clarity-upscaler": "upscale-4x",
}


def work_of(model: str) -> str | None:
    """Return the image work that a model does; None if there is no such model.

    >>> work_of("fal-ai/birefnet"), work_of("acme/ghost-mannequin"), work_of("acme/poetry")
    ('background-removal', 'ghost-mannequin', None)
    """
    last = model.rpartition("/")[2]
    return REAL_MODELS.get(model, last if last in TOOL_IDS else None)
