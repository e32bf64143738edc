"""What an adapter of a provider declares. Adapters are pure: bytes and headers in, events out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from shared.domain.events import Proof, ProviderEvent, Source
from shared.domain.job import Job
from shared.domain.plan import Patience
from shared.domain.tools import Account, FactKind, Tool


class Check(StrEnum):
    """The result of verifying a delivery: a closed set."""

    ACCEPTED = "accepted"
    MISSING = "missing"  # no signature
    AMBIGUOUS = "ambiguous"  # two headers that differ
    MALFORMED = "malformed"  # not in the scheme's grammar
    WRONG = "wrong"  # no secret fits


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a delivery is genuine, and what that proves."""

    check: Check
    proof: Proof = Proof.NONE

    @property
    def is_accepted(self) -> bool:
        """Whether it is genuine."""
        return self.check is Check.ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook as it arrived.

    headers: names in lower case. reference: our own `ref` from the callback URL, if any,
    not yet verified.
    """

    provider: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    received_at: datetime
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDelivery:
    """What a genuine delivery says.

    event: `attempt` is not filled in yet. reference: our own reference as the provider echoed
    it in its metadata, not yet verified. in_window: False when its own timestamp is more than
    300 s from the reception: it is not applied, but its job is polled.
    """

    event: ProviderEvent
    reference: str | None
    in_window: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to a provider, as data. path: relative to the provider's base address."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. retry_after_s: the wait that the provider asked for, if any."""

    status: int
    body: bytes = field(repr=False)
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of the provider's jobs.

    found: our reference (as echoed) → what the provider says of that job.
    by_id: the provider's id → the same. next_offset: None when the listing is complete.
    """

    found: Mapping[str, ProviderEvent]
    by_id: Mapping[str, ProviderEvent]
    next_offset: int | None


class MalformedDeliveryError(Exception):
    """A genuine delivery that cannot be read. The message is a sentence."""


class ShopTopic(StrEnum):
    """What Shopify tells of a shop that we act on."""

    UNINSTALLED = "app/uninstalled"
    SCOPES_UPDATE = "app/scopes_update"
    DATA_REQUEST = "customers/data_request"
    CUSTOMER_REDACT = "customers/redact"
    SHOP_REDACT = "shop/redact"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopNotice:
    """What a genuine delivery of Shopify's says.

    shop: whom it is about. webhook_id: the same for every delivery of the same notice.
    triggered_at: when it happened, as far as can be believed. scopes, updated_at: of
    `app/scopes_update` only; the latter is signed.
    """

    topic: ShopTopic
    shop: str
    webhook_id: str
    triggered_at: datetime
    scopes: tuple[str, ...] = ()
    updated_at: datetime | None = None


class ShopSender(Protocol):
    """Whoever tells of shops: Shopify."""

    def verify(self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> Verdict:
        """Check a delivery: total (never raises), constant time, any of the secrets."""
        ...

    def topic(self, headers: Mapping[str, str]) -> ShopTopic | None:
        """Return the topic; None for one that means nothing to us."""
        ...

    def read(
        self, topic: ShopTopic, body: bytes, headers: Mapping[str, str], received_at: datetime
    ) -> ShopNotice:
        """Read a genuine delivery. Raises MalformedDeliveryError."""
        ...


class ProviderAdapter(Protocol):
    """Everything that is particular to one provider."""

    name: str
    patience: Patience
    result_hosts: tuple[str, ...]
    can_cancel: bool
    # Whether a delivery whose check proves less than its body and its time may end a job. If
    # not, it is a hint: the provider is asked.
    trusts_deliveries: bool
    # Calls of a minute we allow ourselves, for creates and for everything else.
    create_ceiling: int
    poll_ceiling: int
    # Calls of a minute other than creates that creates cannot use up, beside those above.
    asking_floor: int

    def verify(
        self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime
    ) -> Verdict:
        """Check a delivery: total (never raises), constant time, any of the secrets."""
        ...

    def parse(self, body: bytes, received_at: datetime, proof: Proof) -> ParsedDelivery:
        """Read a genuine delivery. Raises MalformedDeliveryError."""
        ...

    def create_request(self, job: Job, callback_url: str, reference: str) -> Request:
        """Describe the call that starts the job's current attempt."""
        ...

    def read_created(self, reply: Reply) -> ProviderEvent:
        """Read the answer to a create call; `provider_job_id` is set.

        Raises ProviderBusyError (429: not executed), ProviderRefusedError (a 4xx with the
        provider's error body: not executed), ProviderUnknownOutcomeError (everything else).
        """
        ...

    def poll_request(self, provider_job_id: str) -> Request:
        """Describe the call that asks for one job."""
        ...

    def read_polled(self, reply: Reply, provider_job_id: str, source: Source) -> ProviderEvent:
        """Read the answer to a poll. A job the provider does not know is a failed one.

        Raises ProviderBusyError, ProviderUnknownOutcomeError (try again later).
        """
        ...

    def list_request(self, since: datetime, offset: int) -> Request | None:
        """Describe the call that lists jobs created at `since` or later; None if it cannot."""
        ...

    def read_listed(self, reply: Reply, offset: int) -> Listing:
        """Read one page of the listing. Raises as `read_polled`."""
        ...

    def fact_request(self, kind: FactKind) -> Request | None:
        """Describe the call that asks for the tools, or for our account; None if it cannot be."""
        ...

    def read_tools(self, reply: Reply) -> Mapping[str, Tool]:
        """Read the tools, by id. Raises as `read_polled`."""
        ...

    def read_account(self, reply: Reply) -> Account:
        """Read our account. Raises as `read_polled`."""
        ...
