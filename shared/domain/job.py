"""One job, as plain frozen data. Changes are new values (`dataclasses.replace`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.ids import JobRef
from shared.domain.status import JobState, JobStatus, PushStatus

WORKER = "worker"
PIKCEL = "pikcel"

# The native word of a pending job that an agent is to do.
ASSIGNED = "assigned"

# A presumed failure: we guessed. A real completion overrides it.
TIMED_OUT = "timed_out"
DISPATCH_UNKNOWN = "dispatch_unknown"
# The provider does not know the id: it may not know it yet.
PROVIDER_JOB_NOT_FOUND = "provider_job_not_found"
PRESUMED_CODES = frozenset({TIMED_OUT, DISPATCH_UNKNOWN, PROVIDER_JOB_NOT_FOUND})

# The worker itself said so.
WORKER_FAILED = "worker_failed"

OUTPUT_EXPIRED = "output_expired"
NO_OUTPUT = "no_output"
SHOP_NOT_INSTALLED = "shop_not_installed"
TOKEN_DEAD = "token_dead"  # noqa: S105 - an error code
# Pushes that failed with one of these go out by themselves after the next valid call.
RESUMABLE_PUSH_CODES = frozenset({SHOP_NOT_INSTALLED, TOKEN_DEAD})


class Priority(StrEnum):
    """How urgent, in the provider's words."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at the provider.

    number: from 1. created_at: when it was asked for (by the user's call or retry).
    provider_job_id: the provider's id once learnt; linked_at: when. poll_url: where the
        provider itself said that this attempt can be asked about.
    intent_at: a create call was begun and its outcome is not known (yet); cleared when
        it is proven that nothing was executed.
    missed_at: when the first complete listing at the provider ended without this
        attempt; a second one 60 s later proves that it was never executed.
    tries: create calls begun. not_before: the earliest instant of the next try.
    slot_at: the minute of the provider's rate limit in which a call is reserved for us.
    held_until: until when a rate limit, ours or the provider's, has kept us from calling (or
        nobody saw to a job whose time had come); the time-out counts from then.
    trouble: why the last of them was not executed (a sentence), None when none failed so.
    stop_wanted: it was cancelled here, and its provider has not been asked to stop yet.
    expected_ms: how long its tool took of late, from the create call to the end; None while
        too little is known.
    credits, cost_micros, processing_ms: booked exactly once, when the provider says
        them; None until then.
    reserved_credits, reserved_cost_micros: what was set aside of the shop's budget when it
        began; None when the shop had none.
    """

    number: int
    created_at: datetime
    provider_job_id: str | None = None
    linked_at: datetime | None = None
    poll_url: str | None = None
    intent_at: datetime | None = None
    missed_at: datetime | None = None
    tries: int = 0
    not_before: datetime | None = None
    slot_at: datetime | None = None
    held_until: datetime | None = None
    trouble: str | None = None
    stop_wanted: bool = False
    expected_ms: int | None = None
    credits: int | None = None
    cost_micros: int | None = None
    processing_ms: int | None = None
    reserved_credits: int | None = None
    reserved_cost_micros: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One result image of an attempt.

    url: the provider's link, until the image is kept; None also where it came without one (the
        provider has it in its answers only). key: where its bytes are in our bucket, once kept.
    error_code: why it can never be kept (`output_expired`, `output_refused`).
    suffix: k of the Shopify file name `{job}-{attempt}-{index}[-{k}].{ext}`, raised and
        stored before a create call that follows a FAILED media.
    media_id: Shopify's MediaImage id. media_error: Shopify's word for a FAILED media.
    media_failures: how many media failed since the push was last asked for.
    """

    index: int
    attempt: int
    url: str | None = None
    key: str | None = None
    content_type: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    error_code: str | None = None
    suffix: int = 0
    media_id: str | None = None
    media_error: str | None = None
    media_failures: int = 0
    push_status: PushStatus = PushStatus.NONE

    @property
    def is_kept(self) -> bool:
        """Whether the bytes are in our bucket."""
        return self.key is not None

    @property
    def is_owed(self) -> bool:
        """Whether the bytes must still be fetched."""
        return self.key is None and self.error_code is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """How far the current result is on its way to the product.

    number: n of the message's deduplication id, raised by every transaction that queues
        a push. tries: looks by the push function since then. not_before: the earliest
        instant of the next look. undo: the reference is to be removed, not added.
    error_code, error: why it failed, the latter a sentence for a merchant.
    """

    status: PushStatus = PushStatus.NONE
    number: int = 0
    tries: int = 0
    not_before: datetime | None = None
    undo: bool = False
    error_code: str | None = None
    error: str | None = None
    pushed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a worker reports of its items (integers ≥ 0; None = never said)."""

    total: int | None = None
    processed: int | None = None
    successful: int | None = None
    failed: int | None = None
    created: int | None = None
    updated: int | None = None
    skipped: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How many items were processed at an instant: what a worker's speed is made from."""

    at: datetime
    processed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work, owned by one shop.

    version: raised by every write; writes are on condition of it.
    documents_key: where in our bucket parameters, metadata and result are when they are big; the
        fields are empty then (a result that there is: `{}`). See usecases/documents.py.
    attempts: the last one is the current one. progress: 0–100, at most 99 until completed.
    push_outputs: which results are for the product, by their indexes; () for all of them.
    unit_cost_micros: the price the creator named for a success; booked on completion
        when the provider reports no cost of its own.
    poll_wanted: something was said that only the provider itself can confirm.
    due_at: the instant at which somebody must look at this job again, or None.
    due_tries: looks by the sweep in a row that changed nothing (for its backoff).
    message: what the worker said last. samples: its last few counts, the oldest first, while
        it is at work. reported_at: when it was last heard of.
    counted_tool, counted_type: the name it is counted under in the day's statistics
        when that is not its own ("other": the day already has 20 names).
    bulk_marks: the newest bulk jobs (and retries with an Idempotency-Key) that acted on this
        job, written together with what they did, so that what is delivered again does nothing
        twice.
    bulk_cursor: of a bulk job itself: how far it is.
    delete_wanted: its deletion has begun, and its files are going: nothing begins with it any more.
    notes: entries of its timeline, as a store may lay them with it; nobody else's business.
    """

    shop: str
    job_id: str
    created_at: datetime
    updated_at: datetime
    provider: str
    type: str
    version: int = 1
    status: JobStatus = JobStatus.PENDING
    native_status: str | None = None
    priority: Priority = Priority.NORMAL
    tool_id: str | None = None
    tool_name: str | None = None
    template_id: str | None = None
    input_image_url: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    documents_key: str | None = None
    product_id: str | None = None
    product_title: str | None = None
    variant_id: str | None = None
    image_id: str | None = None
    project_id: str | None = None
    batch_id: str | None = None
    agent_id: str | None = None
    mode: str | None = None
    input_asset_id: str | None = None
    name: str | None = None
    description: str | None = None
    acceptance_criteria: str | None = None
    auto_push: bool = False
    push_outputs: tuple[int, ...] = ()
    alt_text: str | None = None
    scheduled_at: datetime | None = None
    exclusive: bool = False
    attempts: tuple[Attempt, ...]
    progress: int = 0
    counts: Counts = Counts()
    samples: tuple[Sample, ...] = ()
    message: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    reported_at: datetime | None = None
    polled_at: datetime | None = None
    poll_wanted: bool = False
    error_code: str | None = None
    error_message: str | None = None
    cancel_requested: bool = False
    unit_cost_micros: int | None = None
    outputs: tuple[Output, ...] = ()
    push: Push = Push()
    due_at: datetime | None = None
    due_tries: int = 0
    counted_tool: str | None = None
    counted_type: str | None = None
    bulk_marks: tuple[str, ...] = ()
    bulk_cursor: str | None = None
    delete_wanted: bool = False
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def ref(self) -> JobRef:
        """Whose job, and which."""
        return JobRef(self.shop, self.job_id)

    @property
    def attempt(self) -> Attempt:
        """The current attempt."""
        return self.attempts[-1]

    @property
    def state(self) -> JobState:
        """The status, with what we know about a failure."""
        if self.status is JobStatus.FAILED and self.error_code in PRESUMED_CODES:
            return JobState.PRESUMED
        return JobState(self.status.value)

    @property
    def is_worker_job(self) -> bool:
        """Whether a program of the user's own does the work (never dispatched)."""
        return self.provider == WORKER

    @property
    def provider_job_id(self) -> str | None:
        """The provider's id of the current attempt."""
        return self.attempt.provider_job_id

    @property
    def current_outputs(self) -> tuple[Output, ...]:
        """The outputs of the current attempt: only these may be pushed."""
        return tuple(out for out in self.outputs if out.attempt == self.attempt.number)

    @property
    def chosen_outputs(self) -> tuple[Output, ...]:
        """Those of the current attempt's outputs that are for the product."""
        chosen = self.push_outputs
        return tuple(out for out in self.current_outputs if not chosen or out.index in chosen)

    @property
    def credits_used(self) -> int:
        """Credits booked over all attempts."""
        return sum(attempt.credits or 0 for attempt in self.attempts)

    @property
    def cost_micros(self) -> int:
        """Cost booked over all attempts, in millionths of the currency unit."""
        return sum(attempt.cost_micros or 0 for attempt in self.attempts)

    @property
    def processing_ms(self) -> int | None:
        """How long the provider worked on the current attempt, in milliseconds."""
        return self.attempt.processing_ms

    def with_attempt(self, attempt: Attempt) -> "Job":
        """Return the job with the attempt of that number replaced."""
        return replace(
            self,
            attempts=tuple(attempt if a.number == attempt.number else a for a in self.attempts),
        )

    def with_output(self, output: Output) -> "Job":
        """Return the job with the output of that attempt and index replaced."""
        return replace(
            self,
            outputs=tuple(
                output if (o.attempt, o.index) == (output.attempt, output.index) else o
                for o in self.outputs
            ),
        )
