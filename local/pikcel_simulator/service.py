"""The simulator of PikcelAI as one object."""

from typing import Any

from local.pikcel_simulator.config import Config
from local.pikcel_simulator.dialect import PikcelDialect
from local.provider_simulator import service


class Simulator(service.Simulator[Config]):
    """What every provider's simulator is, in PikcelAI's words."""

    def __init__(self, config: Config, **outside: Any) -> None:
        """Put it together; `outside` is as for every simulator."""
        super().__init__(config, PikcelDialect(), **outside)
