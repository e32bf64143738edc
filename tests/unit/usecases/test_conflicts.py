"""What others may be changing at the same time."""

import pytest

from shared.domain.errors import StoreUnavailableError, VersionConflictError
from shared.usecases.conflicts import CONFLICT_TRIES, retry_on_conflict


class Contended:
    """Something that others change at each of our first tries."""

    def __init__(self, times: int) -> None:
        self.left, self.tries = times, 0

    def change(self) -> str:
        self.tries += 1
        if self.left:
            self.left -= 1
            raise VersionConflictError("Somebody else was faster.")
        return "done"


def test_a_change_is_tried_again_until_nobody_is_faster() -> None:
    thing = Contended(CONFLICT_TRIES - 1)
    assert (retry_on_conflict("shop", thing.change), thing.tries) == ("done", CONFLICT_TRIES)


def test_it_ends_as_something_to_try_again_later() -> None:
    thing = Contended(CONFLICT_TRIES + 1)
    with pytest.raises(StoreUnavailableError, match="The shop is being changed by too many"):
        retry_on_conflict("shop", thing.change)
    assert thing.tries == CONFLICT_TRIES
