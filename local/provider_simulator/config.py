"""What can be set about any provider's simulator, and changed while it runs."""

from typing import Literal

from pydantic import Field

from local.provider_simulator.faults import Outage, Rule, Strict


class Config(Strict):
    """Everything that can be set, whatever the provider.

    webhook_secrets: the first signs; more may be listed while a receiver rotates
    public_url: base of links to results; default: the address the dispatch came to
    """

    api_keys: list[str] = Field(default=[])
    rate_limit_per_minute: int = Field(default=600, ge=0)
    retry_after_form: Literal["seconds", "http-date"] = "seconds"

    credits_balance: int = 1_000
    charge: Literal["on_completion", "on_dispatch"] = "on_completion"
    refund_failed: bool = True

    pending_s: float = Field(default=0.05, ge=0)
    processing_min_s: float = Field(default=0.3, ge=0)
    processing_max_s: float = Field(default=1.0, ge=0)
    max_input_bytes: int = 15_728_640

    webhook_secrets: list[str] = Field(default=[], min_length=1)
    webhook_retry_delays_s: list[float] = Field(default=[1.0, 5.0, 30.0])
    webhook_timeout_s: float = 10.0

    public_url: str | None = None
    result_lifetime_s: float = Field(default=600.0, ge=0)
    expired_status: Literal[404, 410] = 404
    fresh_links: bool = False

    rules: list[Rule] = Field(default=[])
    outages: list[Outage] = Field(default=[])
