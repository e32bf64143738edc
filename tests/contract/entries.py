"""Timeline entries for tests."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

from shared.domain.events import LogEntry, Source
from shared.domain.ids import uuid7
from shared.domain.status import Outcome
from tests.fakes.clock import START

_numbers = count(1)


def an_entry(at: datetime = START, **changes: Any) -> LogEntry:
    """Return an entry that sorts after those made before it for the same instant."""
    values: dict[str, Any] = {
        "entry_id": uuid7(at, next(_numbers).to_bytes(10)),
        "at": at,
        "source": Source.WEBHOOK,
        "outcome": Outcome.APPLIED,
        "message": "The provider says completed.",
        "attempt": 1,
    }
    return LogEntry(**(values | changes))
