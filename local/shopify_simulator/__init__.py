"""A simulator of the Shopify Admin API that executes GraphQL against the real 2026-10 schema.

In tests: ``Simulator(clock=…).transport()`` is an httpx transport without sockets. On a laptop:
``python -m local.shopify_simulator --port N``. Facts and marks ([L], [D], [?] …) are those of
facts/shopify.md; what is [?] there is a switch here (config.Switches).
"""

from .simulator import Simulator
from .tokens import mint_id_token

__all__ = ["Simulator", "mint_id_token"]
