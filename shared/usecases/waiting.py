"""Wait for another function to do what it was asked for, while the caller waits for us."""

from collections.abc import Callable

from shared.usecases.ports import Clock

# API Gateway gives up after 30 s; people do much earlier.
PATIENCE_S = 8.0
STEP_S = 0.4


def look_again[T](clock: Clock, seen: T, look: Callable[[], T], *, until: Callable[[T], bool]) -> T:
    """Look until it holds of what is seen, for at most eight seconds; returns what was seen last.

    Raises what looking raises, like NotFoundError when a job was deleted meanwhile.
    """
    waited = 0.0
    while not until(seen) and waited < PATIENCE_S:
        clock.sleep(STEP_S)
        waited += STEP_S
        seen = look()
    return seen
