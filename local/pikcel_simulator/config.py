"""The simulator's configuration: all of it can be read and changed while it runs.

Source of the defaults: the service's public client (100 requests a minute). Assumptions,
because only the live service knows (its section 11): result lifetime, retry schedule of
webhooks, when credits are charged, whether a poll renews a dead link.
"""

from typing import Literal

from pydantic import Field

from local.pikcel_simulator.faults import Outage, Rule, Strict, Vocabulary

DEVELOPMENT_KEY = "sk_test_simulator_0123456789abcdef0123456789abcdef"
DEVELOPMENT_SECRET = "whsec_simulator_0123456789abcdef"


class Config(Strict):
    """Everything that can be set.

    webhook_secrets: the first signs; more may be listed while a receiver rotates
    webhook_form: 1 = X-Pikcel-Signature and the typed body, 2 = X-PikcelAI-Signature
    webhook_restamp: give each attempt its own timestamp (and signature) instead of
        repeating the first attempt's bytes
    public_url: base of links to results; default: the address the dispatch came to
    """

    api_keys: list[str] = Field(default=[DEVELOPMENT_KEY])
    rate_limit_per_minute: int = Field(default=100, ge=0)
    retry_after_form: Literal["seconds", "http-date"] = "seconds"

    credits_balance: int = 1_000
    charge: Literal["on_completion", "on_dispatch"] = "on_completion"
    refund_failed: bool = True

    pending_s: float = Field(default=0.05, ge=0)
    processing_min_s: float = Field(default=0.3, ge=0)
    processing_max_s: float = Field(default=1.0, ge=0)
    max_input_bytes: int = 15_728_640

    webhook_form: Literal[1, 2] = 1
    webhook_secrets: list[str] = Field(default=[DEVELOPMENT_SECRET], min_length=1)
    webhook_retry_delays_s: list[float] = Field(default=[1.0, 5.0, 30.0])
    webhook_timeout_s: float = 10.0
    webhook_restamp: bool = False

    public_url: str | None = None
    result_lifetime_s: float = Field(default=600.0, ge=0)
    expired_status: Literal[404, 410] = 404
    fresh_links: bool = True

    reply: Vocabulary = "A"
    rules: list[Rule] = Field(default=[])
    outages: list[Outage] = Field(default=[])
