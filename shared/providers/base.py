"""What an adapter of a provider declares. Adapters are pure: bytes and headers in, events out.

A provider is one file with one class here, and one row in `registry`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from shared.domain.errors import ProviderUnknownOutcomeError
from shared.domain.events import Proof, ProviderEvent
from shared.domain.job import Attempt, Job
from shared.domain.plan import Patience
from shared.domain.tools import Account, FactKind, Tool


class Check(StrEnum):
    """The result of verifying a delivery: a closed set."""

    ACCEPTED = "accepted"
    OUT_OF_WINDOW = "out_of_window"  # rightly signed, but more than 300 s from its reception
    MISSING = "missing"  # no signature
    AMBIGUOUS = "ambiguous"  # two headers that differ
    MALFORMED = "malformed"  # not in the scheme's grammar
    WRONG = "wrong"  # no key fits
    FOREIGN = "foreign"  # rightly signed, for another account
    NO_KEY = "no_key"  # none of our keys can be used: our fault


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a delivery is genuine, and what that proves.

    key: which of the keys it was checked with fits.
    """

    check: Check
    proof: Proof = Proof.NONE
    key: int | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether it is genuine, and of now."""
        return self.check is Check.ACCEPTED

    @property
    def is_genuine(self) -> bool:
        """Whether its signature is right, whatever its time."""
        return self.check in (Check.ACCEPTED, Check.OUT_OF_WINDOW)


class KeySource(StrEnum):
    """Where the keys come from that a provider's deliveries are checked with."""

    # Our `{PROVIDER}_WEBHOOK_SECRET`, several while one replaces the other.
    SECRET = "secret"  # noqa: S105 - the name of a source
    KEY_SET = "key_set"  # public keys that the provider publishes (JWKS)
    CALLBACK = "callback"  # one of each attempt, derived from our own secret and its reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a delivery is checked with: any of several keys fits.

    account: our own account at a provider that signs for all its customers with one key; None
    if we were not told which it is.
    """

    texts: Sequence[str] = field(repr=False)
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook as it arrived.

    headers: names in lower case. reference: our own `ref` from the callback URL, if any,
    not yet verified. is_held: it has lain in quarantine since it came.
    """

    provider: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    received_at: datetime
    reference: str | None = None
    is_held: bool = False

    @property
    def held_since(self) -> datetime | None:
        """Since when it has lain in quarantine; None when it came just now."""
        return self.received_at if self.is_held else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDelivery:
    """What a genuine delivery says.

    event: `attempt` is not filled in yet. reference: our own reference as the provider echoed
    it in its metadata, not yet verified. in_window: False when a time in its body is more than
    300 s from the reception: it is not applied, but its job is polled.
    """

    event: ProviderEvent
    reference: str | None
    in_window: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Acks:
    """What a provider makes of our answers to its deliveries.

    accepted: it is content with these. tries: deliveries in all, None if that is not known.
    span_s: from the first to the last. What it does not repeat is only found by polling.
    """

    accepted: range | frozenset[int] = range(200, 300)
    tries: int | None = None
    span_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a provider's API is reached, with our key.

    url: its public address; `{PROVIDER}_API_URL` replaces it. prefix: what every path begins
    with, so that an address may be set with it or without. header, scheme: where the key goes.
    headers: sent with every call. hosts: besides that address, where its answers may send us to
    ask on (with our key!), as `host` or `.suffix`.
    max_reply_bytes: an answer may be no longer.
    """

    url: str
    prefix: str = ""
    header: str = "Authorization"
    scheme: str = "Bearer "
    headers: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    max_reply_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """What a provider is given to call us back with.

    url: it carries the reference. reference: for the provider's metadata, where it has any.
    secret: a key of this attempt alone (64 hexadecimal digits), for `KeySource.CALLBACK`.
    """

    url: str = field(repr=False)
    reference: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderJob:
    """One job at a provider, as far as one must know it to ask about it.

    poll_url: where the provider itself said to ask.
    """

    job_id: str
    tool_id: str | None = None
    poll_url: str | None = None


def provider_job(job: Job, attempt: Attempt) -> ProviderJob | None:
    """Name an attempt at its provider; None while its id there is not known."""
    if attempt.provider_job_id is None:
        return None
    return ProviderJob(
        job_id=attempt.provider_job_id, tool_id=job.tool_id, poll_url=attempt.poll_url
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to a provider, as data. path: relative to the provider's base address.

    url: an address that the provider named itself; it is used instead of the path if it is the
    provider's own (`Access.hosts`, or where its base address is), and ignored otherwise.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    url: str | None = None


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


class UnrelatedDeliveryError(Exception):
    """A genuine delivery that is about no job at all: it is acknowledged, nothing else."""


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


class Receiver(Protocol):
    """What must be known of a sender to take its deliveries."""

    name: str
    # What a passed check proves.
    proof: Proof
    key_source: KeySource = KeySource.SECRET
    # Where its public keys are; `{PROVIDER}_JWKS_URL` replaces it.
    key_set_url: str | None = None
    acks: Acks = Acks()

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        """Check a delivery: total (never raises), constant time, any of the keys.

        now: the instant of its reception.
        """
        ...


class ProviderAdapter(Receiver, Protocol):
    """Everything that is particular to one provider."""

    access: Access
    patience: Patience
    result_hosts: tuple[str, ...]
    # Whether a delivery whose check proves less than its body and its time may end a job. If
    # not, it is a hint: the provider is asked.
    trusts_deliveries: bool = False
    # Whether it tells of ends by webhook at all. Where it does not, that a poll learns of one is
    # no sign of webhooks that are missing.
    calls_back: bool = True
    can_cancel: bool = False
    # Whether a job can only be created with an image to start from.
    needs_image: bool = False
    # Whether one must know a job's tool to ask about it.
    asks_by_tool: bool = False
    # Whether a job that is asked about tells our reference, and its deliveries cannot. Then it is
    # asked whose job it is that a delivery is about and nobody here knows: else a create call
    # whose answer was lost would never be known to have been executed.
    tells_owner: bool = False
    # Calls of a minute we allow ourselves, for creates and for everything else.
    create_ceiling: int
    poll_ceiling: int
    # Calls of a minute other than creates that creates cannot use up, beside those above.
    asking_floor: int = 5

    def check_tool(self, tool_id: str) -> str | None:
        """Return what is wrong with a tool's name, as the rest of a sentence; None if nothing."""
        return None

    def parse(
        self, body: bytes, headers: Mapping[str, str], received_at: datetime, proof: Proof
    ) -> ParsedDelivery:
        """Read a genuine delivery. Raises MalformedDeliveryError, UnrelatedDeliveryError.

        headers: empty for a delivery that was parked; only its event key may depend on them.
        """
        ...

    def create_request(self, job: Job, callback: Callback) -> Request:
        """Describe the call that starts the job's current attempt."""
        ...

    def read_created(self, reply: Reply) -> ProviderEvent:
        """Read the answer to a create call; `provider_job_id` is set.

        Raises ProviderBusyError (429: not executed), ProviderRefusedError (a 4xx with the
        provider's error body: not executed), ProviderUnreachableError (our key is refused: not
        executed), ProviderUnknownOutcomeError (everything else).
        """
        ...

    def poll_request(self, asked: ProviderJob) -> Request:
        """Describe the call that asks for one job."""
        ...

    def read_polled(
        self, asked: ProviderJob, request: Request, reply: Reply
    ) -> ProviderEvent | Request:
        """Read the answer to a poll; or name the call that has the rest of the answer.

        A job that the provider does not know is a failed one, in the adapter's own words.
        Raises ProviderBusyError, ProviderUnreachableError, ProviderUnknownOutcomeError (try
        again later).
        """
        ...

    def cancel_request(self, asked: ProviderJob) -> Request | None:
        """Describe the call that stops a job; None if it cannot be stopped."""
        return None

    def list_request(self, since: datetime, offset: int) -> Request | None:
        """Describe the call that lists jobs created at `since` or later; None if it cannot."""
        return None

    def read_listed(self, reply: Reply, offset: int) -> Listing:
        """Read one page of the listing. Raises as `read_polled`."""
        raise ProviderUnknownOutcomeError(f"{self.name} cannot list its jobs.")

    def fact_request(self, kind: FactKind) -> Request | None:
        """Describe the call that asks for the tools, or for our account; None if it cannot be."""
        return None

    def read_tools(self, reply: Reply) -> Mapping[str, Tool]:
        """Read the tools, by id. Raises as `read_polled`."""
        raise ProviderUnknownOutcomeError(f"{self.name} does not tell its tools.")

    def read_account(self, reply: Reply) -> Account:
        """Read our account. Raises as `read_polled`."""
        raise ProviderUnknownOutcomeError(f"{self.name} does not tell of our account.")
