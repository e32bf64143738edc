"""The `NoticeBus` on Amazon EventBridge.

Shape of an entry: source `job-tracker`, detail-type the notice's type, detail
`{"id", "type", "timestamp", "shop", "data"}`.
"""

import json
from collections.abc import Sequence
from itertools import batched
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import InvariantError, RetryableError
from shared.domain.ids import iso
from shared.domain.notices import Notice

SOURCE = "job-tracker"
# EventBridge's own limit; a notice is far below a tenth of the 256 KB that a call may have.
BATCH_SIZE = 10
TRIES = 3
# Codes of single entries that no other try will heal.
# Source: API reference of PutEvents, "PutEventsResultEntry" (read 2026-11).
_OUR_FAULT = frozenset(
    {"InvalidArgument", "MalformedDetail", "InvalidAccountIdException", "AccessDeniedException"}
)


class EventBridgeBus:
    """Puts notices on one bus, and looks at what became of each."""

    def __init__(self, client: Any, bus_name: str) -> None:
        self._client = client
        self._bus_name = bus_name

    def put(self, notices: Sequence[Notice]) -> None:
        """Put them all on the bus. A call that succeeds may have refused entries: those are sent
        again. Raises RetryableError, or InvariantError for an entry that is wrong."""
        for chunk in batched(notices, BATCH_SIZE, strict=False):
            left = [self._entry(notice) for notice in chunk]
            for _ in range(TRIES):
                left = self._put(left)
                if not left:
                    break
            if left:
                raise RetryableError(f"The event bus refused {len(left)} entries.")

    def _put(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Make one call; returns the entries to send again."""
        try:
            reply = self._client.put_events(Entries=entries)
        except (ClientError, BotoCoreError) as error:
            raise RetryableError(
                f"The event bus does not answer ({type(error).__name__})."
            ) from error
        if not reply.get("FailedEntryCount"):
            return []
        codes = [entry.get("ErrorCode") for entry in reply["Entries"]]
        if wrong := sorted(_OUR_FAULT.intersection(codes)):
            raise InvariantError(f"The event bus refused an entry of ours ({', '.join(wrong)}).")
        return [entry for entry, code in zip(entries, codes, strict=True) if code is not None]

    def _entry(self, notice: Notice) -> dict[str, Any]:
        detail = {
            "id": notice.notice_id,
            "type": notice.type.value,
            "timestamp": iso(notice.at),
            "shop": notice.shop,
            "data": notice.data,
        }
        return {
            "EventBusName": self._bus_name,
            "Source": SOURCE,
            "DetailType": notice.type.value,
            "Time": notice.at,
            "Detail": json.dumps(detail, ensure_ascii=False, separators=(",", ":")),
        }
