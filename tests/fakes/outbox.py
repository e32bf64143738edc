"""Queues that remember what was sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.errors import QueueUnavailableError
from shared.domain.ids import JobRef
from shared.usecases.ports import (
    BulkRequest,
    DeliverRequest,
    DispatchMessage,
    DispatchRequest,
    PushRequest,
)


@dataclass(frozen=True, slots=True)
class SentDispatch:
    """A message of the dispatch queue, and its delay in seconds."""

    request: DispatchMessage
    delay_s: int


class FakeOutbox:
    """Implements Outbox.

    dispatches, pushes, bulks, delivers: what was sent, in order. broken: sending fails,
    nothing is kept.
    """

    def __init__(self) -> None:
        self.dispatches: list[SentDispatch] = []
        self.pushes: list[PushRequest] = []
        self.bulks: list[tuple[BulkRequest, int]] = []
        self.delivers: list[tuple[DeliverRequest, int]] = []
        self.broken = False
        self.calls = 0

    def send_dispatch(self, requests: Sequence[DispatchMessage], *, delay_s: int = 0) -> None:
        """Keep what is sent."""
        self._check()
        if not 0 <= delay_s <= 900:
            raise ValueError(f"SQS delays a message by 0 to 900 s, not {delay_s}")
        self.dispatches += [SentDispatch(request, delay_s) for request in requests]

    def send_push(self, requests: Sequence[PushRequest]) -> None:
        """Keep what is sent."""
        self._check()
        self.pushes += requests

    def send_bulk(self, requests: Sequence[BulkRequest], *, delay_s: int = 0) -> None:
        """Keep what is sent, with its delay."""
        self._check()
        self.bulks += [(request, delay_s) for request in requests]

    def send_deliver(self, requests: Sequence[DeliverRequest], *, delay_s: int = 0) -> None:
        """Keep what is sent, with its delay."""
        self._check()
        if not 0 <= delay_s <= 900:
            raise ValueError(f"SQS delays a message by 0 to 900 s, not {delay_s}")
        self.delivers += [(request, delay_s) for request in requests]

    @property
    def dispatched_refs(self) -> list[JobRef]:
        """Whose jobs the dispatch lane was asked to look at, in order."""
        return [
            sent.request.ref
            for sent in self.dispatches
            if isinstance(sent.request, DispatchRequest)
        ]

    def clear(self) -> None:
        """Forget what was sent."""
        self.dispatches.clear()
        self.pushes.clear()
        self.bulks.clear()
        self.delivers.clear()

    def _check(self) -> None:
        self.calls += 1
        if self.broken:
            raise QueueUnavailableError("The queue is out.")
