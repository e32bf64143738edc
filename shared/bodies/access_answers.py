"""What is answered about keys, agents, a shop's settings, and to administrators.

Imported for the OpenAPI document only.
"""

from typing import Literal

from pydantic import Field

from shared.bodies.answers import BigInteger, Instant, JobJson, _Answer, _Success
from shared.bodies.webhook_answers import NotificationsJson
from shared.domain.events import Proof
from shared.usecases.shop_settings import TokenState


class KeyJson(_Answer):
    """A key of the shop, without the key itself. lastUsedAt: to the hour."""

    id: str
    name: str
    created_at: Instant
    created_by: str
    last_used_at: Instant | None


class KeysAnswer(_Success):
    """The shop's keys."""

    keys: list[KeyJson]


class NewKeyAnswer(_Success):
    """A new key. secret is shown this once."""

    key: KeyJson
    secret: str = Field(description="Send it as `Authorization: Bearer …`.")


class AgentJson(_Answer):
    """An agent of a shop."""

    id: str
    shop: str
    name: str
    description: str | None
    is_active: bool
    created_at: Instant
    updated_at: Instant


class AgentsAnswer(_Success):
    """The shop's agents."""

    agents: list[AgentJson]


class AgentAnswer(_Success):
    """The agent as it now is."""

    agent: AgentJson


class NewAgentAnswer(AgentAnswer):
    """A new agent. secret, its key, is shown this once."""

    secret: str = Field(description="Send it as `Authorization: Bearer …`.")


class BudgetJson(_Answer):
    """Limits of a UTC month; null: none."""

    credits: BigInteger | None
    cost_micros: BigInteger | None


class SpentJson(_Answer):
    """What this UTC month took of the budget: booked charges, and what is set aside for
    attempts under way. Attempts begun while there was no budget are not in it."""

    month: str
    credits: BigInteger
    cost_micros: BigInteger


class ShopJson(_Answer):
    """A shop. token: what we have to call Shopify with; dead: the app must be opened once.
    uninstalledAt: when the app was uninstalled, while it is not installed again."""

    shop: str
    installed: bool
    installed_at: Instant | None
    uninstalled_at: Instant | None
    scopes: list[str]
    token: TokenState
    auto_push: bool
    monthly_budget: BudgetJson
    spent: SpentJson
    retention_days: int | None
    notifications: NotificationsJson | None


class ShopAnswer(_Success):
    """The shop as it now is."""

    shop: ShopJson


class DayOfJobsAnswer(_Success):
    """A page of jobs, of one shop or of all of a day. day: null for a shop's own list."""

    jobs: list[JobJson]
    next_cursor: str | None = Field(description="null at the end.")
    day: str | None


class ParkedJson(_Answer):
    """A delivery whose job nobody here knows. It is kept for seven days."""

    provider: str
    provider_job_id: str
    received_at: Instant
    proof: Proof


class ParkedAnswer(_Success):
    """Deliveries without a job, the newest first."""

    parked: list[ParkedJson]


class RemainderJson(_Answer):
    """What an erasure cannot reach. days: how long after its end it is there; null: not ours."""

    where: str
    what: str
    days: int | None


class ErasureJson(_Answer):
    """One erasure of the shop. deleted: kind → how many; of jobs, timelines and links go along."""

    id: str
    status: Literal["running", "completed"]
    requested_at: Instant
    started_at: Instant
    ended_at: Instant | None
    deleted: dict[str, int]
    remains: list[RemainderJson]


class ErasuresAnswer(_Success):
    """Reports about the shop, the newest first. They are kept under a digest of its domain."""

    erasures: list[ErasureJson]
