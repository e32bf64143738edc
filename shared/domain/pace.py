"""How long a provider's tool takes, learnt from jobs that ended: a histogram that can be summed.

Each duration counts in one bucket; four buckets to each doubling, so a bucket is 19 % wide. Counts
of different months, or written by different functions at once, are simply added.
"""

from collections.abc import Mapping
from math import ceil, log2

_PER_DOUBLING = 4
# From 62 ms, which is nothing, to twelve days, which is for ever.
_LEAST_MS, _BUCKETS = 62.5, 96
# Fewer say nothing yet.
ENOUGH = 3


def bucket_of(duration_ms: int) -> int:
    """Return the bucket that a duration counts in.

    >>> bucket_of(0), bucket_of(1000), bucket_of(10_000), bucket_of(10**15)
    (0, 16, 29, 95)
    """
    number = int(_PER_DOUBLING * log2(max(duration_ms, _LEAST_MS) / _LEAST_MS))
    return min(number, _BUCKETS - 1)


def expected_ms(counts: Mapping[int, int]) -> int | None:
    """Return the median duration (the middle of its bucket); None while too few are known.

    >>> expected_ms({16: 2, 29: 5, 40: 1}), expected_ms({16: 2})
    (10375, None)
    """
    total = sum(counts.values())
    if total < ENOUGH:
        return None
    passed = 0
    for number in sorted(counts):
        passed += counts[number]
        if passed >= ceil(total / 2):
            return round(_LEAST_MS * 2 ** ((number + 0.5) / _PER_DOUBLING))
    return None
