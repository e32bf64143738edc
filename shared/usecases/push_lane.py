"""What the push lane works with, and what it reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.errors import RetryableError
from shared.domain.ids import JobRef
from shared.usecases.ports import Files, ShopAdmins
from shared.usecases.shop_access import ShopAccess
from shared.usecases.tracker import Tracker

# What a returned message waits at most; a shop that is out is asked again this often.
MAX_WAIT_S = 900.0
FIRST_WAIT_S = 15.0


class PushOutcome(StrEnum):
    """What became of a job in one run: a closed set, all of it normal life."""

    PUSHED = "pushed"  # it is on the product
    UNDONE = "undone"  # it is off the product
    FAILED = "failed"  # it will not heal; the merchant reads why
    POSTPONED = "postponed"  # this job must wait; it is due later
    CONTINUED = "continued"  # time was up; the rest has its own message
    NOTHING = "nothing"  # nothing to do (any more): pushed already, or too early
    GONE = "gone"  # the job was deleted
    RETURNED = "returned"  # the shop must wait, and with it this message


@dataclass(frozen=True, slots=True, kw_only=True)
class PushLane:
    """The collaborators of everything that is done towards shops."""

    tracker: Tracker
    files: Files
    access: ShopAccess
    admins: ShopAdmins


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What one run amounted to.

    trouble: why the rest was returned, None if nothing was. calls, points: GraphQL calls
    answered, and their actual cost. failures: our codes of the pushes that failed.
    """

    outcomes: Mapping[JobRef, PushOutcome]
    trouble: RetryableError | None = None
    calls: int = 0
    points: float = 0.0
    failures: tuple[str, ...] = ()

    def wait_s(self, receives: int) -> int:
        """Return how long a returned message stays invisible, in whole seconds (1 to 900).

        Parameters: `receives` is how often it was received so far (from 1): where Shopify does
        not say how long to wait, the wait doubles.
        """
        asked = None if self.trouble is None else self.trouble.retry_after_s
        seconds = FIRST_WAIT_S * 2.0 ** min(receives - 1, 10) if asked is None else asked
        return int(min(max(-(-seconds // 1), 1.0), MAX_WAIT_S))
