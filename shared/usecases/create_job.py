"""Create a job at its provider, or register one that was made elsewhere."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from shared.domain.budget import Budget
from shared.domain.errors import (
    ConflictError,
    ForbiddenError,
    InsufficientCreditsError,
    InvalidRequestError,
    RejectedError,
    StoreUnavailableError,
    VersionConflictError,
)
from shared.domain.ids import JobRef
from shared.domain.job import ASSIGNED, PIKCEL, WORKER, Attempt, Counts, Job, Priority
from shared.domain.plan import schedule
from shared.domain.reports import Report, apply_report
from shared.domain.shop import Shop, check_is_open
from shared.domain.statistics import BULK_TYPE_PREFIX
from shared.domain.status import JobStatus, Outcome
from shared.providers.base import ProviderAdapter
from shared.usecases.apply_event import adopt_parked
from shared.usecases.check_credits import check_credits, promise_credits, tool_name
from shared.usecases.documents import shelve, with_documents_of
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Files, Idempotency, ShopStore
from shared.usecases.reserve_budget import budget_of, set_aside
from shared.usecases.take_place import create_or_take_place
from shared.usecases.tracker import Note, Tracker

IMAGE_TYPE = "image"
TASK_TYPE = "task"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What the caller asks for; None where they leave it to us.

    provider_job_id: the provider's id of a job made elsewhere, which is then only followed.
    product_id, variant_id: Shopify's global ids. parameters, metadata: at most 64 KB of JSON
    each (they are written once, but read whenever the job is shown).
    push_outputs: indexes of the results that are for the product; () for all of them.
    total: how many items a worker's job is about. starts_as: the worker's word for a job that
    is at work from the beginning.
    """

    tool_id: str | None = None
    input_image_url: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    provider: str | None = None
    provider_job_id: str | None = None
    type: str | None = None
    product_id: str | None = None
    product_title: str | None = None
    variant_id: str | None = None
    image_id: str | None = None
    project_id: str | None = None
    mode: str | None = None
    input_asset_id: str | None = None
    name: str | None = None
    description: str | None = None
    acceptance_criteria: str | None = None
    cost_micros: int | None = None
    template_id: str | None = None
    batch_id: str | None = None
    agent_id: str | None = None
    auto_push: bool | None = None
    push_outputs: tuple[int, ...] = ()
    alt_text: str | None = None
    scheduled_at: datetime | None = None
    exclusive: bool = False
    total: int | None = None
    starts_as: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The id and instant of a job that must be the same at every try to make it."""

    job_id: str
    created_at: datetime


def create_job(
    tracker: Tracker,
    shops: ShopStore,
    files: Files,
    caller: Caller,
    wish: NewJob,
    *,
    idempotency: Idempotency | None,
    is_allowed_http: Callable[[str], bool],
    identity: Identity | None = None,
) -> Job:
    """Create a job for the caller's shop; returns it as it then is, big documents perhaps shelved.

    Parameters
        idempotency: the same key with the same body gives the job made then, and no second one.
        is_allowed_http: whether a `host[:port]` may be plain http (a laptop's own hosts).
        identity: given, a second try raises VersionConflictError: the job was made by the first.

    Raises InvalidRequestError; LinkTakenError when the provider's id belongs to a job already
    (whose, is not said); IdempotencyKeyReusedError; ConflictError `already_running`;
    BudgetExceededError, InsufficientCreditsError; ForbiddenError for an agent that asks for
    more than its own work; ShopClosedError; StoreUnavailableError (table or bucket).

    Guarantees
        Job, link and timeline are one transaction. Events that came before the job are applied
        before it is returned.
    """
    now = tracker.now()
    wish = _own_wish(caller, wish)
    check_wish(tracker, wish, is_allowed_http)
    shop = caller.require_shop()
    settings = shops.get_shop(shop)
    check_is_open(settings)
    whole = _job_of(tracker, shop, wish, settings, identity, now)
    try:
        check_credits(tracker, whole, now)
    except InsufficientCreditsError:
        made = _made_before(tracker, whole, idempotency, identity)
        if made is None:
            raise
        return made
    budget = budget_of(settings)
    whole = set_aside(tracker, whole, budget)
    if wish.starts_as is not None:
        start = Report(status=JobStatus.PROCESSING, native=wish.starts_as)
        whole = apply_report(whole, start, now).job
    whole = schedule(whole, now, tracker.patience(whole))
    job = shelve(files, whole)
    # A job made elsewhere is being paid for already: it is counted, never refused.
    ceiling = budget if wish.provider_job_id is None else None
    created = _write(tracker, files, caller, job, idempotency, ceiling)
    if created.job_id == job.job_id:
        promise_credits(tracker, created)
        tracker.send_owed(None, created, now)
    else:
        _take_back(files, job)
        if not caller.may_see(created):
            raise ConflictError("The job made with this Idempotency-Key is another agent's by now.")
    if created.provider_job_id is None:
        # Not fetched again: a caller to whom the bucket's trouble is told might create it twice.
        return with_documents_of(created, whole) if created.job_id == job.job_id else created
    # Also when it was made by an earlier call that died before it came this far.
    adopt_parked(tracker, created)
    return tracker.store.get(created.ref)


def _job_of(
    tracker: Tracker,
    shop: str,
    wish: NewJob,
    settings: Shop | None,
    identity: Identity | None,
    now: datetime,
) -> Job:
    """Return the job that is asked for, before anything is set aside for it or planned."""
    provider = provider_of(wish)
    return Job(
        shop=shop,
        job_id=identity.job_id if identity else tracker.new_id(now),
        created_at=identity.created_at if identity else now,
        updated_at=now,
        provider=provider,
        type=wish.type or (TASK_TYPE if provider == WORKER else IMAGE_TYPE),
        native_status=ASSIGNED if wish.agent_id and provider == WORKER else None,
        priority=wish.priority,
        tool_id=wish.tool_id,
        tool_name=tool_name(tracker, provider, wish.tool_id),
        template_id=wish.template_id,
        input_image_url=wish.input_image_url,
        parameters=wish.parameters,
        metadata=wish.metadata,
        product_id=wish.product_id,
        product_title=wish.product_title,
        variant_id=wish.variant_id,
        image_id=wish.image_id,
        project_id=wish.project_id,
        batch_id=wish.batch_id,
        agent_id=wish.agent_id,
        mode=wish.mode,
        input_asset_id=wish.input_asset_id,
        name=wish.name,
        description=wish.description,
        acceptance_criteria=wish.acceptance_criteria,
        auto_push=_auto_push(wish, settings),
        push_outputs=wish.push_outputs,
        alt_text=wish.alt_text,
        scheduled_at=wish.scheduled_at,
        exclusive=wish.exclusive,
        unit_cost_micros=wish.cost_micros,
        counts=Counts(total=wish.total),
        # A registered job may have ended long ago: its provider is asked at once.
        poll_wanted=wish.provider_job_id is not None and provider != WORKER,
        attempts=(
            Attempt(
                number=1,
                created_at=now,
                provider_job_id=wish.provider_job_id,
                linked_at=now if wish.provider_job_id else None,
            ),
        ),
    )


def _write(
    tracker: Tracker,
    files: Files,
    caller: Caller,
    job: Job,
    idempotency: Idempotency | None,
    ceiling: Budget | None,
) -> Job:
    """Write the job; returns it, or the one that an earlier call made with the same key."""
    entry = tracker.entry(_note(caller, job), None, job, job.updated_at, version=job.version)
    try:
        return create_or_take_place(
            tracker, caller, job, entry=entry, idempotency=idempotency, ceiling=ceiling
        )
    except RejectedError as error:
        # Refused, so there is no such job: its documents would be left for ever.
        _take_back(files, job)
        if isinstance(error, ConflictError):
            raise _for_caller(tracker, caller, error) from None
        raise


def _made_before(
    tracker: Tracker, job: Job, idempotency: Idempotency | None, identity: Identity | None
) -> Job | None:
    """Return the job that an earlier try made: what is lacking now may be what it took.

    Raises VersionConflictError as `create_job` does for a second try.
    """
    if identity is not None:
        if tracker.store.get_many([job.ref]):
            raise VersionConflictError("This job was made by an earlier try.")
        return None
    return tracker.store.made_before(job.shop, idempotency) if idempotency else None


def _take_back(files: Files, job: Job) -> None:
    """Remove the documents of a job that was not made: refused, or made by an earlier call."""
    if job.documents_key is not None:
        with suppress(StoreUnavailableError):
            files.delete([job.documents_key])


def provider_of(wish: NewJob) -> str:
    """Return who is to do the job, where that is left to us."""
    if wish.provider is not None:
        return wish.provider
    return PIKCEL if wish.tool_id is not None else WORKER


def _own_wish(caller: Caller, wish: NewJob) -> NewJob:
    """Return what an agent may ask for: a worker's job, assigned to itself."""
    if not caller.is_agent:
        return wish
    if wish.agent_id not in (None, caller.agent_id):
        raise ForbiddenError("An agent creates jobs for itself only.")
    if wish.batch_id is not None:
        # It would change the counts of what is not its own.
        raise ForbiddenError("An agent's jobs are in no batch.")
    wish = replace(wish, agent_id=caller.agent_id)
    if provider_of(wish) != WORKER:
        raise ForbiddenError("An agent creates worker jobs only.")
    return wish


def _for_caller(tracker: Tracker, caller: Caller, error: ConflictError) -> ConflictError:
    """Return the refusal; an agent is not told the id of a running job that is not its own."""
    if caller.is_agent:
        named = [detail["runningJobId"] for detail in error.details if isinstance(detail, dict)]
        found = tracker.store.get_many([JobRef(caller.require_shop(), name) for name in named])
        if not all(map(caller.may_see, found)):
            return ConflictError(error.message, code=error.code)
    return error


def _auto_push(wish: NewJob, shop: Shop | None) -> bool:
    if wish.auto_push is not None:
        return wish.auto_push
    return shop.auto_push if shop else False


# As part of an address they lead to another one: to the list of all jobs of our account.
_DOTS = frozenset({".", ".."})


def check_wish(tracker: Tracker, wish: NewJob, is_allowed_http: Callable[[str], bool]) -> None:
    """Raise InvalidRequestError naming every field that keeps the job from being made."""
    provider = provider_of(wish)
    faults: dict[str, str] = {}
    is_ours = provider == WORKER
    adapter = tracker.adapters.get(provider)
    faults |= faults_of_kind(tracker, provider, wish.type)
    is_registered = wish.provider_job_id is not None
    if adapter is not None:
        faults |= _faults_of_tool(wish, adapter)
        if adapter.needs_image and not is_registered and wish.input_image_url is None:
            faults["inputImageUrl"] = "is required for a job that is created at the provider"
        if wish.provider_job_id in _DOTS:
            faults["providerJobId"] = "is no id of a job"
    if not is_ours and wish.total is not None:
        faults["total"] = "is only for jobs that a program of yours does"
    if is_registered and wish.scheduled_at is not None:
        faults["scheduledAt"] = "makes no sense for a job that the provider has already"
    if wish.input_image_url is not None and not is_fetchable(wish.input_image_url, is_allowed_http):
        faults["inputImageUrl"] = "must be an https address"
    refuse(faults)


def faults_of_kind(tracker: Tracker, provider: str | None, kind: str | None) -> dict[str, str]:
    """Return what is wrong with a provider and a type (None: not said), by field."""
    faults: dict[str, str] = {}
    if provider not in (None, WORKER, *tracker.adapters):
        known = ", ".join([*sorted(tracker.adapters), WORKER])
        faults["provider"] = f"is not one of {known}"
    if kind is not None and kind.startswith(BULK_TYPE_PREFIX):
        faults["type"] = f"must not begin with {BULK_TYPE_PREFIX!r}"
    return faults


def refuse(faults: Mapping[str, str]) -> None:
    """Raise InvalidRequestError naming every field at fault, if there is one."""
    if faults:
        raise InvalidRequestError(
            "; ".join(f"{name} {message}" for name, message in faults.items()) + ".",
            details=[{"field": name, "message": message} for name, message in faults.items()],
        )


def _faults_of_tool(wish: NewJob, adapter: ProviderAdapter) -> dict[str, str]:
    if wish.tool_id is None:
        if wish.provider_job_id is None:
            return {"toolId": "is required for a job that is created at the provider"}
        if adapter.asks_by_tool:
            return {"toolId": f"is required: {adapter.name} is asked by it"}
        return {}
    fault = adapter.check_tool(wish.tool_id)
    return {"toolId": fault} if fault is not None else {}


def is_fetchable(url: str, is_allowed_http: Callable[[str], bool]) -> bool:
    """Whether an address is one that may be handed to a provider."""
    if any(character <= " " or character in '\x7f\\"<>' for character in url):
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (
        parts.scheme == "http" and is_allowed_http(parts.netloc.lower())
    )


def _note(caller: Caller, job: Job) -> Note:
    said = "Registered" if job.provider_job_id else "Created"
    return Note(
        source=caller.source,
        actor=caller.actor,
        outcome=Outcome.APPLIED,
        message=f"{said} for {job.provider}.",
    )
