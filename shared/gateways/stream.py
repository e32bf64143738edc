"""Records of the table's stream, as Lambda gives them.

Source: Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB"; the images are items as
the low-level API has them (read 2026-11).
"""

from collections.abc import Callable, Mapping
from typing import Any

from shared.domain.errors import InvariantError
from shared.gateways.dynamo_endpoints import ENDPOINT_PREFIX, read_endpoint
from shared.gateways.dynamo_items import JOB_PREFIX, read_job
from shared.usecases.notice_ports import Change, EndpointChange, JobChange


def read_change(record: Mapping[str, Any]) -> Change | None:
    """Read what a record tells of; None for other items, and for what was deleted.

    Raises InvariantError for a record that this version of ours cannot read.
    """
    told = record["dynamodb"]
    kind: str = told["Keys"]["sk"]["S"]
    if "NewImage" not in told:
        return None
    if kind.startswith(JOB_PREFIX):
        before, after = _images(told, read_job)
        return JobChange(before=before, after=after)
    if kind.startswith(ENDPOINT_PREFIX):
        old, new = _images(told, read_endpoint)
        return EndpointChange(before=old, after=new)
    return None


def _images[T](
    told: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]
) -> tuple[T | None, T]:
    try:
        before = read(told["OldImage"]) if "OldImage" in told else None
        return before, read(told["NewImage"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvariantError(f"An item cannot be read ({type(error).__name__}).") from error
