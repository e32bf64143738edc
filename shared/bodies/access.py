"""What is sent about keys, agents, a shop's settings, and by administrators."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from shared.bodies.requests import (
    CreateBody,
    CursorQuery,
    Id,
    ListQuery,
    Object,
    PageSize,
    Prose,
    ShopQuery,
    Title,
    _Input,
    read_instant,
)
from shared.bodies.webhooks import NotificationsBody

Limit = Annotated[int, Field(ge=0, le=2**53)]


def _day(value: object) -> str:
    return f"{read_instant(value):%Y-%m-%d}"


class _Body(_Input):
    model_config = ConfigDict(strict=True)


class NewKeyBody(_Body):
    """A key to issue."""

    name: Title


class NewAgentBody(_Body):
    """An agent to make."""

    name: Title
    description: Prose | None = None


class AgentBody(_Body):
    """What to change of an agent; what is left out stays."""

    name: Title | None = None
    description: Prose | None = Field(None, description="null takes it away.")
    is_active: bool | None = None


class BudgetBody(_Body):
    """The most that may be spent in a UTC month; null: no limit."""

    credits: Limit | None = None
    cost_micros: Limit | None = None


class ShopBody(_Body):
    """What to change of a shop's settings; what is left out stays."""

    auto_push: bool | None = Field(None, description="Push results without being asked.")
    monthly_budget: BudgetBody | None = Field(
        None, description="Both limits at once; null takes them away."
    )
    notifications: NotificationsBody | None = Field(
        None, description="Whom to write to, all of it at once; null: nobody."
    )
    retention_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        None, description="How long ended jobs are kept; null: until somebody deletes them."
    )


class AdminListQuery(ListQuery):
    """Which jobs: of the named shop, with all filters; or of all shops, created on a day."""

    day: Annotated[str, BeforeValidator(_day)] | None = Field(
        None, description="Of all shops: this UTC day, newest first; today if not given."
    )


class ParkedQuery(ShopQuery):
    """How many."""

    limit: PageSize = 50


class QuarantineQuery(CursorQuery):
    """Whose deliveries, and how many."""

    provider: Id | None = Field(None, description="`shopify` and `worker` too; null: all.")
    limit: PageSize = 50


class ReverifyBody(_Body):
    """Whose deliveries to check again."""

    provider: Id | None = Field(None, description="`shopify` and `worker` too; null: all.")
    cursor: Annotated[str, StringConstraints(max_length=4096)] | None = Field(
        None, description="The last answer's nextCursor: goes on there."
    )


class CompleteBody(_Body):
    """The result to give a job."""

    result: Object


class ReassignBody(_Body):
    """Who shall do it."""

    agent_id: Id


class AdoptBody(CreateBody):
    """A provider's job that nobody here knows, and the shop that it is for."""

    provider: Id
    provider_job_id: Id
    shop: Annotated[str, StringConstraints(max_length=200)]
