"""What can be set about fal's simulator besides what all of them have.

Source of the defaults: docs.fal.ai (a delivery times out after 15 s and is tried ten times in two
hours). Assumption: the steps between those tries.
"""

import secrets

from pydantic import Field

from local.provider_simulator import config

DEVELOPMENT_KEY = "simulator:0123456789abcdef0123456789abcdef"


class Config(config.Config):
    """Everything that can be set.

    webhook_secrets: seeds of ed25519 keys, in hex; all of their public halves are published
    user_id: the account that the webhooks name
    """

    api_keys: list[str] = Field(default=[DEVELOPMENT_KEY])
    webhook_secrets: list[str] = Field(
        default_factory=lambda: [secrets.token_hex(32)], min_length=1
    )
    webhook_retry_delays_s: list[float] = Field(
        default=[2.0, 8.0, 30.0, 60.0, 300.0, 600.0, 1200.0, 1800.0, 3200.0]
    )
    webhook_timeout_s: float = 15.0
    user_id: str = "user_simulator"
