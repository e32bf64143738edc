"""What AWS asks for: us-east-1, on demand, arm64, without any free tier, in dollars a million.

Source: AWS's public price pages as generally known in 2025 and 2026; nobody has compared them with
a bill. Change the table and its date together.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PRICES_DATE: Final = "2026-11"
REGION: Final = "us-east-1"
PER_MILLION: Final[Mapping[str, float]] = MappingProxyType(
    {
        "DynamoDB write units": 0.625,
        "DynamoDB read units": 0.125,
        "SQS requests": 0.40,
        "SQS FIFO requests": 0.50,
        "HTTP API requests": 1.00,
        "Lambda requests": 0.20,
        "S3 PUT": 5.00,
        "S3 GET": 0.40,
        "EventBridge events": 1.00,
    }
)


def dollars_per_million(used: Mapping[str, float]) -> float:
    """Return what a million of something cost, of which one uses so much of each.

    >>> dollars_per_million({"DynamoDB write units": 40, "HTTP API requests": 1})
    26.0
    """
    return sum(PER_MILLION[what] * amount for what, amount in used.items())
