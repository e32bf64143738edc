"""What telling others needs from the outside (as ports.py has the rest).

Apart from the others for the webhook's cold start, which needs none of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.domain.endpoints import Delivery, Endpoint
from shared.domain.job import Job
from shared.domain.letters import Letter
from shared.domain.notices import Notice
from shared.domain.shop import Notifications
from shared.usecases.ports import DeliveryRef, Idempotency


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """One page of an endpoint's deliveries, newest first. position: None at the end."""

    deliveries: tuple[Delivery, ...]
    position: str | None


class EndpointStore(Protocol):
    """The shops' webhook endpoints, and what is delivered to them.

    Every write of one is on condition of its version. All methods may raise
    StoreUnavailableError.
    """

    def add_endpoint(
        self, endpoint: Endpoint, *, idempotency: Idempotency | None = None
    ) -> Endpoint:
        """Store an endpoint; returns it, or the one that was made with the same
        Idempotency-Key within 24 hours.

        Raises ConflictError when the shop has 10 of them, or when that one was removed.
        """
        ...

    def get_endpoint(self, shop: str, endpoint_id: str) -> Endpoint | None:
        """Read consistently; None when the shop has no such endpoint."""
        ...

    def endpoints(self, shop: str) -> list[Endpoint]:
        """Read the shop's endpoints consistently, the oldest first (one Query)."""
        ...

    def save_endpoint(self, before: Endpoint, after: Endpoint) -> Endpoint:
        """Write `after` over `before`; returns it with the new version.

        Raises VersionConflictError, also when it is gone.
        """
        ...

    def remove_endpoint(self, shop: str, endpoint_id: str) -> bool:
        """Remove it; False when there is none. Its deliveries go when their time is over."""
        ...

    def add_delivery(self, delivery: Delivery) -> bool:
        """Store a delivery; False when it is there already (it stays as it is)."""
        ...

    def get_delivery(self, ref: DeliveryRef) -> Delivery | None:
        """Read consistently; None when there is none (any more)."""
        ...

    def save_delivery(self, before: Delivery, after: Delivery) -> Delivery:
        """Write `after` over `before`; returns it with the new version.

        Raises VersionConflictError.
        """
        ...

    def deliveries(
        self, shop: str, endpoint_id: str, *, limit: int, position: str | None = None
    ) -> DeliveryPage:
        """Read a page of an endpoint's deliveries, newest first."""
        ...

    def due_deliveries(self, now: datetime, *, limit: int) -> list[DeliveryRef]:
        """Read which deliveries are due at `now`, of all shops (the index may lag)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChange:
    """A write of a job, as the table's stream tells of it. before: None when it made the job."""

    before: Job | None
    after: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChange:
    """A write of a webhook endpoint, as the table's stream tells of it."""

    before: Endpoint | None
    after: Endpoint


type Change = JobChange | EndpointChange


class NoticeBus(Protocol):
    """Where other programs of ours listen."""

    def put(self, notices: Sequence[Notice]) -> None:
        """Put them all on the bus; raises RetryableError unless it took every one."""
        ...


class AddressState(StrEnum):
    """Whether somebody who is to be written to has agreed."""

    CONFIRMED = "confirmed"
    PENDING = "pending"
    GONE = "gone"  # never confirmed, or unsubscribed by its owner; naming it again asks anew
    UNKNOWN = "unknown"  # it could not be found out


class Letters(Protocol):
    """E-mail and short messages to people of a shop. All methods may raise RetryableError."""

    def send(self, notice: Notice, letter: Letter) -> bool:
        """Send to those of the shop who want to hear of it; False when the shop has nobody."""
        ...

    def subscribe(self, shop: str, wanted: Notifications | None) -> None:
        """Have exactly these people written to (None: nobody). Whoever is new is asked first.

        Raises InvalidRequestError for an address that cannot be one.
        """
        ...

    def states(self, shop: str) -> Mapping[str, AddressState]:
        """Return who is known, by address."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What became of one call of a shop's endpoint.

    status: what it answered; None when it did not, then code says why: `timed_out`,
    `unreachable`, `address_refused`, `not_http`. retry_after_s: the wait it asked for.
    excerpt: the beginning of the answer, at most 1 KB.
    """

    status: int | None
    code: str | None
    duration_ms: int
    retry_after_s: float | None = None
    excerpt: str | None = field(default=None, repr=False)


class Posts(Protocol):
    """Calls of the shops' own endpoints, safely."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        """Make one call, within 15 s; redirects are not followed. Raises nothing."""
        ...
