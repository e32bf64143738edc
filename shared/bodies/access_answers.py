"""What is answered about keys, agents, a shop's settings, and to administrators.

Imported for the OpenAPI document only.
"""

from typing import Literal

from pydantic import Field

from shared.bodies.answers import BigInteger, Instant, JobJson, _Answer, _Success
from shared.bodies.webhook_answers import NotificationsJson
from shared.domain.events import Proof
from shared.domain.rotation import Removal
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


class HeldJson(_Answer):
    """A delivery that failed its check. It is kept until endsAt, and read by nobody.

    reason: why it failed; no_key: our secret was missing, or no key. bytes: of its body.
    """

    id: str
    provider: str
    received_at: Instant
    ends_at: Instant
    reason: Literal["ambiguous", "malformed", "wrong", "foreign", "no_key"]
    bytes: int


class HourJson(_Answer):
    """A UTC hour in which 500 deliveries were kept already: others were only counted."""

    provider: str
    from_: Instant = Field(alias="from")


class QuarantineAnswer(_Success):
    """Deliveries that failed their check, the newest first."""

    quarantine: list[HeldJson]
    next_cursor: str | None = Field(description="null at the end.")
    full_hours: list[HourJson] = Field(description="Of the last day.")


class ReverifiedAnswer(_Success):
    """What became of some of them: some five seconds' worth.

    accepted: genuine now, applied, and kept no longer. refused: genuine now, but about nothing
    that can be done. failing: as before. remaining: not looked at yet, at most.
    """

    checked: int
    accepted: int
    refused: int
    failing: int
    remaining: int
    next_cursor: str | None = Field(description="Send it to go on; null: all were looked at.")


class MatchesJson(_Answer):
    """How many deliveries came in a UTC hour."""

    from_: Instant = Field(alias="from")
    deliveries: int


class SecretKeyJson(_Answer):
    """One value of a secret. hours: those in which deliveries fitted it, of the last week, the
    latest first; counted only while there are several values, and rather too few than too many.
    """

    fingerprint: str = Field(description="Tells it from other values, and nothing else.")
    is_current: bool
    last_match_at: Instant | None
    hours: list[MatchesJson]


class SecretJson(_Answer):
    """What a provider's webhooks are verified with. keys: the newest first, never the values.

    safeToRemove: whether the older ones may be; safeAt: from when on, as far as is known.
    """

    provider: str
    name: str
    keys: list[SecretKeyJson]
    placeholder: bool = Field(
        description="Whether one of the values was written in the place of a secret."
    )
    safe_to_remove: bool
    reason: Removal = Field(
        description="not_set, only_one; unproven: nothing came with the current one yet; in_use: "
        "the older one fitted within 24 hours; watching: the current one has fitted for less than "
        "24 hours; seals_more: it seals stored things too; safe."
    )
    safe_at: Instant | None


class SecretsAnswer(_Success):
    """The secrets behind webhooks, by provider; those with public keys have none."""

    secrets: list[SecretJson]


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
