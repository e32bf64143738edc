"""What can be set about PikcelAI's simulator besides what all of them have.

Source of the defaults: the service's public client (100 requests a minute). Assumptions,
because only the live service knows (its section 11): result lifetime, retry schedule of
webhooks, when credits are charged, whether a poll renews a dead link.
"""

from typing import Literal

from pydantic import Field

from local.provider_simulator import config
from local.provider_simulator.faults import Vocabulary

DEVELOPMENT_KEY = "sk_test_simulator_0123456789abcdef0123456789abcdef"
DEVELOPMENT_SECRET = "whsec_simulator_0123456789abcdef"


class Config(config.Config):
    """Everything that can be set.

    webhook_form: 1 = X-Pikcel-Signature and the typed body, 2 = X-PikcelAI-Signature
    webhook_restamp: give each attempt its own timestamp (and signature) instead of
        repeating the first attempt's bytes
    """

    api_keys: list[str] = Field(default=[DEVELOPMENT_KEY])
    rate_limit_per_minute: int = Field(default=100, ge=0)
    webhook_form: Literal[1, 2] = 1
    webhook_secrets: list[str] = Field(default=[DEVELOPMENT_SECRET], min_length=1)
    webhook_restamp: bool = False
    fresh_links: bool = True
    reply: Vocabulary = "A"
