"""What people may send: query parameters and bodies.

These models check the requests and write their half of the OpenAPI document. A field that
is not listed is refused by name.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from shared.domain.events import Source
from shared.domain.ids import is_shop
from shared.domain.job import PIKCEL
from shared.domain.lifecycle import MAX_OUTPUTS
from shared.domain.status import SPELLINGS, JobStatus, PushStatus, read_status
from shared.usecases.read_statistics import GroupBy

MAX_OBJECT_BYTES = 64 * 1024
MAX_OBJECT_DEPTH = 20
MAX_IDS = 100

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+ -]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_BARE_NUMBER = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


def one_line(text: str) -> str:
    """Take text without control characters, line ends among them."""
    if _CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return text


def _lines(text: str) -> str:
    if _CONTROL_BUT_LINES.search(text):
        raise ValueError("must not hold control characters")
    return text


def read_instant(value: object) -> datetime:
    """Read a date or an instant of ISO 8601; without an offset it is UTC, in whole ms.

    >>> read_instant("2026-11-22"), read_instant("2026-11-22T12:00:00+02:00").hour
    (datetime.datetime(2026, 11, 22, 0, 0, tzinfo=datetime.timezone.utc), 10)
    """
    if not isinstance(value, str) or len(value) > 40 or not _INSTANT.fullmatch(value):
        raise ValueError("must be a date or an instant of ISO 8601, like 2026-11-22T12:00:00Z")
    # An unescaped plus sign of a query string arrives as a space.
    text = value[:11] + value[11:].replace(" ", "+").replace(",", ".")
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a date that exists") from None
    if not _EARLIEST <= at <= _LATEST:
        raise ValueError("must be between the years 1970 and 9999")
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _global_id(kind: str) -> BeforeValidator:
    """Take Shopify's global id, or the bare number in it."""
    pattern = re.compile(rf"gid://shopify/{kind}/[1-9][0-9]{{0,19}}", re.ASCII)

    def read(value: object) -> str:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(text, str) and len(text) <= 60:
            if _BARE_NUMBER.fullmatch(text):
                return f"gid://shopify/{kind}/{text}"
            if pattern.fullmatch(text):
                return text
        raise ValueError(f"must be gid://shopify/{kind}/… or its number")

    return BeforeValidator(read)


def small_object(most: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make the check of an object that may have so many bytes of JSON."""

    def check(value: dict[str, Any]) -> dict[str, Any]:
        if _depth(value) > MAX_OBJECT_DEPTH:
            raise ValueError(f"must not be nested more than {MAX_OBJECT_DEPTH} levels deep")
        if len(json.dumps(value, ensure_ascii=False).encode()) > most:
            raise ValueError(f"must not be larger than {most} bytes of JSON")
        return value

    return check


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _status(value: object) -> JobStatus:
    status = read_status(value) if isinstance(value, str) else None
    if status is None:
        raise ValueError("must be pending, processing, completed, failed or cancelled")
    return status


def whole_number(value: object) -> object:
    """Read the digits of a query parameter."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,6}", value, re.ASCII):
        raise ValueError("must be a whole number")
    return int(value) if isinstance(value, str) else value


def _chosen_outputs(value: object) -> tuple[int, ...]:
    """Read which results are chosen, as their indexes: () for all of them."""
    words: dict[object, tuple[int, ...]] = {"all": (), "first": (0,)}
    if isinstance(value, str) and value in words:
        return words[value]
    indexes = value if isinstance(value, list | tuple) else []
    are_right = all(type(index) is int and 0 <= index < MAX_OUTPUTS for index in indexes)
    if not are_right or not 1 <= len(indexes) <= MAX_OUTPUTS:
        raise ValueError(f"must be first, all, or a list of indexes from 0 to {MAX_OUTPUTS - 1}")
    return tuple(sorted(set(indexes)))


def _id_list(value: object) -> list[str]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else []
    names = [name for name in names if name]
    if not 1 <= len(names) <= MAX_IDS:
        raise ValueError(f"must be 1 to {MAX_IDS} ids, separated by commas")
    return names


def _shop_name(text: str) -> str:
    if not is_shop(text):
        raise ValueError("must look like name.myshopify.com")
    return text


def soon(at: datetime) -> datetime:
    """Take an instant of this century or the next."""
    # Whether it lies in the past is nobody's concern: then the job starts at once.
    if at.year > 2200:
        raise ValueError("is too far away")
    return at


_INSTANT_SCHEMA = WithJsonSchema({"type": "string", "examples": ["2026-11-22T12:00:00Z"]})


def _short(most: int) -> StringConstraints:
    """Take 1 to `most` characters; blanks around them do not count."""
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=most)


Id = Annotated[str, _short(128), AfterValidator(one_line)]
Title = Annotated[str, _short(300), AfterValidator(one_line)]
Prose = Annotated[str, _short(5000), AfterValidator(_lines)]
AltText = Annotated[str, _short(512), AfterValidator(_lines)]
Url = Annotated[str, _short(2048), AfterValidator(one_line)]
Object = Annotated[dict[str, Any], AfterValidator(small_object(MAX_OBJECT_BYTES))]
Instant = Annotated[datetime, BeforeValidator(read_instant), _INSTANT_SCHEMA]
_INDEX_SCHEMA = {"type": "integer", "minimum": 0, "maximum": MAX_OUTPUTS - 1}
PushOutputs = Annotated[
    tuple[int, ...],
    BeforeValidator(_chosen_outputs),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": ["first", "all"]},
                {"type": "array", "items": _INDEX_SCHEMA, "minItems": 1, "maxItems": MAX_OUTPUTS},
            ]
        }
    ),
]
ProductId = Annotated[
    str,
    _global_id("Product"),
    WithJsonSchema(
        {"type": ["string", "integer"], "examples": ["gid://shopify/Product/1001", "1001"]}
    ),
]
VariantId = Annotated[
    str, _global_id("ProductVariant"), WithJsonSchema({"type": ["string", "integer"]})
]
StatusWord = Annotated[
    JobStatus,
    BeforeValidator(_status),
    WithJsonSchema({"type": "string", "examples": sorted(SPELLINGS)}),
]
PageSize = Annotated[int, BeforeValidator(whole_number), Field(ge=1, le=100)]


class _Input(BaseModel):
    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, validate_by_name=False, validate_by_alias=True
    )


Input = _Input


class ShopQuery(_Input):
    """Query parameters of every route about a shop."""

    shop: Annotated[str, AfterValidator(_shop_name)] | None = Field(
        None, description="Administrators: the shop to act for (or the X-Shop header)."
    )


class NoQuery(_Input):
    """No query parameters."""


class CursorQuery(ShopQuery):
    """Query parameters of every route that answers in pages."""

    cursor: Annotated[str, StringConstraints(max_length=4096)] | None = None


class JobConditions(_Input):
    """Which jobs. All conditions must hold."""

    status: StatusWord | None = Field(None, description="Any accepted spelling.")
    push_status: PushStatus | None = None
    type: Id | None = None
    tool_id: Id | None = None
    product_id: ProductId | None = None
    batch_id: Id | None = None
    project_id: Id | None = None
    agent_id: Id | None = None
    from_: Instant | None = Field(None, alias="from", description="Created then or later.")
    to: Instant | None = Field(None, description="Created before then.")
    scheduled_before: Instant | None = Field(
        None, description="Whose scheduledAt is before then, or that have none: what may begin."
    )
    q: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="Part of an id, title, name, tool or error; case does not matter."
    )


class ListQuery(JobConditions, CursorQuery):
    """Which jobs. All filters combine."""

    ids: (
        Annotated[
            list[str],
            BeforeValidator(_id_list),
            WithJsonSchema({"type": "string", "description": "Up to 100 ids, comma-separated."}),
        ]
        | None
    ) = None
    provider_job_id: Id | None = Field(
        None, description="The job with this id at its provider, of whichever attempt."
    )
    provider: Id = Field(PIKCEL, description="Whose id that is.")
    sort: Literal["-createdAt", "createdAt"] = "-createdAt"
    limit: PageSize = 20


class LogQuery(CursorQuery):
    """Which part of a timeline. Filters come before the limit."""

    source: Source | None = None
    actor: Id | None = Field(
        None, description="As entries have it, or without what is before its colon: an agent's id."
    )
    limit: PageSize = 50


class OutputQuery(ShopQuery):
    """Which result."""

    index: Annotated[int, BeforeValidator(whole_number), Field(ge=0, le=99)] = 0
    link: Literal["0", "1"] = Field(
        "0", description="1: answer with the link. A page cannot save what it is sent on to."
    )


class StatisticsQuery(ShopQuery):
    """What is wanted beside the sums."""

    days: Annotated[int, BeforeValidator(whole_number), Field(ge=1, le=366)] | None = Field(
        None, description="Adds the last so many UTC days, today included."
    )
    group_by: GroupBy | None = Field(
        None,
        description="Adds groups, the largest first. Tools and types are summed over `days` (30 if "
        "not given). Of over 1,000 projects the smallest are one group, `other`.",
    )


class HealthQuery(ShopQuery):
    """How deep to look."""

    deep: Literal["0", "1"] = Field("0", description="1: check table, queues and secrets.")


class CreateBody(_Input):
    """A job to create, or (with `providerJobId`) one made elsewhere to follow."""

    model_config = ConfigDict(strict=True)

    tool_id: Id | None = Field(
        None,
        description="The provider's tool: of replicate a model (with a version or without) or a "
        "deployment, of fal and bfl a model's path, of runpod an endpoint's id, of openai a model.",
    )
    input_image_url: Url | None = Field(
        None, description="Of pikcel required, of the others where their model wants an image."
    )
    parameters: Object | None = Field(
        None,
        description="The provider's input, at most 64 KB of JSON. `{inputImageUrl}` stands for the "
        "job's image; without it the image goes where most models of the provider want it.",
    )
    metadata: Object | None = Field(None, description="At most 64 KB of JSON.")
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    provider: Id | None = Field(
        None,
        description="`pikcel`, `replicate`, `fal`, `runpod`, `bfl`, `openai` or `worker`. "
        "`pikcel` when there is a toolId, else `worker`.",
    )
    provider_job_id: Id | None = Field(
        None, description="Registers a job made elsewhere, at `provider`."
    )
    pikcel_job_id: Id | None = Field(None, description="The same, for the provider pikcel.")
    type: Id | None = None
    product_id: ProductId | None = None
    product_title: Title | None = None
    variant_id: VariantId | None = None
    image_id: Id | None = None
    project_id: Id | None = None
    mode: Id | None = None
    input_asset_id: Id | None = None
    name: Title | None = None
    description: Prose | None = None
    acceptance_criteria: Prose | None = None
    cost_micros: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        None, description="What a success costs, in millionths, where the provider does not say."
    )
    template_id: Id | None = Field(
        None,
        description="A template of the shop's, for what is not given here; or of the provider's.",
    )
    batch_id: Id | None = None
    agent_id: Id | None = Field(
        None, description="Of a task of the shop's own: the active agent that is to do it."
    )
    auto_push: bool | None = Field(None, description="Else the shop's setting, else false.")
    push_outputs: PushOutputs | None = Field(
        None, description="Which of several results go to the product; all are kept. Default: all."
    )
    alt_text: AltText | None = None
    scheduled_at: Annotated[Instant, AfterValidator(soon)] | None = None
    total: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        None, description="How many items a worker's job is about."
    )
    exclusive: bool | None = Field(
        None, description="409 already_running if a job of the type is active in the shop."
    )
