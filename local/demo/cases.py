"""What is made to go wrong, photo by photo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from local.demo.photos import Picture

SHOP = "demo-shop.myshopify.com"
THROTTLED_SHOP = "throttled-shop.myshopify.com"
SHOPS = (SHOP, THROTTLED_SHOP)


class Kind(StrEnum):
    """Which trouble a photo gets into."""

    LOST = "lost"
    ANSWER_LOST = "answer_lost"
    RETRIED = "retried"
    LATE = "late"
    DUPLICATE = "duplicate"
    FORGED = "forged"
    THROTTLED = "throttled"
    BUSY = "busy"
    EXPIRED = "expired"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Case:
    """One trouble.

    label: what the tables call it. hint: what the reader is waiting for meanwhile.
    faults: the provider's simulator's (local.provider_simulator.faults.Faults), for the first
        `times` dispatches of the job (None = all).
    """

    kind: Kind
    label: str
    hint: str = ""
    faults: Mapping[str, Any] = field(default_factory=dict)
    times: int | None = None
    shop: str = SHOP

    @property
    def attempts(self) -> int:
        """Return how many attempts such a job takes in the end."""
        return 2 if self.kind is Kind.RETRIED else 1


_THROTTLED = Case(
    Kind.THROTTLED,
    "throttled shop",
    "Shopify says THROTTLED; the push waits for the shop's bucket",
    shop=THROTTLED_SHOP,
)

# The first is recovered by the sweep's poll, which is due a minute after the start: it goes first.
CASES: tuple[Case, ...] = (
    Case(
        Kind.LOST,
        "webhooks lost",
        "the provider will not call; the sweep asks it after a minute",
        {"webhook_lost": "all"},
    ),
    Case(
        Kind.ANSWER_LOST,
        "answer to create lost",
        "the job exists and we were not told; it must not be paid twice",
        {"create": "lost_answer"},
    ),
    Case(
        Kind.RETRIED,
        "fails, then retried",
        "attempt 1 fails; POST /api/jobs/retry begins attempt 2",
        {"fail": {}},
        times=1,
    ),
    Case(
        Kind.LATE,
        "late webhook",
        "`started` is delivered after `completed`",
        {"webhook_out_of_order": True},
    ),
    Case(
        Kind.DUPLICATE,
        "webhooks three times",
        "each webhook comes three times",
        {"webhook_copies": 3},
    ),
    Case(
        Kind.FORGED,
        "forged webhooks too",
        "each webhook comes forged first",
        {"webhook_forged": "also"},
    ),
    _THROTTLED,
    _THROTTLED,
    Case(
        Kind.BUSY,
        "provider busy (429)",
        "the provider answers 429; it is sent again after Retry-After",
        {"create": "rate_limited", "retry_after_s": 2},
        times=1,
    ),
    Case(
        Kind.EXPIRED,
        "result link dead",
        "the link died at once; a poll asks for a fresh one",
        {"result": "expired"},
    ),
)
PLAIN = Case(Kind.PLAIN, "")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A photo and what happens to it; `input_url` is where the provider fetches the photo."""

    picture: Picture
    case: Case
    input_url: str


def assign(
    pictures: Sequence[Picture], photos_url: str, cases: Sequence[Case] = CASES
) -> tuple[Assignment, ...]:
    """Give each photo its case, by position as far as the cases reach; the rest are plain.

    >>> pictures = [Picture(f"{n}.jpg", str(n), "upscale-4x", b"") for n in range(11)]
    >>> [a.case.kind.value for a in assign(pictures, "http://127.0.0.1/photos")][-2:]
    ['expired', 'plain']
    """
    all_cases = [*cases, *[PLAIN] * len(pictures)]
    return tuple(
        Assignment(picture, case, f"{photos_url}/{picture.url_name}")
        for picture, case in zip(pictures, all_cases, strict=False)
    )


def simulator_rules(assignments: Sequence[Assignment]) -> list[dict[str, Any]]:
    """Return the simulator's rules: our own requests carry nothing of the demo."""
    return [
        {
            # The slash in front keeps `chair.jpg` from meaning `armchair.jpg` too.
            "match": {"url_contains": f"/{each.picture.url_name}"},
            "times": each.case.times,
            "per": "job",
            "faults": dict(each.case.faults),
        }
        for each in assignments
        if each.case.faults
    ]
