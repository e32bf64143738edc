"""The simulator of fal as one object."""

from typing import Any

from local.fal_simulator.config import Config
from local.fal_simulator.dialect import FalDialect
from local.provider_simulator import service


class Simulator(service.Simulator[Config]):
    """What every provider's simulator is, in fal's words."""

    def __init__(self, config: Config, **outside: Any) -> None:
        """Put it together; `outside` is as for every simulator."""
        super().__init__(config, FalDialect(), **outside)
