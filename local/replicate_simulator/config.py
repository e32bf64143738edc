"""What can be set about Replicate's simulator besides what all of them have.

Source of the defaults: replicate.com/docs (600 creates a minute; files live for an hour; a
terminal webhook is repeated until about a minute after the end).
"""

from pydantic import Field

from local.provider_simulator import config
from local.provider_simulator.standard import new_secret

DEVELOPMENT_KEY = "r8_simulator_0123456789abcdef0123456789"


class Config(config.Config):
    """Everything that can be set."""

    api_keys: list[str] = Field(default=[DEVELOPMENT_KEY])
    webhook_secrets: list[str] = Field(default_factory=lambda: [new_secret()], min_length=1)
    webhook_retry_delays_s: list[float] = Field(default=[1.0, 4.0, 15.0, 40.0])
    result_lifetime_s: float = Field(default=3_600.0, ge=0)
