"""The simulator of Replicate as one object."""

from typing import Any

from local.provider_simulator import service
from local.replicate_simulator.config import Config
from local.replicate_simulator.dialect import ReplicateDialect


class Simulator(service.Simulator[Config]):
    """What every provider's simulator is, in Replicate's words."""

    def __init__(self, config: Config, **outside: Any) -> None:
        """Put it together; `outside` is as for every simulator."""
        super().__init__(config, ReplicateDialect(), **outside)
