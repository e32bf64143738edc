"""Change what others may be changing at the same time."""

from collections.abc import Callable

from shared.domain.errors import StoreUnavailableError, VersionConflictError

# What changes under our hands this often in a row is better tried again later.
CONFLICT_TRIES = 8


def retry_on_conflict[Done](what: str, change: Callable[[], Done]) -> Done:
    """Read, decide and write, again while somebody else is faster.

    Parameters
        what: is changed, for the log. change: does all three; it raises VersionConflictError
            when the item was no longer as it had read it.

    Returns what `change` returns. Raises what it raises; StoreUnavailableError after many tries.
    """
    for _ in range(CONFLICT_TRIES):
        try:
            return change()
        except VersionConflictError:
            continue
    raise contended(what)


def contended(what: str) -> StoreUnavailableError:
    """Make the error of something that others were changing at every try."""
    return StoreUnavailableError(f"The {what} is being changed by too many at once.")
