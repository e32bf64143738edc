"""Python's search for garbage, which a function that starts on Lambda does without.

Next to nothing that init makes is thrown away, and yet Python looked through it 38 times and found
some 400 objects: a twelfth of the webhook's cold start in time, if only a twenty-fifth of its
instructions, as a look at an old object waits for memory.
"""

import gc

from shared.settings import is_on_lambda


def pause() -> None:
    """Search no more until `resume`. Nowhere but on Lambda does this do anything."""
    if is_on_lambda():
        gc.disable()


def resume() -> None:
    """Search again, from now on without what init has made: it lives as long as the process."""
    if is_on_lambda():
        gc.freeze()
        gc.enable()
